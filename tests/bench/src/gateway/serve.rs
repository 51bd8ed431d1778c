//! The gateway's own code with a table made by hand: what `aimass-gateway` serves, without a cluster to learn from.
//!
//! Called by `bin/bench-gateway.rs`, and by a test in its own process.

use std::net::SocketAddr;
use std::time::Duration;

use aimass_chassis::listener::{self, Limits, Settings as Listening};
use aimass_chassis::metrics::Registry;
use aimass_chassis::shutdown::Stop;
use aimass_gateway::app::{Parts, State, app};
use aimass_gateway::config::Settings;
use aimass_gateway::limit::Bounds;
use aimass_gateway::phase::record::AccessLog;
use anyhow::Context as _;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpListener;

use super::site::Site;

/// As many as `aimass-gateway` has without other flags.
const CONNECTIONS: usize = 20_000;
/// Nobody is served after the end of a measurement.
const GRACE: Duration = Duration::from_secs(1);
/// All of the load comes from one address: its own bound would be measured and nothing else.
const BOUNDS: Bounds = Bounds {
    requests: 1_000_000_000,
    burst: 1_000_000_000,
    failures: 1_000_000_000,
    // Nobody has a token.
    token_reviews: 0,
    access_reviews: 0,
};

/// Serves `site` on `address` as `aimass-gateway` does without flags, until the process ends. Requests are told on stdout.
///
/// # Errors
/// The address cannot be used, or the system has no thread for the access log.
pub async fn run(address: SocketAddr, site: &Site) -> anyhow::Result<()> {
    let (access_log, _writer) = AccessLog::start().context("failed to start the access log")?;
    let state = state(site, access_log);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))?;
    serve(listener, state, Stop::new()).await;
    Ok(())
}

/// What all requests share, with the table of `site`.
#[must_use]
pub fn state(site: &Site, access_log: AccessLog) -> State {
    let parts = Parts {
        settings: Settings {
            access_log_sample: 1.0,
            ..Settings::default()
        },
        bounds: BOUNDS,
        certificate: None,
        traces: None,
        reviewer: None,
        access_log,
    };
    let state = State::new(parts, &mut Registry::default());
    state.swap(site.table());
    state
}

/// Serves on `listener` until `stop`.
pub async fn serve(listener: TcpListener, state: State, stop: Stop) {
    let listening = Listening {
        limits: Limits {
            connections: CONNECTIONS,
            ..Limits::default()
        },
        drain: stop.clone(),
        stop,
        grace: GRACE,
        open: Gauge::default(),
    };
    listener::serve_with(listener, app(state), listening).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;
    use crate::gateway::pod::Pod;
    use crate::gateway::site::{Caller, Limits as Allowed, Model};

    #[test]
    fn a_table_made_by_hand_answers_those_whom_it_knows() {
        let pod = Pod::start(Duration::ZERO).unwrap();
        let caller = |id, per_second| {
            let in_flight = 8;
            let limits = Allowed {
                per_second,
                in_flight,
            };
            Caller::limited(id, limits)
        };
        let (till, slow) = (caller("abcDEF123456", 1000), caller("abcDEF123457", 1));
        let mut site = Site::of(pod.address, &[&till, &slow]);
        site.models.push(Model {
            name: "broken".to_owned(),
            pods: Vec::new(),
        });
        let runtime = aimass_chassis::runtime::build("data", 1).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (access_log, _writer) = AccessLog::to(|_| {}).unwrap();
        let state = runtime.block_on(async { state(&site, access_log) });
        let stop = Stop::new();
        let ended = stop.clone();
        let serving = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            serve(listener, state, ended).await;
        });
        let mut connection = Connection::open(address).unwrap();
        let mut check = |request: &[u8], expect: u16, what: &str| {
            let status = connection.exchange(request).unwrap();
            assert_eq!(status, expect, "{what}: {}", connection.last_answer());
        };
        check(&till.request("iris", "{}"), 200, "a key");
        check(
            &till.request_with_wrong_secret("iris", "{}"),
            401,
            "a wrong secret",
        );
        check(
            &crate::connection::post("/v1/models/iris:predict", "{}"),
            401,
            "no key",
        );
        check(&till.request("broken", "{}"), 503, "a model without pods");
        check(&slow.request("iris", "{}"), 200, "the first of a second");
        check(&slow.request("iris", "{}"), 429, "the next one");
        stop.cancel();
        runtime.block_on(serving).unwrap();
    }
}
