//! Models and what is told of them.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::table::live::meter::Outcome;
use crate::table::retired::Retired;
use crate::table::samples::{model, revision, table};
use crate::table::{Endpoint, Key};

const A: &str = "aaaaaaaa";

/// A table, and the beats of it.
struct World {
    table: Arc<Table>,
    retired: Retired,
    beat: Beat,
    now: Instant,
}

impl World {
    fn new(models: Vec<Deployment>) -> Self {
        let now = tokio::time::Instant::now().into_std();
        Self {
            table: Arc::new(table(models)),
            retired: Retired::default(),
            beat: Beat::new(now),
            now,
        }
    }

    fn swap(&mut self, models: Vec<Deployment>) -> Arc<Table> {
        let old = std::mem::replace(&mut self.table, Arc::new(table(models)));
        self.retired.replace(&old, &self.table);
        old
    }

    fn pass(&mut self, microseconds: u64) -> Span {
        self.now += Duration::from_micros(microseconds);
        let obeyed = self.retired.obeyed();
        self.beat.take(&self.table, &obeyed, self.now)
    }

    /// What a second brings, in short.
    fn second(&mut self) -> Vec<String> {
        let short = |seen: &Seen| {
            let revisions = seen.revisions.iter();
            let revisions: Vec<String> = revisions
                .map(|load| format!("{} {}", load.revision, load.assigned))
                .collect();
            let (name, version) = (&seen.name, seen.traffic_version);
            format!("{name} {version} [{}]", revisions.join(", "))
        };
        self.pass(1_000_000).seen.values().map(short).collect()
    }

    fn all(&self) -> Vec<String> {
        let short = |taken: Taken| format!("{} {}", taken.name, taken.traffic_version);
        let mut all: Vec<String> = self.beat.told().all().into_iter().map(short).collect();
        all.sort();
        all
    }
}

fn with_revisions(name: &str, traffic_version: i64) -> Deployment {
    Deployment {
        revisions: vec![revision("bbbbbbbb", 2), revision(A, 1)],
        ..model(name, traffic_version)
    }
}

#[test]
fn all_models_are_told_once_and_then_what_changes() {
    let mut world = World::new(vec![with_revisions("x", 41), model("y", 0)]);
    assert_eq!(world.all(), [""; 0]);
    assert_eq!(world.second(), ["a/x 41 []", "a/y 0 []"]);
    assert_eq!(world.all(), ["a/x 41", "a/y 0"]);
    assert_eq!(world.second(), [""; 0]);
    let request = world.table.models["a"]["x"].revisions[1]
        .live
        .meter
        .assign();
    assert_eq!(world.second(), ["a/x 41 [aaaaaaaa 1]"]);
    assert_eq!(world.second(), ["a/x 41 [aaaaaaaa 1]"], "it is still there");
    request.end(Outcome::Ok, world.now);
    assert_eq!(world.second(), ["a/x 41 [aaaaaaaa 0]"]);
    assert_eq!(world.second(), [""; 0]);
}

#[test]
fn a_version_is_told_when_it_is_obeyed() {
    let mut world = World::new(vec![model("x", 1)]);
    world.second();
    let held = world.swap(vec![model("x", 2), model("y", 1)]);
    assert_eq!(world.second(), ["a/y 1 []"]);
    assert_eq!(world.all(), ["a/x 1", "a/y 1"]);
    drop(held);
    assert_eq!(world.second(), ["a/x 2 []"]);
    world.swap(vec![model("y", 1)]);
    assert_eq!(world.second(), [""; 0]);
    assert_eq!(
        world.all(),
        ["a/y 1"],
        "nothing is said of those that are gone"
    );
}

#[test]
fn spans_are_whole_milliseconds_and_lose_none() {
    let mut world = World::new(Vec::new());
    let lengths: Vec<u32> = (0..10).map(|_| world.pass(1_000_700).ms).collect();
    assert_eq!(lengths.iter().sum::<u32>(), 10_007);
    assert_eq!(world.pass(3_600_000_000).ms, 60_000);
    assert_eq!(world.pass(1_000_000).ms, 1000);
}

#[test]
fn what_the_operator_would_not_take_is_not_told() {
    let mut odd = model("odd", -3);
    odd.revisions = vec![
        revision("short", 1),
        revision("UPPERCAS", 2),
        revision(A, 3),
    ];
    let requests: Vec<_> = odd
        .revisions
        .iter()
        .map(|r| r.live.meter.assign())
        .collect();
    let mut long = model("long", 1);
    long.uid = "u".repeat(65).into();
    let mut world = World::new(vec![odd, long]);
    assert_eq!(world.second(), ["a/odd 0 [aaaaaaaa 1]"]);
    drop(requests);
}

#[test]
fn pods_are_told_with_what_they_are_like() {
    use crate::table::live::health;
    let mut x = model("x", 1);
    let states = [
        EndpointState::Ready,
        EndpointState::Ready,
        EndpointState::Serving,
        EndpointState::NotReady,
    ];
    let endpoint = |state| {
        Arc::new(Endpoint {
            address: ([10, 0, 0, 1], 1).into(),
            state,
            found: AtomicBool::new(false),
            live: Arc::default(),
        })
    };
    let mut only = revision(A, 1);
    only.endpoints = states.map(endpoint).into();
    x.revisions = vec![only];
    let mut world = World::new(vec![x]);
    let endpoints = |span: Span| span.seen["uid-x"].revisions[0].endpoints;
    assert_eq!(endpoints(world.pass(1_000_000)), (2, 0));
    assert_eq!(world.second(), [""; 0]);
    let failing = Arc::clone(&world.table.models["a"]["x"].revisions[0].endpoints[0]);
    for _ in 0..5 {
        let mut flight = failing.live.begin(9, world.now).unwrap();
        flight.report(health::Outcome::Failed, world.now, 0);
    }
    assert_eq!(endpoints(world.pass(1)), (1, 1));
}

#[test]
fn keys_are_told_once_after_each_use_and_the_rest_next_time() {
    let mut table = Table::default();
    let key = |uid: String| Key {
        uid: uid.into(),
        namespace: "a".into(),
        name: "k".into(),
        sha256: [0; 32],
        models: Vec::new(),
        plan: None,
        not_after: None,
        disabled: false,
        allowed: Vec::new(),
        used: AtomicBool::new(true),
    };
    for number in 0..KEYS + 10 {
        // Two credentials each.
        for id in ["x", "y"] {
            let key = Arc::new(key(format!("uid-{number}")));
            table.keys.insert(format!("{id}{number}").into(), key);
        }
    }
    assert_eq!(used(&table).len(), KEYS);
    let rest = used(&table);
    assert_eq!(rest.len(), 10);
    assert_eq!(used(&table).len(), 0);
    table.keys["x7"].used.store(true, Ordering::Relaxed);
    assert_eq!(used(&table), BTreeSet::from(["uid-7".into()]));
}
