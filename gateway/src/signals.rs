//! What the operator is told: how much each revision has to do, which traffic requests obey, who waits for pods, which keys are
//! used.
//!
//! The operator's leader reads `GET /signals` on the admin port; the gateway never connects to it. [`start`] takes what happened
//! from all meters, once a second, and gives it to each reader; [`Signals::wake`] tells at once who waits. A reader is a `Pending`
//! that is filled here, on the threads of the data ports, and emptied by `serve`, on the admin port's own: none waits for the
//! other. Deciders: `beat` (meters → span), `span` (spans → lines), `pending` (what comes next), `wakes` (not too often).

mod beat;
mod pending;
mod serve;
mod span;
mod wakes;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use aimass_crds::signals::is_revision;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use self::beat::{Beat, Told};
use self::pending::{Next, Pending};
pub use self::serve::{Door, PATH, routes};
use self::wakes::Wakes;
use crate::app::State;

/// Between two reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked whether requests obey another traffic by now: a rollout waits for that…
const LOOK: Duration = Duration::from_millis(100);
/// …and how long after a report there is another one for its sake.
const NEWS: Duration = Duration::from_millis(200);
/// Reports between two lists of keys, at least.
const KEYS: u32 = 60;
/// How often it is looked, at the end, whether readers have taken all.
const LAST_LOOK: Duration = Duration::from_millis(10);
/// Readers at once: the leader, its successor, and people who look.
const READERS: usize = 4;

/// Whoever reads, and what was told. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Signals(Arc<Shared>);

struct Shared {
    hub: Mutex<Hub>,
    wakes: Mutex<Wakes>,
    open: Gauge,
}

#[derive(Default)]
struct Hub {
    readers: Vec<Arc<Reader>>,
    /// What the readers were told of all models.
    told: Arc<Told>,
    /// Nobody is let in any more.
    ended: bool,
}

/// One that reads.
#[derive(Debug, Default)]
struct Reader {
    pending: Mutex<Pending>,
    changed: Notify,
}

impl Signals {
    /// Nobody reads yet; `open` shows how many do.
    #[must_use]
    pub fn new(open: Gauge) -> Self {
        Self(Arc::new(Shared {
            hub: Mutex::default(),
            wakes: Mutex::default(),
            open,
        }))
    }

    /// So many wait for a revision that has no pods. To be said as often as somebody likes, and at least once a second while there
    /// is one: it is told at once, and no more than once a second.
    pub fn wake(&self, uid: &Arc<str>, revision: &Arc<str>, queued: u32, now: Instant) {
        let go = || {
            let wakes = self.0.wakes.lock();
            let mut wakes = wakes.unwrap_or_else(PoisonError::into_inner);
            wakes.go(uid, revision, now)
        };
        if is_revision(revision) && go() {
            self.tell(|pending| pending.wake(uid, revision, queued, now));
        }
    }

    /// Tells all readers something.
    fn tell(&self, mut tell: impl FnMut(&mut Pending)) {
        let readers = self.hub().readers.clone();
        for reader in readers {
            tell(&mut reader.pending());
            reader.changed.notify_one();
        }
    }

    /// Lets one more read, if there is room; and what the others were told before the first thing that it is told.
    fn attach(&self) -> Option<(Slot, Arc<Told>)> {
        let mut hub = self.hub();
        if hub.ended || hub.readers.len() >= READERS {
            return None;
        }
        let reader = Arc::<Reader>::default();
        hub.readers.push(Arc::clone(&reader));
        self.0.open.set(count(hub.readers.len()));
        let signals = self.clone();
        Some((Slot { reader, signals }, Arc::clone(&hub.told)))
    }

    fn detach(&self, gone: &Arc<Reader>) {
        let mut hub = self.hub();
        hub.readers.retain(|reader| !Arc::ptr_eq(reader, gone));
        self.0.open.set(count(hub.readers.len()));
    }

    /// Gives what `beat` takes to all readers, and leaves those that take nothing.
    fn report(&self, state: &State, beat: &mut Beat, keys: bool, now: Instant) {
        // First what is obeyed, then the counts: see `beat`.
        let (table, obeyed) = state.obeyed();
        state.metrics().tables_held.set(count(obeyed.held));
        let span = beat.take(&table, &obeyed, now);
        // Whoever comes from here on is told all of that first.
        let readers = {
            let mut hub = self.hub();
            hub.told = beat.told();
            hub.readers.clone()
        };
        let used = match keys && !readers.is_empty() {
            true => beat::used(&table),
            false => BTreeSet::new(),
        };
        for reader in readers {
            let mut pending = reader.pending();
            pending.span(span.clone(), now);
            if !used.is_empty() {
                pending.keys(&used, now);
            }
            let left = pending.leave(now);
            drop(pending);
            reader.changed.notify_one();
            if left {
                tracing::warn!("whoever reads the signals takes nothing, and is left");
                self.detach(&reader);
            }
        }
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        // What a panic leaves behind is a list of readers, which is whole.
        self.0.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, now: Instant) -> Next {
        self.pending().next(now)
    }
}

/// A reader's place.
struct Slot {
    reader: Arc<Reader>,
    signals: Signals,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.signals.detach(&self.reader);
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Tells whoever reads what happens, until `end`.
pub fn start(state: &State, tasks: &Tasks, end: &Stop) {
    tasks.spawn("signals", report(state.clone(), end.clone()));
}

/// Tells what happens, once a second and when there is news. At the end once more, and that it is over; and waits until that was
/// taken.
async fn report(state: State, end: Stop) {
    let signals = state.signals().clone();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beat = Beat::new(now());
    let (mut settled, mut reports) = (0, 0_u32);
    while end.run_until_cancelled(looks.tick()).await.is_some() {
        let (now, news) = (now(), state.settled());
        let pause = if news == settled { INTERVAL } else { NEWS };
        if beat.age(now) < pause {
            continue;
        }
        settled = news;
        reports = reports.saturating_add(1);
        let keys = reports >= KEYS;
        if keys {
            reports = 0;
        }
        signals.report(&state, &mut beat, keys, now);
    }
    signals.report(&state, &mut beat, true, now());
    signals.hub().ended = true;
    signals.tell(|pending| pending.bye(now()));
    while !signals.hub().readers.is_empty() {
        tokio::time::sleep(LAST_LOOK).await;
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
