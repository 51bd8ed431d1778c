//! The data ports: opened first, served when all is there, ended together.
//!
//! Called by `run`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::{self, Limits, Settings};
use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use anyhow::Context as _;
use axum::Router;
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use tokio::net::TcpListener;

/// Longer than any grace: who ends requests that take too long is [`Ports::end`].
const LISTENERS_GRACE: Duration = Duration::from_secs(2 * 3600);
/// For answers to requests that are ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A port that is open.
struct Port {
    listener: TcpListener,
    app: Router,
    tls: Option<Arc<ServerConfig>>,
}

/// All data ports.
pub(super) struct Ports {
    open: Vec<Port>,
    limits: Limits,
    connections: Gauge,
    serving: Tasks,
    /// Clients with a connection are told to connect elsewhere.
    drain: Stop,
    /// Nobody is accepted any more.
    closing: Stop,
}

impl Ports {
    /// None yet. They are served until [`Ports::end`]; from `drain` on clients are sent elsewhere.
    pub(super) fn new(max_connections: usize, connections: Gauge, drain: Stop) -> Self {
        let limits = Limits {
            connections: max_connections,
            ..Limits::default()
        };
        Self {
            open: Vec::new(),
            limits,
            connections,
            serving: Tasks::new(),
            drain,
            closing: Stop::new(),
        }
    }

    /// Listens on `address`.
    pub(super) async fn open(
        &mut self,
        address: SocketAddr,
        app: Router,
        tls: Option<Arc<ServerConfig>>,
    ) -> anyhow::Result<()> {
        let address = reachable(address);
        let failed = || format!("failed to listen on {address}");
        let listener = TcpListener::bind(address).await.with_context(failed)?;
        tracing::info!(%address, tls = tls.is_some(), "listening");
        self.open.push(Port { listener, app, tls });
        Ok(())
    }

    /// Serves what is open.
    pub(super) fn serve(&mut self) {
        for Port { listener, app, tls } in self.open.drain(..) {
            let settings = Settings {
                limits: self.limits,
                drain: self.drain.clone(),
                stop: self.closing.clone(),
                grace: LISTENERS_GRACE,
                open: self.connections.clone(),
            };
            match tls {
                Some(tls) => {
                    let serving = listener::serve_tls(listener, app, settings, tls);
                    self.serving.spawn("https", serving);
                }
                None => {
                    let serving = listener::serve_with(listener, app, settings);
                    self.serving.spawn("http", serving);
                }
            }
        }
    }

    /// Accepts no more, and returns when all requests have ended: after `grace` those that are left are ended by `abort`.
    pub(super) async fn end(self, grace: Duration, abort: impl FnOnce()) {
        self.closing.cancel();
        if !self.serving.drain(grace).await {
            tracing::warn!("the grace is over: requests in flight are ended");
            abort();
            self.serving.drain(LAST_WORDS).await;
        }
    }
}

/// All addresses where the system has no IPv6 are all of IPv4.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let all = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    if address.ip() == all && std::net::TcpListener::bind((all, 0)).is_err() {
        return (Ipv4Addr::UNSPECIFIED, address.port()).into();
    }
    address
}
