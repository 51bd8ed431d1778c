//! Messages in pieces, and what is left of their bodies.

use std::io::Write as _;

use aimass_protocol::grpc::{ModelInferRequest, frame};
use axum::http::{HeaderName, HeaderValue};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;

use super::*;

fn message(model: &str, bytes: usize) -> Vec<u8> {
    let message = ModelInferRequest {
        model_name: model.to_owned(),
        model_version: "7".to_owned(),
        raw_input_contents: vec![vec![1; bytes].into()],
        ..ModelInferRequest::default()
    };
    frame(&message).unwrap()
}

/// A body in pieces of so many bytes, without a length.
fn body(bytes: &[u8], piece: usize) -> Option<Body> {
    let pieces: Vec<Result<Bytes, std::io::Error>> = bytes
        .chunks(piece)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    Some(Body::from_stream(stream::iter(pieces)))
}

async fn opened(mut body: Option<Body>, encoding: &'static str) -> Result<(Opened, Bytes), Error> {
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-encoding"),
        HeaderValue::from_static(encoding),
    )]);
    let opened = open(&headers, &mut body).await?;
    let body = axum::body::to_bytes(body.unwrap(), usize::MAX)
        .await
        .unwrap();
    Ok((opened, body))
}

async fn refused(bytes: &[u8], encoding: &'static str) -> (Kind, String) {
    let error = opened(body(bytes, 7), encoding).await.unwrap_err();
    (error.kind, error.text)
}

#[tokio::test]
async fn however_a_message_comes_its_model_is_found_and_it_stays_whole() {
    let sent = message("iris", 100_000);
    for piece in [1, 2, 5, 6, 13, 14, 4096, 200_000] {
        let (opened, left) = opened(body(&sent, piece), "identity").await.unwrap();
        let bytes = u64::try_from(sent.len() - PREFIX_BYTES).unwrap();
        let (model, version) = ("iris".to_owned(), "7".to_owned());
        assert_eq!(
            opened,
            Opened {
                model,
                version,
                bytes
            },
            "{piece}"
        );
        assert_eq!(left, sent, "{piece}");
    }
}

#[tokio::test]
async fn a_body_of_known_length_keeps_it() {
    let sent = message("iris", 10);
    let mut body = Some(Body::from(sent.clone()));
    open(&HeaderMap::new(), &mut body).await.unwrap();
    let length = u64::try_from(sent.len()).unwrap();
    assert_eq!(body.unwrap().size_hint().exact(), Some(length));
}

#[tokio::test]
async fn a_compressed_message_shows_its_model_too() {
    // Not all of one kind, or it would be small.
    let noise: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let plain = [
        &message("iris", 0)[PREFIX_BYTES..],
        b"\x3a\x80\xf1\x04",
        &noise,
    ]
    .concat();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&plain).unwrap();
    let compressed = encoder.finish().unwrap();
    let length = u32::try_from(compressed.len()).unwrap().to_be_bytes();
    let sent = [&[1], &length[..], &compressed].concat();
    for piece in [1, 50, 100_000] {
        let (opened, left) = opened(body(&sent, piece), "gzip").await.unwrap();
        assert_eq!(
            (opened.model.as_str(), opened.version.as_str()),
            ("iris", "7")
        );
        assert_eq!(left, sent);
    }
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let bad = |text: &str| (Kind::BadRequest, text.to_owned());
    let cut = "The request body is incomplete or badly framed";
    assert_eq!(refused(b"", "identity").await, bad("Missing message"));
    assert_eq!(refused(b"\0\0\0", "identity").await, bad(cut));
    assert_eq!(
        refused(b"\0\0\0\0\x09\x0a\x05ir", "identity").await,
        bad(cut)
    );
    let flag = "Compressed-Flag must be 0 or 1, is 2";
    assert_eq!(refused(b"\x02\0\0\0\x01a", "identity").await, bad(flag));
    let (kind, text) = refused(b"\0\0\0\0\x02\x08\x01", "identity").await;
    assert!(
        text.starts_with("The message must begin with the model's name"),
        "{text}"
    );
    assert_eq!(kind, Kind::BadRequest);
    let (_, text) = refused(&message(&"n".repeat(5000), 0), "identity").await;
    assert!(text.contains("within 4096 bytes"), "{text}");
    let unknown = "Unsupported Content-Encoding: br".to_owned();
    assert_eq!(
        refused(b"\x01\0\0\0\x01a", "br").await,
        (Kind::UnsupportedEncoding, unknown)
    );
}

#[tokio::test]
async fn a_compressed_message_that_shows_no_model_in_time_is_refused() {
    // Of blocks without content, which a decoder takes without a byte of output.
    let header = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    let blocks = b"\0\0\0\xff\xff".repeat(2000);
    let length = 20_000_u32.to_be_bytes();
    let sent = [&[1], &length[..], header, &blocks].concat();
    let (kind, text) = refused(&sent, "gzip").await;
    assert_eq!(kind, Kind::BadRequest);
    assert!(
        text.starts_with("The first 4096 bytes of the compressed message"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_come_is_not_waited_for() {
    let started = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"\0\0"))]);
    let silent = futures_util::StreamExt::chain(started, stream::pending());
    let mut body = Some(Body::from_stream(silent));
    let begun = tokio::time::Instant::now();
    let error = open(&HeaderMap::new(), &mut body).await.unwrap_err();
    assert_eq!((error.kind, begun.elapsed()), (Kind::BodyTooSlow, PATIENCE));
}
