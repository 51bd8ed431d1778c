//! Tables of these tests, where nothing of a model matters but its name, its traffic and its revisions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Access, Capacity, Deployment, Retry, Revision, RevisionState, Table};

/// A model of this name in namespace `a`, whose uid is `uid-NAME`.
pub(crate) fn model(name: &str, traffic_version: i64) -> Deployment {
    Deployment {
        uid: format!("uid-{name}").into(),
        namespace: "a".into(),
        name: name.into(),
        served_name: name.into(),
        access: Access::default(),
        request_timeout: Duration::from_secs(1),
        max_request_bytes: 1024,
        retry: Retry::Never,
        capacity: Capacity {
            per_pod: 16,
            waiting: 100,
            waiting_bytes: 64 << 20,
            wait: Duration::from_secs(30),
        },
        unready: None,
        stable: None,
        target: None,
        traffic_version,
        picks: None,
        revisions: Vec::new(),
        live: Arc::default(),
    }
}

/// A revision without pods.
pub(crate) fn revision(name: &str, number: i64) -> Revision {
    Revision {
        name: name.into(),
        number,
        weight: 0,
        state: RevisionState::Ready,
        endpoints: Vec::new(),
        live: Arc::default(),
    }
}

/// A table of these models.
pub(crate) fn table(models: Vec<Deployment>) -> Table {
    let named = |model: Deployment| (Arc::clone(&model.served_name), Arc::new(model));
    Table {
        version: 1,
        models: HashMap::from([("a".into(), models.into_iter().map(named).collect())]),
        ..Table::default()
    }
}
