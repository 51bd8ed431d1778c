//! Properties of plans over random sequences of edits, pods, crashes and lost reports.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; clippy allows both in functions marked as such only"
)]

#[path = "properties/objectives.rs"]
mod objectives;
#[path = "properties/rollouts.rs"]
mod rollouts;
#[path = "properties/scripts.rs"]
mod scripts;
#[path = "properties/small.rs"]
mod small;
#[path = "properties/world.rs"]
mod world;

use std::collections::BTreeSet;

use aimass_crds::model_deployment::{RollingUpdate, Rollout, Strategy as Way};
use aimass_crds::reason::Reason;
use aimass_crds::scalars::{CountOrPercent, Duration};
use aimass_plan::model::{Applied, Failure, Object, Plan, Progress, Traces, status};
use proptest::prelude::*;
use world::{World, writes_of};

const IRIS: &str = "
apiVersion: aimass.dev/v1alpha1
kind: ModelDeployment
metadata: {name: iris}
spec: {model: {source: {configMap: {name: iris-model}}}}
";

/// What a user may do between two reconciles.
#[derive(Clone, Debug)]
enum Edit {
    Token(&'static str),
    Replicas(i32),
    Portions(i32, i32),
    Percent(i32),
    Recreate,
    Paused(bool),
    AutoRollback(bool),
    Suspend(bool),
    ConfigMapGone,
    ConfigMapBack,
    RequestTimeout(&'static str),
    Gateway(bool),
}

/// The same without what belongs to one strategy.
fn plain(rollout: &Rollout) -> Rollout {
    Rollout {
        strategy: None,
        rolling_update: None,
        canary: None,
        blue_green: None,
        analysis: None,
        ..rollout.clone()
    }
}

fn edit(world: &mut World, edit: &Edit) {
    let spec = &mut world.model.spec;
    let portions = |surge: String, unavailable: String| RollingUpdate {
        max_surge: Some(CountOrPercent(surge)),
        max_unavailable: Some(CountOrPercent(unavailable)),
    };
    let rollout = spec.rollout.get_or_insert_with(Rollout::default);
    match edit {
        Edit::Token(token) => spec.restart_token = Some((*token).to_owned()),
        Edit::Replicas(replicas) => spec.replicas = Some(*replicas),
        Edit::Portions(surge, unavailable) => {
            *rollout = plain(rollout);
            rollout.rolling_update = Some(portions(surge.to_string(), unavailable.to_string()));
        }
        Edit::Percent(percent) => {
            *rollout = plain(rollout);
            rollout.rolling_update = Some(portions(format!("{percent}%"), "0".to_owned()));
        }
        Edit::Recreate => {
            *rollout = plain(rollout);
            rollout.strategy = Some(Way::Recreate);
        }
        Edit::Paused(paused) => rollout.paused = Some(*paused),
        Edit::AutoRollback(auto) => rollout.auto_rollback = Some(*auto),
        Edit::Suspend(suspend) => spec.suspend = Some(*suspend),
        Edit::ConfigMapGone => world.reference = aimass_plan::model::Reference::Absent,
        Edit::ConfigMapBack => world.reference = world::files(&[("model.onnx", "weights")]),
        Edit::RequestTimeout(timeout) => {
            let timeout = Duration((*timeout).to_owned());
            spec.traffic.get_or_insert_default().request_timeout = Some(timeout);
        }
        Edit::Gateway(there) => world.gateway = there.then(|| "aimass-system".to_owned()),
    }
    let generation = world.model.metadata.generation.unwrap_or(0);
    world.model.metadata.generation = Some(generation + 1);
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "bad1", "bad2"]).prop_map(Edit::Token),
        3 => (0..6).prop_map(Edit::Replicas),
        2 => (0..4, 0..3)
            .prop_filter("one portion", |(surge, unavailable): &(i32, i32)| *surge > 0 || *unavailable > 0)
            .prop_map(|(surge, unavailable)| Edit::Portions(surge, unavailable)),
        1 => (1..100).prop_map(Edit::Percent),
        1 => Just(Edit::Recreate),
        1 => any::<bool>().prop_map(Edit::Paused),
        1 => any::<bool>().prop_map(Edit::AutoRollback),
        1 => any::<bool>().prop_map(Edit::Suspend),
        1 => Just(Edit::ConfigMapGone),
        1 => Just(Edit::ConfigMapBack),
        1 => prop::sample::select(vec!["1s", "60s", "5m", "1h"]).prop_map(Edit::RequestTimeout),
        1 => any::<bool>().prop_map(Edit::Gateway),
    ]
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Edit(Edit),
    Pods(i32),
    Reconcile,
    Crash(usize),
    Time(i64),
    StatusLost,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        3 => edits().prop_map(Happening::Edit),
        4 => (1..6).prop_map(Happening::Pods),
        5 => Just(Happening::Reconcile),
        2 => (0_usize..4).prop_map(Happening::Crash),
        2 => prop::sample::select(vec![1, 60, 700]).prop_map(Happening::Time),
        1 => Just(Happening::StatusLost),
    ];
    prop::collection::vec(one, 1..40)
}

