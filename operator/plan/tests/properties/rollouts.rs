//! Properties of rollouts that gateways take part in: random edits, words of persons, pods, gateways
//! that lag or fall silent, crashes.

use std::collections::BTreeMap;

use aimass_crds::model_deployment::{
    Action, Analysis, BlueGreen, Canary, CanaryStep, Decision, ErrorRate, Rollout, Scaling, Weight,
};
use aimass_crds::model_deployment::{Role, Strategy as Way};
use aimass_crds::scalars::{Duration, Percent};
use aimass_plan::model::{Counts, Decided, Progress};
use proptest::prelude::*;

use crate::world::{Obeying, World};
use crate::{Edit, IRIS, config, edit, edits, writes_of};

/// Healthy, and often enough asked to be judged.
pub(crate) fn healthy(_token: &str) -> Counts {
    Counts {
        ok: 10_000,
        ..Counts::default()
    }
}

/// Two gateways, and answers.
pub(crate) fn world() -> World {
    let mut world = World::new(IRIS);
    let gateways = ["g", "h"].map(|name| (name.to_owned(), Obeying::default()));
    world.gateways = Some(gateways.into());
    world.answers = healthy;
    world
}

pub(crate) fn step(weight: i32, duration: &str) -> CanaryStep {
    CanaryStep {
        weight,
        duration: Some(Duration(duration.to_owned())),
        approval: None,
    }
}

pub(crate) fn canary(steps: &[CanaryStep]) -> Rollout {
    Rollout {
        strategy: Some(Way::Canary),
        canary: Some(Canary {
            steps: Some(steps.to_vec()),
            max_weight: None,
        }),
        ..Rollout::default()
    }
}

pub(crate) fn switch(keep_old: &str) -> Rollout {
    Rollout {
        strategy: Some(Way::BlueGreen),
        blue_green: Some(BlueGreen {
            keep_old: Some(Duration(keep_old.to_owned())),
            ..BlueGreen::default()
        }),
        analysis: Some(Analysis {
            error_rate: Some(ErrorRate {
                max: Some(Percent("1%".to_owned())),
                max_increase: None,
            }),
            ..Analysis::default()
        }),
        ..Rollout::default()
    }
}

/// A word on the revision that the spec asks for now.
pub(crate) fn says(world: &mut World, action: Action) {
    let status = world.model.status.clone().unwrap_or_default();
    let Some(target) = status.target else { return };
    let failure = status.rollout.and_then(|rollout| rollout.failure);
    let rollout = world.model.spec.rollout.get_or_insert_default();
    rollout.decision = Some(Decision {
        revision: target.revision,
        action,
        step: Some(1),
        attempt: Some(failure.map_or(1, |failure| failure.attempt)),
    });
}

#[derive(Clone, Debug)]
enum Happening {
    Edit(Edit),
    Way(usize),
    Word(Option<Action>),
    Pin(bool),
    Load(Option<i32>),
    Pods(i32),
    Reconcile,
    Crash(usize),
    Time(i64),
    TakeOver(bool),
    Silent(bool, bool),
    Gateways(usize),
    Assigned(bool, u32),
    StatusLost,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let words = vec![
        None,
        Some(Action::Continue),
        Some(Action::Promote),
        Some(Action::Abort),
        Some(Action::Retry),
    ];
    let loads = vec![None, Some(0), Some(1), Some(3), Some(6)];
    let one = prop_oneof![
        3 => edits().prop_map(Happening::Edit),
        2 => (0_usize..4).prop_map(Happening::Way),
        1 => prop::sample::select(words).prop_map(Happening::Word),
        1 => any::<bool>().prop_map(Happening::Pin),
        2 => prop::sample::select(loads).prop_map(Happening::Load),
        4 => (1..6).prop_map(Happening::Pods),
        6 => Just(Happening::Reconcile),
        2 => (0_usize..4).prop_map(Happening::Crash),
        3 => prop::sample::select(vec![1, 31, 130, 700]).prop_map(Happening::Time),
        5 => any::<bool>().prop_map(Happening::TakeOver),
        1 => any::<(bool, bool)>().prop_map(|(which, silent)| Happening::Silent(which, silent)),
        1 => (0_usize..3).prop_map(Happening::Gateways),
        1 => (any::<bool>(), 0_u32..2).prop_map(|(which, count)| Happening::Assigned(which, count)),
        1 => Just(Happening::StatusLost),
    ];
    prop::collection::vec(one, 1..60)
}

