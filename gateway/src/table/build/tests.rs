//! Sequences of what streams say, and the tables that they make.

use std::time::Duration;

use jiff::Timestamp;

use super::cut::Known;
use super::*;
use crate::table::{Access, Capacity, EndpointState, Retry, RevisionState};

fn name(path: &str) -> Name {
    let (namespace, name) = path.split_once('/').unwrap();
    Name {
        namespace: namespace.into(),
        name: name.into(),
    }
}

/// An object's version, counted up over all of a test.
fn seen<V>(path: &str, uid: &str, version: u64, value: V) -> Event<V> {
    Event::Apply(store::Seen {
        name: name(path),
        uid: uid.into(),
        version,
        value: Ok(value),
        notes: Vec::new(),
    })
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A model that was made at a second and is served under a name.
fn model(created: i64, served_name: &str) -> Model {
    Model {
        created: at(created),
        deleted: false,
        served_name: served_name.into(),
        access: Access::default(),
        request_timeout: Duration::from_secs(60),
        max_request_bytes: 1024,
        retry: Retry::Unsent,
        capacity: Capacity {
            per_pod: 16,
            waiting: 100,
            waiting_bytes: 64 << 20,
            wait: Duration::from_secs(30),
        },
        unready: None,
        stable: None,
        target: None,
        traffic_version: 0,
        revisions: Vec::new(),
    }
}

fn slice(deployment: &str, revision: &str, pods: &[(&str, EndpointState)]) -> Slice {
    let pod = |(address, state): &(&str, EndpointState)| (address.parse().unwrap(), *state);
    Slice {
        deployment: deployment.into(),
        revision: revision.into(),
        endpoints: pods.iter().map(pod).collect(),
    }
}

/// A revision as `status` names it, with a weight.
fn known(name: &str, number: i64, weight: u8) -> Known {
    Known {
        name: name.into(),
        number,
        state: RevisionState::Ready,
        weight,
    }
}

const READY: EndpointState = EndpointState::Ready;

/// What is known, and the last table of it.
#[derive(Default)]
struct World {
    objects: Objects,
    table: Table,
    versions: u64,
}

impl World {
    fn change(&mut self, change: Change) -> Vec<Nack> {
        self.objects.apply(&None, change)
    }

    fn model(&mut self, path: &str, uid: &str, model: Model) {
        self.versions += 1;
        let nacks = self.change(Change::Model(seen(path, uid, self.versions, model)));
        assert_eq!(nacks, []);
    }

    fn slice(&mut self, path: &str, slice: Slice) {
        self.versions += 1;
        let nacks = self.change(Change::Slice(seen(path, path, self.versions, slice)));
        assert_eq!(nacks, []);
    }

    fn build(&mut self) -> Vec<String> {
        let (table, nacks) = self.objects.build(&self.table);
        assert_eq!(table.version, self.table.version + 1);
        self.table = table;
        let text = |nack: Nack| format!("{} {}: {}", nack.kind.name(), nack.object, nack.text);
        nacks.into_iter().map(text).collect()
    }

    fn get(&self, namespace: &str, served_name: &str) -> Option<Arc<Deployment>> {
        self.table.model(namespace, served_name).cloned()
    }
}

fn pods(deployment: &Deployment) -> Vec<String> {
    let revisions = deployment.revisions.iter();
    let pods = revisions.flat_map(|revision| {
        let pod = |endpoint: &Arc<crate::table::Endpoint>| {
            let (number, address) = (revision.number, endpoint.address);
            format!("{number} {address} {:?}", endpoint.state)
        };
        revision.endpoints.iter().map(pod).collect::<Vec<_>>()
    });
    pods.collect()
}

#[test]
fn a_model_has_the_pods_of_its_slices_newest_revision_first() {
    let mut world = World::default();
    let mut iris = model(1, "iris");
    iris.revisions = vec![known("bbbbbbbb", 7, 0), known("aaaaaaaa", 6, 0)];
    world.model("a/iris", "1", iris);
    world.slice(
        "a/s1",
        slice("iris", "aaaaaaaa", &[("10.0.0.1:8501", READY)]),
    );
    world.slice(
        "a/s2",
        slice(
            "iris",
            "bbbbbbbb",
            &[("10.0.0.3:8501", READY), ("10.0.0.2:8501", READY)],
        ),
    );
    // Another namespace's and another model's are not its own.
    world.slice(
        "b/s3",
        slice("iris", "aaaaaaaa", &[("10.0.0.8:8501", READY)]),
    );
    world.slice(
        "a/s4",
        slice("other", "aaaaaaaa", &[("10.0.0.9:8501", READY)]),
    );
    assert_eq!(world.build(), [""; 0]);
    assert_eq!(
        pods(&world.get("a", "iris").unwrap()),
        [
            "7 10.0.0.2:8501 Ready",
            "7 10.0.0.3:8501 Ready",
            "6 10.0.0.1:8501 Ready"
        ]
    );
    assert!(world.get("b", "iris").is_none());
}

#[test]
fn a_pod_in_two_slices_is_one_and_the_better_word_counts() {
    let mut world = World::default();
    world.model("a/iris", "1", model(1, "iris"));
    let pod = |state| slice("iris", "aaaaaaaa", &[("10.0.0.1:8501", state)]);
    world.slice("a/s1", pod(EndpointState::NotReady));
    world.slice("a/s2", pod(READY));
    world.slice("a/s3", pod(EndpointState::Serving));
    world.build();
    // `status` has not told the number yet.
    assert_eq!(
        pods(&world.get("a", "iris").unwrap()),
        ["0 10.0.0.1:8501 Ready"]
    );
}

#[test]
fn what_has_not_changed_is_shared_with_the_last_table() {
    let mut world = World::default();
    world.model("a/iris", "1", model(1, "iris"));
    world.model("a/rose", "2", model(1, "rose"));
    world.build();
    assert!(!world.objects.is_changed());
    let (iris, rose) = (
        world.get("a", "iris").unwrap(),
        world.get("a", "rose").unwrap(),
    );
    world.slice(
        "a/s1",
        slice("rose", "aaaaaaaa", &[("10.0.0.1:8501", READY)]),
    );
    assert!(world.objects.is_changed());
    world.build();
    assert!(Arc::ptr_eq(&iris, &world.get("a", "iris").unwrap()));
    assert!(!Arc::ptr_eq(&rose, &world.get("a", "rose").unwrap()));
}

#[test]
fn live_state_is_found_again_by_uid_revision_and_address() {
    let mut world = World::default();
    world.model("a/iris", "1", model(1, "iris"));
    let both = [("10.0.0.1:8501", READY), ("10.0.0.2:8501", READY)];
    world.slice("a/s1", slice("iris", "aaaaaaaa", &both));
    world.build();
    let before = world.get("a", "iris").unwrap();
    // Renamed, a revision with the same addresses beside it, one pod gone and one not ready any more.
    world.model("a/iris", "1", model(1, "my_iris"));
    let state = EndpointState::Serving;
    world.slice(
        "a/s1",
        slice("iris", "aaaaaaaa", &[("10.0.0.2:8501", state)]),
    );
    world.slice("a/s2", slice("iris", "bbbbbbbb", &both));
    world.build();
    assert!(world.get("a", "iris").is_none());
    let after = world.get("a", "my_iris").unwrap();
    assert!(Arc::ptr_eq(&before.live, &after.live));
    let find = |deployment: &Deployment, revision: &str, address: &str| {
        let mut revisions = deployment.revisions.iter();
        let found = revisions.find(|r| &*r.name == revision).unwrap();
        let address = address.parse().unwrap();
        let mut endpoints = found.endpoints.iter();
        Arc::clone(&endpoints.find(|e| e.address == address).unwrap().live)
    };
    let known = find(&before, "aaaaaaaa", "10.0.0.2:8501");
    assert!(Arc::ptr_eq(
        &known,
        &find(&after, "aaaaaaaa", "10.0.0.2:8501")
    ));
    let other = find(&after, "bbbbbbbb", "10.0.0.2:8501");
    assert!(!Arc::ptr_eq(&known, &other));
    let revision = |deployment: &Deployment| Arc::clone(&deployment.revisions[0].live);
    assert!(Arc::ptr_eq(&revision(&before), &revision(&after)));
}

#[test]
fn weights_are_laid_out_and_a_revision_that_has_one_is_never_left_over() {
    let mut world = World::default();
    let mut iris = model(1, "iris");
    iris.traffic_version = 4;
    iris.revisions = (2..12)
        .map(|number| known(&format!("revision{number:02}"), number, 0))
        .collect();
    iris.revisions.push(known("revision01", 1, 95));
    iris.revisions[9].weight = 5;
    world.model("a/iris", "1", iris);
    let nacks = world.build();
    let left = "ModelDeployment a/iris: has 11 revisions; the newest 10 are routed";
    assert_eq!(nacks, [left]);
    let iris = world.get("a", "iris").unwrap();
    let numbers: Vec<_> = iris
        .revisions
        .iter()
        .map(|r| (r.number, r.weight))
        .collect();
    assert_eq!(numbers[0], (11, 5));
    assert_eq!(numbers[9], (1, 95));
    assert_eq!(iris.traffic_version, 4);
    let picks = iris.picks.clone().unwrap();
    let turns = (0..100).filter(|turn| picks.at(*turn) == 0).count();
    assert_eq!(turns, 5);
    world.model("a/iris", "1", model(1, "iris"));
    world.build();
    assert_eq!(world.get("a", "iris").unwrap().picks, None);
}

#[test]
fn a_model_of_the_same_name_that_is_another_object_starts_anew() {
    let mut world = World::default();
    world.model("a/iris", "1", model(1, "iris"));
    world.build();
    let before = world.get("a", "iris").unwrap();
    world.model("a/iris", "2", model(2, "iris"));
    world.build();
    let after = world.get("a", "iris").unwrap();
    assert_eq!(&*after.uid, "2");
    assert!(!Arc::ptr_eq(&before.live, &after.live));
}

#[test]
fn of_two_models_that_want_one_name_the_older_one_has_it() {
    for younger_first in [true, false] {
        let mut world = World::default();
        let mut make = |younger: bool| match younger {
            true => world.model("a/young", "1", model(9, "iris")),
            false => world.model("a/old", "2", model(3, "iris")),
        };
        make(younger_first);
        make(!younger_first);
        // In another namespace the name is free.
        world.model("b/young", "3", model(9, "iris"));
        let nack = "ModelDeployment a/young: the name iris is that of the older object a/old";
        assert_eq!(world.build(), [nack]);
        assert_eq!(&*world.get("a", "iris").unwrap().name, "old");
        assert_eq!(&*world.get("b", "iris").unwrap().name, "young");
        // Once the older one is gone, the younger one has it.
        let gone = Event::Delete {
            name: name("a/old"),
            uid: "2".into(),
        };
        world.change(Change::Model(gone));
        assert_eq!(world.build(), [""; 0]);
        assert_eq!(&*world.get("a", "iris").unwrap().name, "young");
    }
}

#[test]
fn a_model_whose_deletion_has_begun_is_not_routed() {
    let mut world = World::default();
    world.model("a/iris", "1", model(1, "iris"));
    world.build();
    let mut ending = model(1, "iris");
    ending.deleted = true;
    world.model("a/iris", "1", ending);
    world.build();
    assert!(world.get("a", "iris").is_none());
}

#[test]
fn a_slice_that_moves_to_another_model_leaves_the_first() {
    let mut world = World::default();
    world.model("a/iris", "1", model(1, "iris"));
    world.model("a/rose", "2", model(1, "rose"));
    let pod = [("10.0.0.1:8501", READY)];
    world.slice("a/s1", slice("iris", "aaaaaaaa", &pod));
    world.build();
    world.slice("a/s1", slice("rose", "aaaaaaaa", &pod));
    world.build();
    assert_eq!(pods(&world.get("a", "iris").unwrap()), [""; 0]);
    assert_eq!(pods(&world.get("a", "rose").unwrap()).len(), 1);
    let gone = Event::Delete {
        name: name("a/s1"),
        uid: "a/s1".into(),
    };
    world.change(Change::Slice(gone));
    world.build();
    assert_eq!(pods(&world.get("a", "rose").unwrap()), [""; 0]);
    assert!(world.objects.slices_of.is_empty());
}

#[test]
fn a_model_has_at_most_ten_revisions_and_two_thousand_pods() {
    let mut world = World::default();
    let mut iris = model(1, "iris");
    let names: Vec<String> = (0..11)
        .map(|number| format!("revision{number:02}"))
        .collect();
    let numbered = names.iter().zip(1..);
    iris.revisions = numbered
        .map(|(name, number)| known(name, number, 0))
        .collect();
    world.model("a/iris", "1", iris);
    let addresses: Vec<String> = (0..2001)
        .map(|n: u32| format!("10.0.{}.{}:8501", n / 250, n % 250))
        .collect();
    let many: Vec<_> = addresses
        .iter()
        .map(|address| (address.as_str(), READY))
        .collect();
    world.slice("a/s1", slice("iris", "revision10", &many));
    let nacks = world.build();
    assert_eq!(
        nacks,
        [
            "ModelDeployment a/iris: has 11 revisions; the newest 10 are routed",
            "ModelDeployment a/iris: has 2001 pods; 2000 are routed"
        ]
    );
    let iris = world.get("a", "iris").unwrap();
    assert_eq!((iris.revisions.len(), pods(&iris).len()), (10, 2000));
}

fn credentials(created: i64, owner: &str, ids: &[&str]) -> Credentials {
    let key = |id: &&str| {
        let key = Key {
            uid: owner.into(),
            namespace: "a".into(),
            name: owner.into(),
            sha256: [0; 32],
            models: vec!["*".into()],
            plan: None,
            not_after: None,
            disabled: false,
            allowed: Vec::new(),
            used: std::sync::atomic::AtomicBool::new(false),
        };
        (Arc::from(*id), Arc::new(key))
    };
    Credentials {
        created: at(created),
        keys: ids.iter().map(key).collect(),
    }
}

#[test]
fn an_id_that_two_keys_claim_is_the_older_ones() {
    let mut world = World::default();
    let ana = credentials(5, "ana", &["A", "shared"]);
    let eve = credentials(6, "eve", &["E", "shared"]);
    world.change(Change::Key(seen("a/eve", "0", 1, eve)));
    world.change(Change::Key(seen("a/ana", "1", 2, ana)));
    let nack = "APIKey a/eve: the id shared is that of the older object a/ana";
    assert_eq!(world.build(), [nack]);
    let owner = |world: &World, id: &str| world.table.keys.get(id).map(|key| key.name.to_string());
    assert_eq!(owner(&world, "shared").as_deref(), Some("ana"));
    assert_eq!(owner(&world, "E").as_deref(), Some("eve"));
    // A table for another reason has the same keys.
    world.model("a/iris", "9", model(1, "iris"));
    world.build();
    assert_eq!(owner(&world, "A").as_deref(), Some("ana"));
    let gone = Event::Delete {
        name: name("a/ana"),
        uid: "1".into(),
    };
    world.change(Change::Key(gone));
    world.build();
    assert_eq!(owner(&world, "A"), None);
    assert_eq!(owner(&world, "shared").as_deref(), Some("eve"));
}

#[test]
fn plans_are_found_by_name() {
    let mut world = World::default();
    let plan = |path: &str, plan| {
        Event::Apply(store::Seen {
            name: Name {
                namespace: "".into(),
                name: path.into(),
            },
            uid: path.into(),
            version: 1,
            value: Ok(Arc::new(plan)),
            notes: Vec::new(),
        })
    };
    world.change(Change::Plan(plan("free", Plan::default())));
    world.build();
    assert!(world.table.plans.contains_key("free"));
    world.model("a/iris", "9", model(1, "iris"));
    world.build();
    assert!(world.table.plans.contains_key("free"));
}

#[test]
fn an_object_that_is_not_understood_is_told() {
    let mut world = World::default();
    world.model("a/iris", "1", model(1, "iris"));
    let bad = Event::Apply(store::Seen {
        name: name("a/iris"),
        uid: "1".into(),
        version: 99,
        value: Err("spec.replicas: no number".to_owned()),
        notes: Vec::new(),
    });
    let nacks = world.change(Change::Model(bad));
    assert_eq!(nacks[0].kind, Kind::Model);
    assert_eq!(
        nacks[0].text,
        "spec.replicas: no number; its last version holds"
    );
    world.build();
    assert!(world.get("a", "iris").is_some());
}
