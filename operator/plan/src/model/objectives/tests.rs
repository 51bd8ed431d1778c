//! Row by row: what a window says, when that is told, and what is not told.

use aimass_crds::signals::Load;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::ring::Ring;
use super::*;
use crate::model::observed::{Gateway, Signals};
use crate::model::scale::Tick;

/// Of a model whose `spec.objectives` is this.
#[expect(clippy::needless_pass_by_value, reason = "literals are passed")]
fn found(wire: Value) -> Option<Objectives> {
    let model = json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": "iris"},
        "spec": {"model": {"source": {"configMap": {"name": "iris"}}}, "objectives": wire},
    });
    objectives(&serde_json::from_value(model).unwrap())
}

/// At most 1 % errors, 95 of 100 within 100 ms, in a minute.
fn both() -> Objectives {
    found(json!({"errorRate": "1%", "latencyP95": "100ms", "window": "1m"})).unwrap()
}

/// What a second brings: so many answers, so many of them errors, all in this bucket.
fn load(answers: u32, errors: u32, bucket: u8) -> Load {
    Load {
        ok: answers - errors,
        failed: errors,
        latency: vec![(bucket, answers)],
        ..Load::default()
    }
}

/// 100 ms are rounded up to the end of bucket 40: in that one nobody is too slow, in 41 everybody is.
fn good() -> Load {
    load(2, 0, 40)
}

fn bad() -> Load {
    load(2, 1, 40)
}

fn slow() -> Load {
    load(2, 0, 41)
}

/// A watch and a clock.
struct World {
    watch: Watch,
    now: u64,
}

impl World {
    fn new(objectives: Objectives, status: &[Condition]) -> Self {
        let now = 7_000;
        let watch = Watch::new(objectives, status, Tick::from_millis(now));
        Self { watch, now }
    }

    fn tick(&self) -> Tick {
        Tick::from_millis(self.now)
    }

    /// So many seconds that all bring the same: after which something was told, and what.
    fn seconds(&mut self, count: u32, load: &Load) -> Vec<(u32, Standing)> {
        let mut told = Vec::new();
        for second in 1..=count {
            self.watch.add(load, self.tick());
            self.now += 1000;
            if self.watch.look(self.tick()) {
                told.push((second, self.watch.judged().unwrap().standing));
            }
        }
        told
    }

    fn message(&self) -> &str {
        &self.watch.judged().unwrap().message
    }
}

fn said(standing: Standing) -> Vec<Condition> {
    vec![Condition {
        type_: "WithinObjectives".to_owned(),
        status: standing.status().as_str().to_owned(),
        reason: standing.reason().as_str().to_owned(),
        message: "as of then".to_owned(),
        observed_generation: Some(1),
        last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
    }]
}

#[track_caller]
fn check(objectives: Objectives, load: &Load, standing: Standing, message: &str) {
    let mut world = World::new(objectives, &[]);
    assert_eq!(world.seconds(59, load), []);
    assert_eq!(world.seconds(1, load), [(1, standing)]);
    assert_eq!(world.message(), message);
    assert_eq!(world.seconds(59, load), [], "it stays");
}

#[test]
fn a_whole_window_is_judged() {
    let of = "; objectives: errorRate 1 %, latencyP95 100 ms over 1m";
    let row = |load: &Load, standing, figures: &str| {
        check(both(), load, standing, &format!("{figures}{of}"));
    };
    row(
        &good(),
        Standing::Met,
        "errorRate 0 % of 120, latencyP95 102 ms of 120",
    );
    row(&bad(), Standing::ErrorRateAbove, "errorRate 50 % of 120");
    row(&slow(), Standing::LatencyAbove, "latencyP95 122 ms of 120");
    row(
        &load(2, 1, 41),
        Standing::ErrorRateAbove,
        "errorRate 50 % of 120, latencyP95 122 ms of 120",
    );
}

#[test]
fn a_figure_on_the_limit_is_within() {
    let of = |share: &str| found(json!({"errorRate": share, "window": "1m"})).unwrap();
    let tenth = load(10, 1, 40);
    check(
        of("10%"),
        &tenth,
        Standing::Met,
        "errorRate 10 % of 600; objectives: errorRate 10 % over 1m",
    );
    check(
        of("9.99%"),
        &tenth,
        Standing::ErrorRateAbove,
        "errorRate 10 % of 600; objectives: errorRate 9.99 % over 1m",
    );
    // 5 of 100 may be slower
    let of = |quantile: &str| found(json!({quantile: "100ms", "window": "1m"})).unwrap();
    let few_slow = Load {
        latency: vec![(40, 19), (60, 1)],
        ..load(20, 0, 40)
    };
    check(
        of("latencyP95"),
        &few_slow,
        Standing::Met,
        "latencyP95 102 ms of 1,200; objectives: latencyP95 100 ms over 1m",
    );
    check(
        of("latencyP99"),
        &few_slow,
        Standing::LatencyAbove,
        "latencyP99 3277 ms of 1,200; objectives: latencyP99 100 ms over 1m",
    );
}

