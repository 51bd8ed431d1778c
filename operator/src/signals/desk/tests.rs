//! What is known of several gateways at once, and what follows from it. Time is a number here.

mod objectives;

use aimass_crds::signals::{Load, Seen, Taken};
use aimass_plan::model::quota::{self, Need, Quota, Room};
use aimass_plan::model::{Gateway, Recommended};
use serde_json::{Value, json};

use super::*;
use crate::transcript::{key, platform};

const REVISION: &str = "aaaaaaaa";
const OLD: &str = "bbbbbbbb";

/// A desk of a leader, one model, and these gateways.
struct World {
    desk: Desk,
    model: ModelDeployment,
    pods: Pods,
    /// Milliseconds.
    now: u64,
}

fn model(scaling: &Value, desired: i32) -> ModelDeployment {
    serde_json::from_value(json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": "iris", "namespace": "a", "uid": "u", "generation": 1},
        "spec": {
            "model": {"source": {"configMap": {"name": "iris"}}}, "scaling": scaling,
        },
        "status": {
            "trafficVersion": 4, "traffic": [{"revision": REVISION, "weight": 100}],
            "scaling": {"mode": "Automatic", "desired": desired, "since": "2026-01-01T00:00:00Z"},
        },
    }))
    .unwrap()
}

fn live(gateways: &[&str]) -> Live {
    let address = ([127, 0, 0, 1], 1).into();
    let live = gateways.iter().map(|uid| (Arc::from(*uid), address));
    live.collect()
}

fn pods(usable: i32) -> Pods {
    Pods {
        usable,
        existing: usable,
        blocked: None,
        room: None,
    }
}

/// What a quota of pods has room for.
fn quota(name: &str, hard: u32, used: u32) -> Option<Room> {
    let quota = serde_json::from_value(json!({
        "metadata": {"name": name},
        "status": {"hard": {"pods": hard.to_string()}, "used": {"pods": used.to_string()}},
    }));
    let template = serde_json::from_value(json!({"spec": {"containers": []}}));
    quota::room(
        &[Quota::of(&quota.unwrap())],
        &[Need::of(&template.unwrap())],
    )
}

fn load(revision: &str, assigned: u32) -> Load {
    Load {
        revision: revision.to_owned(),
        assigned,
        in_flight_milli: u64::from(assigned) * 1000,
        endpoints: (1, 0),
        ok: 1,
        ..Load::default()
    }
}

impl World {
    fn new(scaling: &Value, desired: i32, gateways: &[&str]) -> Self {
        let mut world = Self {
            desk: Desk::default(),
            model: model(scaling, desired),
            pods: pods(desired),
            now: 100_000,
        };
        world.desk.model(&key("iris"), "u");
        world.desk.begin(world.tick());
        world.now += 1000;
        world.desk.live(&live(gateways), world.tick());
        world
    }

    /// The same with gateways that have told that they obey the present traffic.
    fn told(scaling: &Value, desired: i32, gateways: &[&str]) -> Self {
        let world = Self::new(scaling, desired, gateways);
        for gateway in gateways {
            world.desk.connected(gateway);
            world.full(gateway, 4);
            world.report(gateway, 4, &[]);
        }
        world.desk.second(world.tick());
        world
    }

    fn tick(&self) -> Tick {
        Tick::from_millis(self.now)
    }

    fn full(&self, gateway: &str, version: i64) {
        let full = Full {
            seq: 1,
            part: 1,
            parts: 1,
            table: 1,
            deployments: vec![Taken {
                uid: "u".to_owned(),
                name: "a/iris".to_owned(),
                traffic_version: version,
            }],
        };
        self.desk.full(gateway, &full, true);
    }

    fn report(&self, gateway: &str, version: i64, loads: &[Load]) -> Vec<Key> {
        self.report_of("u", gateway, version, loads)
    }

