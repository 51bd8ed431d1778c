//! What other gateways ask: `POST /peer` on the admin port.
//!
//! Called by `run`, which puts the routes there. A batch is decided under the lock of `limit`, in one go.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Extracted};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use tokio::time::Instant;

use crate::limit::Limits;
use crate::limit::wire::{Batch, MAX_BYTES};

/// Where batches go.
pub const PATH: &str = "/peer";

/// The route for other gateways.
pub fn routes(limits: Limits) -> Router {
    Router::new()
        .route(PATH, post(answer))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(limits)
}

async fn answer(Extracted(limits): Extracted<Limits>, body: Bytes) -> Response {
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
    let mut used = limits.lock();
    let now = used.now(Instant::now().into_std());
    let reply = used.serve(&batch, now);
    limits.release(used);
    Json(reply).into_response()
}