fn name(which: bool) -> &'static str {
    if which { "g" } else { "h" }
}

fn gateway(world: &mut World, which: bool) -> Option<&mut Obeying> {
    world.gateways.as_mut()?.get_mut(name(which))
}

/// The ways that a rollout may take.
pub(crate) fn way(number: usize) -> Rollout {
    match number {
        0 => Rollout::default(),
        1 => canary(&[step(10, "0s"), step(50, "2m")]),
        2 => switch("1m"),
        _ => canary(&[step(30, "1m")]),
    }
}

fn happen(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Edit(what) => edit(world, what),
        Happening::Way(number) => {
            let before = world.model.spec.rollout.take().unwrap_or_default();
            world.model.spec.rollout = Some(Rollout {
                paused: before.paused,
                auto_rollback: before.auto_rollback,
                decision: before.decision,
                pin: before.pin,
                ..way(*number)
            });
        }
        Happening::Word(None) => {
            world.model.spec.rollout.get_or_insert_default().decision = None;
        }
        Happening::Word(Some(action)) => says(world, *action),
        Happening::Pin(pin) => {
            let status = world.model.status.clone().unwrap_or_default();
            let old = status
                .revisions
                .last()
                .map(|revision| revision.name.clone());
            world.model.spec.rollout.get_or_insert_default().pin = old.filter(|_| *pin);
        }
        Happening::Load(load) => {
            world.recommended = *load;
            world.model.spec.replicas = None;
            world.model.spec.scaling = Some(Scaling {
                min: Some(0),
                ..Scaling::default()
            });
        }
        Happening::Pods(moves) => {
            world.kubelet(*moves);
        }
        Happening::Reconcile => {
            world.reconcile(usize::MAX);
        }
        Happening::Crash(writes) => {
            world.reconcile(*writes);
        }
        Happening::Time(seconds) => world.clock += seconds,
        Happening::TakeOver(which) => {
            world.take_over(name(*which));
        }
        Happening::Silent(which, silent) => {
            if let Some(gateway) = gateway(world, *which) {
                gateway.said.silent = *silent;
            }
        }
        Happening::Gateways(count) => {
            let mut kept = world.gateways.take().unwrap_or_default();
            let names = ["g", "h"].into_iter().take(*count);
            let all = names.map(|name| {
                let gateway = kept.remove(name).unwrap_or_default();
                (name.to_owned(), gateway)
            });
            world.gateways = Some(all.collect());
        }
        Happening::Assigned(which, count) => {
            let old = world.shares().into_keys().next();
            if let (Some(gateway), Some(old)) = (gateway(world, *which), old) {
                gateway.said.assigned.insert(old, *count);
            }
        }
        Happening::StatusLost => world.model.status = None,
    }
}

fn weights(list: &[Weight]) -> BTreeMap<String, i32> {
    let weight = |w: &Weight| (w.revision.clone(), w.weight);
    list.iter().map(weight).collect()
}

fn strategy(world: &World) -> Way {
    let rollout = world.model.spec.rollout.as_ref();
    rollout
        .and_then(|rollout| rollout.strategy)
        .unwrap_or_default()
}

fn need(weight: i32, pods: i32) -> i32 {
    if weight == 0 || pods == 0 {
        0
    } else {
        ((weight * pods + 99) / 100).max(1)
    }
}