/// How many pods may be missing, as the spec says it.
fn floor(world: &World) -> Option<i32> {
    let spec = &world.model.spec;
    let desired = spec.replicas.unwrap_or(1);
    let rollout = spec.rollout.clone().unwrap_or_default();
    if spec.suspend == Some(true) || rollout.strategy == Some(Way::Recreate) {
        return None;
    }
    let number = |text: Option<CountOrPercent>, default: i32| {
        text.map_or(default, |text| {
            text.0.trim_end_matches('%').parse().unwrap()
        })
    };
    let portions = rollout.rolling_update.unwrap_or_default();
    let surge = number(portions.max_surge.clone(), 25);
    let unavailable = number(portions.max_unavailable, 0);
    let unavailable = if surge == 0 {
        unavailable.max(1)
    } else {
        unavailable
    };
    Some((desired - unavailable).max(0))
}

fn happen(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Edit(what) => edit(world, what),
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
        Happening::StatusLost => world.model.status = None,
    }
}

/// Everything is made good, and it must get there.
fn repair(world: &mut World) {
    for what in [
        Edit::ConfigMapBack,
        Edit::Suspend(false),
        Edit::Paused(false),
        Edit::AutoRollback(true),
        Edit::Replicas(3),
        Edit::Token("good"),
    ] {
        edit(world, &what);
    }
}

fn check_plan(world: &World, plan: &Plan) {
    let name = |object: &Object| {
        let kind = match object {
            Object::ConfigMap(_) => "ConfigMap",
            Object::ControllerRevision(_) => "ControllerRevision",
            Object::Service(_) => "Service",
            Object::Deployment(_) => "Deployment",
            Object::PodDisruptionBudget(_) => "PodDisruptionBudget",
            Object::NetworkPolicy(_) => "NetworkPolicy",
        };
        (kind.to_owned(), object.metadata().name.clone().unwrap())
    };
    let desired: BTreeSet<(String, String)> = plan
        .objects
        .iter()
        .map(|desired| name(&desired.object))
        .collect();
    assert_eq!(desired.len(), plan.objects.len(), "every object once");
    for gone in &plan.prune {
        assert!(
            !desired.contains(&(format!("{:?}", gone.kind), gone.name.clone())),
            "{gone:?}"
        );
    }
    let highest = world
        .children
        .controller_revisions
        .values()
        .max_by_key(|child| child.revision);
    if let Some(highest) = highest {
        let name = highest.metadata.name.as_ref().unwrap();
        assert!(
            plan.prune.iter().all(|gone| gone.name != *name),
            "the highest number stays"
        );
    }
}