    fn report_of(&self, uid: &str, gateway: &str, version: i64, loads: &[Load]) -> Vec<Key> {
        let seen = Seen {
            uid: uid.to_owned(),
            name: "a/iris".to_owned(),
            traffic_version: version,
            revisions: loads.to_vec(),
        };
        let report = Report {
            seq: 1,
            span_ms: 1000,
            table: 1,
            nacks: 0,
            deployments: if loads.is_empty() && version == 4 {
                Vec::new()
            } else {
                vec![seen]
            },
        };
        self.desk.report(gateway, &report, self.tick())
    }

    fn wake(&self, gateway: &str) -> Option<Key> {
        let wake = Wake {
            seq: 1,
            uid: "u".to_owned(),
            revision: REVISION.to_owned(),
            queued: 1,
        };
        self.desk.wake(gateway, &wake, self.tick())
    }

    fn decide(&self) -> bool {
        let at = (self.tick(), Timestamp::UNIX_EPOCH);
        self.desk.decide(&self.model, &platform(), &self.pods, at)
    }

    /// Seconds in which each of `gateways` reports the same, and what was decided in them.
    fn seconds(&mut self, count: u32, gateways: &[&str], loads: &[Load]) -> Vec<i32> {
        let mut changes = Vec::new();
        for _ in 0..count {
            self.now += 1000;
            for gateway in gateways {
                self.report(gateway, 4, loads);
            }
            let Second { due, .. } = self.desk.second(self.tick());
            if !due.is_empty() && self.decide() {
                changes.extend(self.recommended().map(|told| told.desired));
            }
        }
        changes
    }

    fn observed(&self) -> Signals {
        self.desk.observed(&self.model, self.tick())
    }

    fn gateway(&self, uid: &str) -> Gateway {
        self.observed().gateways[uid].clone()
    }

    fn recommended(&self) -> Option<Recommended> {
        self.observed().recommended
    }
}

fn any() -> Value {
    json!({"min": 1, "max": 10})
}

fn to_zero() -> Value {
    json!({"min": 0, "max": 10, "idleTimeout": "10s", "window": "6s"})
}

#[test]
fn who_has_never_said_anything_is_silent_and_obeys_nothing() {
    let world = World::new(&any(), 1, &["g1"]);
    let expect = Gateway {
        silent: true,
        ..Gateway::default()
    };
    assert_eq!(world.gateway("g1"), expect);
    assert!(!world.desk.is_told());
    let signals = world.observed();
    assert!(signals.expected && signals.recommended.is_none());
}

#[test]
fn silence_begins_after_three_seconds_and_what_was_said_stays() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.report("g1", 4, &[load(REVISION, 2)]);
    assert!(world.desk.is_told());
    world.now += 3000;
    assert!(!world.gateway("g1").silent);
    world.now += 1;
    let gateway = world.gateway("g1");
    assert!(gateway.silent);
    assert_eq!(gateway.traffic_version, Some(4));
    assert_eq!(gateway.assigned[REVISION], 2);
}

#[test]
fn what_a_stream_says_of_all_models_holds_from_its_first_report_on() {
    let world = World::new(&any(), 1, &["g1"]);
    world.desk.connected("g1");
    world.full("g1", 4);
    assert_eq!(world.gateway("g1").traffic_version, None);
    world.report("g1", 4, &[]);
    assert_eq!(world.gateway("g1").traffic_version, Some(4));
}

#[test]
fn a_connection_made_anew_is_no_news_until_it_says_something_else() {
    let world = World::told(&any(), 1, &["g1"]);
    world.report("g1", 4, &[load(REVISION, 2)]);
    world.desk.disconnected("g1");
    world.desk.connected("g1");
    assert_eq!(world.gateway("g1").traffic_version, Some(4));
    world.full("g1", 5);
    let gateway = world.gateway("g1");
    assert_eq!(gateway.traffic_version, Some(4));
    assert_eq!(gateway.assigned[REVISION], 2);
    world.report("g1", 4, &[]);
    let gateway = world.gateway("g1");
    assert_eq!(gateway.traffic_version, Some(5));
    assert_eq!(gateway.assigned.len(), 0, "who is not named has none");
}

