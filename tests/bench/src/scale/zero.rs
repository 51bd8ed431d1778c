//! From zero and back: models that sleep are called, one after the other and all at once, and fall asleep again.
//!
//! Every wake begins when no pod is left of any of them, not even one that ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aimass_tests::client::Caller;
use aimass_tests::gated::{Gated, settled};
use aimass_tests::{linear, models};
use anyhow::bail;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::histogram::Histogram;
use super::{delete, metrics, percentile_ms};
use crate::{Row, count};

/// Models that sleep: while one waits for its time the others have theirs, and all are called at once.
const MODELS: usize = 5;
/// Times that all of them are called at once.
const AT_ONCE: usize = 2;
/// `idleTimeout`: as short as it may be.
const IDLE: Duration = Duration::from_secs(10);
/// Between two wakes: what the one before still has to do does not slow the next one down.
const APART: Duration = Duration::from_secs(1);
/// So long after an answer the status does not say any more what it was before the wake.
const AGAIN: Duration = Duration::from_secs(3);
/// For a model to fall asleep, its last pod's end included.
const ASLEEP: Duration = Duration::from_secs(60);
/// Between two looks at the models.
const LOOK: Duration = Duration::from_millis(200);
/// The operator's histogram, and its phases with the time in milliseconds that 95 of 100 should not exceed.
const HISTOGRAM: &str = "aimass_operator_cold_start_seconds";
const PHASES: [(&str, Option<f64>); 6] = [
    ("decide", Some(35.0)),
    ("schedule", Some(100.0)),
    ("sandbox", Some(500.0)),
    ("start", None),
    ("load", None),
    ("total", None),
];

/// What came of some wakes.
#[derive(Debug, Default)]
struct Woken {
    /// Until the first byte of each answer.
    took: Vec<Duration>,
    /// Of those that were not answered as they should, in words.
    failed: Vec<String>,
}

/// When a model fell asleep, counted from its last answer.
#[derive(Clone, Copy, Debug)]
struct Asleep {
    /// No pod is wanted.
    decided: Duration,
    /// None is left.
    gone: Duration,
}

/// Models that are awake, by name, each with the time of its last answer.
type Awake = BTreeMap<String, Instant>;

pub(super) async fn figures(world: &Gated, wakes: usize) -> anyhow::Result<Vec<Row>> {
    let names: Vec<String> = (0..MODELS).map(|number| format!("zero-{number}")).collect();
    let scaling = json!({"min": 0, "max": 1, "window": "6s", "idleTimeout": "10s"});
    for name in &names {
        let applied = models::apply(&world.run.ns, &linear::scaled(name, &scaling)).await;
        applied?;
    }
    for name in &names {
        settled(&world.run.ns, name).await;
    }
    let served = Instant::now();
    fall_asleep(
        world,
        names.iter().map(|name| (name.clone(), served)).collect(),
    )
    .await?;
    let before = phases(world);

    let (mut alone, mut asleep) = (Woken::default(), Vec::new());
    let in_turn: Vec<&String> = names.iter().cycle().take(wakes).collect();
    for some in in_turn.chunks(MODELS) {
        let mut awake = Awake::new();
        for name in some {
            alone.take(wake(world.gateway.caller(), (*name).clone()).await);
            awake.insert((*name).clone(), Instant::now());
            sleep(APART).await;
        }
        asleep.extend(fall_asleep(world, awake).await?);
    }
    let phases = since(&phases(world), &before);

    let mut together = Woken::default();
    for _ in 0..AT_ONCE {
        let callers = names
            .iter()
            .map(|name| wake(world.gateway.caller(), name.clone()));
        for woken in callers.collect::<JoinSet<_>>().join_all().await {
            together.take(woken);
        }
        let answered = Instant::now();
        let awake = names.iter().map(|name| (name.clone(), answered));
        asleep.extend(fall_asleep(world, awake.collect()).await?);
    }
    for name in &names {
        delete(world, name).await?;
    }
    let mut rows = woken_rows(&alone, &together);
    rows.extend(phase_rows(&phases));
    rows.extend(asleep_rows(&asleep));
    Ok(rows)
}