/// What must hold of any output, whatever the input is.
pub(crate) fn check(world: &World) {
    let decided = world.decided();
    let (old, new) = (world.shares(), weights(&decided.traffic));
    assert_eq!(new.len(), decided.traffic.len());
    let sum: i32 = new.values().sum();
    assert!(sum == 100 || new.is_empty(), "{new:?}");
    for revision in new.keys() {
        let exists = decided.revisions.iter().any(|r| r.name == *revision);
        assert!(exists, "{revision} of {new:?} does not exist");
    }
    let lost = world.model.status.is_none();
    if !lost {
        check_version(world, &decided, old == new);
        check_rising(world, &decided, &old, &new);
    }
    check_shrinking(world, &decided, &old, &new);
    let now = world.now();
    assert!(
        decided
            .wake_at
            .is_none_or(|at| at >= now || at.as_second() >= world.clock)
    );
    if let Some(scaling) = Some(&decided.scaling) {
        let bounded = world.model.spec.replicas.is_none();
        assert!(scaling.desired >= 0 && (!bounded || scaling.desired <= 10));
    }
}

/// Counted up by one exactly when shares change, and above what any gateway knows.
fn check_version(world: &World, decided: &Decided, same: bool) {
    let newest = world.gateways.iter().flat_map(BTreeMap::values);
    let newest = newest
        .filter_map(|gateway| gateway.said.traffic_version)
        .max();
    let before = world.traffic_version();
    if newest.is_some_and(|newest| newest > before) {
        assert!(Some(decided.routed.version) > newest);
    } else {
        assert_eq!(decided.routed.version, before + i64::from(!same));
    }
}

/// Pods come before requests, and nobody goes on against a person, a gateway or a verdict.
fn check_rising(
    world: &World,
    decided: &Decided,
    old: &BTreeMap<String, i32>,
    new: &BTreeMap<String, i32>,
) {
    let desired = if decided.scaling.asleep {
        0
    } else {
        decided.scaling.desired
    };
    let of = |map: &BTreeMap<String, i32>, revision: &str| map.get(revision).copied().unwrap_or(0);
    for (revision, weight) in new {
        let before = of(old, revision);
        if *weight <= before || old.is_empty() || desired == 0 {
            continue;
        }
        let (size, _, ready) = world.pods_of(revision);
        let stable = decided
            .stable
            .as_ref()
            .is_some_and(|s| s.revision == *revision);
        if strategy(world) == Way::Recreate {
            assert!(ready >= 1);
        } else if stable {
            let full = strategy(world) != Way::RollingUpdate && size >= desired && ready > 0;
            let givers = old.keys().filter(|name| of(new, name) < of(old, name));
            let dead = ready > 0 && givers.clone().any(|name| world.pods_of(name).2 == 0);
            assert!(
                full || dead || ready >= need(*weight, desired),
                "{revision} {weight} %"
            );
        } else {
            let enough = need(*weight, desired);
            assert!(
                ready >= enough,
                "{revision} has {ready} pods for {weight} % of {desired}"
            );
            let base = decided
                .rollout
                .as_ref()
                .is_none_or(|r| r.revision != *revision);
            if !base {
                assert!(world.is_obeyed(), "{revision} rises to {weight} % unheard");
                let rollout = world.model.spec.rollout.clone().unwrap_or_default();
                assert_ne!(rollout.paused, Some(true));
            }
        }
    }
}

