//! A record's answers: what every one of them says of itself, and of the way that its request went.
//!
//! Called by `phase`. The record goes along with the body of an answer that is yet to come.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::super::forward::{Answered, End, Reply};
use super::super::grpc::{self, Wire};
use super::super::refusal::{Refusal, problem};
use super::{Record, line};
use crate::headers;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ERROR: HeaderName = HeaderName::from_static("aimass-error");
const COLD_START: HeaderName = HeaderName::from_static("aimass-cold-start");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const TRANSPORT_SECURITY: HeaderName = HeaderName::from_static("strict-transport-security");
/// A year: callers that came by HTTPS once keep to it.
const YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

impl Record {
    /// The answer to a refusal: complete as it is.
    pub(in crate::phase) fn refuse(mut self, refusal: Refusal) -> Response<Body> {
        let kind = refusal.error.kind;
        self.answers(refusal.status.as_u16(), Some(kind));
        let mut response = match self.wire {
            Wire::Plain => {
                let (text, form) = match self.wants_problem {
                    true => (problem::body(&refusal), problem::CONTENT_TYPE),
                    false => (refusal.error.body(), "application/json"),
                };
                self.sent(text.len());
                let mut response = Response::new(Body::from(text));
                *response.status_mut() = refusal.status;
                let map = response.headers_mut();
                map.insert(CONTENT_TYPE, HeaderValue::from_static(form));
                map.insert(ERROR, HeaderValue::from_static(kind.name()));
                response
            }
            Wire::Grpc => {
                let mut response = Response::new(Body::empty());
                *response.headers_mut() = grpc::refusal(&refusal.error);
                response
            }
        };
        self.complete();
        let map = response.headers_mut();
        map.extend(refusal.headers);
        if refusal.close && self.version < Version::HTTP_2 {
            map.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.sign(map);
        response
    }

    /// An answer of the gateway itself, in JSON.
    pub(in crate::phase) fn itself(mut self, document: Vec<u8>) -> Response<Body> {
        self.answers(StatusCode::OK.as_u16(), None);
        self.sent(document.len());
        self.complete();
        let mut response = Response::new(Body::from(document));
        let map = response.headers_mut();
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.sign(map);
        response
    }

    /// The answer after which the connection goes on as a WebSocket.
    pub(in crate::phase) fn upgrade(mut self, headers: HeaderMap) -> Response<Body> {
        self.answers(StatusCode::SWITCHING_PROTOCOLS.as_u16(), None);
        self.complete();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        self.sign(response.headers_mut());
        response
    }

    /// The answer of a pod, whose body is yet to come.
    pub(in crate::phase) fn stream(mut self, answered: Answered) -> Response<Body> {
        let Answered {
            head,
            body,
            holds,
            deadline,
        } = answered;
        let plain = || (head.status.as_u16(), grpc::kind(&head.headers));
        let (status, kind) = match self.wire {
            Wire::Plain => plain(),
            // What stands in trailers is not known yet.
            Wire::Grpc => grpc::status(&head.headers).unwrap_or((200, None)),
        };
        self.answers(status, kind);
        // Those that wait behind the first one would say how long ago it came.
        if self.wakes
            && self.cold_start().is_some()
            && let Some(model) = self.labels()
        {
            let metrics = self.state.metrics();
            metrics.cold_started(&model, "first_byte", self.begun.elapsed());
        }
        let end = End::of(self.wire, &head.headers);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = head.status;
        *response.headers_mut() = headers::from_pod(&head.headers);
        if self.method != "HEAD" {
            // The listener writes it by what the body has, whatever the pod said.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        self.sign(response.headers_mut());
        let reply = Reply::new((body, end), deadline, holds, self);
        *response.body_mut() = Body::new(reply);
        response
    }

    /// What every answer says of itself.
    fn sign(&self, map: &mut HeaderMap) {
        if let Ok(id) = self.id.parse() {
            map.insert(REQUEST_ID, id);
        }
        if self.secured.is_some() {
            map.insert(TRANSPORT_SECURITY, YEAR);
        }
        for (name, value) in &self.limits {
            // A refusal by these limits has said them already.
            if !map.contains_key(name) {
                map.insert(name.clone(), value.clone());
            }
        }
        // A number that is not known yet is 0.
        if let (Some(model), Some(revision)) = (&self.model, &self.revision)
            && revision.number > 0
        {
            headers::identify(map, &model.name, &revision.name, revision.number);
        }
        if let Some(waited) = self.cold_start() {
            let milliseconds = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            map.insert(COLD_START, milliseconds.into());
        }
        if let Some(timing) = line::server_timing(&self.phases()) {
            // Beside what the pod says of its own time.
            map.append(SERVER_TIMING, timing);
        }
    }
}
