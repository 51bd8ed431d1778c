//! The only HTTP listener: connections are counted before they are accepted, and every wait for a
//! client is bounded.
//!
//! `axum::serve` is not used: it sets no timer, and hyper's own timers see neither a client that
//! sends nothing, nor half a preface, nor a stalled body, nor a reader that stops. So: `guard` notes
//! what the socket does, `phase` judges it, `connection` acts; `framing` refuses before any route;
//! `body` watches what is sent and answered; `front` puts these around the application. With TLS all of that lies above
//! the encryption: `tls` shakes hands first, in a time of its own.
//!
//! Limits of the size of bodies are the application's own layer. A connection that is upgraded goes on, in its task and
//! under its permit, with what the application leaves in `upgrade`.

mod body;
mod connection;
mod framing;
mod front;
mod guard;
mod phase;
mod tls;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use prometheus_client::metrics::gauge::Gauge;
use rustix::process::{Resource, getrlimit};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::body::TooSlow;
use self::connection::{Ends, Origin};
pub use self::tls::Secured;
pub use self::upgrade::Upgrade;
use crate::shutdown::Stop;
use crate::tasks::Tasks;

/// File descriptors that connections leave to all else: the admin port, files, other sockets.
const RESERVED_FILES: u64 = 64;
/// How long to wait after a failure to accept: mostly there is no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long to wait for the next of those whom the system connected before the end.
const LAST_CALL: Duration = Duration::from_millis(20);
/// How long connections may take to go once they are dropped.
const KILL: Duration = Duration::from_secs(1);

/// Bounds of every connection; the defaults are the product's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the handshake of TLS, where there is one.
    pub handshake: Duration,
    /// Until the first request head, or the whole HTTP/2 preface.
    pub start: Duration,
    /// From the first byte of a head to its end.
    pub head: Duration,
    /// Without a byte taken by the reader of an answer; on top of that an answer must be taken at
    /// the rate that `body_window` sets.
    pub write: Duration,
    /// Without a request.
    pub idle: Duration,
    /// For a client that was told to go, to do so; and for a head on its way when the listener ends.
    pub linger: Duration,
    /// Over each such window after the first one, a body that is waited for must bring
    /// `body_window_bytes`; else 408.
    pub body_window: Duration,
    /// See `body_window`.
    pub body_window_bytes: u64,
    /// Connections at once; further ones wait to be accepted. Never more than the process may open
    /// files, less 64.
    pub connections: usize,
    /// Bytes of a request target; else 414.
    pub target_bytes: usize,
    /// Header fields of a request; else 431.
    pub headers: usize,
    /// Bytes of all header fields; else 431.
    pub headers_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            start: Duration::from_secs(10),
            head: Duration::from_secs(10),
            write: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            linger: Duration::from_secs(1),
            body_window: Duration::from_secs(10),
            body_window_bytes: 10 << 10,
            connections: 4096,
            target_bytes: 8 << 10,
            headers: 64,
            headers_bytes: 32 << 10,
        }
    }
}

/// Tells requests of one connection from those of others: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    number: u64,
    peer: SocketAddr,
}

impl Connection {
    /// Another number for each connection of the process.
    fn next(peer: SocketAddr) -> Self {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        Self {
            number: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
            peer,
        }
    }

    /// The connection's number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// Who has connected: the client, or the last proxy before us.
    #[must_use]
    pub const fn peer(self) -> SocketAddr {
        self.peer
    }
}

/// How a listener works and how it ends.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bounds of each connection.
    pub limits: Limits,
    /// Goes on serving, but tells clients to connect anew, elsewhere: `Connection: close` with the
    /// next answer, GOAWAY. Cancelled with `stop` at the latest.
    pub drain: Stop,
    /// Accepts no more; what is in flight ends.
    pub stop: Stop,
    /// How long that may take; then all is dropped.
    pub grace: Duration,
    /// Shows how many connections are open.
    pub open: Gauge,
}

