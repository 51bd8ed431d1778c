//! `GET /signals` on the admin port: who may read, and the lines.
//!
//! Called by `run`, which puts the route there. Whoever asks is looked at by the doorman, once for each connection, and is told in
//! turn who this gateway is. The admin port has one thread, which probes need, too: no more is done here at once than one line
//! takes.

use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::Connection;
use aimass_crds::signals::{CONTENT_TYPE, Hello, Message, VERSION};
use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::extract::State as Extracted;
use axum::http::header::{self, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use super::pending::{Next, opening};
use super::{INTERVAL, Signals, Slot, now};
use crate::app::random;
use crate::badge::Badge;
use crate::doorman::Doorman;

/// Where signals are read.
pub const PATH: &str = "/signals";
/// How long a connection lasts: as long as the token that it was let in by.
const LIFE: Duration = Duration::from_secs(600);

/// What the route needs.
pub struct Door {
    /// What is to be read.
    pub signals: Signals,
    /// Who lets in.
    pub doorman: Doorman,
    /// The user that may read: the operator.
    pub reader: Arc<str>,
    /// This gateway's pod.
    pub pod: Arc<str>,
    /// What this gateway shows the operator.
    pub badge: Badge,
}

struct Inner {
    door: Door,
    /// Another one for each process.
    boot: String,
}

/// The route for the operator.
pub fn routes(door: Door) -> Router {
    let boot = format!("{:016x}", random());
    let inner = Arc::new(Inner { door, boot });
    Router::new().route(PATH, get(read)).with_state(inner)
}

async fn read(
    Extracted(inner): Extracted<Arc<Inner>>,
    Extension(from): Extension<Connection>,
    headers: HeaderMap,
) -> Response {
    let Door {
        signals,
        doorman,
        reader,
        ..
    } = &inner.door;
    let admitted = doorman.admit(from.peer().ip(), &headers, reader).await;
    if let Err(refused) = admitted {
        return refused.into_response();
    }
    let hello = match inner.hello().await {
        Ok(hello) => hello,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "the operator cannot be told who this gateway is");
            return later("this gateway cannot show who it is; its log says why");
        }
    };
    let Some((slot, told)) = signals.attach() else {
        return later("as many read already as may");
    };
    let hello = Hello {
        table: told.table,
        ..hello
    };
    // Of many models that takes a while.
    let opening = tokio::task::spawn_blocking(move || opening(hello, told.all()));
    let Ok(opening) = opening.await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    slot.reader.pending().open(opening, now());
    let mut response = Response::new(lines(slot));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn later(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response()
}

impl Inner {
    async fn hello(&self) -> anyhow::Result<Hello> {
        let Door { pod, badge, .. } = &self.door;
        let shown = badge.read(aimass_chassis::clock::now()).await?;
        Ok(Hello {
            v: VERSION,
            gateway: pod.as_ref().to_owned(),
            token: shown.token().to_owned(),
            boot: self.boot.clone(),
            interval_ms: u32::try_from(INTERVAL.as_millis())?,
            table: 0,
        })
    }
}

/// The lines of one reader, as it takes them.
struct Lines {
    slot: Slot,
    until: Instant,
}

fn lines(slot: Slot) -> Body {
    let until = Instant::now() + LIFE;
    let lines = stream::unfold(Lines { slot, until }, |mut lines| async {
        Some((lines.next().await?, lines))
    });
    Body::from_stream(lines)
}

impl Lines {
    async fn next(&mut self) -> Option<anyhow::Result<Bytes>> {
        let reader = &self.slot.reader;
        loop {
            if Instant::now() >= self.until {
                reader.pending().bye(now());
            }
            match reader.next(now()) {
                Next::Line(message) => return Some(line(&message)),
                Next::Over => return None,
                // The body ends in the midst: whoever comes back to it must not take it for whole.
                Next::Left => return Some(Err(anyhow::anyhow!("nothing was taken for too long"))),
                Next::Nothing => {}
            }
            tokio::select! {
                () = reader.changed.notified() => {}
                () = sleep_until(self.until) => {}
            }
        }
    }
}

fn line(message: &Message) -> anyhow::Result<Bytes> {
    let mut text = serde_json::to_vec(message).context("failed to write a line")?;
    text.push(b'\n');
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    fn hello() -> Hello {
        Hello {
            v: VERSION,
            gateway: "g".to_owned(),
            token: "t".to_owned(),
            boot: "b".to_owned(),
            interval_ms: 1000,
            table: 1,
        }
    }

    /// Somebody who has begun to read.
    fn reader(signals: &Signals) -> axum::body::BodyDataStream {
        let (slot, told) = signals.attach().expect("there is room");
        let opening = opening(hello(), told.all());
        slot.reader.pending().open(opening, now());
        lines(slot).into_data_stream()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_lasts_ten_minutes() {
        let signals = Signals::new(Gauge::default());
        let (mut lines, begun) = (reader(&signals), Instant::now());
        let mut kinds = Vec::new();
        while let Some(line) = lines.next().await {
            let line = line.unwrap();
            assert!(line.ends_with(b"\n"));
            let kind = match serde_json::from_slice(&line).unwrap() {
                Message::Hello(_) => "hello",
                Message::Full(_) => "full",
                Message::Bye => "bye",
                other => panic!("{other:?}"),
            };
            kinds.push((kind, begun.elapsed().as_secs()));
        }
        assert_eq!(kinds, [("hello", 0), ("full", 0), ("bye", 600)]);
        assert_eq!(signals.0.open.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_lines_all_the_time_has_no_longer() {
        let signals = Signals::new(Gauge::default());
        let (mut lines, begun) = (reader(&signals), Instant::now());
        let mut last = None;
        while let Some(line) = lines.next().await {
            last = Some(line.unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
            let wake = |pending: &mut super::super::Pending| {
                pending.wake(&"u".into(), &"aaaaaaaa".into(), 1, now());
            };
            signals.tell(wake);
        }
        assert_eq!(last.unwrap(), "{\"kind\":\"bye\"}\n");
        assert!(begun.elapsed() < LIFE + Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_ends_in_the_midst() {
        let signals = Signals::new(Gauge::default());
        let mut lines = reader(&signals);
        lines.next().await.unwrap().unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
        let reader = Arc::clone(&signals.hub().readers[0]);
        assert!(reader.pending().leave(now()));
        lines.next().await.unwrap().unwrap_err();
    }
}
