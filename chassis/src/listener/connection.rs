//! One connection from accept to close: hyper on a guarded socket, the verdicts of `phase`, the ends
//! that come from outside, and what an upgrade goes on with. Spawned by `serve`.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::front::Front;
use super::guard::{Activity, Guard, Reset};
use super::phase::{Breach, Facts, Verdict};
use super::tls::Secured;
use super::upgrade::Upgrade;
use super::{Connection, Limits};
use crate::shutdown::Stop;

/// The ways in which connections are ended from outside, each later than the one before.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    /// The answer under way is the connection's last.
    pub(super) drain: Stop,
    /// Nothing new is begun.
    pub(super) stop: Stop,
    /// All is dropped.
    pub(super) kill: Stop,
}

/// Where the requests of a connection come from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) connection: Connection,
    /// What was agreed in the handshake; nothing without TLS.
    pub(super) secured: Option<Secured>,
}

/// A stream that HTTP is spoken on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Reset + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin + Send + 'static> Stream for S {}

/// Serves `stream` until one side ends it.
pub(super) async fn run(
    stream: impl Stream,
    origin: Origin,
    app: Router,
    limits: Limits,
    ends: Ends,
) {
    let activity = Activity::new();
    let upgrade = Upgrade::new(ends.drain.clone(), activity.clone());
    let front = Front {
        app,
        limits,
        origin,
        activity: activity.clone(),
        drain: ends.drain.clone(),
        upgrade: upgrade.clone(),
    };
    serve_http(stream, front, &ends).await;
    let Some(mut work) = upgrade.take() else {
        return;
    };
    tokio::select! {
        () = &mut work => {}
        () = ends.kill.cancelled() => {
            activity.reset();
            tracing::debug!("an upgraded connection did not end within the grace");
        }
    }
}

/// Speaks HTTP until one side ends it or an upgrade takes the socket.
async fn serve_http(stream: impl Stream, front: Front, ends: &Ends) {
    let (activity, limits) = (front.activity.clone(), front.limits);
    let front = Arc::new(front);
    let service = service_fn(|request| {
        let in_flight = front.activity.begin();
        Arc::clone(&front).answer(request, in_flight)
    });
    let builder = builder(&limits);
    let io = TokioIo::new(Guard::new(stream, activity.clone()));
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut watch = Watch::new(activity.clone(), limits);
    let (mut drained, mut stopped) = (false, false);
    loop {
        tokio::select! {
            // Hyper first: the watch then judges what this very poll has changed.
            biased;
            ended = connection.as_mut() => return note(ended.err()),
            breach = poll_fn(|context| watch.poll(context)) => match breach {
                Breach::Idle => {
                    connection.as_mut().graceful_shutdown();
                    activity.with(|facts| facts.close(Instant::now()));
                }
                Breach::Write => {
                    activity.reset();
                    return tracing::debug!(?breach, "a connection is reset");
                }
                Breach::Start | Breach::Head | Breach::Close => {
                    return tracing::debug!(?breach, "a connection is closed");
                }
            },
            () = ends.drain.cancelled(), if !drained => {
                drained = true;
                // HTTP/1 is told by the header of its next answer: closing an idle connection
                // could cross a request.
                if activity.with(|facts| facts.is_http2()) {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = ends.stop.cancelled(), if !stopped => {
                stopped = true;
                activity.with(|facts| facts.stop(Instant::now()));
                // Hyper would drop a head that has begun; its answer closes the connection.
                if !activity.with(|facts| Facts::awaits_head(facts)) {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = ends.kill.cancelled() => {
                activity.reset();
                return tracing::debug!("a connection did not end within the grace");
            }
        }
    }
}

fn note(failure: Option<Box<dyn Error + Send + Sync>>) {
    if let Some(error) = failure {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Wakes when a bound is exceeded. Must be polled after hyper: it looks at the facts every time.
struct Watch {
    activity: Activity,
    limits: Limits,
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    fn new(activity: Activity, limits: Limits) -> Self {
        let timer = Box::pin(tokio::time::sleep(limits.start));
        Self {
            activity,
            limits,
            timer,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Breach> {
        loop {
            let until = match self.activity.judge(&self.limits) {
                Verdict::Over(breach) => return Poll::Ready(breach),
                Verdict::Wait(until) => until,
            };
            // Too early is only one look too many; to reset for each request would cost more.
            if until < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(until);
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The second line behind the guard; it also counts idle time.
        .header_read_timeout(limits.idle + limits.head)
        .max_headers(limits.headers)
        .max_buf_size(limits.target_bytes + limits.headers_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(16 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(64 << 10)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