#[test]
fn an_error_is_what_it_is_to_a_rollout() {
    for (load, standing) in [
        (
            Load {
                rejected: 1,
                ..good()
            },
            Standing::ErrorRateAbove,
        ),
        (
            Load {
                rerouted: 1,
                ..good()
            },
            Standing::ErrorRateAbove,
        ),
        (
            Load {
                arrived: 9,
                queued_peak: 9,
                ..good()
            },
            Standing::Met,
        ),
    ] {
        let mut world = World::new(both(), &[]);
        assert_eq!(world.seconds(60, &load), [(60, standing)]);
    }
}

#[test]
fn an_outage_is_told_at_the_next_look_and_its_end_a_whole_window_later() {
    let mut world = World::new(both(), &[]);
    assert_eq!(world.seconds(60, &good()), [(60, Standing::Met)]);
    assert_eq!(world.seconds(120, &good()), []);
    assert_eq!(world.seconds(5, &bad()), [(5, Standing::ErrorRateAbove)]);
    assert_eq!(world.seconds(60, &good()), [(60, Standing::Met)]);
    // what was counted before a change is not held against anybody again
    assert_eq!(world.seconds(59, &bad()), []);
    assert_eq!(world.seconds(1, &bad()), [(1, Standing::ErrorRateAbove)]);
    assert_eq!(world.seconds(300, &bad()), []);
    assert_eq!(world.watch.is_met(), Some(false));
}

#[test]
fn nothing_changes_twice_within_a_window() {
    for period in 1..90 {
        let mut world = World::new(both(), &[]);
        let mut last = None;
        for second in 0..1_000_u32 {
            let load = if second / period % 2 == 0 {
                good()
            } else {
                bad()
            };
            if !world.seconds(1, &load).is_empty() {
                let long = last.is_none_or(|last| second - last >= 60);
                assert!(long, "period {period}: {last:?}, {second}");
                last = Some(second);
            }
        }
    }
}

#[test]
fn few_requests_say_nothing() {
    let nothing = Load::default();
    let mut world = World::new(both(), &[]);
    for second in 0..120 {
        let load = if second % 4 == 0 {
            load(1, 1, 60)
        } else {
            nothing.clone()
        };
        world.seconds(1, &load);
    }
    assert_eq!(world.watch.judged().unwrap().standing, Standing::NoTraffic);
    assert_eq!(
        world.message(),
        "nothing to judge by: that takes a whole window with 20 requests; objectives: errorRate 1 %, latencyP95 100 ms over 1m"
    );
    assert_eq!(world.watch.is_met(), None);
    // with these there are more than twenty
    world.seconds(1, &load(10, 10, 60));
    assert_eq!(world.seconds(4, &nothing), [(4, Standing::ErrorRateAbove)]);
}

#[test]
fn who_is_called_no_more_comes_to_rest_and_begins_with_the_next_call() {
    let nothing = Load::default();
    let mut world = World::new(both(), &[]);
    assert!(world.watch.rests(), "nobody has called yet");
    assert_eq!(world.seconds(300, &nothing), []);
    world.seconds(70, &good());
    assert!(!world.watch.rests());
    // from the change on, a window without a request
    assert_eq!(world.seconds(49, &nothing), []);
    let told = world.seconds(61, &nothing);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, Standing::NoTraffic);
    assert!(world.watch.rests());
    world.now += 10_000_000;
    assert_eq!(
        world.seconds(59, &bad()),
        [],
        "an hour of rest is no window"
    );
    assert_eq!(world.seconds(1, &bad()), [(1, Standing::ErrorRateAbove)]);
}

#[test]
fn silence_is_no_time() {
    let mut world = World::new(both(), &[]);
    world.seconds(30, &good());
    for _ in 0..1_000 {
        world.now += 1_000;
        world.watch.skip();
        world.watch.add(&bad(), world.tick());
    }
    assert!(!world.watch.look(world.tick()));
    assert_eq!(world.seconds(29, &good()), []);
    assert_eq!(world.seconds(1, &good()), [(1, Standing::Met)]);
    for _ in 0..1_000 {
        world.now += 1_000;
        world.watch.skip();
    }
    assert_eq!(world.watch.is_met(), Some(true));
}

