//! Health as the Open Inference Protocol has it, on the data ports. Probes use the admin port.
//!
//! Called by `v2`. These 503 bodies alone have other keys than `error`.

use aimass_protocol::v2::{health_live_document, health_ready_document, model_ready_document};
use aimass_protocol::{Error, Kind};

use super::record::Trace;
use super::reply::Reply;
use crate::state::{Slot, State};

/// `GET /v2/health/live`
pub(super) fn live(trace: &mut Trace) -> Reply {
    trace.method("ready");
    Reply::json(health_live_document())
}

/// `GET /v2/health/ready`
pub(super) fn ready(state: &State, trace: &mut Trace) -> Reply {
    trace.method("ready");
    let error = problem(state);
    finish(
        Reply::json(health_ready_document(error.as_ref())),
        error.as_ref(),
    )
}

/// `GET /v2/models/{m}/ready`
pub(super) fn model_ready(state: &State, trace: &mut Trace) -> Reply {
    trace.method("ready");
    let error = problem(state);
    let body = model_ready_document(&state.settings().model_name, error.as_ref());
    finish(Reply::json(body), error.as_ref())
}

/// Why requests should not be sent here, if so.
pub(super) fn problem(state: &State) -> Option<Error> {
    let not_ready = |reason| Some(Error::not_ready(&state.settings().model_name, reason));
    match state.slot() {
        _ if state.is_stopping() => not_ready("Draining"),
        Slot::Loading => not_ready("Loading"),
        Slot::Quarantined => not_ready("Quarantined"),
        Slot::Ready(_) => None,
    }
}

fn finish(reply: Reply, error: Option<&Error>) -> Reply {
    if error.is_some() {
        reply.failed(Kind::NotReady)
    } else {
        reply
    }
}
