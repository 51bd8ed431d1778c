//! The answer to a call: a message with trailers, or trailers alone.
//!
//! Called by `grpc` with the result. A failure has no body: all that is said of it stands in the head, where clients
//! take it for trailers, and the listener sees that it is a refusal.

use aimass_protocol::grpc::status_message;
use aimass_protocol::{Error, Kind};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};

use super::super::record::Trace;
use super::super::reply::retry_after;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The response; and the end of the record.
pub(super) fn respond(mut trace: Trace, result: Result<Vec<u8>, Error>) -> Response<Body> {
    let mut response = match result {
        Ok(framed) => {
            let head = trace.close(StatusCode::OK.as_u16(), None, framed.len());
            with_head(head, success(framed))
        }
        Err(error) => {
            let retry = retry_after(error.kind, &trace);
            let mut head = trace.close(error.kind.status(), Some(error.kind), 0);
            head.extend(retry);
            head.insert(GRPC_STATUS, u64::from(error.kind.code().number()).into());
            // Whatever is no header byte is percent-encoded: there always is a value.
            if let Ok(text) = status_message(&error.text).parse() {
                head.insert("grpc-message", text);
            }
            if error.kind == Kind::UnsupportedEncoding {
                let accepted = HeaderValue::from_static("identity,deflate,gzip");
                head.insert("grpc-accept-encoding", accepted);
            }
            with_head(head, Body::empty())
        }
    };
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn with_head(head: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = head;
    response
}

fn success(framed: Vec<u8>) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let trailers = std::future::ready(Some(Ok(trailers)));
    Body::new(Full::new(Bytes::from(framed)).with_trailers(trailers))
}