#[test]
fn a_model_that_the_next_stream_does_not_name_is_not_known_there() {
    let world = World::told(&any(), 1, &["g1"]);
    world.desk.connected("g1");
    let full = Full {
        seq: 1,
        part: 1,
        parts: 1,
        table: 1,
        deployments: Vec::new(),
    };
    world.desk.full("g1", &full, true);
    world.report("g1", 4, &[]);
    assert_eq!(world.gateway("g1").traffic_version, None);
}

#[test]
fn unknown_models_are_ignored() {
    let mut world = World::told(&any(), 1, &["g1"]);
    assert_eq!(world.report_of("v", "g1", 9, &[load(REVISION, 9)]), []);
    let wake = Wake {
        seq: 1,
        uid: "v".to_owned(),
        revision: REVISION.to_owned(),
        queued: 1,
    };
    assert_eq!(world.desk.wake("g1", &wake, world.tick()), None);
    world.now += 1000;
    assert_eq!(world.desk.second(world.tick()).due, [key("iris")]);
    assert_eq!(world.report_of("u", "g9", 4, &[load(REVISION, 9)]), []);
    assert_eq!(world.gateway("g1").assigned.len(), 0);
}

#[test]
fn a_model_that_is_gone_is_forgotten_and_its_successor_begins_anew() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.report("g1", 4, &[load(REVISION, 2)]);
    world.decide();
    assert!(world.desk.records(&key("iris")).is_some());
    world.desk.model(&key("iris"), "v");
    assert!(world.desk.records(&key("iris")).is_none());
    world.model.metadata.uid = Some("v".to_owned());
    assert_eq!(world.gateway("g1").traffic_version, None);
    world.desk.only_models(&BTreeSet::new());
    world.now += 1000;
    assert_eq!(world.desk.second(world.tick()), Second::default());
}

#[test]
fn counts_begin_when_all_live_gateways_obey_the_same() {
    let world = World::told(&any(), 1, &["g1", "g2"]);
    let ok = || {
        world
            .observed()
            .counts
            .get(REVISION)
            .map(|counts| counts.ok)
    };
    world.report("g1", 4, &[load(REVISION, 1)]);
    world.report("g2", 4, &[load(REVISION, 1)]);
    assert_eq!(ok(), Some(2));
    // One takes the next version over, the other has not yet.
    world.report("g1", 5, &[load(REVISION, 1)]);
    assert_eq!(ok(), Some(2), "of what status says");
    let mut model = world.model.clone();
    model.status.as_mut().unwrap().traffic_version = Some(5);
    let ok = || {
        let counts = world.desk.observed(&model, world.tick()).counts;
        counts.get(REVISION).map(|counts| counts.ok)
    };
    world.report("g1", 5, &[load(REVISION, 1)]);
    assert_eq!(ok(), None);
    world.report("g2", 5, &[load(REVISION, 1)]);
    assert_eq!(ok(), None, "a report of both versions counts for none");
    world.report("g1", 5, &[load(REVISION, 1)]);
    world.report("g2", 5, &[load(REVISION, 1)]);
    assert_eq!(ok(), Some(2));
}

#[test]
fn a_gateway_leaves_the_quorum_with_its_endpoint_alone() {
    let mut world = World::told(&any(), 1, &["g1", "g2"]);
    world.report("g1", 5, &[load(REVISION, 1)]);
    world.now += 60_000;
    assert_eq!(world.observed().gateways.len(), 2);
    assert!(world.gateway("g2").silent);
    world.desk.live(&live(&["g1"]), world.tick());
    assert_eq!(world.observed().gateways.len(), 1);
    world.model.status.as_mut().unwrap().traffic_version = Some(5);
    world.report("g1", 5, &[load(REVISION, 1)]);
    assert_eq!(world.observed().counts[REVISION].ok, 1);
}

