//! What a spec says about scaling, as `scale` takes it.
//!
//! Pure. Called by the operator's signals task, which decides each second; a plan sees only its result.

use std::time::Duration;

use aimass_crds::ModelDeployment;

use super::observed::Platform;
use super::scale::{Limits, Rules, Tuning};
use super::valid::{Automatic, valid};

/// How the load decides the number of pods, and between which bounds; the quota is left to the caller.
/// `None` where the load decides nothing: a fixed number, a suspended model, a spec that breaks a rule,
/// a model that is being deleted.
#[must_use]
pub fn scaling_rules(model: &ModelDeployment, platform: &Platform) -> Option<(Rules, Limits)> {
    let spec = &model.spec;
    let by_others = spec.replicas.is_some() || spec.suspend.unwrap_or(false);
    if by_others || model.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let valid = valid(model, platform).ok()?;
    Some(rules(&valid.automatic))
}

fn rules(automatic: &Automatic) -> (Rules, Limits) {
    let Automatic {
        min,
        max,
        in_flight,
        max_concurrency,
        rate,
        latency,
        window,
        scale_down_delay,
        idle_timeout,
    } = automatic;
    let rules = Rules {
        in_flight: in_flight.unsigned_abs(),
        rate: rate.map(i32::unsigned_abs),
        latency: latency.filter(|latency| *latency > Duration::ZERO),
        max_concurrency: max_concurrency.unsigned_abs(),
        window: *window,
        scale_down_delay: *scale_down_delay,
        idle_timeout: *idle_timeout,
        tuning: Tuning::AIMASS,
    };
    let limits = Limits {
        min: *min,
        max: *max,
        headroom: None,
    };
    (rules, limits)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals are passed")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::samples::platform;

    fn found(more: Value) -> Option<(Rules, Limits)> {
        let mut model = json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": "iris", "namespace": "a"},
            "spec": {"model": {"source": {"configMap": {"name": "iris"}}}},
        });
        let spec = model["spec"].as_object_mut().unwrap();
        spec.extend(more.as_object().unwrap().clone());
        scaling_rules(&serde_json::from_value(model).unwrap(), &platform())
    }

    #[test]
    fn what_is_written_is_what_counts() {
        let (rules, limits) = found(json!({
            "scaling": {
                "min": 0, "max": 5, "window": "30s", "scaleDownDelay": "1m", "idleTimeout": "2m",
                "target": {"inFlight": 4, "rate": 50, "latency": "200ms"},
            },
            "traffic": {"maxConcurrency": 6},
        }))
        .unwrap();
        assert_eq!((limits.min, limits.max, limits.headroom), (0, 5, None));
        assert_eq!((rules.in_flight, rules.max_concurrency), (4, 6));
        assert_eq!(rules.rate, Some(50));
        assert_eq!(rules.latency, Some(Duration::from_millis(200)));
        assert_eq!(rules.window, Duration::from_secs(30));
        assert_eq!(rules.scale_down_delay, Duration::from_secs(60));
        assert_eq!(rules.idle_timeout, Duration::from_secs(120));
    }

    #[test]
    fn the_load_decides_unless_somebody_else_does() {
        assert!(found(json!({})).is_some());
        for other in [
            json!({"replicas": 2}),
            json!({"suspend": true}),
            json!({"scaling": {"min": 5, "max": 2}}),
        ] {
            assert_eq!(found(other.clone()), None, "{other}");
        }
    }
}