#[test]
fn a_new_leader_keeps_what_status_says_until_it_has_seen_a_whole_window() {
    for (was, load, expect) in [
        (Standing::ErrorRateAbove, good(), Standing::Met),
        (Standing::ErrorRateAbove, bad(), Standing::ErrorRateAbove),
        (Standing::LatencyAbove, bad(), Standing::ErrorRateAbove),
        (Standing::Met, slow(), Standing::LatencyAbove),
        (Standing::Met, Load::default(), Standing::NoTraffic),
    ] {
        let mut world = World::new(both(), &said(was));
        let met = world.watch.is_met();
        assert_eq!(met, Some(was == Standing::Met));
        assert_eq!(world.seconds(59, &load), []);
        assert_eq!((world.watch.judged(), world.watch.is_met()), (None, met));
        assert_eq!(world.seconds(1, &load), [(1, expect)]);
    }
    assert!(World::new(both(), &said(Standing::NoTraffic)).watch.rests());
    let mut other = said(Standing::Met);
    other[0].reason = "Serving".to_owned();
    assert_eq!(Standing::read(&other), None);
}

#[test]
fn another_spec_judges_what_was_counted_and_another_window_begins_anew() {
    let mut world = World::new(both(), &[]);
    world.seconds(120, &load(100, 2, 40));
    assert_eq!(world.watch.is_met(), Some(false));
    world.seconds(60, &load(100, 2, 40));
    let mut looser = both();
    looser.checks.error_rate = found(json!({"errorRate": "5%"})).unwrap().checks.error_rate;
    world.watch.respec(looser.clone());
    assert_eq!(world.watch.judged(), None);
    assert_eq!(world.seconds(5, &bad()), [(5, Standing::Met)]);
    assert_eq!(world.watch.judged().unwrap().objectives, looser);
    let longer = Objectives {
        window: Duration::from_secs(120),
        ..looser
    };
    world.watch.respec(longer);
    assert_eq!(world.seconds(119, &bad()), []);
    assert_eq!(world.seconds(1, &bad()), [(1, Standing::ErrorRateAbove)]);
}

#[test]
fn a_spec_is_taken_as_it_is_written() {
    let plain = found(json!({"errorRate": "0.5%"})).unwrap();
    assert_eq!(plain.window, Duration::from_secs(300));
    assert_eq!(ask(&plain), "; objectives: errorRate 0.5 % over 5m");
    let odd = found(json!({"latencyP95": "1ms", "latencyP99": "10m", "window": "90s"})).unwrap();
    assert_eq!(
        ask(&odd),
        "; objectives: latencyP95 1 ms, latencyP99 600 s over 90s"
    );
    assert_eq!(found(json!({})), None);
    assert_eq!(found(json!({"errorRate": "1%", "window": "5s"})), None);
    assert_eq!(found(Value::Null), None);
}

#[test]
fn a_plan_takes_what_was_judged_by_the_objectives_of_now() {
    let mut world = World::new(both(), &[]);
    world.seconds(60, &good());
    let gateway = |silent| Gateway {
        silent,
        ..Gateway::default()
    };
    let signals = |silent: bool| Signals {
        expected: true,
        gateways: [("g".to_owned(), gateway(silent))].into(),
        judged: world.watch.judged().cloned(),
        ..Signals::default()
    };
    let of = |objectives: &Objectives, signals: &Signals| within(Some(objectives), signals);
    assert!(matches!(
        of(&both(), &signals(false)),
        Within::Judged {
            standing: Standing::Met,
            ..
        }
    ));
    let other = found(json!({"errorRate": "2%"})).unwrap();
    assert!(matches!(
        of(&other, &signals(false)),
        Within::Awaited { silent: false, .. }
    ));
    assert!(matches!(
        of(&other, &signals(true)),
        Within::Awaited { silent: true, .. }
    ));
    assert_eq!(within(None, &signals(false)), Within::NotAsked);
    assert_eq!(of(&both(), &Signals::default()), Within::NobodyCounts);
}

#[test]
fn a_ring_holds_a_window_and_no_more() {
    let mut ring = Ring::new(Duration::from_secs(60));
    let mut requests = Vec::new();
    for _ in 0..240 {
        ring.add(&good());
        requests.extend(ring.pass(Duration::from_secs(1)).map(|sum| sum.ok));
    }
    assert_eq!(requests, [120; 37]);
    assert!(!ring.is_empty());
    let late = ring.pass(Duration::from_secs(1_000_000)).unwrap();
    assert_eq!(
        late.ok, 0,
        "who looks that late sees a window without requests"
    );
    assert!(ring.is_empty());
    let huge = Load {
        ok: u32::MAX,
        latency: vec![(255, u32::MAX)],
        ..Load::default()
    };
    ring.add(&huge);
    ring.add(&huge);
    assert_eq!(
        ring.pass(Duration::from_secs(5)).unwrap().ok,
        2 * u64::from(u32::MAX)
    );
}
