//! Heads of answers: what none of our servers sends is no answer.
//!
//! Pure. Called by `forward`.

use axum::http::header::TRANSFER_ENCODING;
use axum::http::{HeaderName, Response, StatusCode};
use http_body::Body;

use super::super::grpc::{self, Wire};
use super::pods::Failed;

const ERROR: HeaderName = HeaderName::from_static("aimass-error");

/// The answer, if its end can be told from a break; `is_head`: it has no body by itself.
///
/// Refused: 101 and what else is informational, for nobody asked for it; a body that lasts until the connection ends, because
/// one that is cut short would pass for a whole one.
pub(super) fn judge<B: Body>(response: Response<B>, is_head: bool) -> Result<Response<B>, Failed> {
    if response.status().is_informational() {
        return Err(Failed::Reset);
    }
    let bodyless = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let measured = response.body().size_hint().exact().is_some();
    let mut codings = response.headers().get_all(TRANSFER_ENCODING).iter();
    let chunked = codings
        .next_back()
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    match is_head || bodyless || measured || chunked {
        true => Ok(response),
        false => Err(Failed::Reset),
    }
}

/// The answer to a call, if it is one of gRPC; over HTTP/2 its end can always be told from a break.
pub(super) fn judge_call<B>(response: Response<B>) -> Result<Response<B>, Failed> {
    match grpc::is_answer(response.status(), response.headers()) {
        true => Ok(response),
        false => Err(Failed::Reset),
    }
}

/// The status of an answer; that of a call as HTTP would have it, where its head tells it already.
pub(super) fn status<B>(wire: Wire, response: &Response<B>) -> u16 {
    let told = match wire {
        Wire::Plain => None,
        Wire::Grpc => grpc::status(response.headers()),
    };
    told.map_or(response.status().as_u16(), |(status, _)| status)
}

/// The kind of error that a pod says it is.
pub(super) fn kind<B>(response: &Response<B>) -> Option<&str> {
    response.headers().get(ERROR)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use futures_util::stream;

    use super::*;

    fn passes(status: u16, coding: Option<&str>, body: Body, is_head: bool) -> bool {
        let mut response = Response::builder().status(status);
        if let Some(coding) = coding {
            response = response.header(TRANSFER_ENCODING, coding);
        }
        judge(response.body(body).unwrap(), is_head).is_ok()
    }

    /// Of a length that nobody knows.
    fn endless() -> Body {
        Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
    }

    #[test]
    fn an_answer_has_a_length_or_chunks_or_no_body() {
        assert!(passes(200, None, Body::from("a"), false));
        assert!(passes(200, Some("chunked"), endless(), false));
        assert!(passes(200, Some("Chunked"), endless(), false));
        assert!(passes(204, None, Body::empty(), false));
        assert!(passes(200, None, endless(), true));
        assert!(passes(500, None, Body::from("{}"), false));
    }

    #[test]
    fn what_lasts_until_the_end_of_the_connection_is_no_answer() {
        assert!(!passes(200, None, endless(), false));
        assert!(!passes(200, Some("gzip"), endless(), false));
    }

    #[test]
    fn the_status_of_a_call_is_the_one_that_its_head_tells() {
        let response = |status: Option<&str>, kind: &str| {
            let mut response = Response::builder().header(ERROR, kind);
            if let Some(status) = status {
                response = response.header("grpc-status", status);
            }
            response.body(()).unwrap()
        };
        let draining = response(Some("14"), "draining");
        assert_eq!(status(Wire::Grpc, &draining), 503);
        assert_eq!(status(Wire::Plain, &draining), 200);
        assert_eq!(status(Wire::Grpc, &response(None, "draining")), 200);
    }

    #[test]
    fn what_answers_a_call_in_another_way_does_not_answer_it() {
        let passes = |status: u16, media: &str| {
            let response = Response::builder().status(status);
            let response = response.header("content-type", media);
            judge_call(response.body(()).unwrap()).is_ok()
        };
        assert!(passes(200, "application/grpc"));
        assert!(!passes(200, "application/json"));
        assert!(!passes(404, "application/grpc"));
    }

    #[test]
    fn nobody_asked_for_another_protocol() {
        assert!(!passes(101, None, Body::empty(), false));
        assert!(!passes(103, None, Body::empty(), false));
    }
}