/// Pods are taken away only when every gateway obeys, and never those that a share needs.
fn check_shrinking(
    world: &World,
    decided: &Decided,
    old: &BTreeMap<String, i32>,
    new: &BTreeMap<String, i32>,
) {
    if world.model.spec.suspend == Some(true) || world.gateways.is_none() {
        return;
    }
    for outlook in &decided.revisions {
        let (size, _, ready) = world.pods_of(&outlook.name);
        if outlook.size >= size || strategy(world) == Way::Recreate {
            continue;
        }
        let weight = new.get(&outlook.name).copied().unwrap_or(0);
        let unused = weight == 0 && !old.contains_key(&outlook.name);
        if unused && ready == 0 {
            continue;
        }
        let context = format!("{outlook:?} of {size}, {new:?}");
        assert!(world.is_obeyed() && old == new, "{context}");
        let desired = if decided.scaling.asleep {
            0
        } else {
            decided.scaling.desired
        };
        if weight > 0 && desired > 0 {
            let portions = world
                .model
                .spec
                .rollout
                .clone()
                .unwrap_or_default()
                .rolling_update;
            let least = if strategy(world) == Way::RollingUpdate {
                let unavailable = portions.clone().and_then(|p| p.max_unavailable);
                let surge = portions.and_then(|p| p.max_surge);
                let number = |text: &str| text.trim_end_matches('%').parse::<i32>().unwrap();
                let none = surge.is_some_and(|surge| number(&surge.0) == 0);
                let missing = unavailable.map_or(0, |u| number(&u.0)).max(i32::from(none));
                (weight - 1) * desired / 100 + 1 - missing
            } else {
                need(weight, desired)
            };
            assert!(outlook.size >= least, "{context}, at least {least}");
        }
        if weight == 0 {
            let assigned = world.gateways.iter().flat_map(BTreeMap::values);
            let assigned: u32 = assigned
                .filter_map(|gateway| gateway.said.assigned.get(&outlook.name))
                .sum();
            let routed = world.model.status.clone().unwrap_or_default().conditions;
            let since = routed
                .iter()
                .find(|c| c.type_ == "Routed" && c.status == "True");
            let age = since.map_or(0, |c| world.clock - c.last_transition_time.0.as_second());
            assert!(assigned == 0 || age >= 90, "{context}");
        }
    }
}

/// Everything is made good.
fn repair(world: &mut World) {
    for what in [
        Edit::ConfigMapBack,
        Edit::Suspend(false),
        Edit::Replicas(3),
        Edit::Token("good"),
    ] {
        edit(world, &what);
    }
    let rollout = world.model.spec.rollout.get_or_insert_default();
    (rollout.paused, rollout.pin, rollout.decision) = (None, None, None);
    rollout.auto_rollback = None;
    world.recommended = None;
    let gateways = ["g", "h"].map(|name| (name.to_owned(), Obeying::default()));
    world.gateways = Some(gateways.into());
}