/// Calls a model that sleeps; how long the first byte of the answer took.
async fn wake(caller: Caller, name: String) -> Result<Duration, String> {
    let begun = Instant::now();
    let reply = linear::ask(&caller, &name, 21).await?;
    // The answer is a hundred bytes: the first one and the last one come together.
    let took = begun.elapsed();
    linear::check(&reply, 21)?;
    match reply.headers.contains_key("aimass-cold-start") {
        true => Ok(took),
        false => Err(format!("{name} was not woken: the answer took {took:?}")),
    }
}

impl Woken {
    fn take(&mut self, woken: Result<Duration, String>) {
        match woken {
            Ok(took) => self.took.push(took),
            Err(words) => self.failed.push(words),
        }
    }
}

/// Waits until no pod is left of these models.
async fn fall_asleep(world: &Gated, awake: Awake) -> anyhow::Result<Vec<Asleep>> {
    let pods: Api<Pod> = world.run.ns.api();
    let begun = Instant::now();
    let mut decided = BTreeMap::<String, Duration>::new();
    let mut asleep = BTreeMap::<String, Asleep>::new();
    while asleep.len() < awake.len() {
        if begun.elapsed() > ASLEEP {
            let mut missing = Vec::new();
            for name in awake.keys().filter(|name| !asleep.contains_key(*name)) {
                let object = models::api(&world.run.ns).get(name).await?;
                missing.push(format!("{name}: {}", models::conditions(&object)));
            }
            bail!("not asleep after {ASLEEP:?}: {}", missing.join("\n"));
        }
        sleep(LOOK).await;
        let listed = models::api(&world.run.ns)
            .list(&ListParams::default())
            .await?;
        for model in &listed.items {
            let name = model.metadata.name.clone().unwrap_or_default();
            let desired = model.data.pointer("/status/scaling/desired");
            if let Some(answered) = awake.get(&name)
                && answered.elapsed() > AGAIN
                && desired.and_then(Value::as_i64) == Some(0)
            {
                decided.entry(name).or_insert_with(|| answered.elapsed());
            }
        }
        let of_models = ListParams::default().labels("aimass.dev/deployment");
        let left = pods.list_metadata(&of_models).await?.items;
        let has_pod = |name: &str| {
            let label = |pod: &kube::core::PartialObjectMeta<Pod>| {
                let labels = pod.metadata.labels.as_ref();
                labels.and_then(|labels| labels.get("aimass.dev/deployment").cloned())
            };
            left.iter().any(|pod| label(pod).as_deref() == Some(name))
        };
        for (name, answered) in &awake {
            if let Some(decided) = decided.get(name)
                && !has_pod(name)
            {
                let gone = || Asleep {
                    decided: *decided,
                    gone: answered.elapsed(),
                };
                asleep.entry(name.clone()).or_insert_with(gone);
            }
        }
    }
    Ok(asleep.into_values().collect())
}

/// The operator's histogram, by phase.
fn phases(world: &Gated) -> Vec<Histogram> {
    let text = metrics(world);
    let of = |(phase, _): &(&str, _)| Histogram::read(&text, HISTOGRAM, ("phase", phase));
    PHASES.iter().map(of).collect()
}

fn since(now: &[Histogram], before: &[Histogram]) -> Vec<Histogram> {
    let pairs = now.iter().zip(before);
    pairs.map(|(now, before)| now.since(before)).collect()
}

fn woken_rows(alone: &Woken, together: &Woken) -> Vec<Row> {
    let words = |woken: &Woken| match woken.failed.first() {
        Some(first) => format!("{} wakes; the first failure: {first}", woken.all()),
        None => format!("{} wakes", woken.all()),
    };
    let (one, five) = (words(alone), words(together));
    let failed = count(alone.failed.len() + together.failed.len());
    vec![
        Row::at_most(
            "scale/zero/first-byte-p50",
            percentile_ms(&alone.took, 50.0),
            "ms",
            450.0,
        )
        .against(one.clone()),
        Row::at_most(
            "scale/zero/first-byte-p95",
            percentile_ms(&alone.took, 95.0),
            "ms",
            1000.0,
        )
        .against(one.clone()),
        Row::plain(
            "scale/zero-5/first-byte-p50",
            percentile_ms(&together.took, 50.0),
            "ms",
        )
        .against(five.clone()),
        Row::plain(
            "scale/zero-5/first-byte-p95",
            percentile_ms(&together.took, 95.0),
            "ms",
        )
        .against(five.clone()),
        Row::at_most("scale/zero/failed", failed, "requests", 0.0)
            .against(format!("one at a time: {one}; at once: {five}")),
    ]
}

