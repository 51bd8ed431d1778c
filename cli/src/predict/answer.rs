//! What came of a request: the predictions, or why there are none and what to do. Pure.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::printable;
use crate::outcome::{Exit, Failure, Outcome};

/// Bytes that are repeated of an answer which nobody understands.
const MAX_QUOTE: usize = 256;

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) status: u16,
    /// `aimass-error`
    pub(super) kind: Option<String>,
    pub(super) request_id: String,
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What a model predicts: rows, or columns if it was asked by columns.
#[derive(Deserialize)]
struct Predicted<'a> {
    #[serde(borrow)]
    predictions: Option<&'a RawValue>,
    #[serde(borrow)]
    outputs: Option<&'a RawValue>,
}

/// The body of every refusal.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// What is printed of an answer to a request with or without a key.
pub(super) fn judge(received: &Received, with_key: bool) -> Result<Outcome, Failure> {
    match received.status {
        200..=299 => predictions(received),
        300..=399 => Err(Failure::new(redirected(received))),
        status => Err(Failure {
            exit: exit(status),
            text: refusal(received, with_key),
        }),
    }
}

fn predictions(received: &Received) -> Result<Outcome, Failure> {
    let body = &received.body;
    let predicted: Option<Predicted<'_>> = serde_json::from_slice(body).ok();
    let value = predicted.and_then(|both| both.predictions.or(both.outputs));
    let Some(value) = value else {
        let (status, quote) = (received.status, quote(body));
        return Err(Failure::new(format!(
            "what answered is no model of aimass: status {status} without predictions: {quote}"
        )));
    };
    Ok(Outcome::done(format!("{value}\n"), String::new()))
}

fn redirected(received: &Received) -> String {
    let status = received.status;
    match &received.location {
        Some(location) => format!(
            "the address leads elsewhere (status {status}), which is not followed with a key: give this one by --url: \
             {location}"
        ),
        None => format!("the address leads nowhere: status {status} without a location"),
    }
}

/// Whether the same request may be answered later.
fn exit(status: u16) -> Exit {
    match status {
        408 | 429 | 500.. => Exit::Unanswered,
        _ => Exit::Refused,
    }
}

/// The other side's text, its kind and the request's id, and what to do.
fn refusal(received: &Received, with_key: bool) -> String {
    let Received {
        status,
        kind,
        request_id,
        retry_after,
        location: _,
        body,
    } = received;
    let text = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => printable(&refusal.error),
        Err(_) => format!("status {status}, without a reason: {}", quote(body)),
    };
    let kind = kind.as_deref().unwrap_or("none");
    let mut lines = vec![
        text,
        format!("status {status}, kind {kind}, request {request_id}"),
    ];
    lines.extend(
        retry_after
            .as_ref()
            .map(|seconds| format!("come again in {seconds} s")),
    );
    lines.extend(hint(*status, with_key).map(str::to_owned));
    lines.join("\n  ")
}

fn hint(status: u16, with_key: bool) -> Option<&'static str> {
    match (status, with_key) {
        (401, false) => Some("give a key by AIMASS_KEY; `aimass key create` makes one"),
        (401, true) => Some(
            "the key is unknown there, at its end, switched off, revoked, or used from an address that its \
             spec.allowedCIDRs leaves out: `aimass key list` shows the state of keys",
        ),
        (403, _) => Some("the key's spec.models must name the model: `kubectl edit apikey`"),
        (404, true) => Some(
            "a key opens models of its own namespace; all others look as if they were not there",
        ),
        (429, _) => Some("how much a key may do is said by its UsagePlan"),
        _ => None,
    }
}

