//! A model and its EndpointSlices → what callers meet.
//!
//! Pure. Called by `table::build` for each model that changed itself, or whose endpoints did.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::cut::{Known, Model, Slice};
use super::store::{Held, Name};
use crate::table::live::{EndpointLive, RevisionLive};
use crate::table::{Deployment, Endpoint, EndpointState, Picks, Revision, RevisionState};

/// Revisions of one model at most.
const REVISIONS: usize = 10;
/// Pods of one model at most.
const ENDPOINTS: usize = 2_000;

/// The deployment of `model`, and what of it is left aside. What changes with every request is taken over from `before`, the
/// same model in the last table: a pod is known by its revision and its address.
#[must_use]
pub fn join(
    name: &Name,
    model: &Held<Model>,
    slices: &[&Slice],
    before: Option<&Deployment>,
) -> (Deployment, Vec<String>) {
    let mut notes = Vec::new();
    let mut all_revisions = known(&model.value, slices);
    if all_revisions.len() > REVISIONS {
        let text = format!(
            "has {} revisions; the newest {REVISIONS} are routed",
            all_revisions.len()
        );
        notes.push(text);
        // Those that are to get requests before those that have just been left over.
        all_revisions.sort_by_key(|known| (known.weight == 0, Reverse(known.number)));
        all_revisions.truncate(REVISIONS);
        all_revisions.sort_by_key(|known| Reverse(known.number));
    }
    let mut room = ENDPOINTS;
    let mut all = 0_usize;
    let mut revisions = Vec::with_capacity(all_revisions.len());
    for Known {
        name,
        number,
        state,
        weight,
    } in all_revisions
    {
        let pods = pods(&name, slices);
        all = all.saturating_add(pods.len());
        let before = before.and_then(|before| before.revision(&name));
        let live = before.map_or_else(Arc::default, |before| Arc::clone(&before.live));
        let endpoints: Vec<_> = pods
            .into_iter()
            .take(room)
            .map(|pod| endpoint(pod, before, &live))
            .collect();
        room = room.saturating_sub(endpoints.len());
        revisions.push(Revision {
            name,
            number,
            weight,
            state,
            endpoints,
            live,
        });
    }
    if all > ENDPOINTS {
        notes.push(format!("has {all} pods; {ENDPOINTS} are routed"));
    }
    let Model {
        created: _,
        deleted: _,
        served_name,
        access,
        request_timeout,
        max_request_bytes,
        retry,
        capacity,
        unready,
        stable,
        target,
        traffic_version,
        revisions: _,
    } = &model.value;
    let weights: Vec<u8> = revisions.iter().map(|revision| revision.weight).collect();
    let deployment = Deployment {
        uid: Arc::clone(&model.uid),
        namespace: Arc::clone(&name.namespace),
        name: Arc::clone(&name.name),
        served_name: Arc::clone(served_name),
        access: access.clone(),
        request_timeout: *request_timeout,
        max_request_bytes: *max_request_bytes,
        retry: *retry,
        capacity: *capacity,
        unready: unready.clone(),
        stable: *stable,
        target: *target,
        traffic_version: *traffic_version,
        picks: Picks::lay_out(&weights),
        revisions,
        live: before.map_or_else(Arc::default, |before| Arc::clone(&before.live)),
    };
    (deployment, notes)
}

/// The revisions that `status` names or that have pods, the newest first. `status` may lag behind: a revision that it has not
/// told of yet counts as the oldest, with number 0.
fn known(model: &Model, slices: &[&Slice]) -> Vec<Known> {
    let with_pods = slices.iter().filter(|slice| !slice.endpoints.is_empty());
    let untold = |slice: &&Slice| Known {
        name: Arc::clone(&slice.revision),
        number: 0,
        state: RevisionState::Starting,
        weight: 0,
    };
    let all = with_pods.map(untold).chain(model.revisions.iter().cloned());
    // Whoever comes last of one name stays.
    let known: BTreeMap<Arc<str>, Known> =
        all.map(|known| (Arc::clone(&known.name), known)).collect();
    let mut known: Vec<Known> = known.into_values().collect();
    known.sort_by_key(|known| Reverse(known.number));
    known
}

/// The pods of a revision. A pod may be in two slices while it is moved from one to the other: the better word counts.
fn pods(revision: &Arc<str>, slices: &[&Slice]) -> BTreeMap<SocketAddr, EndpointState> {
    let mut pods = BTreeMap::new();
    let own = slices.iter().filter(|slice| slice.revision == *revision);
    for (address, state) in own.flat_map(|slice| &slice.endpoints) {
        let best = pods.entry(*address).or_insert(*state);
        if rank(*state) < rank(*best) {
            *best = *state;
        }
    }
    pods
}

const fn rank(state: EndpointState) -> u8 {
    match state {
        EndpointState::Ready => 0,
        EndpointState::Serving => 1,
        EndpointState::NotReady => 2,
    }
}

fn endpoint(
    (address, state): (SocketAddr, EndpointState),
    before: Option<&Revision>,
    revision: &Arc<RevisionLive>,
) -> Arc<Endpoint> {
    // Sorted by address, as this function's callers leave them.
    let before = before.and_then(|revision| {
        let endpoints = &revision.endpoints;
        let at = endpoints.binary_search_by_key(&address, |endpoint| endpoint.address);
        endpoints.get(at.ok()?)
    });
    match before {
        Some(before) if before.state == state => Arc::clone(before),
        other => Arc::new(Endpoint {
            address,
            state,
            found: AtomicBool::new(false),
            live: match other {
                Some(before) => Arc::clone(&before.live),
                None => Arc::new(EndpointLive::of(revision)),
            },
        }),
    }
}
