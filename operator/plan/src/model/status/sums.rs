//! How many pods there are after the writes.
//!
//! Pure. Called by `status`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::facts::{self, Pods};
use crate::model::outlook::Decided;
use crate::model::planned::Applied;

/// Pods by revision and in all.
pub(super) struct Sums {
    /// Pods there are.
    pub(super) replicas: i32,
    /// Pods that are ready.
    pub(super) ready: i32,
    revisions: BTreeMap<String, (Pods, Option<Timestamp>)>,
}

impl Sums {
    pub(super) fn of(name: &str, decided: &Decided, applied: &Applied) -> Self {
        let children = &applied.children;
        let revisions: BTreeMap<String, (Pods, Option<Timestamp>)> = decided
            .revisions
            .iter()
            .map(|revision| {
                let child = format!("{name}-{}", revision.name);
                let pods = children
                    .deployments
                    .get(&child)
                    .map(facts::of)
                    .unwrap_or_default();
                let memory = children.controller_revisions.get(&child);
                let created = memory.and_then(|memory| memory.metadata.creation_timestamp.as_ref());
                (revision.name.clone(), (pods, created.map(|time| time.0)))
            })
            .collect();
        Self {
            replicas: revisions.values().map(|(pods, _)| pods.present).sum(),
            ready: revisions.values().map(|(pods, _)| pods.ready).sum(),
            revisions,
        }
    }

    pub(super) fn of_revision(&self, revision: &str) -> Pods {
        self.revisions
            .get(revision)
            .map(|(pods, _)| *pods)
            .unwrap_or_default()
    }

    pub(super) fn created(&self, revision: &str) -> Option<Timestamp> {
        self.revisions
            .get(revision)
            .and_then(|(_, created)| *created)
    }
}