#[test]
fn a_wake_is_decided_at_once_and_a_doubled_one_does_nothing_more() {
    let mut world = World::told(&to_zero(), 0, &["g1", "g2"]);
    world.decide();
    assert_eq!(world.recommended().unwrap().desired, 0);
    assert_eq!(world.wake("g1"), Some(key("iris")));
    assert!(world.decide(), "there is something to reconcile");
    let told = world.recommended().unwrap();
    assert_eq!((told.desired, told.waking), (1, true));
    assert!(told.message.starts_with("0 → 1: "), "{}", told.message);
    assert_eq!(world.wake("g1"), None);
    assert_eq!(world.wake("g2"), Some(key("iris")));
    assert!(!world.decide(), "it is as it was");
    world.pods = pods(1);
    assert!(world.decide());
    assert!(!world.recommended().unwrap().waking);
}

#[test]
fn a_lost_wake_comes_with_the_next_report() {
    let mut world = World::told(&to_zero(), 0, &["g1"]);
    world.decide();
    let waits = Load {
        assigned: 1,
        endpoints: (0, 0),
        ..load(REVISION, 0)
    };
    assert_eq!(world.seconds(1, &["g1"], &[waits]), [1]);
}

#[test]
fn who_waits_no_more_keeps_no_model_awake() {
    let mut world = World::told(&to_zero(), 0, &["g1"]);
    world.decide();
    world.wake("g1");
    world.report("g1", 4, &[load(REVISION, 0)]);
    assert_eq!(world.seconds(3, &["g1"], &[]), [0; 0]);
    assert_eq!(world.recommended().unwrap().desired, 0);
}

#[test]
fn load_is_added_up_over_gateways() {
    let mut world = World::told(&any(), 1, &["g1", "g2"]);
    world.decide();
    world.seconds(10, &["g1", "g2"], &[load(REVISION, 12)]);
    let told = world.recommended().unwrap();
    assert_eq!(told.desired, 3, "{}", told.message);
    let records = world.desk.records(&key("iris")).unwrap();
    assert!(records[0].message.contains("wants 3"), "{records:?}");
    let (figures, rest) = world.desk.figures(10);
    assert_eq!((figures.len(), rest), (1, None));
    assert_eq!((figures[0].1.desired, figures[0].1.ready), (3, 1));
    let (figures, rest) = world.desk.figures(0);
    assert_eq!((figures.len(), rest.unwrap().desired), (0, 3));
}

#[test]
fn a_report_in_two_lines_is_of_one_second() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.decide();
    for _ in 0..10 {
        world.now += 1000;
        world.report("g1", 4, &[load(REVISION, 8)]);
        let report = json!({
            "seq": 1, "spanMs": 0, "table": 1, "nacks": 0, "deployments": [{
                "uid": "u", "name": "a/iris", "trafficVersion": 4,
                "revisions": [{"revision": OLD, "assigned": 8, "inFlightMilli": 8000}],
            }],
        });
        let report: Report = serde_json::from_value(report).unwrap();
        world.desk.report("g1", &report, world.tick());
        world.desk.second(world.tick());
        world.decide();
    }
    let (figures, _) = world.desk.figures(1);
    assert_eq!(figures[0].1.demand_milli, 16_000);
}

#[test]
fn nothing_shrinks_while_nobody_tells() {
    let mut world = World::told(&to_zero(), 4, &["g1"]);
    world.decide();
    assert_eq!(world.seconds(3, &[], &[]), [0; 0]);
    assert_eq!(world.recommended().unwrap().desired, 4);
    world.seconds(60, &[], &[]);
    assert_eq!(
        world.recommended(),
        None,
        "nobody knows, and the number stays"
    );
    world.seconds(1, &["g1"], &[]);
    assert_eq!(world.recommended().unwrap().desired, 4);
}

#[test]
fn with_one_of_two_gateways_silent_nothing_shrinks_either() {
    let mut world = World::told(&to_zero(), 4, &["g1", "g2"]);
    world.decide();
    assert_eq!(world.seconds(120, &["g1"], &[]), [0; 0]);
    assert_eq!(world.recommended().unwrap().desired, 4);
    world.desk.live(&live(&["g1"]), world.tick());
    world.seconds(60, &["g1"], &[]);
    assert_eq!(world.recommended().unwrap().desired, 0);
}

