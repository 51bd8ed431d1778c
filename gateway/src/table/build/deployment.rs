//! A model and its EndpointSlices → what callers meet.
//!
//! Pure. Called by `table::build` for each model that changed itself, or whose endpoints did.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cut::{Model, Slice};
use super::store::{Held, Name};
use crate::table::{Deployment, Endpoint, EndpointState, Revision};

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
    let mut numbered = numbered(&model.value, slices);
    if numbered.len() > REVISIONS {
        let text = format!(
            "has {} revisions; the newest {REVISIONS} are routed",
            numbered.len()
        );
        notes.push(text);
        numbered.truncate(REVISIONS);
    }
    let mut room = ENDPOINTS;
    let mut all = 0_usize;
    let mut revisions = Vec::with_capacity(numbered.len());
    for (revision, number) in numbered {
        let pods = pods(&revision, slices);
        all = all.saturating_add(pods.len());
        let known = before.and_then(|before| known(before, &revision));
        let endpoints: Vec<_> = pods
            .into_iter()
            .take(room)
            .map(|(address, state)| endpoint(address, state, known))
            .collect();
        room = room.saturating_sub(endpoints.len());
        revisions.push(Revision {
            name: revision,
            number,
            endpoints,
            live: known.map_or_else(Arc::default, |known| Arc::clone(&known.live)),
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
        unready,
        stable,
        traffic_version,
        revisions: _,
    } = &model.value;
    let deployment = Deployment {
        uid: Arc::clone(&model.uid),
        namespace: Arc::clone(&name.namespace),
        name: Arc::clone(&name.name),
        served_name: Arc::clone(served_name),
        access: access.clone(),
        request_timeout: *request_timeout,
        max_request_bytes: *max_request_bytes,
        retry: *retry,
        unready: unready.clone(),
        stable: *stable,
        traffic_version: *traffic_version,
        revisions,
        live: before.map_or_else(Arc::default, |before| Arc::clone(&before.live)),
    };
    (deployment, notes)
}

/// The revisions that `status` names or that have pods, the newest first. `status` may lag behind: a revision whose number it
/// has not told yet counts as the oldest, with number 0.
fn numbered(model: &Model, slices: &[&Slice]) -> Vec<(Arc<str>, i64)> {
    let with_pods = slices.iter().filter(|slice| !slice.endpoints.is_empty());
    let mut numbers: BTreeMap<Arc<str>, i64> = with_pods
        .map(|slice| (Arc::clone(&slice.revision), 0))
        .collect();
    let named = |(name, number): &(Arc<str>, i64)| (Arc::clone(name), *number);
    numbers.extend(model.revisions.iter().map(named));
    let mut numbered: Vec<_> = numbers.into_iter().collect();
    numbered.sort_by_key(|(_, number)| Reverse(*number));
    numbered
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

fn known<'a>(before: &'a Deployment, name: &Arc<str>) -> Option<&'a Revision> {
    let mut revisions = before.revisions.iter();
    revisions.find(|revision| revision.name == *name)
}

fn endpoint(address: SocketAddr, state: EndpointState, known: Option<&Revision>) -> Arc<Endpoint> {
    // Sorted by address, as this function's callers leave them.
    let before = known.and_then(|revision| {
        let endpoints = &revision.endpoints;
        let at = endpoints.binary_search_by_key(&address, |endpoint| endpoint.address);
        endpoints.get(at.ok()?)
    });
    match before {
        Some(before) if before.state == state => Arc::clone(before),
        other => Arc::new(Endpoint {
            address,
            state,
            live: other.map_or_else(Arc::default, |before| Arc::clone(&before.live)),
        }),
    }
}
