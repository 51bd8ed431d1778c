//! A small world, whole: two gateways, three revisions, three replicas, every order of what may happen
//! to a rollout that is superseded or aborted, with a crash after each write. What must hold of any
//! output holds in every state that can be reached.

use std::collections::{BTreeSet, VecDeque};

use aimass_crds::model_deployment::{Action, Rollout};
use aimass_plan::model::Progress;
use serde_json::{Value, json};

use crate::rollouts::{canary, check, says, step, switch, world};
use crate::world::World;
use crate::{Edit, edit};

#[derive(Clone, Copy, Debug)]
enum Act {
    Reconcile(usize),
    Pods,
    TakeOver(&'static str),
    Silent(bool),
    Supersede,
    Abort,
    Time,
}

const ACTS: [Act; 10] = [
    Act::Reconcile(usize::MAX),
    Act::Reconcile(1),
    Act::Reconcile(2),
    Act::Pods,
    Act::TakeOver("g"),
    Act::TakeOver("h"),
    Act::Silent(true),
    Act::Silent(false),
    Act::Time,
    Act::Supersede,
];

fn act(world: &mut World, act: Act) {
    match act {
        Act::Reconcile(writes) => {
            world.reconcile(writes);
        }
        Act::Pods => {
            world.kubelet(i32::MAX);
        }
        Act::TakeOver(name) => {
            world.take_over(name);
        }
        Act::Silent(silent) => {
            let gateways = world.gateways.as_mut().unwrap();
            gateways.get_mut("h").unwrap().said.silent = silent;
        }
        Act::Supersede => edit(world, &Edit::Token("c")),
        Act::Abort => says(world, Action::Abort),
        Act::Time => world.clock += 200,
    }
}

/// Two worlds with the same are the same but for times.
fn key(world: &World) -> String {
    let status = serde_json::to_value(&world.model.status).unwrap();
    let rollout = |field: &str| status.pointer(&format!("/rollout/{field}")).cloned();
    let is = |field: &str| rollout(field).is_some();
    let pods: Vec<_> = world
        .children
        .deployments
        .keys()
        .map(|child| world.pods_of(child.rsplit('-').next().unwrap()))
        .collect();
    let routed = status.pointer("/conditions").and_then(Value::as_array);
    let is_routed = |c: &&Value| c.get("type").and_then(Value::as_str) == Some("Routed");
    let routed = routed.and_then(|all| all.iter().find(is_routed));
    let gateways: Vec<_> = world
        .gateways
        .iter()
        .flatten()
        .map(|(_, g)| {
            (
                g.said.silent,
                g.said.traffic_version == Some(world.traffic_version()),
            )
        })
        .collect();
    json!([
        status.get("traffic"),
        status.get("stable"),
        status.get("target"),
        [
            rollout("revision"),
            rollout("step"),
            rollout("weight"),
            rollout("passed")
        ],
        [
            is("stepStartedAt"),
            is("progressedAt"),
            is("failure"),
            is("checkedAt")
        ],
        pods,
        routed.and_then(|routed| routed.get("status")),
        gateways,
        world.model.spec.restart_token,
        world
            .model
            .spec
            .rollout
            .clone()
            .and_then(|rollout| rollout.decision)
            .is_some(),
    ])
    .to_string()
}

/// Every state that can be reached is checked; how many there are. From each fiftieth one, an
/// undisturbed world comes to its end.
fn explore(rollout: Rollout, acts: &[Act], most: usize) -> usize {
    let mut first = world();
    edit(&mut first, &Edit::Replicas(3));
    edit(&mut first, &Edit::Token("a"));
    first.model.spec.rollout = Some(rollout);
    first.settle();
    edit(&mut first, &Edit::Token("b"));
    let mut seen = BTreeSet::from([key(&first)]);
    let mut open = VecDeque::from([first]);
    while let Some(world) = open.pop_front() {
        check(&world);
        if seen.len() % 50 == 0 {
            let ended = world.clone().settle();
            let ends = [Progress::Complete, Progress::Aborted, Progress::RolledBack];
            assert!(ends.contains(&ended), "{ended:?}");
        }
        for next in acts {
            let mut after = world.clone();
            act(&mut after, *next);
            if seen.len() < most && seen.insert(key(&after)) {
                open.push_back(after);
            }
        }
    }
    seen.len()
}

#[test]
fn every_order_of_a_rolling_update_keeps_the_rules() {
    assert!(explore(Rollout::default(), &ACTS, 600) >= 100);
}

#[test]
fn every_order_of_a_canary_keeps_the_rules() {
    let steps = [step(20, "0s"), step(60, "0s")];
    let mut acts = ACTS.to_vec();
    acts.push(Act::Abort);
    assert!(explore(canary(&steps), &acts, 600) >= 100);
}

#[test]
fn every_order_of_a_switch_keeps_the_rules() {
    assert!(explore(switch("0s"), &ACTS, 600) >= 100);
}
