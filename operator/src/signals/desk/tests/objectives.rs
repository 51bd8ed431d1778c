//! Objectives at the desk: what is counted for whom, and who is told when.

use aimass_crds::condition::ConditionType;
use aimass_plan::model::objectives::Standing;

use super::*;

/// A model of which this is asked over a minute; `replicas` as in its spec.
fn asked(objectives: &Value, gateways: &[&str], replicas: Option<i32>) -> World {
    let mut world = World::told(&any(), 1, gateways);
    let spec = &mut world.model.spec;
    spec.objectives = Some(serde_json::from_value(objectives.clone()).unwrap());
    spec.replicas = replicas;
    world.decide();
    world
}

/// After so many seconds the first window is over: it begins with the first report, not with the
/// second that this tells of.
const FIRST: u32 = 61;

fn errors() -> Value {
    json!({"errorRate": "10%", "window": "1m"})
}

fn answers(revision: &str, ok: u32, failed: u32) -> Load {
    Load {
        ok,
        failed,
        latency: vec![(40, ok + failed)],
        ..load(revision, 1)
    }
}

/// Seconds in which each of `gateways` reports this: those after which it was told what was found out.
fn seconds(world: &mut World, count: u32, gateways: &[&str], loads: &[Load]) -> Vec<u32> {
    let mut told = Vec::new();
    for second in 1..=count {
        world.now += 1000;
        for gateway in gateways {
            world.report(gateway, 4, loads);
        }
        let Second { due, .. } = world.desk.second(world.tick());
        let before = standing(world);
        if !due.is_empty() && world.decide() && standing(world) != before {
            told.push(second);
        }
    }
    told
}

fn standing(world: &World) -> Option<Standing> {
    world.observed().judged.map(|judged| judged.standing)
}

#[test]
fn all_revisions_and_gateways_are_one_sum() {
    let mut world = asked(&errors(), &["g1", "g2"], None);
    let loads = [answers(REVISION, 3, 0), answers(OLD, 0, 1)];
    assert_eq!(seconds(&mut world, FIRST, &["g1", "g2"], &loads), [FIRST]);
    let judged = world.observed().judged.unwrap();
    assert_eq!(judged.standing, Standing::ErrorRateAbove);
    let told = "errorRate 25 % of 488; objectives: errorRate 10 % over 1m";
    assert_eq!(judged.message, told);
    assert_eq!(world.desk.met(1), (vec![(key("iris"), false)], None));
    assert_eq!(world.desk.met(0), (Vec::new(), Some(false)));
    let loads = [answers(REVISION, 3, 0)];
    assert_eq!(seconds(&mut world, 200, &["g1", "g2"], &loads), [60]);
    assert_eq!(standing(&world), Some(Standing::Met));
    assert_eq!(world.desk.met(1), (vec![(key("iris"), true)], None));
}

#[test]
fn a_fixed_number_of_pods_is_judged_as_well() {
    let mut world = asked(&errors(), &["g1"], Some(2));
    let loads = [answers(REVISION, 1, 1)];
    assert_eq!(seconds(&mut world, FIRST, &["g1"], &loads), [FIRST]);
    assert_eq!(standing(&world), Some(Standing::ErrorRateAbove));
    assert_eq!(world.desk.figures(1), (Vec::new(), None));
}

#[test]
fn silence_of_one_gateway_changes_nothing() {
    let mut world = asked(&errors(), &["g1", "g2"], None);
    let good = [answers(REVISION, 2, 0)];
    assert_eq!(seconds(&mut world, FIRST, &["g1", "g2"], &good), [FIRST]);
    let bad = [answers(REVISION, 0, 2)];
    // silent is who has said nothing for three seconds: these pass before it is known
    assert_eq!(seconds(&mut world, 300, &["g1"], &bad), [0; 0]);
    assert_eq!(standing(&world), Some(Standing::Met));
    world.desk.live(&live(&["g1"]), world.tick());
    let told = seconds(&mut world, 60, &["g1"], &bad);
    assert_eq!(told.len(), 1, "who is gone is no longer waited for");
    world.desk.live(&live(&[]), world.tick());
    assert_eq!(seconds(&mut world, 300, &[], &[]), [0; 0]);
    assert_eq!(standing(&world), Some(Standing::ErrorRateAbove));
}

#[test]
fn a_new_leader_keeps_what_status_says_until_it_has_seen_a_window() {
    let mut world = asked(&errors(), &["g1"], None);
    let status = world.model.status.as_mut().unwrap();
    let condition = json!({
        "type": ConditionType::WithinObjectives.as_str(), "status": "False",
        "reason": "ErrorRateAboveObjective", "message": "as of then",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    status.conditions = vec![serde_json::from_value(condition).unwrap()];
    world.desk.end();
    assert_eq!(world.desk.met(1), (Vec::new(), None));
    world.desk.begin(world.tick());
    world.desk.live(&live(&["g1"]), world.tick());
    world.report("g1", 4, &[]);
    world.desk.second(world.tick());
    world.decide();
    assert_eq!(standing(&world), None);
    assert_eq!(world.desk.met(1), (vec![(key("iris"), false)], None));
    let good = [answers(REVISION, 2, 0)];
    assert_eq!(seconds(&mut world, 59, &["g1"], &good), [0; 0]);
    assert_eq!(standing(&world), None);
    assert_eq!(seconds(&mut world, 1, &["g1"], &good), [1]);
    assert_eq!(standing(&world), Some(Standing::Met));
}

#[test]
fn who_is_called_no_more_is_looked_at_no_more() {
    let mut world = asked(&errors(), &["g1"], Some(1));
    let due = |world: &mut World, loads: &[Load]| {
        world.now += 1000;
        world.report("g1", 4, loads);
        let Second { due, .. } = world.desk.second(world.tick());
        if !due.is_empty() {
            world.decide();
        }
        due.len()
    };
    due(&mut world, &[]);
    assert_eq!(due(&mut world, &[]), 0, "nobody has called");
    for _ in 0..FIRST + 10 {
        assert_eq!(due(&mut world, &[answers(REVISION, 2, 0)]), 1);
    }
    assert_eq!(world.desk.met(1).0, [(key("iris"), true)]);
    let looks: usize = (0..300).map(|_| due(&mut world, &[])).sum();
    assert!((55..70).contains(&looks), "{looks}");
    assert_eq!(world.desk.met(1), (Vec::new(), None), "nobody can tell");
    assert_eq!(due(&mut world, &[answers(REVISION, 2, 0)]), 1);
}

#[test]
fn objectives_that_are_taken_away_are_forgotten() {
    let mut world = asked(&errors(), &["g1"], None);
    let good = [answers(REVISION, 2, 0)];
    seconds(&mut world, 60, &["g1"], &good);
    world.model.spec.objectives = None;
    world.model.metadata.generation = Some(2);
    world.decide();
    assert_eq!(standing(&world), None);
    assert_eq!(world.desk.met(1), (Vec::new(), None));
    assert_eq!(seconds(&mut world, 90, &["g1"], &good), [0; 0]);
}
