//! `spec.scaling`, with its defaults.
//!
//! Pure. Called by `valid`, also where `spec.replicas` turns it off: it may be turned on again.

use std::time::Duration;

use aimass_crds::model_deployment::{Scaling, Target, Traffic, concurrency};

use super::{Rejection, fields};

/// How many pods the load may call for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Automatic {
    /// 0 to 1000.
    pub(crate) min: i32,
    /// 1 to 1000, at least `min`.
    pub(crate) max: i32,
    /// Requests that a pod shall have: 1 to 10000.
    pub(crate) in_flight: i32,
    /// Requests that it may have at once: at least `in_flight`.
    pub(crate) max_concurrency: i32,
    /// Requests per second and pod: 1 to 100000.
    pub(crate) rate: Option<i32>,
    /// 1 ms to 10 min.
    pub(crate) latency: Option<Duration>,
    /// 6 s to 1 h.
    pub(crate) window: Duration,
    /// 0 to 1 h.
    pub(crate) scale_down_delay: Duration,
    /// 10 s to 24 h.
    pub(crate) idle_timeout: Duration,
}

pub(super) fn automatic(
    wire: Option<&Scaling>,
    traffic: Option<&Traffic>,
) -> Result<Automatic, Rejection> {
    let (in_flight, max_concurrency) = concurrency(wire, traffic);
    let Scaling {
        min,
        max,
        target,
        window,
        scale_down_delay,
        idle_timeout,
    } = wire.cloned().unwrap_or_default();
    let min = fields::integer("spec.scaling.min", min.unwrap_or(1), 0, 1000)?;
    let max = fields::integer("spec.scaling.max", max.unwrap_or(min.max(10)), 1, 1000)?;
    if min > max {
        return Err(Rejection::Text {
            path: "spec.scaling.min",
            rule: "at most spec.scaling.max",
            value: min.to_string(),
        });
    }
    if idle_timeout.is_some() && min > 0 {
        return Err(Rejection::Text {
            path: "spec.scaling.min",
            rule: "0 where spec.scaling.idleTimeout is given",
            value: min.to_string(),
        });
    }
    let target = self::target(&target.unwrap_or_default(), traffic)?;
    let seconds = Duration::from_secs;
    Ok(Automatic {
        min,
        max,
        in_flight,
        max_concurrency,
        rate: target.rate,
        latency: target.latency,
        window: fields::duration(
            "spec.scaling.window",
            window.as_ref(),
            seconds(60),
            ("6s", "1h"),
        )?,
        scale_down_delay: fields::duration(
            "spec.scaling.scaleDownDelay",
            scale_down_delay.as_ref(),
            Duration::ZERO,
            ("0s", "1h"),
        )?,
        idle_timeout: fields::duration(
            "spec.scaling.idleTimeout",
            idle_timeout.as_ref(),
            seconds(300),
            ("10s", "24h"),
        )?,
    })
}

/// What is asked for besides requests in flight.
struct Further {
    rate: Option<i32>,
    latency: Option<Duration>,
}

fn target(wire: &Target, traffic: Option<&Traffic>) -> Result<Further, Rejection> {
    let path = "spec.scaling.target.inFlight";
    if let Some(in_flight) = wire.in_flight {
        fields::integer(path, in_flight, 1, 10_000)?;
        let most = traffic.and_then(|traffic| traffic.max_concurrency);
        if most.is_some_and(|most| in_flight > most) {
            return Err(Rejection::Text {
                path,
                rule: "at most spec.traffic.maxConcurrency, or scaling never starts",
                value: in_flight.to_string(),
            });
        }
    }
    let rate = wire
        .rate
        .map(|rate| fields::integer("spec.scaling.target.rate", rate, 1, 100_000));
    let path = "spec.scaling.target.latency";
    let latency = fields::duration(path, wire.latency.as_ref(), Duration::ZERO, ("1ms", "10m"))?;
    Ok(Further {
        rate: rate.transpose()?,
        latency: wire.latency.as_ref().map(|_| latency),
    })
}

#[cfg(test)]
mod tests {
    use aimass_crds::scalars::Duration as Wire;

    use super::*;

    fn rejected(scaling: &Scaling) -> String {
        automatic(Some(scaling), None).unwrap_err().to_string()
    }

    #[test]
    fn without_a_word_it_is_one_to_ten_pods_of_eight_requests() {
        let found = automatic(None, None).unwrap();
        assert_eq!((found.min, found.max), (1, 10));
        assert_eq!((found.in_flight, found.max_concurrency), (8, 16));
        assert_eq!(found.window, Duration::from_secs(60));
        assert_eq!(found.idle_timeout, Duration::from_secs(300));
        assert_eq!((found.rate, found.latency), (None, None));
        let many = Scaling {
            min: Some(20),
            ..Scaling::default()
        };
        assert_eq!(automatic(Some(&many), None).unwrap().max, 20);
    }

    #[test]
    fn contradictions_are_refused_in_words() {
        let scaling = Scaling {
            min: Some(3),
            max: Some(2),
            ..Scaling::default()
        };
        assert!(rejected(&scaling).contains("at most spec.scaling.max"));
        let idle_timeout = Some(Wire("1m".to_owned()));
        let scaling = Scaling {
            idle_timeout: idle_timeout.clone(),
            ..Scaling::default()
        };
        assert!(rejected(&scaling).contains("0 where spec.scaling.idleTimeout is given"));
        let scaling = Scaling {
            min: Some(0),
            idle_timeout,
            ..Scaling::default()
        };
        assert!(automatic(Some(&scaling), None).is_ok());
        let target = Some(Target {
            in_flight: Some(9),
            ..Target::default()
        });
        let scaling = Scaling {
            target,
            ..Scaling::default()
        };
        let traffic = Traffic {
            max_concurrency: Some(8),
            ..Traffic::default()
        };
        let refused = automatic(Some(&scaling), Some(&traffic)).unwrap_err();
        assert!(
            refused.to_string().contains("scaling never starts"),
            "{refused}"
        );
    }
}
