//! The model server: loads one ONNX model and speaks the prediction protocols.
//!
//! It talks to nobody: not to Kubernetes, not to a store. The same binary's `fetch` role brings files of remote sources.
//!
//! Start: [`start`], [`args`] → [`config`] → [`run`], [`fetch`] or [`inspect`]. A model: [`files`] → [`check`] → [`engine`] → [`model`], told by [`load`] on
//! the thread of [`loader`]; measured and tidied up by [`keeper`]. A request: [`app`] → [`routes`] → [`queue`] (by [`admission`], [`batch`]) → [`workers`].
//! What all requests share is [`state`]. Without Kubernetes: [`versions`] decides, [`loader`] follows them, [`history`] tells.

pub mod admission;
pub mod args;
pub mod batch;
pub mod check;
pub mod config;
pub mod cpu;
pub mod engine;
pub mod fatal;
pub mod fetch;
pub mod files;
pub mod history;
pub mod inspect;
pub mod keeper;
pub mod labels;
pub mod load;
pub mod loader;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod queue;
pub mod routes;
pub mod rows;
pub mod run;
pub mod shapes;
pub mod start;
pub mod state;
pub mod versions;
pub mod workers;

/// The API of both data ports.
pub fn app(state: state::State) -> axum::Router {
    axum::Router::new()
        .fallback(routes::answer)
        .with_state(state)
}
