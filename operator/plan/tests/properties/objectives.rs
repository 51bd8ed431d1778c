//! What status says of a model's objectives moves only with what holds, whatever is counted, whoever leads,
//! and whatever the clock is. Nothing but that condition depends on it.

use std::collections::BTreeMap;

use aimass_crds::condition::{Condition, ConditionType};
use aimass_crds::model_deployment::Objectives;
use aimass_crds::scalars::{Duration, Percent};
use aimass_crds::signals::Load;
use aimass_plan::model::objectives::{Watch, objectives};
use aimass_plan::model::scale::Tick;
use proptest::prelude::*;

use crate::world::{Obeying, World, writes_of};
use crate::{IRIS, config};

/// What happens for a while.
#[derive(Clone, Debug)]
enum Happening {
    /// So many seconds that all bring the same: answers, errors, their bucket.
    Seconds(u32, (u32, u32, u8)),
    /// So many seconds in which a gateway is not heard.
    Silence(u32),
    /// Another instance leads.
    Leader,
    /// Another limit.
    Limit(u32),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let counts = (0_u32..20, 0_u32..3, 30_u8..50);
    let one = prop_oneof![
        6 => (1_u32..200, counts).prop_map(|(length, of)| Happening::Seconds(length, of)),
        1 => (1_u32..100).prop_map(Happening::Silence),
        1 => Just(Happening::Leader),
        1 => (0_u32..30).prop_map(Happening::Limit),
    ];
    prop::collection::vec(one, 1..12)
}

fn limit(percent: u32) -> Objectives {
    Objectives {
        error_rate: Some(Percent(format!("{percent}%"))),
        latency_p95: Some(Duration("100ms".to_owned())),
        window: Some(Duration("1m".to_owned())),
        ..Objectives::default()
    }
}

fn watch(world: &World, now: u64) -> Watch {
    let conditions = &world.model.status.as_ref().unwrap().conditions;
    let asked = objectives(&world.model).unwrap();
    Watch::new(asked, conditions, Tick::from_millis(now))
}

fn said(world: &World) -> Condition {
    let status = world.model.status.as_ref().unwrap();
    let of = ConditionType::WithinObjectives.find(&status.conditions);
    of.unwrap().clone()
}

/// Reconciles, and once more at another time: nothing moves. What the condition says then.
fn reconcile(world: &mut World, later: i64) -> Condition {
    world.reconcile(usize::MAX);
    let once = world.model.status.clone();
    world.clock += later;
    assert_eq!(writes_of(&world.plan().unwrap()), 0);
    world.reconcile(usize::MAX);
    assert_eq!(world.model.status, once, "a fixed point");
    said(world)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_said_of_objectives_moves_only_with_what_holds(
        script in happenings(),
        later in -1000_i64..100_000,
    ) {
        let mut world = World::new(IRIS);
        world.gateways = Some(BTreeMap::from([("g".to_owned(), Obeying::default())]));
        world.recommended = Some(1);
        world.model.spec.objectives = Some(limit(1));
        world.settle();
        let revision = world.model.status.clone().unwrap().stable.unwrap();
        let mut now = 1_000_000;
        let mut watch_of = watch(&world, now);
        let mut before = said(&world);
        for happening in &script {
            match happening {
                Happening::Seconds(length, (answers, errors, bucket)) => {
                    let load = Load {
                        ok: *answers,
                        failed: *errors,
                        latency: vec![(*bucket, answers + errors)],
                        ..Load::default()
                    };
                    for _ in 0..*length {
                        watch_of.add(&load, Tick::from_millis(now));
                        now += 1000;
                        if watch_of.look(Tick::from_millis(now)) {
                            world.judged = watch_of.judged().cloned();
                            let (was, is) = (said(&world), reconcile(&mut world, later));
                            let same = was.status == is.status;
                            let time = was.last_transition_time == is.last_transition_time;
                            prop_assert!(!same || time, "{was:?} {is:?}");
                        }
                    }
                }
                Happening::Silence(length) => {
                    now += u64::from(*length) * 1000;
                    watch_of.skip();
                }
                Happening::Leader => {
                    watch_of = watch(&world, now);
                    world.judged = None;
                    prop_assert_eq!(&reconcile(&mut world, later), &before);
                }
                Happening::Limit(percent) => {
                    world.model.spec.objectives = Some(limit(*percent));
                    watch_of.respec(objectives(&world.model).unwrap());
                    world.judged = watch_of.judged().cloned();
                }
            }
            let after = reconcile(&mut world, later);
            prop_assert!(after.message.len() < 300);
            before = after;
        }
        let stable = world.model.status.clone().unwrap().stable.unwrap();
        prop_assert_eq!(stable, revision, "no revision is made by it");
    }
}
