//! Whoever calls those that wait for one revision: a task that is there as long as anyone is.
//!
//! It looks at the pods whenever a slot comes free, the table changes, or a pod that was asked says that it is ready, and gives
//! each slot to the one whose turn it is. So those that wait know nothing of each other, and nobody is overtaken. While there is
//! no pod it tells the operator, and asks those that have an address. Started by `wait`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::super::choose::Named;
use super::super::choose::endpoint::{Found, find, slots};
use super::super::choose::lack::{Lack, lack};
use super::super::permit::is_suspended;
use super::probe::{self, Prober};
use crate::app::State;
use crate::table::live::RevisionLive;
use crate::table::{Deployment, Endpoint, EndpointState, Revision};

/// How often it looks where nothing tells it to: pods that failed are tried again, and the operator is told again.
const LOOK: Duration = Duration::from_secs(1);

/// The revision that is waited for.
#[derive(Debug)]
pub(super) struct Post {
    /// Of the model.
    pub(super) uid: Arc<str>,
    /// Likewise.
    pub(super) namespace: Arc<str>,
    /// Likewise: the name in addresses.
    pub(super) served_name: Arc<str>,
    pub(super) revision: Named,
}

/// Calls those that wait, until nobody does.
pub(super) fn start(state: &State, post: Post) {
    let keeper = Keeper {
        state: state.clone(),
        kept: Kept(Arc::clone(&post.revision.live)),
        post,
        missing: None,
        asked: HashSet::new(),
        round: 0,
    };
    state.tasks().spawn("wait", keeper.run());
}

/// Sees to it that somebody else can be started after a panic.
struct Kept(Arc<RevisionLive>);

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.line.abandon();
        }
    }
}

struct Keeper {
    state: State,
    post: Post,
    kept: Kept,
    /// Since when there has been no pod.
    missing: Option<Instant>,
    /// Pods that have not answered yet.
    asked: HashSet<SocketAddr>,
    /// Times that pods were asked: so that it is not always the first ones that are.
    round: usize,
}

impl Keeper {
    async fn run(mut self) {
        let (state, live) = (self.state.clone(), Arc::clone(&self.kept.0));
        let (prober, mut tables) = (state.prober(), state.tables());
        let mut answers = FuturesUnordered::new();
        let mut ask_at = Instant::now();
        loop {
            let unready = self.look();
            if live.line.close() {
                return;
            }
            let now = Instant::now();
            if now >= ask_at {
                ask_at = now + probe::PAUSE;
                for (endpoint, room) in self.next_asked(&unready, prober) {
                    answers.push(ask(prober, endpoint, room));
                }
            }
            let next = if unready.is_empty() {
                now + LOOK
            } else {
                ask_at
            };
            tokio::select! {
                () = live.line.changed() => {}
                // Of a table that is not swapped any more there is no end: the state is here.
                _ = tables.changed() => {}
                Some((endpoint, ready)) = answers.next() => {
                    self.asked.remove(&endpoint.address);
                    if ready {
                        endpoint.says_ready();
                    }
                }
                () = sleep_until(next) => {}
            }
        }
    }

    /// Calls whom it can. Returns the pods that have an address and are not ready.
    fn look(&mut self) -> Vec<Arc<Endpoint>> {
        let line = &self.kept.0.line;
        let deployment = self.deployment();
        let revision = deployment.as_deref().and_then(|model| self.revision(model));
        let (Some(deployment), Some(revision)) = (&deployment, revision) else {
            line.dismiss(true);
            line.dismiss(false);
            return Vec::new();
        };
        match self.hand_out(deployment, revision) {
            Pods::Some => self.woken(deployment),
            Pods::None => self.lacks(deployment, revision),
        }
        let unready = |endpoint: &&Arc<Endpoint>| endpoint.now() == EndpointState::NotReady;
        revision.endpoints.iter().filter(unready).cloned().collect()
    }

    /// The model as it is now, if it is the same and may be called.
    fn deployment(&self) -> Option<Arc<Deployment>> {
        let table = self.state.table();
        let found = table.model(&self.post.namespace, &self.post.served_name)?;
        let same = found.uid == self.post.uid && !is_suspended(found);
        same.then(|| Arc::clone(found))
    }

    fn revision<'a>(&self, deployment: &'a Deployment) -> Option<&'a Revision> {
        let found = deployment.revision(&self.post.revision.name)?;
        Arc::ptr_eq(&found.live, &self.kept.0).then_some(found)
    }

    /// Gives away all slots that are free; says whether there are pods at all.
    fn hand_out(&self, deployment: &Deployment, revision: &Revision) -> Pods {
        let slots = slots(deployment.capacity.per_pod, self.state.gateways());
        while revision.live.line.count() > 0 {
            match find(&[revision], None, slots, &self.state.draw()) {
                Found::Placed(placed) => revision.live.line.hand(placed),
                Found::Busy => return Pods::Some,
                Found::Nothing => return Pods::None,
            }
        }
        Pods::Some
    }

    fn woken(&mut self, deployment: &Deployment) {
        if let Some(since) = self.missing.take() {
            deployment.live.cold_starts().add(since.elapsed());
        }
    }

    /// There is no pod: those choose anew who may get another answer elsewhere.
    fn lacks(&mut self, deployment: &Deployment, revision: &Revision) {
        let (line, now) = (&revision.live.line, Instant::now());
        for pinned in [true, false] {
            match lack(deployment, revision, pinned, now.into_std()) {
                // Pods that are there were asked for; they will be ready, or their failure will have a name.
                Lack::Wait | Lack::Down => {}
                Lack::Elsewhere(_) | Lack::Failing(_) | Lack::Never(_) => line.dismiss(pinned),
            }
        }
        let queued = line.count();
        if queued > 0 {
            self.missing.get_or_insert(now);
            let signals = self.state.signals();
            signals.wake(&self.post.uid, &revision.name, queued, now.into_std());
        }
    }

    /// Those of `unready` that are asked now, each with its room.
    fn next_asked<'a>(
        &mut self,
        unready: &[Arc<Endpoint>],
        prober: &'a Prober,
    ) -> Vec<(Arc<Endpoint>, SemaphorePermit<'a>)> {
        self.round = self.round.wrapping_add(1);
        let first = self.round.checked_rem(unready.len()).unwrap_or(0);
        let in_turn = unready.iter().cycle().skip(first).take(unready.len());
        let mut asked = Vec::new();
        for endpoint in in_turn {
            if self.asked.contains(&endpoint.address) {
                continue;
            }
            let Some(room) = prober.room() else { break };
            self.asked.insert(endpoint.address);
            asked.push((Arc::clone(endpoint), room));
        }
        asked
    }
}

/// Whether there is a pod that may be given requests, be it busy.
enum Pods {
    Some,
    None,
}

async fn ask(
    prober: &Prober,
    endpoint: Arc<Endpoint>,
    _room: SemaphorePermit<'_>,
) -> (Arc<Endpoint>, bool) {
    let ready = prober.is_ready(endpoint.address).await;
    (endpoint, ready)
}
