//! One other gateway: whether it answers, what it said last, and what it still has to be told.
//!
//! Pure. Used by `peers`.

use std::collections::HashSet;
use std::net::SocketAddr;

use super::Peers;
use crate::limit::ring::Uid;
use crate::limit::{Gcra, Holder, Id};

/// Another gateway.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) address: SocketAddr,
    /// It answers.
    pub(super) up: bool,
    pub(super) failures: u32,
    /// When it said something last.
    pub(super) alive: Option<u128>,
    /// The same, when it owed nothing.
    pub(super) heard: Option<u128>,
    pub(super) view: u64,
    pub(super) boot: u64,
    pub(super) seen: u64,
    /// What was handed over to it was taken; what it hands over has come.
    pub(super) sent: bool,
    pub(super) came: bool,
    /// What is to be handed over.
    pub(crate) outgoing: Vec<(Id, Gcra, u128)>,
    /// Of whom it has to be told what is held.
    pub(crate) soiled: HashSet<Holder>,
}

impl Other {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            up: false,
            failures: 0,
            alive: None,
            heard: None,
            view: 0,
            boot: 0,
            seen: 0,
            sent: false,
            came: false,
            outgoing: Vec::new(),
            soiled: HashSet::new(),
        }
    }
}

/// The head of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) boot: u64,
    pub(crate) seq: u64,
    pub(crate) view: u64,
}

impl Peers {
    /// Another gateway says something: whether it is to be listened to, being known and not late.
    pub(crate) fn hear(&mut self, uid: &Uid, said: Said, now: u128) -> bool {
        let Some(other) = self.others.get_mut(uid) else {
            return false;
        };
        let anew = other.boot != 0 && other.boot != said.boot;
        if other.boot == said.boot && said.seq <= other.seen {
            return false;
        }
        (other.boot, other.seen, other.view) = (said.boot, said.seq, said.view);
        other.alive = Some(now);
        if anew {
            // The same pod, another process: it has forgotten everything.
            (other.came, other.sent) = (false, false);
            self.depart(uid, now);
        }
        true
    }

    /// What it had to tell is counted: it owes nothing.
    pub(crate) fn even(&mut self, uid: &Uid, now: u128) {
        if let Some(other) = self.others.get_mut(uid) {
            other.heard = Some(now);
        }
    }

    /// It has answered.
    pub(crate) fn answered(&mut self, uid: &Uid, view: u64) {
        if let Some(other) = self.others.get_mut(uid) {
            (other.up, other.failures, other.view) = (true, 0, view);
        }
    }

    /// It has not. Three times in a row, or without a connection, it is not asked until it answers a heartbeat.
    pub(crate) fn failed(&mut self, uid: &Uid, connected: bool) {
        if let Some(other) = self.others.get_mut(uid) {
            other.failures = other.failures.saturating_add(1);
            other.up &= connected && other.failures < 3;
        }
    }

    /// What it had to hand over has come.
    pub(crate) fn came(&mut self, uid: &Uid) {
        if let Some(other) = self.others.get_mut(uid) {
            other.came = true;
        }
    }

    /// What had to be handed over to it is there.
    pub(crate) fn handed(&mut self, uid: &Uid) {
        if let Some(other) = self.others.get_mut(uid) {
            other.sent = true;
            other.outgoing = Vec::new();
        }
    }
}
