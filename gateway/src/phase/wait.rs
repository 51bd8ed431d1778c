//! Phase wait: a request whose pods are busy, or on their way, waits for one.
//!
//! Called by `phase` after `admit`; asks `choose`, and asks it again when the revision is not what it was. A request that waits
//! counts on its revision and holds no table. Its body is not read: who waits costs its head, and what hyper has buffered. The
//! pure part is `queue`; `line` shares it, `keeper` calls, `probe` asks pods.

mod keeper;
mod line;
mod probe;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use aimass_protocol::Error;
use axum::http::Request;
use tokio::time::{Instant, timeout_at};

use self::keeper::Post;
pub use self::line::Line;
use self::line::{Call, Entered, Guest, Seat, enter};
pub(crate) use self::probe::Prober;
use self::queue::Caps;
use super::authenticate::Caller;
use super::choose::endpoint::count;
use super::choose::lack::reason;
use super::choose::{AT_ZERO, Choice, Placed, Pods, Refused, STARTING, Wait, Wish, choose};
use super::forward::Deadline;
use super::permit::{Bound, bind};
use super::record::Record;
use super::refusal::Refusal;
use super::route::Target;
use crate::app::State;
use crate::table::{Deployment, RevisionState, Table};

/// What a body counts as whose length was not told.
const UNTOLD_BYTES: u64 = 64 << 10;
/// When those may come again who found the line full…
const LATER_BUSY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// …and those for whom no pod came in time.
const LATER_MISSING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A request that looks for a pod.
pub(super) struct Search<'a> {
    pub(super) state: &'a State,
    pub(super) head: &'a Request<()>,
    pub(super) target: &'a Target,
    pub(super) caller: &'a Caller,
    pub(super) deadline: Deadline,
    /// The length of its body, if it was told.
    pub(super) bytes: Option<u64>,
}

