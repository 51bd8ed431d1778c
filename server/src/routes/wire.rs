//! The two ways in which a request travels: as the body of an HTTP request, or framed inside one (gRPC).
//!
//! Asked by `routes` and `infer`, which are the same for both.

use std::time::Duration;

use aimass_protocol::Error;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Version};

use super::body::{self, Received};
use super::{caller, grpc};
use crate::state::State;

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// Its body is the message.
    Plain,
    /// Its body is a prefix and the message.
    Grpc,
}

impl Wire {
    /// Judged by version and content type: gRPC needs the trailers of HTTP/2.
    pub(super) fn is_grpc(request: &Request<Body>) -> bool {
        is_grpc(request.version(), request.headers())
    }

    pub(super) fn of(head: &Parts) -> Self {
        if is_grpc(head.version, &head.headers) {
            Self::Grpc
        } else {
            Self::Plain
        }
    }

    /// What can be told from the head alone.
    pub(super) fn check_head(self, state: &State, headers: &HeaderMap) -> Result<(), Error> {
        match self {
            Self::Plain => body::check_head(state, headers),
            Self::Grpc => grpc::message::check_head(headers),
        }
    }

    /// The deadline that the caller asks for.
    pub(super) fn timeout(self, headers: &HeaderMap) -> Result<Option<Duration>, Error> {
        let own = caller::timeout(headers)?;
        Ok(match self {
            Self::Plain => own,
            Self::Grpc => match (own, caller::grpc_timeout(headers)?) {
                (Some(own), Some(grpc)) => Some(own.min(grpc)),
                (own, grpc) => own.or(grpc),
            },
        })
    }

    /// Reads the message, of at most `limit` inflated bytes.
    pub(super) async fn read(
        self,
        state: &State,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<Received, Error> {
        match self {
            Self::Plain => body::read(state, headers, body, limit).await,
            Self::Grpc => grpc::message::read(state, headers, body, limit).await,
        }
    }
}

fn is_grpc(version: Version, headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    version == Version::HTTP_2
        && content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
}