/// A quarter of what other properties get: each case is up to 60 happenings, and many seconds of reconciles.
fn few() -> ProptestConfig {
    let all = config();
    ProptestConfig {
        cases: (all.cases / 4).max(1),
        ..all
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn pods_requests_and_gateways_keep_their_order_and_everything_ends_well(script in happenings()) {
        let mut world = world();
        for happening in &script {
            check(&world);
            happen(&mut world, happening);
        }
        check(&world);
        repair(&mut world);
        prop_assert_eq!(world.settle(), Progress::Complete);
        let status = world.model.status.clone().unwrap();
        prop_assert_eq!(&status.stable, &status.target);
        prop_assert_eq!(status.traffic.len(), 1);
        prop_assert_eq!(world.ready(), 3);
        prop_assert!(serde_json::to_string(&status).unwrap().len() <= 32 << 10);
    }

    #[test]
    fn an_operator_that_knows_nothing_but_status_and_children_takes_nothing_away(script in happenings()) {
        let mut world = world();
        for happening in &script {
            happen(&mut world, happening);
            if world.model.status.is_none() || world.model.spec.suspend == Some(true) {
                continue;
            }
            let mut fresh = world.clone();
            fresh.recommended = None;
            fresh.answers = |_| Counts::default();
            for gateway in fresh.gateways.iter_mut().flat_map(BTreeMap::values_mut) {
                gateway.said = aimass_plan::model::Gateway { silent: true, ..Default::default() };
            }
            let decided = fresh.decided();
            if strategy(&fresh) == Way::Recreate {
                continue;
            }
            for outlook in &decided.revisions {
                let (size, _, ready) = fresh.pods_of(&outlook.name);
                let unused = !fresh.shares().contains_key(&outlook.name) && ready == 0;
                prop_assert!(outlook.size >= size || unused, "{:?} of {}", outlook, size);
            }
        }
    }

    #[test]
    fn deciding_twice_is_deciding_once(script in happenings()) {
        let mut world = world();
        for happening in &script {
            happen(&mut world, happening);
            let mut copy = world.clone();
            // what was decided is written, and a failure acts once it is remembered
            copy.reconcile(usize::MAX);
            copy.reconcile(usize::MAX);
            copy.reconcile(usize::MAX);
            let before = copy.model.status.clone();
            prop_assert_eq!(copy.reconcile(usize::MAX), 0);
            prop_assert_eq!(&copy.model.status, &before);
        }
    }

    #[test]
    fn who_is_taken_back_stays_away(script in happenings()) {
        let mut world = world();
        for happening in &script {
            happen(&mut world, happening);
        }
        let token = world.model.spec.restart_token.clone();
        repair(&mut world);
        world.settle();
        let stable = world.model.status.clone().unwrap().stable.unwrap();
        edit(&mut world, &Edit::Token("other"));
        world.reconcile(usize::MAX);
        world.kubelet(2);
        world.reconcile(usize::MAX);
        says(&mut world, Action::Abort);
        let progress = world.settle();
        let back = world.model.status.clone().unwrap();
        if back.rollout.is_some() {
            prop_assert_eq!(progress, Progress::Aborted, "{:?}", token);
            prop_assert_eq!(weights(&back.traffic), BTreeMap::from([(stable.revision.clone(), 100)]));
        }
        for revision in &back.revisions {
            let serves = revision.name == back.traffic[0].revision;
            prop_assert_eq!(revision.replicas > 0, serves);
            prop_assert!(revision.role != Role::Draining);
        }
    }
}

#[test]
fn without_reports_no_step_passes() {
    let mut world = world();
    world.answers = |_| Counts::default();
    edit(&mut world, &Edit::Replicas(3));
    world.settle();
    world.model.spec.rollout = Some(canary(&[step(10, "0s"), step(50, "0s")]));
    edit(&mut world, &Edit::Token("b"));
    for _ in 0..100 {
        world.reconcile(usize::MAX);
        world.kubelet(i32::MAX);
        world.all_take_over();
        world.clock += 60;
    }
    let rollout = world.model.status.clone().unwrap().rollout.unwrap();
    assert_eq!((rollout.weight, rollout.passed), (10, vec![]));
    assert_eq!(world.progress(), Progress::Holding);
    says(&mut world, Action::Promote);
    assert_eq!(world.settle(), Progress::Complete);
}

#[test]
fn a_rollout_ends_in_few_reconciles() {
    for (number, most) in [(0, 3 * 3 + 6), (1, 3 * 4 + 6), (2, 3 * 2 + 6)] {
        let mut world = world();
        edit(&mut world, &Edit::Replicas(3));
        world.model.spec.rollout = Some(way(number));
        world.settle();
        edit(&mut world, &Edit::Token("b"));
        let mut changes = 0;
        for _ in 0..200 {
            let before = world.model.status.clone();
            let wanted = world.reconcile(usize::MAX);
            let traffic = |status: &aimass_crds::ModelDeploymentStatus| {
                (status.traffic.clone(), status.stable.clone())
            };
            let moved = before.as_ref().map(traffic) != world.model.status.as_ref().map(traffic);
            changes += usize::from(wanted > 0 || moved);
            world.kubelet(i32::MAX);
            world.all_take_over();
            world.clock += 31;
        }
        assert_eq!(world.progress(), Progress::Complete);
        assert_eq!(world.present(), 3, "nothing is left of the old one");
        assert!(changes <= most, "{changes} of way {number}, at most {most}");
        assert_eq!(writes_of(&world.plan().unwrap()), 0);
    }
}