/// An eighth of `PROPTEST_CASES` (256): each case is up to 40 reconciles; a soak asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: (default.cases / 8).max(1),
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn ready_pods_never_fall_below_the_floor_and_everything_ends_well(script in happenings()) {
        let mut world = World::new(IRIS);
        for happening in &script {
            check_plan(&world, &world.plan().unwrap());
            let before = world.kept_ready();
            happen(&mut world, happening);
            let plans = matches!(happening, Happening::Reconcile | Happening::Crash(_));
            if let Some(floor) = floor(&world).filter(|_| plans) {
                prop_assert!(
                    world.kept_ready() >= floor.min(before),
                    "{} ready, {before} before, floor {floor}: {:?}", world.kept_ready(), world.sizes()
                );
            }
        }
        repair(&mut world);
        prop_assert_eq!(world.settle(), Progress::Complete);
        prop_assert_eq!(world.ready(), 3);
        let status = world.model.status.clone().unwrap();
        prop_assert_eq!(status.stable, status.target);
        prop_assert!(status.revisions.len() <= 10);
        prop_assert!(serde_json::to_string(&world.model.status).unwrap().len() <= 32 << 10);
    }

    #[test]
    fn planning_twice_is_planning_once(script in happenings()) {
        let mut world = World::new(IRIS);
        for happening in &script {
            happen(&mut world, happening);
            let mut copy = world.clone();
            copy.reconcile(usize::MAX);
            // a failure that was only now noticed acts once it is remembered
            copy.reconcile(usize::MAX);
            let third = copy.plan().unwrap();
            let again = copy.plan().unwrap();
            prop_assert_eq!(serde_json::to_value(&third).unwrap(), serde_json::to_value(&again).unwrap());
            copy.reconcile(usize::MAX);
            prop_assert_eq!(writes_of(&copy.plan().unwrap()), 0);
        }
    }

    #[test]
    fn a_status_is_a_fixed_point_whatever_the_clock(script in happenings(), later in -1000_i64..100_000) {
        let mut world = World::new(IRIS);
        for happening in &script {
            happen(&mut world, happening);
            let Plan { outlook, .. } = world.plan().unwrap();
            let applied = Applied { outlook, children: world.children.clone(), pods: Vec::new() };
            let failure = Failure { terminal: false, reason: Reason::ApiUnavailable, message: "gone".to_owned() };
            for outcome in [Ok(&applied), Err(failure)] {
                let mut model = world.model.clone();
                let once = status(&model, outcome.clone(), world.now());
                model.status = Some(once.clone());
                world.clock += later;
                prop_assert_eq!(&status(&model, outcome, world.now()), &once);
                world.clock -= later;
            }
        }
    }

    #[test]
    fn a_crash_after_any_write_ends_where_the_undisturbed_run_ends(
        script in prop::collection::vec(edits(), 1..6),
        crashes in prop::collection::vec(0_usize..5, 40),
    ) {
        let mut smooth = World::new(IRIS);
        let mut rough = World::new(IRIS);
        for what in &script {
            edit(&mut smooth, what);
            edit(&mut rough, what);
            for writes in &crashes {
                rough.reconcile(*writes);
                rough.kubelet(i32::MAX);
            }
            smooth.settle();
            rough.settle();
            prop_assert_eq!(smooth.sizes(), rough.sizes());
            let names = |world: &World| world.children.controller_revisions.iter().map(|(name, child)| (name.clone(), child.revision)).collect::<Vec<_>>();
            prop_assert_eq!(names(&smooth), names(&rough));
            prop_assert_eq!(smooth.children.services.keys().collect::<Vec<_>>(), rough.children.services.keys().collect::<Vec<_>>());
            prop_assert_eq!(smooth.children.config_maps.keys().collect::<Vec<_>>(), rough.children.config_maps.keys().collect::<Vec<_>>());
        }
    }

    #[test]
    fn names_are_legal_for_any_input(
        name in "[a-z]([-a-z0-9]{0,50}[a-z0-9])?",
        served in "[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?",
        token in "[A-Za-z0-9._:-]{0,63}",
    ) {
        let mut world = World::new(IRIS);
        world.model.metadata.name = Some(name);
        world.model.spec.served_name = Some(served);
        world.model.spec.restart_token = Some(token);
        world.model.spec.replicas = Some(2);
        for desired in world.plan().unwrap().objects {
            let metadata = desired.object.metadata();
            let name = metadata.name.as_deref().unwrap();
            prop_assert!(name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()));
            prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!name.ends_with('-'));
            prop_assert!(metadata.labels.as_ref().unwrap().values().all(|value| value.len() <= 63));
        }
    }

    #[test]
    fn no_name_that_breaks_the_rule_gets_through(name in "\\PC{0,70}") {
        let legal = name.len() <= 52
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let mut world = World::new(IRIS);
        world.model.metadata.name = Some(name);
        prop_assert_eq!(world.plan().is_ok(), legal);
    }
}

