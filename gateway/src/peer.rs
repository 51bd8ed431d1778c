//! The other gateways: what they are told and asked, and what they tell and ask.
//!
//! Thin: `limit` decides, this carries. [`Links`] has a `link` to each other gateway, over a connection that `line` keeps and
//! that shows this gateway's own token; `serve` answers theirs on the admin port, once they have shown theirs. Asked by
//! `phase::admit`, for no longer than [`DEADLINE`]; told by `watch` who there is.

mod line;
pub(crate) mod link;
mod serve;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use self::line::Line;
use self::link::Link;
pub use self::serve::{PATH, routes};
use crate::badge::Badge;
use crate::limit::wire::Ask;
use crate::limit::{Limits, Member, Outcome, Place, Uid};
use crate::metrics::fine_seconds;
use crate::phase::admit::Fate;

/// No request waits for another gateway for longer.
pub const DEADLINE: Duration = Duration::from_millis(5);
/// Before both the owner and the one before are asked once more: one of them is handing over to the other.
const PAUSE: Duration = Duration::from_micros(500);
/// Questions that wait for the next batch to a gateway; further ones are decided without it.
const QUEUE: usize = 1024;

/// A question, and who waits for the answer, if anybody does.
struct Question {
    ask: Ask,
    answer: Option<oneshot::Sender<Outcome>>,
}

/// The links to all other gateways. Cheap to clone: all clones are one. Without members there are none.
#[derive(Clone)]
pub struct Links(Arc<Shared>);

struct Shared {
    deadline: Duration,
    badge: Option<Arc<Badge>>,
    times: Histogram,
    links: Mutex<HashMap<Uid, Way>>,
    tasks: Tasks,
}

/// What is needed here of a link.
struct Way {
    address: SocketAddr,
    questions: mpsc::Sender<Question>,
    stop: Stop,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Links {
    /// There will be no other gateways.
    #[must_use]
    pub fn none() -> Self {
        Self::with(Duration::ZERO, None)
    }

    /// No other gateways yet; they will be shown `badge`, and each has `deadline` to answer: [`DEADLINE`] but in tests.
    #[must_use]
    pub fn new(badge: Badge, deadline: Duration) -> Self {
        Self::with(deadline, Some(Arc::new(badge)))
    }

    fn with(deadline: Duration, badge: Option<Arc<Badge>>) -> Self {
        Self(Arc::new(Shared {
            deadline,
            badge,
            times: fine_seconds(),
            links: Mutex::default(),
            tasks: Tasks::new(),
        }))
    }

    /// How long requests waited for other gateways.
    #[must_use]
    pub fn times(&self) -> &Histogram {
        &self.0.times
    }

    /// Talks to these gateways from now on, and to no others.
    pub fn members(&self, limits: &Limits, members: Vec<Member>) {
        limits.members(members, Instant::now().into_std());
        let others: HashMap<Uid, SocketAddr> = {
            let used = limits.lock();
            let others = used.peers.others();
            others
                .map(|(uid, other)| (Uid::clone(uid), other.address))
                .collect()
        };
        let mut links = self.lock();
        links.retain(|uid, way| others.get(uid) == Some(&way.address));
        let Some(badge) = &self.0.badge else { return };
        for (uid, address) in others {
            links
                .entry(uid)
                .or_insert_with_key(|uid| self.begin(limits, uid, address, badge));
        }
    }

    fn begin(&self, limits: &Limits, to: &Uid, address: SocketAddr, badge: &Arc<Badge>) -> Way {
        let Shared {
            deadline, tasks, ..
        } = &*self.0;
        let (questions, asked) = mpsc::channel(QUEUE);
        let link = Link {
            to: Uid::clone(to),
            deadline: *deadline,
            limits: limits.clone(),
            asked,
        };
        let line = Line::new(address, Arc::clone(badge), tasks.clone());
        let stop = Stop::new();
        let way = Way {
            address,
            questions,
            stop: stop.clone(),
        };
        tasks.spawn("peer", async move {
            stop.run_until_cancelled(link.run(line)).await;
        });
        way
    }

    /// Asks who owns the holder, and while things move also who did before.
    pub(crate) async fn ask(&self, limits: &Limits, ask: Ask, begun: Instant) -> Fate {
        let asked = Instant::now();
        let fate = self.ask_until(limits, ask, begun).await;
        let took = asked.elapsed().as_secs_f64();
        self.0.times.observe(took);
        fate
    }

    async fn ask_until(&self, limits: &Limits, ask: Ask, begun: Instant) -> Fate {
        let deadline = begun + self.0.deadline;
        let mut round = 0;
        loop {
            let now = Instant::now();
            let to = {
                let mut used = limits.lock();
                let now = used.now(now.into_std());
                match used.peers.place(&ask.holder, now) {
                    Place::Here { .. } => return Fate::Here,
                    Place::Lost { .. } => return Fate::Lost,
                    Place::There => used.peers.whom(&ask.holder, round, now).cloned(),
                }
            };
            let (answer, answered) = oneshot::channel();
            let question = Question {
                ask: ask.clone(),
                answer: Some(answer),
            };
            let Some(to) = to.filter(|_| now < deadline) else {
                return Fate::Lost;
            };
            if !self.send(&to, question) {
                return Fate::Lost;
            }
            match timeout_at(deadline, answered).await {
                Ok(Ok(Outcome::NotOwner)) => {}
                Ok(Ok(outcome)) => return Fate::Said(outcome),
                // Too late, or the link has failed.
                Ok(Err(_)) | Err(_) => return Fate::Lost,
            }
            if round % 2 == 1 {
                sleep(PAUSE).await;
            }
            round += 1;
        }
    }

    /// Asks for requests that will come. Nobody waits.
    pub(crate) fn fetch_ahead(&self, limits: &Limits, ask: Ask) {
        let to = {
            let mut used = limits.lock();
            let now = used.now(Instant::now().into_std());
            used.peers.whom(&ask.holder, 0, now).cloned()
        };
        if let Some(to) = to {
            let question = Question { ask, answer: None };
            // Without room for it the next request asks for itself.
            let _sent = self.send(&to, question);
        }
    }

    fn send(&self, to: &Uid, question: Question) -> bool {
        let links = self.lock();
        let way = links.get(to);
        way.is_some_and(|way| way.questions.try_send(question).is_ok())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uid, Way>> {
        self.0.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Links").finish_non_exhaustive()
    }
}
