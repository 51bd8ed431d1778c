//! Bodies in pieces, and attempts that read them.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;

use super::*;

fn pieces(pieces: &[&'static str]) -> Body {
    let pieces: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, std::io::Error>(*piece))
        .collect();
    Body::from_stream(stream::iter(pieces))
}

fn source(body: Body, limit: u64) -> (Source, Arc<AtomicU64>) {
    let counted = Arc::default();
    let source = Source::new(body, limit, Arc::clone(&counted), &Room::new(1 << 20));
    (source, counted)
}

/// The next piece of an attempt.
async fn next(upload: &mut Upload) -> Option<Result<String, Ended>> {
    let frame = upload.frame().await?;
    Some(frame.map(|frame| {
        let data = frame.into_data().unwrap();
        String::from_utf8(data.to_vec()).unwrap()
    }))
}

async fn rest(upload: &mut Upload) -> Result<String, Ended> {
    let mut text = String::new();
    while let Some(piece) = next(upload).await {
        text += &piece?;
    }
    Ok(text)
}

#[tokio::test]
async fn a_second_attempt_reads_from_the_start_and_then_on() {
    let (source, counted) = source(pieces(&["ab", "cd", "ef"]), 100);
    let mut first = source.upload();
    assert_eq!(next(&mut first).await, Some(Ok("ab".to_owned())));
    assert_eq!(next(&mut first).await, Some(Ok("cd".to_owned())));
    assert!(source.is_replayable());
    let mut second = source.upload();
    assert_eq!(next(&mut first).await, Some(Err(Ended::Superseded)));
    assert_eq!(rest(&mut second).await, Ok("abcdef".to_owned()));
    assert!(second.is_end_stream());
    assert_eq!(counted.load(Ordering::Relaxed), 6);
    // And a third one all of it, from what was kept.
    assert_eq!(rest(&mut source.upload()).await, Ok("abcdef".to_owned()));
}

#[tokio::test]
async fn a_body_is_as_large_as_the_limit_at_most() {
    let (fits, _) = source(pieces(&["abc", "def"]), 6);
    assert_eq!(rest(&mut fits.upload()).await, Ok("abcdef".to_owned()));
    let (large, _) = source(pieces(&["abc", "defg"]), 6);
    let fault = Err(Ended::Fault(Fault::TooLarge));
    assert_eq!(rest(&mut large.upload()).await, fault);
    assert_eq!(large.fault(), Some(Fault::TooLarge));
    assert!(!large.is_replayable());
}

#[tokio::test]
async fn what_is_large_is_not_kept() {
    let large: &'static str = "x".repeat(40 << 10).leak();
    let (source, _) = source(pieces(&[large, large, "end"]), 1 << 20);
    let mut upload = source.upload();
    next(&mut upload).await.unwrap().unwrap();
    assert!(source.is_replayable());
    next(&mut upload).await.unwrap().unwrap();
    assert!(!source.is_replayable());
    assert_eq!(rest(&mut upload).await, Ok("end".to_owned()));
}

#[tokio::test]
async fn what_comes_in_crumbs_is_not_kept() {
    let (source, _) = source(pieces(&["x"; 65]), 1 << 20);
    let mut upload = source.upload();
    assert_eq!(rest(&mut upload).await.unwrap().len(), 65);
    assert!(!source.is_replayable());
}

#[tokio::test]
async fn all_bodies_share_the_room_and_give_it_back() {
    let room = Room::new(10);
    let one = |body| Source::new(body, 100, Arc::default(), &room);
    let first = one(pieces(&["123456"]));
    assert!(rest(&mut first.upload()).await.is_ok());
    let second = one(pieces(&["123456"]));
    assert!(rest(&mut second.upload()).await.is_ok());
    assert!(first.is_replayable() && !second.is_replayable());
    first.forget();
    let third = one(pieces(&["123456"]));
    assert!(rest(&mut third.upload()).await.is_ok());
    assert!(third.is_replayable());
    drop(third);
    assert_eq!(room.used.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_length_that_was_told_is_told_on() {
    let (told, _) = source(Body::from("abc"), 100);
    assert_eq!(told.upload().size_hint().exact(), Some(3));
    let (unknown, _) = source(pieces(&["abc"]), 100);
    assert_eq!(unknown.upload().size_hint().exact(), None);
    let (empty, _) = source(Body::empty(), 100);
    assert!(empty.upload().is_end_stream());
}

#[tokio::test]
async fn faults_of_the_caller_are_told_apart() {
    let failing = |error: axum::BoxError| Body::from_stream(stream::iter([Ok("a"), Err(error)]));
    for (error, fault) in [
        (axum::BoxError::from(TooSlow), Fault::TooSlow),
        (axum::BoxError::from("reset"), Fault::Broken),
    ] {
        let (source, _) = source(failing(error), 100);
        let ended = Err(Ended::Fault(fault));
        assert_eq!(rest(&mut source.upload()).await, ended);
        assert_eq!(source.fault(), Some(fault));
    }
}

#[tokio::test]
async fn what_is_abandoned_lets_go_of_the_callers_body() {
    /// Says when it is dropped.
    struct Dropped(Arc<AtomicU64>, BodyDataStream);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicU64::new(0));
    let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let guard = Dropped(Arc::clone(&dropped), endless.into_data_stream());
    let body = stream::unfold(guard, |mut guard| async move {
        let next = guard.1.next().await?;
        Some((next, guard))
    });
    let (source, _) = source(Body::from_stream(body), 100);
    let mut upload = source.upload();
    // Whoever waits for the body is told, too.
    let abandon = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        source.abandon();
    };
    let (ended, ()) = tokio::join!(next(&mut upload), abandon);
    assert!(matches!(ended, Some(Err(Ended::Fault(_)))), "{ended:?}");
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn empty_pieces_are_left_out_and_the_last_piece_is_known_as_such() {
    let (source, _) = source(pieces(&["", "ab", "", ""]), 100);
    let mut upload = source.upload();
    assert_eq!(next(&mut upload).await, Some(Ok("ab".to_owned())));
    assert_eq!(next(&mut upload).await, None);
    let (source, _) = self::source(Body::from("ab"), 100);
    let mut upload = source.upload();
    assert!(!upload.is_end_stream());
    assert_eq!(next(&mut upload).await, Some(Ok("ab".to_owned())));
    assert!(upload.is_end_stream());
}