/// The beginning of an answer.
fn quote(body: &[u8]) -> String {
    let begin = body.get(..MAX_QUOTE).unwrap_or(body);
    let begin = printable(&String::from_utf8_lossy(begin));
    if begin.is_empty() {
        "an empty body".to_owned()
    } else {
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(status: u16, body: &str) -> Received {
        Received {
            status,
            request_id: "r1".to_owned(),
            body: body.as_bytes().to_vec(),
            ..Received::default()
        }
    }

    #[track_caller]
    fn prints(body: &str, expect: &str) {
        let outcome = judge(&received(200, body), true).unwrap();
        let expect = Outcome::done(expect.to_owned(), String::new());
        assert_eq!(outcome, expect, "{body}");
    }

    #[test]
    fn predictions_are_printed_as_they_came() {
        prints(r#"{"predictions":[[2.5],[3e-05]]}"#, "[[2.5],[3e-05]]\n");
        prints(r#"{"predictions":[]}"#, "[]\n");
        prints(
            r#"{"outputs": {"label":[0]}, "more":1}"#,
            "{\"label\":[0]}\n",
        );
    }

    #[test]
    fn an_answer_of_something_else_is_none() {
        for body in ["", "<html>", "[]", r#"{"status":"ok"}"#] {
            let failure = judge(&received(200, body), true).unwrap_err();
            assert_eq!(failure.exit, Exit::Failed, "{body}");
            assert!(
                failure
                    .text
                    .starts_with("what answered is no model of aimass: status 200 ")
            );
        }
    }

    #[test]
    fn a_refusal_has_text_kind_and_request() {
        let refused = Received {
            kind: Some("rate_limited".to_owned()),
            retry_after: Some("3".to_owned()),
            ..received(429, r#"{"error":"Rate limit \"per-minute\" exceeded"}"#)
        };
        let failure = judge(&refused, true).unwrap_err();
        let text = "Rate limit \"per-minute\" exceeded\n  status 429, kind rate_limited, request r1\n  \
                    come again in 3 s\n  how much a key may do is said by its UsagePlan";
        assert_eq!(
            (failure.exit, failure.text.as_str()),
            (Exit::Unanswered, text)
        );
    }

    #[test]
    fn a_refusal_without_a_text_is_quoted_in_part() {
        let failure = judge(&received(502, &"x\u{1b}".repeat(400)), false).unwrap_err();
        assert!(
            failure
                .text
                .starts_with("status 502, without a reason: x x")
        );
        assert!(failure.text.len() < 400 && !failure.text.contains('\u{1b}'));
        let empty = judge(&received(431, ""), false).unwrap_err();
        assert!(
            empty.text.contains("without a reason: an empty body\n"),
            "{}",
            empty.text
        );
    }

    #[track_caller]
    fn check(status: u16, with_key: bool, exit: Exit, hint: &str) {
        let failure = judge(&received(status, r#"{"error":"no"}"#), with_key).unwrap_err();
        assert_eq!(failure.exit, exit, "{status}");
        assert!(failure.text.contains(hint), "{status}: {}", failure.text);
    }

    #[test]
    fn the_exit_code_says_whether_to_try_again() {
        check(
            400,
            true,
            Exit::Refused,
            "no\n  status 400, kind none, request r1",
        );
        check(401, true, Exit::Refused, "`aimass key list`");
        check(401, false, Exit::Refused, "`aimass key create`");
        check(403, true, Exit::Refused, "spec.models");
        check(404, true, Exit::Refused, "its own namespace");
        check(408, true, Exit::Unanswered, "");
        check(413, true, Exit::Refused, "");
        check(500, true, Exit::Unanswered, "");
        check(503, true, Exit::Unanswered, "");
        check(504, true, Exit::Unanswered, "");
    }

    #[test]
    fn a_redirect_is_named_and_not_followed() {
        let mut redirect = received(308, "");
        redirect.location = Some("https://h/v1/models/m:predict".to_owned());
        let failure = judge(&redirect, true).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert!(
            failure
                .text
                .ends_with("--url: https://h/v1/models/m:predict"),
            "{}",
            failure.text
        );
    }
}
