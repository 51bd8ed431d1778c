//! Streams that say things in any order, and what becomes of it, on a clock of its own.

use std::sync::Arc;

use aimass_chassis::metrics::Registry;
use aimass_chassis::readiness;
use tokio::task::JoinHandle;

use super::*;
use crate::app::Parts;
use crate::config::Settings;
use crate::limit::{Bounds, Member};
use crate::phase::record::AccessLog;
use crate::table::Plan;
use crate::table::build::store::{Event, Name, Seen};

struct World {
    feed: mpsc::Sender<Message>,
    state: State,
    latch: Latch,
    task: JoinHandle<()>,
}

const KINDS: [Kind; 5] = Kind::ALL;

impl World {
    fn new() -> Self {
        let (access_log, _writer) = AccessLog::to(|_| {}).unwrap();
        let parts = Parts {
            settings: Settings::default(),
            bounds: Bounds::default(),
            reviewer: None,
            certificate: None,
            traces: None,
            access_log,
        };
        let state = State::new(parts, &mut Registry::default());
        let latch = Latch::new();
        let streams = KINDS.map(|kind| (kind, None));
        let assembly = Assembly::new(&streams, state.clone(), latch.clone());
        let (feed, messages) = mpsc::channel(QUEUE);
        #[expect(clippy::disallowed_methods, reason = "the test ends it")]
        let task = tokio::spawn(assembly.run(messages));
        Self {
            feed,
            state,
            latch,
            task,
        }
    }

    async fn tell(&self, message: Message) {
        self.feed.send(message).await.unwrap();
        // The task takes it before anything else happens.
        tokio::task::yield_now().await;
    }

    async fn listed(&self, kind: Kind) {
        self.tell(Message::Listed { kind, scope: None }).await;
    }

    /// Another plan, so that the table changes.
    async fn change(&self, number: u64) {
        let seen = Seen {
            name: Name {
                namespace: "".into(),
                name: "free".into(),
            },
            uid: "u".into(),
            version: number,
            value: Ok(Arc::new(Plan::default())),
            notes: Vec::new(),
        };
        self.tell(Message::Changed {
            kind: Kind::Plan,
            scope: None,
            change: Box::new(Change::Plan(Event::Apply(seen))),
        })
        .await;
    }

    fn version(&self) -> u64 {
        self.state.table().version
    }

    fn message(&self) -> String {
        match self.latch.readiness().get() {
            readiness::State::Ready => "ready".to_owned(),
            readiness::State::NotReady { message, .. } => message,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_answered_before_every_kind_was_listed_once() {
    let world = World::new();
    world.change(1).await;
    for kind in [Kind::Model, Kind::Slice, Kind::Key, Kind::Peer] {
        world.listed(kind).await;
    }
    tokio::time::sleep(PAUSE * 10).await;
    assert_eq!(world.version(), 0);
    assert_eq!(world.message(), "waiting for UsagePlan; the first table");
    let failed = Message::Failed {
        kind: Kind::Plan,
        scope: None,
        text: "may not list and watch usageplans.aimass.dev".to_owned(),
    };
    world.tell(failed).await;
    let text =
        "waiting for UsagePlan: may not list and watch usageplans.aimass.dev; the first table";
    assert_eq!(world.message(), text);
    world.listed(Kind::Plan).await;
    tokio::time::sleep(PAUSE).await;
    assert_eq!((world.version(), world.message()), (1, "ready".to_owned()));
    assert!(world.state.table().plans.contains_key("free"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_cluster_is_a_table_too() {
    let world = World::new();
    for kind in KINDS {
        world.listed(kind).await;
    }
    tokio::time::sleep(PAUSE).await;
    assert_eq!((world.version(), world.message()), (1, "ready".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_first_change_makes_a_table_at_once_and_a_storm_one_every_50_ms() {
    let world = World::new();
    for kind in KINDS {
        world.listed(kind).await;
    }
    tokio::time::sleep(PAUSE * 10).await;
    let before = world.version();
    world.change(1).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(world.version(), before + 1, "the first one at once");
    for number in 2..=1000 {
        world.change(number).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let tables = world.version() - before;
    assert!((18..=22).contains(&tables), "{tables} in a second");
    tokio::time::sleep(PAUSE * 2).await;
    let settled = world.version();
    tokio::time::sleep(PAUSE * 100).await;
    assert_eq!(world.version(), settled, "at rest there are no tables");
}

#[tokio::test(start_paused = true)]
async fn losing_the_api_server_changes_neither_table_nor_readiness() {
    let world = World::new();
    for kind in KINDS {
        world.listed(kind).await;
    }
    tokio::time::sleep(PAUSE).await;
    for kind in KINDS {
        let text = "failed to watch: refused".to_owned();
        world
            .tell(Message::Failed {
                kind,
                scope: None,
                text,
            })
            .await;
        // A list that begins and does not end.
        let begin = Message::Changed {
            kind: Kind::Plan,
            scope: None,
            change: Box::new(Change::Plan(Event::Init)),
        };
        world.tell(begin).await;
    }
    tokio::time::sleep(PAUSE * 10).await;
    assert_eq!((world.version(), world.message()), (1, "ready".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn gateways_are_met_once_all_of_them_are_known() {
    let world = World::new();
    world.state.limits().join("a".into(), 1);
    let member = |uid: &str| Member {
        uid: uid.into(),
        address: "10.0.0.1:8502".parse().unwrap(),
        owns: true,
    };
    let slice = |name: &str, uid: &str| {
        let seen = Seen {
            name: Name {
                namespace: "aimass-system".into(),
                name: name.into(),
            },
            uid: name.into(),
            version: 1,
            value: Ok(vec![member(uid)]),
            notes: Vec::new(),
        };
        Message::Changed {
            kind: Kind::Peer,
            scope: None,
            change: Box::new(Change::Peer(Event::Apply(seen))),
        }
    };
    world.tell(slice("one", "a")).await;
    world.tell(slice("two", "b")).await;
    tokio::time::sleep(PAUSE * 2).await;
    assert_eq!(world.state.limits().gateways(), 1);
    world.listed(Kind::Peer).await;
    tokio::time::sleep(PAUSE * 2).await;
    assert_eq!(world.state.limits().gateways(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_streams() {
    let World { feed, task, .. } = World::new();
    drop(feed);
    task.await.unwrap();
}