impl Woken {
    fn all(&self) -> usize {
        self.took.len() + self.failed.len()
    }
}

fn phase_rows(phases: &[Histogram]) -> Vec<Row> {
    let row = |name: &str, seconds: f64, goal: Option<f64>| match goal {
        Some(goal) => Row::at_most(name, seconds * 1000.0, "ms", goal),
        None => Row::plain(name, seconds * 1000.0, "ms"),
    };
    let pairs = PHASES.iter().zip(phases);
    let rows = pairs.flat_map(|((phase, goal), histogram)| {
        let seen = format!("the operator saw {} of them", histogram.count());
        let p50 = row(
            &format!("scale/zero/{phase}-p50"),
            histogram.quantile(50.0),
            None,
        );
        let p95 = row(
            &format!("scale/zero/{phase}-p95"),
            histogram.quantile(95.0),
            *goal,
        );
        [p50, p95].map(|row| row.against(seen.clone()))
    });
    rows.collect()
}

fn asleep_rows(asleep: &[Asleep]) -> Vec<Row> {
    let beyond = |time: fn(&Asleep) -> Duration| {
        let beyond = asleep.iter().map(|one| time(one).saturating_sub(IDLE));
        beyond.collect::<Vec<Duration>>()
    };
    let (decided, gone) = (beyond(|one| one.decided), beyond(|one| one.gone));
    let text = format!("beyond {} s, {} times", IDLE.as_secs(), asleep.len());
    let seconds = |times: &[Duration], percent| percentile_ms(times, percent) / 1000.0;
    vec![
        Row::plain("scale/idle/decided-p50", seconds(&decided, 50.0), "s").against(text.clone()),
        Row::at_most(
            "scale/idle/decided-most",
            seconds(&decided, 100.0),
            "s",
            2.0,
        )
        .against(text.clone()),
        Row::plain("scale/idle/gone-p50", seconds(&gone, 50.0), "s").against(text),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn value(rows: &[Row], name: &str, expect: f64) {
        let row = rows.iter().find(|row| row.name == name).unwrap();
        assert!((row.value - expect).abs() < 1e-6, "{row:?}");
    }

    #[test]
    fn a_wake_that_failed_is_counted_and_told() {
        let (mut alone, mut together) = (Woken::default(), Woken::default());
        for took in [300, 700, 500] {
            alone.take(Ok(Duration::from_millis(took)));
        }
        together.take(Err("503: not ready".to_owned()));
        let rows = woken_rows(&alone, &together);
        value(&rows, "scale/zero/first-byte-p50", 500.0);
        value(&rows, "scale/zero/first-byte-p95", 700.0);
        value(&rows, "scale/zero/failed", 1.0);
        assert_eq!(rows.last().unwrap().met, Some(false));
        assert!(rows.last().unwrap().against.ends_with("503: not ready"));
    }

    #[test]
    fn sleep_is_counted_beyond_the_time_that_was_asked_for() {
        let asleep = [(11_000, 15_000), (11_500, 14_000), (9_900, 13_000)];
        let asleep = asleep.map(|(decided, gone)| Asleep {
            decided: Duration::from_millis(decided),
            gone: Duration::from_millis(gone),
        });
        let rows = asleep_rows(&asleep);
        value(&rows, "scale/idle/decided-p50", 1.0);
        value(&rows, "scale/idle/decided-most", 1.5);
        value(&rows, "scale/idle/gone-p50", 4.0);
    }

    #[test]
    fn each_phase_has_two_rows() {
        let text = "aimass_operator_cold_start_seconds_bucket{le=\"0.1\",phase=\"decide\"} 2\n";
        let read = |(phase, _): &(&str, _)| Histogram::read(text, HISTOGRAM, ("phase", phase));
        let rows = phase_rows(&PHASES.iter().map(read).collect::<Vec<_>>());
        assert_eq!(rows.len(), 2 * PHASES.len());
        value(&rows, "scale/zero/decide-p50", 50.0);
        value(&rows, "scale/zero/load-p95", 0.0);
        assert_eq!(rows[1].met, Some(false));
        assert_eq!(rows[1].against, "the operator saw 2 of them");
    }
}
