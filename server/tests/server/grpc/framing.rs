//! Bodies that are not exactly one message.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use prost::Message as _;

use super::calls::{INFER, asks};
use super::port::{Client, Port, framed};
use crate::serving::{Server, settings};

async fn linear() -> (Server, Port, Client) {
    let server = Server::with("linear.onnx", settings());
    let port = Port::open(&server).await;
    let client = port.client().await;
    (server, port, client)
}

fn prefixed(flag: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [[flag].as_slice(), &length, bytes].concat()
}

#[tokio::test]
async fn a_body_is_one_whole_message() {
    let (_server, _port, client) = linear().await;
    let whole = framed(&asks(&[1.0]));
    let grpc = [("content-type", "application/grpc")];
    let refused = async |body: Vec<u8>, text: &str| {
        let answer = client.raw("POST", INFER, &grpc, body).await;
        answer.refuses("3", "bad_request", text);
    };
    refused(vec![], "Missing message").await;
    let incomplete = "The request body is incomplete or badly framed";
    refused(whole[..3].to_vec(), incomplete).await;
    refused(whole[..whole.len() - 1].to_vec(), incomplete).await;
    refused(
        [&whole[..], &whole[..]].concat(),
        "Expected one message, got more",
    )
    .await;
    refused(
        [&whole[..], b"x"].concat(),
        "Expected one message, got more",
    )
    .await;
    refused(prefixed(2, b""), "Compressed-Flag must be 0 or 1, is 2").await;
    let text = "Compressed-Flag is 1, but grpc-encoding names no encoding";
    refused(prefixed(1, b""), text).await;
    refused(
        prefixed(0, b"\x0a\x05a"),
        "Malformed message: a field runs past the end or is of an unknown kind",
    )
    .await;
    // Field 3, `id`, is not UTF-8.
    let text =
        "Malformed message: ModelInferRequest.id: invalid string value: data is not UTF-8 encoded";
    refused(prefixed(0, b"\x1a\x01\xff"), text).await;
}

#[tokio::test]
async fn a_message_may_come_byte_by_byte() {
    let (_server, _port, client) = linear().await;
    let bytes: Vec<Result<axum::body::Bytes, std::io::Error>> = framed(&asks(&[1.0]))
        .chunks(1)
        .map(|byte| Ok(axum::body::Bytes::copy_from_slice(byte)))
        .collect();
    let body = axum::body::Body::from_stream(futures_util::stream::iter(bytes));
    let answer = client
        .send("POST", INFER, &[("content-type", "application/grpc")], body)
        .await;
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn gzip_and_deflate_are_inflated_and_others_refused() {
    let (_server, _port, client) = linear().await;
    let message = asks(&[1.0]).encode_to_vec();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&message).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(&message).unwrap();
    let send = async |encoding: &str, body: Vec<u8>| {
        let headers = [
            ("content-type", "application/grpc"),
            ("grpc-encoding", encoding),
        ];
        client.raw("POST", INFER, &headers, body).await
    };
    for (encoding, body) in [
        ("gzip", prefixed(1, &gzip)),
        ("deflate", prefixed(1, &deflate.finish().unwrap())),
        // The flag decides for each message.
        ("gzip", prefixed(0, &message)),
        ("identity", prefixed(0, &message)),
    ] {
        let answer = send(encoding, body).await;
        assert_eq!(answer.trailers.unwrap()["grpc-status"], "0", "{encoding}");
    }
    let answer = send("gzip", prefixed(1, &gzip[..gzip.len() - 9])).await;
    answer.refuses("3", "bad_request", "Corrupt gzip body");
    let answer = send("snappy", prefixed(1, &message)).await;
    answer.refuses(
        "12",
        "unsupported_encoding",
        "Unsupported Content-Encoding: snappy",
    );
    assert_eq!(
        answer.header("grpc-accept-encoding"),
        "identity,deflate,gzip"
    );
}
