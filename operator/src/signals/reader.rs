//! One gateway, read line by line as long as it is live: connected, checked, connected anew.
//!
//! Reads only. A task of `signals` for each live gateway. Whatever is wrong with a line ends the
//! connection, is counted and changes nothing; what was heard before stays.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::logs::chain;
use aimass_crds::signals::CONTENT_TYPE;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use http::header::{AUTHORIZATION, CONTENT_TYPE as TYPE, HOST};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::broken::Broken;
use super::check::{self, Place, Told};
use super::lines::Lines;
use super::{decide, review, token};
use crate::context::Context;

/// Where gateways tell.
const PATH: &str = "/signals";
/// For a connection, and for the head of the answer: the gateway asks the API server about our token.
const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(5);
/// For a whole line. There is one each second.
const LINE: Duration = Duration::from_secs(5);
/// No connection is read for longer: gateways end them after ten minutes, as long as tokens last.
const LONGEST: Duration = Duration::from_secs(660);
/// Before another connection: at first, and at most; twice as long after each that did not last.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// Whom to read.
pub(super) struct Reader {
    pub(super) ctx: Arc<Context>,
    /// Uid of its pod.
    pub(super) gateway: Arc<str>,
    pub(super) address: SocketAddr,
    /// Where this operator's token is.
    pub(super) token_file: PathBuf,
}

impl Reader {
    /// Reads it, for ever.
    pub(super) async fn keep(self) {
        let (mut pause, mut failing) = (FIRST, false);
        loop {
            let begun = Instant::now();
            let read = AssertUnwindSafe(Box::pin(self.connection())).catch_unwind();
            let outcome = read.await.unwrap_or(Err(Broken::Panicked));
            self.ctx.signals.disconnected(&self.gateway);
            let lasted = begun.elapsed() > MOST;
            if lasted {
                (pause, failing) = (FIRST, false);
            }
            if let Err(broken) = outcome {
                self.ctx.metrics.signals_broken(broken.reason());
                self.tell(&broken, std::mem::replace(&mut failing, true));
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(MOST);
        }
    }

    /// Once, then only in passing, until it lasts again.
    fn tell(&self, broken: &Broken, again: bool) {
        let (gateway, reason) = (&*self.gateway, broken.reason());
        if again {
            debug!(gateway.pod = gateway, gateway.address = %self.address, reason, "{}", chain(broken));
        } else {
            warn!(gateway.pod = gateway, gateway.address = %self.address, reason, "{}", chain(broken));
        }
    }

    /// One connection, until the gateway says that it ends.
    async fn connection(&self) -> Result<(), Broken> {
        let authorization = token::authorization(&self.token_file).await?;
        let stream = timeout(CONNECT, TcpStream::connect(self.address)).await;
        let stream = stream
            .map_err(|_late| Broken::Unanswered)?
            .map_err(Broken::Unreached)?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Broken::Talk)?;
        let reading = Box::pin(self.read(sender, authorization));
        let both = async {
            match select(reading, Box::pin(connection)).await {
                Either::Left((outcome, _)) => outcome,
                // What came before its end is still to be read.
                Either::Right((_, reading)) => reading.await,
            }
        };
        timeout(LONGEST, both).await.unwrap_or(Err(Broken::Overdue))
    }

    async fn read(
        &self,
        mut sender: SendRequest<Empty<Bytes>>,
        authorization: HeaderValue,
    ) -> Result<(), Broken> {
        let request = Request::get(PATH)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, authorization)
            .body(Empty::new())
            .expect("the path is a constant, and headers are values already");
        let answer = timeout(ANSWER, sender.send_request(request)).await;
        let answer = answer
            .map_err(|_late| Broken::Unanswered)?
            .map_err(Broken::Talk)?;
        check_head(&answer)?;
        self.lines(Lines::new(answer.into_body())).await
    }

    async fn lines(&self, mut lines: Lines<Incoming>) -> Result<(), Broken> {
        let hello = check::hello(next(&mut lines).await?, &self.gateway)?;
        let is_it = review::is_of(&self.ctx, &hello.token, &self.gateway).await;
        if !is_it.map_err(Broken::Unreviewed)? {
            return Err(Broken::Stranger);
        }
        let (desk, gateway) = (&self.ctx.signals, &*self.gateway);
        desk.connected(gateway);
        info!(gateway.pod = gateway, gateway.address = %self.address, "reads a gateway's signals");
        let mut place = Place::default();
        loop {
            let told = place.read(next(&mut lines).await?)?;
            let now = self.ctx.tick();
            match told {
                Told::Full(full, last) => desk.full(gateway, &full, last),
                Told::Report(report) => {
                    self.ctx.wakes.reported(&report, self.ctx.boottime());
                    for model in desk.report(gateway, &report, now) {
                        self.ctx.caches.models.announce(&model);
                    }
                }
                Told::Wake(wake) => {
                    if let Some(model) = desk.wake(gateway, &wake, now) {
                        decide::woken(&self.ctx, &model, &wake.uid);
                    }
                }
                Told::Keys(keys) => {
                    for key in self.ctx.used.used(&keys.used, self.ctx.now()) {
                        self.ctx.caches.keys.announce(&key);
                    }
                }
                Told::Bye => return Ok(()),
            }
        }
    }
}

fn check_head(answer: &Response<Incoming>) -> Result<(), Broken> {
    let status = answer.status();
    if status != http::StatusCode::OK {
        return Err(Broken::Refused(status));
    }
    let kind = answer.headers().get(TYPE);
    match kind {
        Some(kind) if kind.as_bytes().starts_with(CONTENT_TYPE.as_bytes()) => Ok(()),
        _ => Err(Broken::NotSignals),
    }
}

async fn next<B>(lines: &mut Lines<B>) -> Result<&[u8], Broken>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let line = timeout(LINE, lines.next()).await;
    line.map_err(|_late| Broken::Stalled)??.ok_or(Broken::Ended)
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_that_does_not_end_in_time_is_not_waited_for() {
        // A byte each second shows that the gateway is there, and brings no line.
        let trickle = stream::unfold((), |()| async {
            sleep(Duration::from_secs(1)).await;
            Some((Ok(Frame::data(Bytes::from_static(b"a"))), ()))
        });
        let mut lines = Lines::new(StreamBody::new(trickle.boxed()));
        let begun = Instant::now();
        let outcome = next(&mut lines).await;
        assert!(matches!(outcome, Err(Broken::Stalled)));
        assert_eq!(begun.elapsed(), LINE);
    }
}