#[test]
fn the_way_back_leads_to_the_old_revision_and_its_number() {
    let mut world = World::new(IRIS);
    edit(&mut world, &Edit::Token("a"));
    world.settle();
    let first = world.model.status.clone().unwrap().stable.unwrap();
    let objects = serde_json::to_value(world.plan().unwrap().objects).unwrap();
    edit(&mut world, &Edit::Token("b"));
    world.settle();
    let second = world.model.status.clone().unwrap().stable.unwrap();
    edit(&mut world, &Edit::Token("a"));
    world.settle();
    let third = world.model.status.clone().unwrap().stable.unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(first, third);
    let again = serde_json::to_value(world.plan().unwrap().objects).unwrap();
    for object in objects.as_array().unwrap() {
        assert!(
            again.as_array().unwrap().contains(object),
            "A's children are as before"
        );
    }
}

#[test]
fn at_rest_a_lost_status_moves_nothing() {
    let mut world = World::new(IRIS);
    edit(&mut world, &Edit::Replicas(3));
    world.settle();
    edit(&mut world, &Edit::Token("b"));
    world.settle();
    world.model.status = None;
    assert_eq!(writes_of(&world.plan().unwrap()), 0);
    assert_eq!(world.progress(), Progress::Complete);
}

#[test]
fn a_bad_revision_is_taken_back_and_not_tried_again() {
    let mut world = World::new(IRIS);
    edit(&mut world, &Edit::Replicas(3));
    world.settle();
    let stable = world.model.status.clone().unwrap().stable;
    edit(&mut world, &Edit::Token("bad1"));
    assert_eq!(world.settle(), Progress::RolledBack);
    assert_eq!(world.ready(), 3);
    let status = world.model.status.clone().unwrap();
    assert_eq!(status.stable, stable);
    assert_eq!(status.target.unwrap().number, 2);
    assert_eq!(
        status.rollout.unwrap().failure.unwrap().reason,
        "StartTimeout"
    );
    edit(&mut world, &Edit::Token("good"));
    assert_eq!(world.settle(), Progress::Complete);
    assert_eq!(
        world.model.status.clone().unwrap().stable.unwrap().number,
        3
    );
}

#[test]
fn without_rollback_a_bad_revision_stays_and_the_old_one_serves() {
    let mut world = World::new(IRIS);
    edit(&mut world, &Edit::Replicas(4));
    world.settle();
    edit(&mut world, &Edit::AutoRollback(false));
    edit(&mut world, &Edit::Token("bad1"));
    assert_eq!(world.settle(), Progress::Failed);
    assert_eq!(world.ready(), 4);
    edit(&mut world, &Edit::AutoRollback(true));
    assert_eq!(world.settle(), Progress::RolledBack);
}

#[test]
fn a_first_revision_that_fails_keeps_one_pod_trying() {
    let mut world = World::new(IRIS);
    edit(&mut world, &Edit::Replicas(3));
    edit(&mut world, &Edit::Token("bad1"));
    assert_eq!(world.settle(), Progress::Failed);
    assert_eq!(world.sizes().values().sum::<i32>(), 1);
}

#[test]
fn history_is_kept_and_no_longer() {
    let mut world = World::new(IRIS);
    world.model.spec.rollout = Some(Rollout {
        history: Some(2),
        ..Rollout::default()
    });
    for token in ["a", "b", "c", "d", "e"] {
        edit(&mut world, &Edit::Token(token));
        world.settle();
    }
    let numbers: Vec<i64> = world
        .model
        .status
        .clone()
        .unwrap()
        .revisions
        .iter()
        .map(|revision| revision.number)
        .collect();
    assert_eq!(numbers, [5, 4, 3]);
    assert_eq!(world.children.deployments.len(), 3);
    assert_eq!(world.children.services.len(), 4);
    assert_eq!(world.children.config_maps.len(), 3);
}

#[test]
fn only_a_request_of_more_than_a_minute_makes_a_revision() {
    let mut world = World::new(IRIS);
    world.settle();
    let target = |world: &World| world.model.status.clone().unwrap().target.unwrap();
    let first = target(&world);
    edit(&mut world, &Edit::RequestTimeout("60s"));
    world.settle();
    assert_eq!(target(&world), first, "pods end as soon as before");
    edit(&mut world, &Edit::RequestTimeout("5m"));
    assert_eq!(world.settle(), Progress::Complete);
    assert_eq!(target(&world).number, 2);
    edit(&mut world, &Edit::RequestTimeout("1s"));
    world.settle();
    assert_eq!(target(&world), first, "the same content again");
}