impl Search<'_> {
    /// Finds a pod for a request that `table` has bound, however long that may take.
    pub(super) async fn place(
        &self,
        mut table: Arc<Table>,
        mut bound: Bound,
        record: &mut Record,
    ) -> Result<(Bound, Placed), Refusal> {
        let wish = Wish::of(self.head.headers())?;
        let mut given: Option<Arc<str>> = None;
        loop {
            let wish = Wish {
                given: given.as_deref(),
                ..wish
            };
            let wait = match choose(&bound, &wish, &self.state.draw()) {
                Choice::Forward(placed) => {
                    record.given(&placed.revision, bound.pin);
                    return Ok((bound, placed));
                }
                Choice::Wait(wait) if wait.pods == Pods::Missing && !self.target.call.wakes() => {
                    let reason = why(&bound.deployment, &wait.revision.name);
                    let error = Error::not_ready(&bound.deployment.served_name, reason);
                    record.denied(Some(wait.revision));
                    return Err(error.into());
                }
                Choice::Wait(wait) => wait,
                Choice::Refuse(refused) => return Err(self.refuse(&bound, refused, record)),
            };
            record.given(&wait.revision, bound.pin);
            // It counts on its revision: whatever this table decided is seen without it.
            drop(table);
            if let Some(placed) = self.wait(&bound, &wait, record).await? {
                record.given(&placed.revision, bound.pin);
                return Ok((bound, placed));
            }
            table = self.state.table();
            let address = record.origin().address;
            bound = bind(&table, self.target, self.caller, address)?;
            record.about(&bound.deployment);
            given = Some(wait.revision.name);
        }
    }

    /// Waits for a pod; `None`: it is to choose anew.
    async fn wait(
        &self,
        bound: &Bound,
        wait: &Wait,
        record: &mut Record,
    ) -> Result<Option<Placed>, Refusal> {
        let (deployment, begun) = (&bound.deployment, Instant::now());
        let mut seat = self.enter(bound, wait, record)?;
        record.waits(begun);
        let until = record.begun() + deployment.capacity.wait;
        let called = timeout_at(until.min(self.deadline.at()), &mut seat.called).await;
        let waited = begun.elapsed();
        record.waited(waited, wait.pods);
        match called {
            Ok(Ok(Call::Go(placed))) => Ok(Some(placed)),
            // Who calls has gone without a word only if it panicked.
            Ok(Ok(Call::Again) | Err(_)) => Ok(None),
            Ok(Ok(Call::Lost)) => Err(busy(
                bound,
                wait,
                u64::from(wait.revision.live.line.count()),
            )),
            Err(_) if self.deadline.at() < until => {
                let limit = self.deadline.limit().as_millis();
                Err(Error::deadline(limit).into())
            }
            Err(_) => Err(self.late(bound, wait, record.begun().elapsed())),
        }
    }

    fn enter(&self, bound: &Bound, wait: &Wait, record: &mut Record) -> Result<Seat, Refusal> {
        let (deployment, live) = (&bound.deployment, &wait.revision.live);
        let caps = Caps {
            requests: usize::try_from(deployment.capacity.waiting).unwrap_or(usize::MAX),
            bytes: deployment.capacity.waiting_bytes,
        };
        let guest = Guest {
            caller: self.caller.holder(record.origin().address),
            bytes: self.bytes.unwrap_or(UNTOLD_BYTES),
            pinned: bound.pin.is_some(),
        };
        match enter(live, caps, guest) {
            Entered::Seated { seat, first } => {
                if first && wait.pods == Pods::Missing {
                    record.wakes();
                }
                if first {
                    let post = Post {
                        uid: Arc::clone(&deployment.uid),
                        namespace: Arc::clone(&deployment.namespace),
                        served_name: Arc::clone(&deployment.served_name),
                        revision: wait.revision.clone(),
                    };
                    keeper::start(self.state, post);
                }
                Ok(seat)
            }
            Entered::Full(entries) => {
                // Where nobody may wait, nobody else says that somebody came.
                if wait.pods == Pods::Missing {
                    self.wake(deployment, &wait.revision.name, entries);
                }
                record.denied(None);
                Err(busy(bound, wait, entries))
            }
        }
    }

    fn refuse(&self, bound: &Bound, refused: Refused, record: &mut Record) -> Refusal {
        let Refused {
            error,
            revision,
            wake,
        } = refused;
        if let Some(revision) = &revision
            && wake
        {
            self.wake(&bound.deployment, &revision.name, 0);
        }
        record.denied(revision);
        error.into()
    }

    fn wake(&self, deployment: &Deployment, revision: &Arc<str>, queued: u64) {
        let queued = u32::try_from(queued).unwrap_or(u32::MAX).max(1);
        let now = Instant::now().into_std();
        let signals = self.state.signals();
        signals.wake(&deployment.uid, revision, queued, now);
    }

    /// The time to wait is over: why, by what is known now.
    fn late(&self, bound: &Bound, wait: &Wait, waited: Duration) -> Refusal {
        let table = self.state.table();
        let then = &bound.deployment;
        let now = table.model(&then.namespace, &then.served_name);
        let deployment = now.filter(|now| now.uid == then.uid).unwrap_or(then);
        let revision = deployment.revision(&wait.revision.name);
        if revision.is_some_and(|revision| count(revision, Instant::now().into_std()) > 0) {
            return busy(bound, wait, u64::from(wait.revision.live.line.count()));
        }
        let reason = why(deployment, &wait.revision.name);
        let left = deployment.live.cold_starts().most().saturating_sub(waited);
        let (least, most) = LATER_MISSING;
        let refusal = Refusal::from(Error::not_ready(&deployment.served_name, reason));
        refusal.later(left.clamp(least, most))
    }
}

/// What is known of a revision that has no pods.
fn why<'a>(deployment: &'a Deployment, revision: &str) -> &'a str {
    match deployment.revision(revision).map(|found| &found.state) {
        Some(RevisionState::Failing(reason)) => reason,
        Some(RevisionState::AtZero) => AT_ZERO,
        Some(RevisionState::Starting) => STARTING,
        Some(RevisionState::Ready) | None => reason(deployment),
    }
}

/// The answer to those for whom there is no room among `entries` that wait.
fn busy(bound: &Bound, wait: &Wait, entries: u64) -> Refusal {
    let now = Instant::now().into_std();
    let outlook = wait.revision.live.outlook(entries, now);
    let (least, most) = LATER_BUSY;
    let refusal = Refusal::from(Error::overloaded(&bound.deployment.served_name));
    refusal.later(outlook.clamp(least, most))
}
