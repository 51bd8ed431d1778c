//! The admin port: probes and metrics on a thread of their own, so that they answer while all else
//! is saturated. Started by every `main`; what it shows is shared with the rest of the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::watch;

use crate::listener::{self, Limits};
use crate::metrics::{self, Registry};
use crate::readiness::{self, Readiness};
use crate::shutdown::Stop;

/// How long the data runtime may be silent before `/livez` fails.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(10);

/// Probes and scrapes are few, and so are other gateways; their connections must not use up the process's files.
const CONNECTIONS: usize = 256;
/// Whoever reads here is near: for so long nothing of an answer need be taken.
const WRITE: Duration = Duration::from_secs(5);
/// How long an answer under way may take when the process ends.
const GRACE: Duration = Duration::from_secs(1);

/// Says whether the process is alive, or what is wrong.
pub type Live = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the admin port shows.
#[derive(Clone)]
pub struct Admin {
    /// `/metrics`.
    pub registry: Arc<Registry>,
    /// `/readyz`.
    pub readiness: Readiness,
    /// `/livez`.
    pub live: Live,
    /// More routes of the process's own.
    pub extra: Router,
}

/// Stops the admin port when dropped.
#[derive(Debug)]
pub struct Handle {
    stop: Stop,
    /// The address that is listened on (with the real port where 0 was asked for).
    pub address: SocketAddr,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Listens on `address` and answers until the handle is dropped.
///
/// # Errors
/// The port is taken, or the system gives no thread.
pub fn start(address: SocketAddr, admin: Admin) -> anyhow::Result<Handle> {
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("failed to listen on the admin port {address}"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let stop = Stop::new();
    let stopped = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!(%error, "failed to serve the admin port"),
                };
                let limits = Limits {
                    connections: CONNECTIONS,
                    write: WRITE,
                    ..Limits::default()
                };
                listener::serve(listener, routes(admin), limits, stopped, GRACE).await;
            });
        })?;
    Ok(Handle { stop, address })
}

/// A beat of the data runtime, watched from the admin thread.
#[derive(Clone, Debug)]
pub struct Heartbeat(watch::Receiver<Duration>);

impl Heartbeat {
    /// Starts beating once a second on the current runtime.
    #[must_use]
    pub fn start() -> Self {
        let (sender, receiver) = watch::channel(crate::clock::boottime());
        crate::tasks::spawn_detached("heartbeat", async move {
            while !sender.is_closed() {
                sender.send_replace(crate::clock::boottime());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        Self(receiver)
    }

    /// Whether the runtime has beaten within the last 10 s.
    ///
    /// # Errors
    /// It has not: for how long.
    pub fn check(&self) -> Result<(), String> {
        judge(*self.0.borrow(), crate::clock::boottime())
    }
}

/// Whether a beat is fresh enough at `now`.
fn judge(beat: Duration, now: Duration) -> Result<(), String> {
    match now.saturating_sub(beat) {
        silent if silent > HEARTBEAT_LIMIT => Err(format!(
            "the main loop has not run for {} s",
            silent.as_secs()
        )),
        _ => Ok(()),
    }
}

fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .with_state(admin.clone())
        .merge(admin.extra)
}

async fn livez(State(admin): State<Admin>) -> Response {
    match (admin.live)() {
        Ok(()) => (StatusCode::OK, "ok").into_response(),
        Err(message) => (StatusCode::SERVICE_UNAVAILABLE, message).into_response(),
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.readiness.get() {
        readiness::State::Ready => Json(serde_json::json!({"ready": true})).into_response(),
        readiness::State::NotReady { reason, message } => {
            let body = serde_json::json!({"ready": false, "reason": reason, "message": message});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn show_metrics(State(admin): State<Admin>) -> Response {
    // Beside this thread: thousands of series take longer than others on this port may have to wait.
    let encode = move || metrics::encode(&admin.registry);
    match tokio::task::spawn_blocking(encode).await {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        // It panicked, which is logged.
        Err(_panic) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_misses_ten_seconds_is_not_alive() {
        let at = Duration::from_secs;
        assert_eq!(judge(at(100), at(100)), Ok(()));
        assert_eq!(judge(at(100), at(110)), Ok(()));
        assert_eq!(judge(at(101), at(100)), Ok(()));
        let dead = Err("the main loop has not run for 11 s".to_owned());
        assert_eq!(judge(at(100), at(111)), dead);
    }
}
