//! Which traffic is obeyed while old tables are held.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use arc_swap::ArcSwap;

use super::*;
use crate::table::samples;

/// A table of models with these versions.
fn table(models: &[(&str, i64)]) -> Table {
    let model = |(name, version): &(&str, i64)| samples::model(name, *version);
    samples::table(models.iter().map(model).collect())
}

/// The current table, and those that requests hold.
#[derive(Default)]
struct World {
    current: Arc<Table>,
    retired: Retired,
}

impl World {
    fn swap(&mut self, models: &[(&str, i64)]) {
        self.put(table(models));
    }

    fn put(&mut self, new: Table) {
        let new = Arc::new(new);
        let old = std::mem::replace(&mut self.current, new);
        self.retired.replace(&old, &self.current);
    }

    /// As a request does.
    fn hold(&self) -> Arc<Table> {
        Arc::clone(&self.current)
    }

    /// What is obeyed of each model, in the order of names.
    fn obeyed(&mut self) -> Vec<i64> {
        let obeyed = self.retired.obeyed();
        let models = self.current.models.values().flat_map(HashMap::values);
        let mut models: Vec<_> = models.collect();
        models.sort_by_key(|model| Arc::clone(&model.name));
        let versions = models.iter().map(|model| obeyed.traffic_version(model));
        versions.collect()
    }
}

#[test]
fn what_nobody_holds_is_obeyed_at_once() {
    let mut world = World::default();
    world.swap(&[("x", 41)]);
    assert_eq!(world.obeyed(), [41]);
    world.swap(&[("x", 42), ("y", 1)]);
    assert_eq!(world.obeyed(), [42, 1]);
    assert_eq!(
        (world.retired.obeyed().held, world.retired.settled()),
        (0, 1)
    );
}

#[test]
fn a_request_that_goes_by_an_old_table_keeps_its_version() {
    let mut world = World::default();
    world.swap(&[("x", 41), ("y", 7)]);
    let request = world.hold();
    world.swap(&[("x", 42), ("y", 7)]);
    assert_eq!(world.obeyed(), [41, 7], "only what differs waits");
    world.swap(&[("x", 43), ("y", 7)]);
    let later = world.hold();
    world.swap(&[("x", 43), ("y", 8)]);
    assert_eq!(world.obeyed(), [41, 7]);
    assert_eq!(world.retired.obeyed().held, 2);
    drop(request);
    assert_eq!(world.obeyed(), [43, 7], "x is as it is in the other one");
    drop(later);
    assert_eq!(world.obeyed(), [43, 8]);
    assert!(world.retired.changed.is_empty());
    assert_eq!(world.retired.settled(), 2);
}

#[test]
fn the_last_version_that_all_obeyed_counts_until_all_obey_the_current_one() {
    let mut world = World::default();
    world.swap(&[("x", 1)]);
    let first = world.hold();
    world.swap(&[("x", 2)]);
    let second = world.hold();
    world.swap(&[("x", 3)]);
    drop(first);
    assert_eq!(world.obeyed(), [1]);
    drop(second);
    assert_eq!(world.obeyed(), [3]);
}

#[test]
fn a_model_that_was_gone_for_a_while_is_the_same_one() {
    let mut world = World::default();
    world.swap(&[("x", 1)]);
    let request = world.hold();
    world.swap(&[]);
    assert_eq!(world.obeyed(), [0; 0]);
    let other = world.hold();
    world.swap(&[("x", 2)]);
    assert_eq!(world.obeyed(), [1]);
    drop(request);
    assert_eq!(
        world.obeyed(),
        [1],
        "a table without it may not be older: nobody knows it any more"
    );
    drop(other);
    assert_eq!(world.obeyed(), [2]);
}

#[test]
fn a_model_with_another_name_in_addresses_is_the_same_one() {
    let mut world = World::default();
    world.swap(&[("x", 1)]);
    let request = world.hold();
    let mut renamed = table(&[("x", 2)]);
    let models = renamed.models.get_mut("a").unwrap();
    let model = models.remove("x").unwrap();
    models.insert("z".into(), model);
    world.put(renamed);
    assert_eq!(world.obeyed(), [1]);
    drop(request);
    assert_eq!(world.obeyed(), [2]);
}

#[test]
fn another_model_of_the_same_name_is_another_one() {
    let mut world = World::default();
    world.swap(&[("x", 5)]);
    let request = world.hold();
    let mut other = samples::model("x", 1);
    other.uid = "uid-other".into();
    world.put(samples::table(vec![other]));
    assert_eq!(world.obeyed(), [1]);
    world.swap(&[("x", 6)]);
    assert_eq!(world.obeyed(), [5], "the first one is back");
    drop(request);
    assert_eq!(world.obeyed(), [6]);
}

#[test]
fn nothing_is_remembered_of_tables_that_are_gone() {
    let mut world = World::default();
    for version in 0..1000 {
        let name = format!("m{version}");
        world.swap(&[("x", version), (&name, 1)]);
    }
    assert_eq!(world.obeyed(), [1, 999]);
    assert!(world.retired.held.is_empty() && world.retired.changed.is_empty());
    // Between two swaps only the last table can be held.
    world.swap(&[("x", 1000)]);
    assert_eq!(world.retired.held.len(), 1);
}

#[test]
fn once_a_version_is_obeyed_no_request_goes_by_another_one_and_all_is_counted() {
    const VERSIONS: usize = 300;
    let current = ArcSwap::from_pointee(table(&[("x", 0)]));
    let retired = Mutex::new(Retired::default());
    let (obeyed, over) = (AtomicI64::new(0), AtomicBool::new(false));
    let counts: Vec<AtomicU64> = (0..=VERSIONS).map(|_| AtomicU64::new(0)).collect();
    let version = |table: &Table| table.models["a"]["x"].traffic_version;
    let request = || {
        while !over.load(Ordering::Relaxed) {
            let table = current.load_full();
            let version = version(&table);
            let count = &counts[usize::try_from(version).unwrap()];
            count.fetch_add(1, Ordering::Relaxed);
            assert!(version >= obeyed.load(Ordering::Acquire), "it is held");
            drop(table);
        }
    };
    std::thread::scope(|threads| {
        let requests: Vec<_> = (0..3).map(|_| threads.spawn(request)).collect();
        let mut seen = Vec::new();
        for number in 1..=VERSIONS {
            let next = i64::try_from(number).unwrap();
            let next = Arc::new(table(&[("x", next)]));
            let mut retired = retired.lock().unwrap();
            let old = current.swap(Arc::clone(&next));
            retired.replace(&old, &next);
            drop(old);
            // At times it is left to the next one.
            for _ in 0..number % 7 {
                std::thread::yield_now();
                let all = retired.obeyed().traffic_version(&next.models["a"]["x"]);
                obeyed.store(all, Ordering::Release);
                let decided = usize::try_from(all).unwrap();
                let before: u64 = counts[..decided]
                    .iter()
                    .map(|c| c.load(Ordering::Relaxed))
                    .sum();
                seen.push((decided, before));
            }
        }
        over.store(true, Ordering::Relaxed);
        for request in requests {
            request.join().unwrap();
        }
        for (decided, before) in seen {
            let after: u64 = counts[..decided]
                .iter()
                .map(|c| c.load(Ordering::Relaxed))
                .sum();
            assert_eq!(
                before, after,
                "what was decided before {decided} was counted then"
            );
        }
    });
}
