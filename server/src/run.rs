//! The life of the server: ports, threads, load, signal, drain, end.
//!
//! Called by `start.rs` with a judged configuration; returns the exit code.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use aimass_chassis::admin::{self, Admin, Heartbeat};
use aimass_chassis::listener::{self, Limits, Settings};
use aimass_chassis::metrics::Registry;
use aimass_chassis::readiness::Readiness;
use aimass_chassis::shutdown::{Stop, on_signals};
use aimass_chassis::tasks::Tasks;
use aimass_chassis::traces::{Export, KeyValue, Traces};
use anyhow::Context as _;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::config::{Config, DEFAULT_PATH};
use crate::fatal::Fatal;
use crate::metrics::{Metrics, tensorflow_serving};
use crate::state::State;
use crate::{app, loader, workers};

/// Exit code when a port is taken.
const EXIT_PORT: u8 = 5;
/// What requests that are aborted at the end of the grace have to be answered.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves until a signal or a failed load.
///
/// # Errors
/// The system refuses threads or signals: a defect of the surroundings.
pub fn run(config: Config) -> anyhow::Result<u8> {
    aimass_chassis::logs::log_panics();
    let runtime = aimass_chassis::runtime::build("data", config.threads)?;
    let code = runtime.block_on(serve(config));
    // Blocking threads may still decode bodies of requests that nobody waits for.
    runtime.shutdown_background();
    code
}

async fn serve(config: Config) -> anyhow::Result<u8> {
    let Config {
        source,
        engines,
        settings,
        data,
        admin: admin_address,
        threads: _, // used by `run`
        max_connections,
        drain_delay,
        shutdown_grace,
        termination_log,
        traces,
        warnings,
    } = config;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let stop = on_signals()?;
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let connections = metrics.connections.clone();
    let readiness = Readiness::new("Loading", "the model is being loaded");
    let (reload, reloads) = mpsc::sync_channel(1);
    let engine_workers = settings.workers;
    let traces = traces.and_then(|export| start_traces(&export, &settings));
    let state = State::new(settings, readiness.clone(), metrics, reload, traces.clone());

    let heartbeat = Heartbeat::start();
    let admin = Admin {
        registry: Arc::new(registry),
        readiness,
        live: Arc::new(move || heartbeat.check()),
        extra: monitoring(state.clone()),
    };
    let Ok(_admin) = admin::start(reachable(admin_address), admin).map_err(log_port) else {
        return Ok(EXIT_PORT);
    };
    let mut listeners = Vec::new();
    for address in data {
        match listen(reachable(address)).await {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                log_port(error);
                return Ok(EXIT_PORT);
            }
        }
    }
    workers::start(engine_workers, &state).context("failed to start the engine's threads")?;
    let failure = loader::start(source, engines, state.clone(), reloads)
        .context("failed to start the loading thread")?;

    let closing = Stop::new();
    let limits = Limits {
        connections: max_connections,
        ..Limits::default()
    };
    let ports = Tasks::new();
    for listener in listeners {
        let settings = Settings {
            limits,
            // From the signal on, clients with a connection are sent to connect elsewhere.
            drain: stop.clone(),
            stop: closing.clone(),
            grace: shutdown_grace + LAST_WORDS,
            open: connections.clone(),
        };
        let serving = listener::serve_with(listener, app(state.clone()), settings);
        ports.spawn("port", serving);
    }
    tokio::select! {
        fatal = first_failure(failure) => return Ok(give_up(&fatal, &termination_log)),
        () = stop.cancelled() => {}
    }
    shut_down(&state, &closing, &ports, drain_delay, shutdown_grace).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    tracing::info!("stopped");
    Ok(0)
}

/// A model that nobody can trace is better than none: failing is for the log alone.
fn start_traces(export: &Export, settings: &crate::state::Settings) -> Option<Traces> {
    let mut attributes = vec![KeyValue::new(
        "aimass.model.name",
        settings.model_name.clone(),
    )];
    let revision = settings.revision.clone();
    attributes.extend(revision.map(|revision| KeyValue::new("aimass.revision", revision)));
    let traces = Traces::start(export, "aimass-server", attributes);
    traces
        .inspect_err(|error| {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "no traces are sent: remove --otlp-endpoint, or mend the cause"
            );
        })
        .ok()
}

/// TensorFlow Serving's series, where its users look for them.
fn monitoring(state: State) -> Router {
    let page = move || async move {
        let content_type = [(header::CONTENT_TYPE, tensorflow_serving::CONTENT_TYPE)];
        (content_type, state.monitoring_page())
    };
    Router::new().route(DEFAULT_PATH, get(page))
}

/// Pending for ever if the load succeeds.
async fn first_failure(failure: tokio::sync::oneshot::Receiver<Fatal>) -> Fatal {
    match failure.await {
        Ok(fatal) => fatal,
        Err(_) => std::future::pending().await,
    }
}

fn give_up(fatal: &Fatal, termination_log: &Path) -> u8 {
    tracing::error!(reason = fatal.reason.name(), error = %fatal, "failed to load the model");
    fatal.write_termination_log(termination_log);
    fatal.reason.exit_code()
}

/// Not ready at once; then, one after the other: no new connections, no requests at all.
async fn shut_down(
    state: &State,
    closing: &Stop,
    ports: &Tasks,
    drain_delay: Duration,
    grace: Duration,
) {
    tracing::info!("told to stop: not ready from now on");
    state.stop();
    // Load balancers learn that this server is not ready; until then requests keep coming and are served.
    tokio::time::sleep(drain_delay).await;
    closing.cancel();
    let finished = within(grace, ports.drain(grace + 2 * LAST_WORDS)).await;
    if !finished {
        tracing::warn!("the grace is over: requests in flight are aborted");
        state.abort();
        ports.drain(2 * LAST_WORDS).await;
    }
}

async fn within(limit: Duration, future: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(limit, future).await.unwrap_or(false)
}

/// All addresses where the system has no IPv6 are all of IPv4.
fn reachable(address: SocketAddr) -> SocketAddr {
    let all = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    if address.ip() == all && std::net::TcpListener::bind((all, 0)).is_err() {
        return (Ipv4Addr::UNSPECIFIED, address.port()).into();
    }
    address
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let failed = || format!("failed to listen on {address}");
    let listener = TcpListener::bind(address).await.with_context(failed)?;
    tracing::info!(%address, "listening");
    Ok(listener)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as the last step of a Result"
)]
fn log_port(error: anyhow::Error) {
    tracing::error!(error = format!("{error:#}"), "a port cannot be used");
}
