//! A load that rises at once: from one caller to forty, who send again as soon as they are answered.
//!
//! The model's server waits a tenth of a second for company before it computes (`batching.maxDelay`), so requests take their time
//! without taking the machine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aimass_tests::client::Caller;
use aimass_tests::gated::{Gated, serve};
use aimass_tests::{linear, models};
use anyhow::bail;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::delete;
use crate::{Row, count};

const NAME: &str = "step";
/// Callers after the step.
const CALLERS: usize = 40;
/// Requests in flight that a pod shall have: the default, said here because the goal follows from it.
const TARGET: usize = 8;
/// How long a request takes; nobody sends more often.
const REQUEST: Duration = Duration::from_millis(100);
/// One that took less did not wait for company.
const SLOW: Duration = Duration::from_millis(80);
/// Until the server has found out that company pays.
const CALIBRATED: Duration = Duration::from_secs(20);
/// For how long there is one caller, so that the load before the step is known.
const BEFORE: Duration = Duration::from_secs(10);
/// For the pods to be wanted, and to be there.
const GROWN: Duration = Duration::from_secs(60);
/// Between two looks at the status.
const LOOK: Duration = Duration::from_millis(100);

/// What became of one caller's requests.
#[derive(Debug, Default)]
struct Served {
    answered: usize,
    failed: Vec<String>,
    /// Of all that were answered.
    time: Duration,
}

/// When the step's pods came, counted from it.
#[derive(Clone, Copy, Debug, Default)]
struct Grown {
    /// More than one is wanted.
    noticed: Option<Duration>,
    /// As many as the target calls for are wanted.
    wanted: Option<Duration>,
    /// So many are ready.
    ready: Option<Duration>,
}

pub(super) async fn figures(world: &Gated) -> anyhow::Result<Vec<Row>> {
    let scaling = json!({"min": 1, "max": 8, "target": {"inFlight": TARGET}});
    let model = linear::scaled(NAME, &scaling);
    let delay = json!({"maxDelay": format!("{}ms", REQUEST.as_millis())});
    serve(&world.run.ns, &models::with(model, "/spec/batching", delay)).await;
    waits_for_company(&world.gateway.caller()).await?;
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    callers.spawn(call(world.gateway.caller(), Arc::clone(&over)));
    sleep(BEFORE).await;
    let begun = Instant::now();
    for _ in 1..CALLERS {
        callers.spawn(call(world.gateway.caller(), Arc::clone(&over)));
    }
    let grown = grow(world, begun).await;
    over.store(true, Ordering::Relaxed);
    let served = callers.join_all().await;
    let grown = grown?;
    delete(world, NAME).await?;
    Ok(rows(grown, &served))
}

/// Sends one request after the other, until it is over.
async fn call(caller: Caller, over: Arc<AtomicBool>) -> Served {
    let mut served = Served::default();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let reply = linear::ask(&caller, NAME, number).await;
        let took = begun.elapsed();
        match reply.and_then(|reply| linear::check(&reply, number)) {
            Ok(()) => {
                served.answered += 1;
                served.time += took;
            }
            Err(words) => served.failed.push(words),
        }
        sleep(REQUEST.saturating_sub(took)).await;
        number += 1;
    }
    served
}

/// Waits until a request takes its time: the server finds out in about a second whether company pays.
async fn waits_for_company(caller: &Caller) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut took = Duration::ZERO;
    while begun.elapsed() < CALIBRATED {
        let sent = Instant::now();
        let reply = linear::ask(caller, NAME, 21).await;
        took = sent.elapsed();
        let answered = reply.and_then(|reply| linear::check(&reply, 21));
        if answered.is_ok() && took >= SLOW {
            return Ok(());
        }
        sleep(REQUEST).await;
    }
    bail!("a request takes {took:?} and not {REQUEST:?}: its server does not wait for company")
}

/// Watches the status until as many pods are ready as the target calls for.
async fn grow(world: &Gated, begun: Instant) -> anyhow::Result<Grown> {
    let models = models::api(&world.run.ns);
    let mut grown = Grown::default();
    while grown.ready.is_none() {
        let after = begun.elapsed();
        let object = models.get(NAME).await?;
        let number = |pointer: &str| {
            let found = object.data.pointer(pointer).and_then(Value::as_u64);
            usize::try_from(found.unwrap_or_default()).unwrap_or(usize::MAX)
        };
        let desired = number("/status/scaling/desired");
        grown.see(desired, number("/status/readyReplicas"), after);
        if after > GROWN {
            let conditions = models::conditions(&object);
            bail!(
                "{} pods are wanted after {GROWN:?}, not {}: {conditions}",
                desired,
                called_for()
            );
        }
        sleep(LOOK).await;
    }
    Ok(grown)
}

impl Grown {
    fn see(&mut self, desired: usize, ready: usize, after: Duration) {
        for (is, time) in [
            (desired > 1, &mut self.noticed),
            (desired >= called_for(), &mut self.wanted),
            (ready >= called_for(), &mut self.ready),
        ] {
            if is {
                time.get_or_insert(after);
            }
        }
    }
}

/// Pods that the callers call for.
const fn called_for() -> usize {
    CALLERS.div_ceil(TARGET)
}

fn rows(grown: Grown, served: &[Served]) -> Vec<Row> {
    let Grown {
        noticed,
        wanted,
        ready,
    } = grown;
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
    let answered: usize = served.iter().map(|one| one.answered).sum();
    let time: Duration = served.iter().map(|one| one.time).sum();
    let failed: Vec<&String> = served.iter().flat_map(|one| &one.failed).collect();
    let mean = time.as_secs_f64() * 1000.0 / count(answered).max(1.0);
    let load = format!("1 → {CALLERS} callers, a request takes {mean:.0} ms in the mean");
    let pods = format!("{} pods for {CALLERS} callers, {TARGET} each", called_for());
    let words = failed.first().map_or_else(
        || format!("of {}", answered + failed.len()),
        |first| format!("of {}; the first: {first}", answered + failed.len()),
    );
    vec![
        Row::plain("scale/step/noticed", seconds(noticed), "s").against(load),
        Row::plain("scale/step/wanted", seconds(wanted), "s").against(pods.clone()),
        Row::plain("scale/step/ready", seconds(ready), "s").against(pods),
        Row::at_most("scale/step/failed", count(failed.len()), "requests", 0.0).against(words),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sends_more_than_may_be_sent() {
        let a_second = CALLERS as f64 / REQUEST.as_secs_f64();
        assert!(a_second <= 500.0, "{a_second}");
        assert!(CALLERS.is_multiple_of(TARGET) && called_for() == 5);
    }

    #[test]
    fn each_time_is_when_it_was_first_so() {
        let mut grown = Grown::default();
        let second = Duration::from_secs;
        grown.see(1, 1, second(1));
        assert_eq!(grown.noticed, None);
        grown.see(3, 1, second(2));
        grown.see(5, 3, second(4));
        grown.see(5, 5, second(6));
        grown.see(5, 5, second(8));
        let served = Served {
            answered: 4,
            failed: vec!["503".to_owned()],
            time: Duration::from_millis(480),
        };
        let rows = rows(grown, &[served, Served::default()]);
        let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
        assert_eq!(values, [2.0, 4.0, 6.0, 1.0]);
        assert!(rows[0].against.contains("120 ms"), "{rows:?}");
        assert_eq!(rows[3].against, "of 5; the first: 503");
    }
}
