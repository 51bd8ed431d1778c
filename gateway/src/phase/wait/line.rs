//! Those that wait for one revision, as threads share them.
//!
//! Hangs on the revision's live state. Whoever waits holds a [`Seat`]; `keeper` calls them, and is there as long as anyone is.
//! A pod's slot that comes free is told here, which costs nothing while nobody waits.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::super::choose::Placed;
use super::queue::{Caps, Offered, Queue};
use crate::limit::Holder;
use crate::table::live::RevisionLive;

/// What somebody who waits is told.
#[derive(Debug)]
pub(super) enum Call {
    /// This pod answers.
    Go(Placed),
    /// The revision is no longer what it was: choose anew.
    Again,
    /// Another caller, who has fewer, has the place.
    Lost,
}

/// One that waits.
#[derive(Debug)]
struct Waiter {
    /// It asked for this revision.
    pinned: bool,
    call: oneshot::Sender<Call>,
}

/// Who wants to wait.
#[derive(Debug)]
pub(super) struct Guest {
    /// The caller.
    pub(super) caller: Holder,
    /// How much is kept of its request.
    pub(super) bytes: u64,
    /// It asked for this revision.
    pub(super) pinned: bool,
}

#[derive(Debug, Default)]
struct Inner {
    queue: Queue<Holder, Waiter>,
    /// Somebody calls those that wait.
    kept: bool,
}

/// Those that wait for a revision.
#[derive(Debug, Default)]
pub struct Line {
    inner: Mutex<Inner>,
    /// As many as `inner` has, to be looked at without its lock.
    count: AtomicU32,
    changed: Notify,
}

/// What becomes of a guest.
#[derive(Debug)]
pub(super) enum Entered {
    /// It waits.
    Seated {
        /// Where.
        seat: Seat,
        /// Nobody calls: whoever comes first sees to it that somebody does.
        first: bool,
    },
    /// There is no room; so many wait.
    Full(u64),
}

/// A place in the line, given back when this is dropped.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub(super) struct Seat {
    live: Arc<RevisionLive>,
    caller: Holder,
    number: u64,
    /// Where it is called.
    pub(super) called: oneshot::Receiver<Call>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let line = &self.live.line;
        let mut inner = line.lock();
        // Nothing, if it was called.
        let _left = inner.queue.leave(&self.caller, self.number);
        line.counted(&inner);
    }
}

impl Line {
    /// How many wait.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// A pod's slot is free. Called after the count on the pod has changed.
    pub fn freed(&self) {
        // Either this sees who waits, or whoever waits sees the free slot: see `Line::enter`.
        fence(Ordering::SeqCst);
        if self.count() > 0 {
            self.changed.notify_one();
        }
    }

    /// Waits for the next change: a slot that is free, or the last one has left.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Calls the one whose turn it is to `placed`. Nobody there: the slot is free again.
    pub(super) fn hand(&self, placed: Placed) {
        let mut call = Call::Go(placed);
        while let Some(waiter) = self.next() {
            match waiter.call.send(call) {
                Ok(()) => return,
                // It has just left.
                Err(back) => call = back,
            }
        }
    }

    fn next(&self) -> Option<Waiter> {
        let mut inner = self.lock();
        let next = inner.queue.next();
        self.counted(&inner);
        next
    }

    /// Lets all choose anew; `pinned`: those that asked for the revision, else the others.
    pub(super) fn dismiss(&self, pinned: bool) {
        let mut inner = self.lock();
        let waiters = inner.queue.take_all(|waiter| waiter.pinned == pinned);
        self.counted(&inner);
        drop(inner);
        for waiter in waiters {
            // Who has just left need not be told.
            let _left = waiter.call.send(Call::Again);
        }
    }

    /// Nobody calls any more, unless somebody waits.
    pub(super) fn close(&self) -> bool {
        let mut inner = self.lock();
        inner.kept = inner.queue.len() > 0;
        !inner.kept
    }

    /// Nobody calls any more, for a panic.
    pub(super) fn abandon(&self) {
        self.lock().kept = false;
    }

    fn counted(&self, inner: &Inner) {
        let count = u32::try_from(inner.queue.len()).unwrap_or(u32::MAX);
        self.count.store(count, Ordering::Relaxed);
        if count == 0 {
            // Whoever calls may go.
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A queue is whole after each step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a guest wait for a revision.
pub(super) fn enter(live: &Arc<RevisionLive>, caps: Caps, guest: Guest) -> Entered {
    let Guest {
        caller,
        bytes,
        pinned,
    } = guest;
    let (call, called) = oneshot::channel();
    let line = &live.line;
    let mut inner = line.lock();
    let waiter = Waiter { pinned, call };
    let (number, lost) = match inner.queue.offer(caps, caller.clone(), bytes, waiter) {
        Offered::Queued(number) => (number, None),
        Offered::Instead(number, lost) => (number, Some(lost)),
        Offered::Full(_) => {
            return Entered::Full(u64::try_from(inner.queue.len()).unwrap_or(u64::MAX));
        }
    };
    line.counted(&inner);
    let first = !inner.kept;
    inner.kept = true;
    if inner.queue.len() == 1 {
        // Whoever calls may have seen nobody a moment ago, and slots that came free since then were told to nobody.
        line.changed.notify_one();
    }
    drop(inner);
    // From here on slots that come free are told: whoever calls looks at the pods after this.
    fence(Ordering::SeqCst);
    if let Some(lost) = lost {
        let _left = lost.call.send(Call::Lost);
    }
    let seat = Seat {
        live: Arc::clone(live),
        caller,
        number,
        called,
    };
    Entered::Seated { seat, first }
}

#[cfg(test)]
mod tests;