#[test]
fn pods_are_shielded_as_long_as_there_is_a_gateway() {
    let mut world = World::new(IRIS);
    world.settle();
    assert_eq!(world.children.network_policies.len(), 1);
    edit(&mut world, &Edit::Gateway(false));
    world.settle();
    assert_eq!(world.children.network_policies.len(), 0);
    edit(&mut world, &Edit::Gateway(true));
    assert_eq!(writes_of(&world.plan().unwrap()), 1, "no pod is touched");
}

#[test]
fn a_configmap_that_goes_away_changes_nothing_that_serves() {
    let mut world = World::new(IRIS);
    edit(&mut world, &Edit::Replicas(2));
    world.settle();
    edit(&mut world, &Edit::ConfigMapGone);
    assert_eq!(world.settle(), Progress::NotAccepted);
    assert_eq!(world.ready(), 2);
    edit(&mut world, &Edit::Replicas(4));
    world.settle();
    assert_eq!(world.ready(), 4, "it is still scaled");
    world.children.services.clear();
    assert_eq!(writes_of(&world.plan().unwrap()), 2, "and repaired");
}

#[test]
fn a_collector_of_traces_is_for_pods_of_revisions_that_begin_after_it() {
    let args = |world: &World| -> Vec<String> {
        let target = world.model.status.as_ref().unwrap().target.clone().unwrap();
        let deployment = &world.children.deployments[&format!("iris-{}", target.revision)];
        let template = &deployment.spec.as_ref().unwrap().template;
        let pod = template.spec.as_ref().unwrap();
        pod.containers[0].args.clone().unwrap()
    };
    let mut world = World::new(IRIS);
    edit(&mut world, &Edit::Replicas(2));
    world.settle();
    world.traces = Some(Traces {
        endpoint: "http://collector:4318/v1/traces".to_owned(),
        ratio: "0.5".to_owned(),
    });
    assert_eq!(
        writes_of(&world.plan().unwrap()),
        0,
        "pods that run are left alone"
    );
    edit(&mut world, &Edit::Token("b"));
    world.settle();
    let with = args(&world);
    assert!(with.contains(&"--otlp-endpoint=http://collector:4318/v1/traces".to_owned()));
    assert!(with.contains(&"--trace-ratio=0.5".to_owned()));
    world.traces = None;
    assert_eq!(
        writes_of(&world.plan().unwrap()),
        0,
        "nor does its end touch them"
    );
}

#[test]
fn every_child_deleted_or_edited_by_hand_is_restored() {
    let mut world = World::new(IRIS);
    edit(&mut world, &Edit::Replicas(2));
    world.settle();
    let before = serde_json::to_value(&world.plan().unwrap().objects).unwrap();
    let whole = world.clone();
    let damage: [fn(&mut World); 10] = [
        |world| world.children.deployments.clear(),
        |world| world.children.services.clear(),
        |world| world.children.config_maps.clear(),
        |world| world.children.controller_revisions.clear(),
        |world| world.children.disruption_budgets.clear(),
        |world| world.children.network_policies.clear(),
        |world| {
            for child in world.children.network_policies.values_mut() {
                child.spec.as_mut().unwrap().ingress = None;
            }
        },
        |world| {
            for child in world.children.deployments.values_mut() {
                child.spec.as_mut().unwrap().replicas = Some(7);
            }
        },
        |world| {
            for child in world.children.services.values_mut() {
                child.metadata.labels = None;
            }
        },
        |world| {
            for child in world.children.deployments.values_mut() {
                let pod = child.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
                pod.containers[0].image = Some("other".to_owned());
            }
        },
    ];
    for (place, damage) in damage.into_iter().enumerate() {
        let mut world = whole.clone();
        damage(&mut world);
        assert!(writes_of(&world.plan().unwrap()) > 0, "damage {place}");
        world.settle();
        assert_eq!(
            serde_json::to_value(&world.plan().unwrap().objects).unwrap(),
            before,
            "damage {place}"
        );
    }
}