#[test]
fn a_model_that_nobody_calls_is_not_looked_at_until_somebody_does() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.seconds(1, &["g1"], &[load(REVISION, 1)]);
    let due = |world: &mut World| {
        world.now += 1000;
        world.report("g1", 4, &[]);
        let Second { due, .. } = world.desk.second(world.tick());
        if !due.is_empty() {
            world.decide();
        }
        due.len()
    };
    assert_eq!(due(&mut world), 1);
    for _ in 0..80 {
        due(&mut world);
    }
    assert_eq!(due(&mut world), 0);
    world.report("g1", 4, &[load(REVISION, 1)]);
    assert_eq!(due(&mut world), 1);
    for _ in 0..80 {
        due(&mut world);
    }
    assert_eq!(due(&mut world), 0);
    world.wake("g1");
    assert_eq!(due(&mut world), 1);
}

#[test]
fn who_sets_the_number_otherwise_gets_no_recommendation() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.decide();
    assert!(world.recommended().is_some());
    world.model.spec.replicas = Some(3);
    world.model.metadata.generation = Some(2);
    world.decide();
    assert_eq!(world.recommended(), None);
    assert_eq!(world.seconds(1, &["g1"], &[load(REVISION, 99)]), [0; 0]);
    world.model.spec.replicas = None;
    world.model.metadata.generation = Some(3);
    let status = world.model.status.as_mut().unwrap();
    status.scaling.as_mut().unwrap().desired = 3;
    world.decide();
    assert_eq!(
        world.recommended().unwrap().desired,
        3,
        "it begins with what is"
    );
}

#[test]
fn another_spec_is_taken_over_with_what_was_seen() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.decide();
    world.seconds(10, &["g1"], &[load(REVISION, 24)]);
    assert_eq!(world.recommended().unwrap().desired, 3);
    world.model.spec.scaling.as_mut().unwrap().max = Some(2);
    world.model.metadata.generation = Some(2);
    assert_eq!(world.seconds(1, &["g1"], &[]), [2]);
    let told = world.recommended().unwrap();
    assert_eq!(
        told.limited_by,
        Some(aimass_crds::model_deployment::LimitedBy::Max)
    );
}

#[test]
fn a_quota_holds_the_number_and_it_is_said_which() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.decide();
    let wants_three = [load(REVISION, 24)];
    world.pods.room = quota("small", 2, 1);
    let told = world.seconds(10, &["g1"], &wants_three);
    assert_eq!(told, [2, 2], "two, and then that it would be three");
    let told = world.recommended().unwrap();
    let quota_limits = Some(aimass_crds::model_deployment::LimitedBy::Quota);
    assert_eq!(told.limited_by, quota_limits);
    let full = |name: &str| Some(format!("quota {name} has 0 of 2 pods left: raise it"));
    assert_eq!(told.held, full("small"), "the second pod is on its way");
    assert_eq!(world.desk.held("a"), [key("iris")]);
    assert_eq!(world.desk.held("b"), []);
    // what comes by watches is no news, nor are others in a quota that stays full
    let further = |room| Pods { room, ..pods(2) };
    world.pods = further(quota("small", 2, 1));
    assert_eq!(world.seconds(1, &["g1"], &wants_three), [0; 0]);
    for (hard, used) in [(2, 2), (3, 3), (2, 9)] {
        world.pods = further(quota("small", hard, used));
        assert_eq!(world.seconds(3, &["g1"], &wants_three), [0; 0]);
    }
    world.pods = further(quota("tiny", 2, 2));
    assert_eq!(world.seconds(5, &["g1"], &wants_three), [2], "another one");
    assert_eq!(world.recommended().unwrap().held, full("tiny"));
    world.pods = further(quota("tiny", 9, 2));
    assert_eq!(world.seconds(1, &["g1"], &wants_three), [3], "at once");
    let told = world.recommended().unwrap();
    assert_eq!((told.limited_by, told.held), (None, None));
    assert_eq!(world.desk.held("a"), []);
}

