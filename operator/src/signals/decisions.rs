//! `/decisions/<namespace>/<name>` on the admin port: why a model has as many pods as it has.
//!
//! Called by `context`, which puts the route there. Numbers alone: whoever may read metrics may read it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::desk::Desk;
use crate::cache::Key;

/// The route.
pub(crate) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/decisions/{namespace}/{name}", get(show))
        .with_state(desk)
}

async fn show(
    State(desk): State<Desk>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let key = Key { namespace, name };
    match desk.records(&key) {
        Some(decisions) => {
            let Key { namespace, name } = key;
            let shown = json!({"namespace": namespace, "name": name, "decisions": decisions});
            Json(shown).into_response()
        }
        None => {
            let text = "the load does not decide about such a model, or another instance leads";
            (StatusCode::NOT_FOUND, text).into_response()
        }
    }
}
