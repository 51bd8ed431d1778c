//! The connection to one other gateway: made, introduced with this gateway's token, and made anew before that token ends.
//!
//! The other side has the API server look at a token that it does not know, which takes longer than a request may wait. So a
//! connection is used only once it has been let in, and the one before serves until then: who has something to ask never waits
//! for a look at a token. Kept by `link`, which sends over it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::tasks::Tasks;
use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::PATH;
use crate::badge::Badge;

/// For a connection, and for the other side to let us in.
const CONNECT: Duration = Duration::from_secs(3);
/// After a connection that could not be made.
const AGAIN: Duration = Duration::from_millis(200);
/// After one that was not let in: the API server is asked about a token each time, or is away.
const REFUSED: Duration = Duration::from_secs(2);
/// So long before a token ends the next one is shown. The kubelet writes it when four fifths of the time are over, two minutes
/// before the end, and may take more than a minute for that.
const AHEAD: Duration = Duration::from_secs(30);
/// No connection is used for longer, however long its token lasts.
const LONGEST: Duration = Duration::from_secs(600);
/// Nor is a new one made sooner, however short it lasts.
const SHORTEST: Duration = Duration::from_secs(1);

/// The way to one other gateway.
pub(super) struct Line {
    address: SocketAddr,
    badge: Arc<Badge>,
    tasks: Tasks,
    open: watch::Sender<Option<Open>>,
}

/// A connection that was let in. It ends when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Open {
    sender: SendRequest<Full<Bytes>>,
    authorization: HeaderValue,
}

impl Line {
    /// Nothing is connected yet.
    pub(super) fn new(address: SocketAddr, badge: Arc<Badge>, tasks: Tasks) -> Self {
        Self {
            address,
            badge,
            tasks,
            open: watch::Sender::new(None),
        }
    }

    /// The connection of this moment.
    pub(super) fn current(&self) -> Option<Open> {
        self.open.borrow().clone()
    }

    /// Waits until there is one.
    pub(super) async fn opened(&self) {
        let mut open = self.open.subscribe();
        // It ends with this line alone.
        let _open = open.wait_for(Option::is_some).await;
    }

    /// The connection does not serve: another one is made.
    pub(super) fn broken(&self) {
        self.open.send_replace(None);
    }

    /// Keeps a connection, for ever.
    pub(super) async fn keep(&self) {
        let mut failing = false;
        loop {
            let pause = match timeout(CONNECT, self.connect()).await {
                Ok(Ok((open, left))) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!(peer = %self.address, "a gateway is reached again");
                    }
                    self.open.send_replace(Some(open));
                    self.wait_for_end(left).await;
                    continue;
                }
                Ok(Err(Failed::Unreached(error))) => {
                    tracing::debug!(peer = %self.address, "{error:#}");
                    AGAIN
                }
                Ok(Err(Failed::Refused(error))) => {
                    // Once, then only in passing, until it is right again.
                    match std::mem::replace(&mut failing, true) {
                        false => tracing::warn!(peer = %self.address, "{error:#}"),
                        true => tracing::debug!(peer = %self.address, "{error:#}"),
                    }
                    REFUSED
                }
                Err(_late) => {
                    tracing::debug!(peer = %self.address, "not connected in time");
                    AGAIN
                }
            };
            // What was connected before serves on, for as long as the other side allows.
            sleep(pause).await;
        }
    }

    /// Until it is time for another connection.
    async fn wait_for_end(&self, left: Duration) {
        let mut open = self.open.subscribe();
        let broken = open.wait_for(Option::is_none);
        tokio::select! {
            _ = broken => {}
            () = sleep(next_after(left)) => {}
        }
    }

    /// A connection that was let in, and how long its token lasts.
    async fn connect(&self) -> Result<(Open, Duration), Failed> {
        let now = aimass_chassis::clock::now();
        let badge = self.badge.read(now).await.map_err(Failed::Refused)?;
        let sender = self.dial().await.map_err(Failed::Unreached)?;
        let mut open = Open {
            sender,
            authorization: badge.authorization,
        };
        let greeting = open.request(Method::GET, Bytes::new());
        let greeting = greeting.map_err(Failed::Unreached)?;
        let answer = open.sender.send_request(greeting).await;
        let answer = answer.context("a gateway does not answer");
        match answer.map_err(Failed::Unreached)?.status() {
            StatusCode::NO_CONTENT => Ok((open, badge.left)),
            status => Err(Failed::Refused(anyhow::anyhow!(
                "a gateway does not let this one in, by {status}: limits are shared out between them"
            ))),
        }
    }

    async fn dial(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.context("failed to connect to a gateway")?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        self.tasks.spawn("peer-connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a gateway has ended");
            }
        });
        Ok(sender)
    }
}

/// Why there is no connection.
enum Failed {
    /// Nobody is there.
    Unreached(anyhow::Error),
    /// This gateway is not let in, or has nothing to show.
    Refused(anyhow::Error),
}

/// How long a connection is used whose token lasts for `left`.
fn next_after(left: Duration) -> Duration {
    let ahead = left.saturating_sub(AHEAD).max(left / 4);
    ahead.clamp(SHORTEST, LONGEST)
}

impl Open {
    /// Whether nothing can be sent any more.
    pub(super) fn is_over(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends `body` and waits for the answer's head.
    pub(super) async fn post(
        &mut self,
        body: Bytes,
    ) -> anyhow::Result<http::Response<hyper::body::Incoming>> {
        let request = self.request(Method::POST, body)?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        ensure!(
            answer.status() == StatusCode::OK,
            "a gateway has refused a batch with {}",
            answer.status()
        );
        Ok(answer)
    }

    fn request(&self, method: Method, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        Ok(Request::builder()
            .method(method)
            .uri(format!("http://peer{PATH}"))
            .header(AUTHORIZATION, self.authorization.clone())
            .body(Full::new(body))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_made_anew_before_its_token_ends_and_never_at_once() {
        let seconds = Duration::from_secs;
        for (left, expect) in [(600, 570), (3600, 600), (100, 70), (32, 8), (8, 2), (0, 1)] {
            assert_eq!(next_after(seconds(left)), seconds(expect), "{left}");
        }
    }
}