#[test]
fn who_wakes_a_model_without_room_waits_for_the_quota() {
    let mut world = World::told(&to_zero(), 0, &["g1"]);
    world.decide();
    world.pods.room = quota("small", 2, 2);
    world.wake("g1");
    assert!(world.decide());
    let told = world.recommended().unwrap();
    assert_eq!((told.desired, told.waking), (0, true));
    assert!(told.held.unwrap().starts_with("quota small has 0 of 2"));
    assert_eq!(world.desk.held("a"), [key("iris")]);
    world.pods.room = quota("small", 3, 2);
    assert!(world.decide());
    assert_eq!(world.recommended().unwrap().desired, 1);
}

#[test]
fn a_new_leader_begins_with_the_number_in_status() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.decide();
    world.seconds(10, &["g1"], &[load(REVISION, 24)]);
    world.desk.end();
    assert_eq!(world.recommended(), None);
    assert!(!world.decide());
    let status = world.model.status.as_mut().unwrap();
    status.scaling.as_mut().unwrap().desired = 3;
    world.desk.begin(world.tick());
    world.desk.live(&live(&["g1"]), world.tick());
    assert_eq!(world.desk.second(world.tick()).due, [key("iris")]);
    world.decide();
    world.desk.connected("g1");
    assert_eq!(
        world.seconds(30, &["g1"], &[]),
        [3],
        "known again, and no less"
    );
}

#[test]
fn a_plan_is_told_when_another_version_is_obeyed() {
    let world = World::told(&any(), 1, &["g1"]);
    assert_eq!(world.report("g1", 5, &[]), [], "nobody has looked");
    world.observed();
    assert_eq!(world.report("g1", 5, &[load(REVISION, 1)]), []);
    assert_eq!(world.report("g1", 6, &[]), [key("iris")]);
    world.observed();
    assert_eq!(world.report("g1", 6, &[]), []);
}

#[test]
fn a_plan_is_told_when_a_revision_without_weight_has_no_request_left() {
    let world = World::told(&any(), 1, &["g1", "g2"]);
    let both = [load(OLD, 1), load(REVISION, 1)];
    world.report("g1", 4, &both);
    world.report("g2", 4, &[load(OLD, 1)]);
    world.observed();
    assert_eq!(
        world.report("g1", 4, &[load(OLD, 0), load(REVISION, 0)]),
        []
    );
    assert_eq!(world.report("g2", 4, &[load(OLD, 0)]), [key("iris")]);
    assert_eq!(world.report("g2", 4, &[load(OLD, 0)]), []);
}

#[test]
fn all_models_are_told_of_gateways_that_come_and_fall_silent() {
    let mut world = World::told(&any(), 1, &["g1"]);
    world.seconds(5, &["g1"], &[]);
    world.observed();
    let concerned = |world: &mut World, gateways: &[&str]| {
        let mut found = Vec::new();
        for _ in 0..4 {
            world.now += 1000;
            for gateway in gateways {
                world.report(gateway, 4, &[]);
            }
            found.extend(world.desk.second(world.tick()).concerned);
        }
        found
    };
    assert_eq!(concerned(&mut world, &["g1"]), []);
    world.desk.live(&live(&["g1", "g2"]), world.tick());
    world.desk.connected("g2");
    world.full("g2", 4);
    let all = [key("iris")];
    assert_eq!(concerned(&mut world, &["g1", "g2"]), all, "once");
    world.observed();
    assert_eq!(concerned(&mut world, &["g1", "g2"]), []);
    concerned(&mut world, &["g1"]);
    assert_eq!(concerned(&mut world, &["g1"]), all);
    let standing = world.desk.standing(world.tick());
    assert_eq!(
        (standing.live, standing.connected, standing.silent),
        (2, 2, 1)
    );
}

#[test]
fn a_follower_knows_nothing() {
    let desk = Desk::default();
    desk.model(&key("iris"), "u");
    desk.live(&live(&["g1"]), Tick::default());
    assert_eq!(desk.second(Tick::default()), Second::default());
    assert_eq!(desk.standing(Tick::default()), Standing::default());
    assert!(!desk.is_told());
}
