//! What other gateways ask: `POST /peer` on the admin port; and `GET /peer`, by which they learn whether they may.
//!
//! Called by `run`, which puts the routes there. Whoever asks is looked at by the doorman before a byte of a body is read: the
//! other gateways are of the same ServiceAccount as this one. A batch is decided under the lock of `limit`, in one go.

use std::sync::Arc;

use aimass_chassis::listener::Connection;
use axum::body::to_bytes;
use axum::extract::{Request, State as Extracted};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use tokio::time::Instant;

use crate::doorman::{Doorman, Refused};
use crate::limit::Limits;
use crate::limit::wire::{Batch, MAX_BYTES};
use crate::review::Identity;

/// Where batches go.
pub const PATH: &str = "/peer";

/// What the routes need.
#[derive(Clone)]
struct Door {
    limits: Limits,
    doorman: Doorman,
    /// The user that gateways are, this one too.
    gateways: Arc<str>,
}

/// The routes for other gateways, which are the user `gateways`.
pub fn routes(limits: Limits, doorman: Doorman, gateways: Arc<str>) -> Router {
    let door = Door {
        limits,
        doorman,
        gateways,
    };
    Router::new()
        .route(PATH, get(greet).post(answer))
        .with_state(door)
}

impl Door {
    async fn admit(&self, from: Connection, headers: &HeaderMap) -> Result<Arc<Identity>, Refused> {
        let address = from.peer().ip();
        self.doorman.admit(address, headers, &self.gateways).await
    }
}

async fn greet(
    Extracted(door): Extracted<Door>,
    Extension(from): Extension<Connection>,
    headers: HeaderMap,
) -> Response {
    match door.admit(from, &headers).await {
        Ok(_gateway) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn answer(
    Extracted(door): Extracted<Door>,
    Extension(from): Extension<Connection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let gateway = match door.admit(from, &head.headers).await {
        Ok(gateway) => gateway,
        Err(refused) => return refused.into_response(),
    };
    let Ok(body) = to_bytes(body, MAX_BYTES).await else {
        let text = format!("a batch must come whole and have at most {MAX_BYTES} bytes");
        return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
    };
    let batch: Batch = match serde_json::from_slice(&body) {
        Ok(batch) => batch,
        Err(error) => {
            let text = format!("a batch must be JSON as gateways of this version send it: {error}");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    if !batch.is_bounded() {
        let text = "a batch must have at most 256 questions and 4096 other entries of each kind";
        return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
    }
    // One gateway's token does not speak for another one.
    if gateway.pod().is_some_and(|uid| uid != batch.from) {
        let text = "a batch must be from the pod that the token is bound to";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let reply = {
        let mut used = door.limits.lock();
        let now = used.now(Instant::now().into_std());
        let reply = used.serve(&batch, now);
        door.limits.release(used);
        reply
    };
    Json(reply).into_response()
}
