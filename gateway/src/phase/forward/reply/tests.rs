//! Answers that take their time, on a clock of their own.

use std::sync::{Arc, Mutex};

use aimass_chassis::metrics::Registry;
use axum::body::Body as AnyBody;
use axum::http::{HeaderName, HeaderValue, Request};
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
        self.ending(pieces, End::Body, None)
    }

    /// The same with an end: trailers, as `name: value`, if there are any.
    fn ending(
        &self,
        pieces: &[(u64, &'static str)],
        end: End,
        trailers: Option<&[(&'static str, &'static str)]>,
    ) -> Reply<Pieces> {
        let pieces = stream::iter(pieces.to_vec()).then(|(seconds, piece)| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(Frame::data(Bytes::from_static(piece.as_bytes())))
        });
        let trailers = trailers.map(|trailers| Ok(Frame::trailers(map(trailers))));
        let pieces = pieces.chain(stream::iter(trailers));
        let mut record = Record::begin(&self.state, &Request::new(AnyBody::empty()));
        record.answers(200, None);
        let now = Instant::now();
        let flight = self.pod.begin(u32::MAX, now.into_std()).unwrap();
        let source = Source::new(AnyBody::empty(), 0, Arc::default(), &Room::new(0));
        Reply::new(
            (StreamBody::new(pieces.boxed()), end),
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
        tokio::time::pause();
        (number("http.status"), number("response.bytes"))
    }
}

fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

/// The trailers of an answer, which must be next and last.
async fn trailers(reply: &mut Reply<Pieces>) -> HeaderMap {
    let frame = reply.frame().await.unwrap().unwrap();
    assert!(reply.is_end_stream());
    assert!(reply.frame().await.is_none());
    frame.into_trailers().unwrap()
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

#[tokio::test(start_paused = true)]
async fn trailers_end_a_call_and_tell_how_it_ended() {
    for (given, status) in [
        (&[("grpc-status", "0"), ("x-own", "kept")][..], 200),
        (&[("grpc-status", "3")], 400),
        (
            &[("grpc-status", "14"), ("aimass-error", "overloaded")],
            503,
        ),
    ] {
        let world = World::new();
        let mut reply = world.ending(&[(1, "a")], End::Trailers, Some(given));
        assert!(!reply.is_end_stream());
        assert_eq!(reply.size_hint().exact(), None);
        assert!(next(&mut reply).await.unwrap().is_ok());
        assert_eq!(trailers(&mut reply).await, map(given));
        drop(reply);
        assert_eq!(world.told().await, (status, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_short_ends_with_trailers_that_say_so() {
    let code = |trailers: &HeaderMap| trailers["grpc-status"].to_str().unwrap().to_owned();
    let world = World::new();
    let mut reply = world.ending(&[(1, "a")], End::Trailers, None);
    assert!(next(&mut reply).await.unwrap().is_ok());
    let said = trailers(&mut reply).await;
    assert_eq!(
        (code(&said).as_str(), said["aimass-error"].as_bytes()),
        ("14", &b"upstream_broken"[..])
    );
    assert_eq!(world.told().await, (502, 1));

    let world = World::new();
    let mut reply = world.ending(&[(6, "a")], End::Trailers, None);
    assert_eq!(code(&trailers(&mut reply).await), "4");
    assert_eq!(world.told().await, (504, 0));

    let world = World::new();
    let mut reply = world.ending(&[(1, "a"), (100, "b")], End::Trailers, None);
    assert!(next(&mut reply).await.unwrap().is_ok());
    world.state.abort();
    assert_eq!(code(&trailers(&mut reply).await), "14");
    assert_eq!(world.told().await, (503, 1));
}

#[tokio::test(start_paused = true)]
async fn trailers_without_a_status_do_not_make_a_call_whole() {
    let world = World::new();
    let mut reply = world.ending(&[(1, "a")], End::Trailers, Some(&[("x-own", "lost")]));
    assert!(next(&mut reply).await.unwrap().is_ok());
    assert_eq!(trailers(&mut reply).await["grpc-status"], "14");
    assert_eq!(world.told().await, (502, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_its_trailers_was_not_wanted_any_more() {
    let world = World::new();
    let mut reply = world.ending(&[(1, "a")], End::Trailers, Some(&[("grpc-status", "0")]));
    assert!(next(&mut reply).await.unwrap().is_ok());
    drop(reply);
    assert_eq!(world.told().await, (499, 1));
}

#[tokio::test(start_paused = true)]
async fn empty_pieces_are_left_out() {
    let world = World::new();
    let mut reply = world.reply(&[(1, ""), (1, "a"), (1, "")]);
    assert_eq!(next(&mut reply).await, Some(Ok(Bytes::from("a"))));
    assert_eq!(next(&mut reply).await, None);
}