/// Serves `app` on `listener` until `stop`; then lets requests in flight finish, at most for
/// `grace`, and returns.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: Stop,
    grace: Duration,
) {
    let settings = Settings {
        limits,
        drain: stop.clone(),
        stop,
        grace,
        open: Gauge::default(),
    };
    serve_with(listener, app, settings).await;
}

/// [`serve`] with a time between the request to end and the end, and with a gauge.
pub async fn serve_with(listener: TcpListener, app: Router, settings: Settings) {
    accept_all(listener, app, settings, None).await;
}

/// [`serve_with`] behind TLS: `tls` has the certificates and says which protocols are offered.
///
/// The connections of clients that do not shake hands in time, or not at all, are closed; so are those for which there is
/// no certificate.
pub async fn serve_tls(
    listener: TcpListener,
    app: Router,
    settings: Settings,
    tls: Arc<ServerConfig>,
) {
    accept_all(listener, app, settings, Some(tls)).await;
}

async fn accept_all(
    listener: TcpListener,
    app: Router,
    settings: Settings,
    tls: Option<Arc<ServerConfig>>,
) {
    let Settings {
        limits,
        drain,
        stop,
        grace,
        open,
    } = settings;
    let permits = Arc::new(Semaphore::new(connections(limits.connections)));
    let ends = Ends {
        drain,
        stop,
        kill: Stop::new(),
    };
    let tasks = Tasks::new();
    let spawn = |accepted: Accepted, permit: OwnedSemaphorePermit| {
        let (app, ends, open) = (app.clone(), ends.clone(), Opened::new(&open));
        let tls = tls.clone();
        tasks.spawn("connection", async move {
            serve_one(accepted, app, limits, ends, tls).await;
            drop((permit, open));
        });
    };
    while let Some((accepted, permit)) = next(&listener, &permits, &ends.stop).await {
        spawn(accepted, permit);
    }
    ends.drain.cancel();
    // Whoever the system has connected already would be reset by the close: they are served.
    while let Ok(permit) = Arc::clone(&permits).try_acquire_owned()
        && let Ok(Ok(accepted)) = tokio::time::timeout(LAST_CALL, listener.accept()).await
    {
        spawn(prompt(accepted), permit);
    }
    drop(listener);
    if !tasks.drain(grace).await {
        tracing::warn!(
            connections = open.get(),
            "requests did not end within the grace"
        );
        ends.kill.cancel();
        tasks.drain(KILL).await;
    }
}

/// A connection and who is at its other end.
type Accepted = (TcpStream, SocketAddr);

/// One connection, from its handshake, if it has one, to its end.
async fn serve_one(
    (stream, peer): Accepted,
    app: Router,
    limits: Limits,
    ends: Ends,
    tls: Option<Arc<ServerConfig>>,
) {
    let connection = Connection::next(peer);
    let Some(tls) = tls else {
        let origin = Origin {
            connection,
            secured: None,
        };
        return connection::run(stream, origin, app, limits, ends).await;
    };
    if let Some((stream, secured)) = tls::accept(stream, tls, limits.handshake, &ends.kill).await {
        let origin = Origin {
            connection,
            secured: Some(secured),
        };
        connection::run(stream, origin, app, limits, ends).await;
    }
}

/// The next connection and its permit; nothing once `stop` is cancelled.
async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    stop: &Stop,
) -> Option<(Accepted, OwnedSemaphorePermit)> {
    let accept = async {
        // Before `accept`: who cannot be served waits in the system's queue, at no cost for us.
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok(accepted) => return Some((prompt(accepted), permit)),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accept).await.flatten()
}

/// The same stream, which sends small answers at once.
fn prompt((stream, peer): Accepted) -> Accepted {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to turn off the delay of small answers");
    }
    (stream, peer)
}

/// How many connections there may be: as many as wanted, unless files run out before.
fn connections(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let possible = usize::try_from(files.saturating_sub(RESERVED_FILES)).unwrap_or(usize::MAX);
    // More than a semaphore holds is as good as no bound.
    wanted.min(possible).clamp(1, Semaphore::MAX_PERMITS)
}

/// One connection in the gauge; ends when dropped, also by a panic.
struct Opened(Gauge);

impl Opened {
    fn new(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.dec();
    }
}
