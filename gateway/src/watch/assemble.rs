//! From the streams to the table: one task that owns all that is known, and swaps in a new table when something has changed.
//!
//! The first change makes a table at once; more at most every 50 ms, so that a storm of changes costs no more than that.
//! Nothing is built before every kind was listed once: a part of the objects would be answered as if the rest did not exist.
//! Started by `run`, fed by `watch`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::app::State;
use crate::run::latch::Latch;
use crate::table::build::store::Scope;
use crate::table::build::{Change, Kind, Nack, Objects};

/// Between two tables.
const PAUSE: Duration = Duration::from_millis(50);
/// Messages that may wait for this task; streams wait while it is full.
pub const QUEUE: usize = 1024;
/// Messages that one table takes in at most, so that it comes even in a storm.
const BATCH: usize = 50_000;
/// What is told again is told again only after this.
const REPEAT: Duration = Duration::from_secs(600);
/// Nacks that are remembered for that.
const REMEMBERED: usize = 10_000;

/// What is expected besides the lists.
const TABLE: &str = "the first table";

/// What a stream says.
#[derive(Debug)]
pub enum Message {
    /// Something has changed, or a list is under way.
    Changed {
        /// Of which kind.
        kind: Kind,
        /// Where.
        scope: Scope,
        /// What.
        change: Box<Change>,
    },
    /// A kind was listed to the end.
    Listed {
        /// Which.
        kind: Kind,
        /// Where.
        scope: Scope,
    },
    /// A kind cannot be watched now.
    Failed {
        /// Which.
        kind: Kind,
        /// Where.
        scope: Scope,
        /// Why, and what to do.
        text: String,
    },
}

/// All that is known, and what is made of it.
pub struct Assembly {
    objects: Objects,
    /// Streams that have not listed their kind yet.
    unlisted: HashSet<(Kind, Scope)>,
    told: HashMap<Nack, Instant>,
    state: State,
    latch: Latch,
}

impl Assembly {
    /// Nothing is known yet; `latch` expects each of `streams` from now on.
    #[must_use]
    pub fn new(streams: &[(Kind, Scope)], state: State, latch: Latch) -> Self {
        latch.expect(TABLE);
        for (kind, scope) in streams {
            latch.expect(what(*kind, scope));
        }
        Self {
            objects: Objects::default(),
            unlisted: streams.iter().cloned().collect(),
            told: HashMap::new(),
            state,
            latch,
        }
    }

    /// Keeps the table true, until all streams have ended.
    pub async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut next = Instant::now();
        while let Some(message) = messages.recv().await {
            self.take(message);
            for _ in 0..BATCH {
                match timeout_at(next, messages.recv()).await {
                    Ok(Some(message)) => self.take(message),
                    Ok(None) | Err(_) => break,
                }
            }
            self.meet();
            if self.build() {
                next = Instant::now() + PAUSE;
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Changed {
                kind,
                scope,
                change,
            } => {
                self.state.metrics().heard_of(kind);
                let nacks = self.objects.apply(&scope, *change);
                self.tell(nacks);
            }
            Message::Listed { kind, scope } => {
                self.latch.arrived(&what(kind, &scope));
                self.unlisted.remove(&(kind, scope));
            }
            Message::Failed { kind, scope, text } => {
                self.latch.missing(&what(kind, &scope), text);
            }
        }
    }

    /// Tells which gateways there are, if they are others now.
    fn meet(&mut self) {
        let peers = self.unlisted.iter().any(|(kind, _)| *kind == Kind::Peer);
        // A part of a list would take away what the rest owns.
        if peers {
            return;
        }
        if let Some(members) = self.objects.peers() {
            let state = &self.state;
            state.links().members(state.limits(), members);
        }
    }

    /// Builds a table if there is reason to; says whether it did.
    fn build(&mut self) -> bool {
        let previous = self.state.table();
        let first = previous.version == 0;
        if !self.unlisted.is_empty() || !(first || self.objects.is_changed()) {
            return false;
        }
        let begun = Instant::now();
        let (table, nacks) = self.objects.build(&previous);
        if first {
            let models: usize = table.models.values().map(HashMap::len).sum();
            tracing::info!(models, keys = table.keys.len(), "the first table is built");
        }
        self.state.swap(table);
        self.state.metrics().built(begun.elapsed());
        self.tell(nacks);
        if first {
            // Only now: whoever is let in must find the table.
            self.latch.arrived(TABLE);
        }
        true
    }

    fn tell(&mut self, nacks: Vec<Nack>) {
        if nacks.is_empty() {
            return;
        }
        let now = Instant::now();
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        for nack in nacks {
            let told = self.told.get(&nack);
            if told.is_some_and(|told| now.duration_since(*told) < REPEAT) {
                continue;
            }
            self.state.metrics().nacked();
            tracing::warn!(
                object.kind = nack.kind.name(),
                object.name = %nack.object,
                "not obeyed: {}",
                nack.text
            );
            self.told.insert(nack, now);
        }
    }
}

/// `APIKey`, or `APIKey in team-a`.
fn what(kind: Kind, scope: &Scope) -> String {
    match scope {
        None => kind.name().to_owned(),
        Some(namespace) => format!("{} in {namespace}", kind.name()),
    }
}

#[cfg(test)]
mod tests;
