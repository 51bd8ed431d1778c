//! Answers that take their time, on a clock of their own.

use std::sync::{Arc, Mutex};

use aimass_chassis::metrics::Registry;
use axum::body::Body as AnyBody;
use axum::http::Request;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::Value;

use super::super::upload::Room;
use super::*;
use crate::app::{Parts, State};
use crate::config::Settings;
use crate::limit::Bounds;
use crate::phase::record::{AccessLog, Writer};
use crate::table::live::EndpointLive;

type Pieces = StreamBody<BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>;

/// What surrounds an answer.
struct World {
    state: State,
    lines: Arc<Mutex<String>>,
    writer: Writer,
    pod: Arc<EndpointLive>,
}

impl World {
    fn new() -> Self {
        let lines = Arc::<Mutex<String>>::default();
        let sink = Arc::clone(&lines);
        let write = move |text: &str| sink.lock().unwrap().push_str(text);
        let (access_log, writer) = AccessLog::to(write).unwrap();
        let parts = Parts {
            settings: Settings {
                access_log_sample: 1.0,
                ..Settings::default()
            },
            bounds: Bounds::default(),
            reviewer: None,
            certificate: None,
            traces: None,
            access_log,
        };
        Self {
            state: State::new(parts, &mut Registry::default()),
            lines,
            writer,
            pod: Arc::default(),
        }
    }

    /// An answer that is due within five seconds, and whose pieces come after these many more each; an empty one is its end.
    fn reply(&self, pieces: &[(u64, &'static str)]) -> Reply<Pieces> {
        let pieces = stream::iter(pieces.to_vec()).then(|(seconds, piece)| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(Frame::data(Bytes::from_static(piece.as_bytes())))
        });
        let mut record = Record::begin(&self.state, &Request::new(AnyBody::empty()));
        record.answers(200);
        let now = Instant::now();
        let flight = self.pod.begin(now.into_std());
        let source = Source::new(AnyBody::empty(), 0, Arc::default(), &Room::new(0));
        Reply::new(
            StreamBody::new(pieces.boxed()),
            now + Duration::from_secs(5),
            (flight, Ticket::default(), source),
            record,
        )
    }

    /// Status and bytes in the one line that was written, and whether the pod is free.
    async fn told(&self) -> (u64, u64) {
        // Another thread writes: a clock that jumps while we wait for it would be no bound.
        tokio::time::resume();
        assert!(self.writer.flush(Duration::from_secs(10)).await);
        let in_flight = &self.pod.in_flight;
        assert_eq!(in_flight.load(std::sync::atomic::Ordering::Relaxed), 0);
        let text = self.lines.lock().unwrap().clone();
        let line: Value = serde_json::from_str(&text).unwrap();
        let number = |field: &str| line[field].as_u64().unwrap();
        (number("http.status"), number("response.bytes"))
    }
}

/// The next piece of an answer.
async fn next(reply: &mut Reply<Pieces>) -> Option<Result<Bytes, Cut>> {
    let frame = reply.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_pause_for_five_minutes_at_a_time() {
    let world = World::new();
    let mut reply = world.reply(&[(4, "a"), (299, "b"), (299, "c"), (301, "d")]);
    for piece in ["a", "b", "c"] {
        assert_eq!(next(&mut reply).await, Some(Ok(Bytes::from(piece))));
    }
    let begun = Instant::now();
    assert_eq!(next(&mut reply).await, Some(Err(Cut::Late)));
    assert_eq!(begun.elapsed(), PAUSE);
    assert_eq!(world.told().await, (504, 3));
}

#[tokio::test(start_paused = true)]
async fn the_first_piece_is_due_with_the_deadline() {
    let world = World::new();
    let mut reply = world.reply(&[(6, "a")]);
    let begun = Instant::now();
    assert_eq!(next(&mut reply).await, Some(Err(Cut::Late)));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(world.told().await, (504, 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_its_time_is_not_the_pods_fault() {
    let world = World::new();
    let mut reply = world.reply(&[(1, "a"), (200, "b")]);
    assert!(next(&mut reply).await.unwrap().is_ok());
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(next(&mut reply).await, Some(Ok(Bytes::from("b"))));
    assert_eq!(next(&mut reply).await, None);
    drop(reply);
    assert_eq!(world.told().await, (200, 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_dropped_was_not_wanted_any_more() {
    let world = World::new();
    let mut reply = world.reply(&[(1, "a"), (1, "b")]);
    assert!(next(&mut reply).await.unwrap().is_ok());
    drop(reply);
    assert_eq!(world.told().await, (499, 1));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_gateway_is_the_end_of_an_answer() {
    let world = World::new();
    let mut reply = world.reply(&[(1, "a"), (100, "b")]);
    assert!(next(&mut reply).await.unwrap().is_ok());
    assert_eq!(next(&mut reply).now_or_never(), None);
    world.state.abort();
    assert_eq!(next(&mut reply).await, Some(Err(Cut::Aborted)));
    assert_eq!(world.told().await, (503, 1));
}
