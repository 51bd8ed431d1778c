//! Who may speak to this gateway on its admin port, beyond asking whether it is alive: other gateways, and whoever reads signals.
//!
//! They show a token of their ServiceAccount that is meant for gateways, and the API server says whose it is. A yes is believed
//! until the token ends, so that the API server may be away for a while; nobody is let in who has not been looked at. What such a
//! token opens is one route of this port, and nothing of a model: callers' tokens have another audience. Called by the routes
//! themselves, before they read a body.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use crate::jwt::Jwt;
use crate::key;
use crate::limit::{Bounds, Strangers};
use crate::metrics::ReviewTimes;
use crate::review::{Failure, Identity, Reviewer, Tokens, Verdict};

/// Whom tokens must be meant for.
pub const AUDIENCE: &str = aimass_crds::signals::GATEWAY_AUDIENCE;
/// A yes is believed for so long, if its token does not end before: as long as tokens of the chart's pods last.
const LONGEST: Duration = Duration::from_secs(600);

/// Knows whom to let in; clones share it.
#[derive(Clone)]
pub struct Doorman(Arc<Inner>);

struct Inner {
    tokens: Tokens,
    strangers: Strangers,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no token, or one that is over, meant for others, or somebody else's.
    Unknown,
    /// The API server has been asked too often about tokens from there.
    TooMany,
    /// The API server does not say.
    Unavailable,
}

impl Doorman {
    /// That knows nobody yet, and asks `reviewer`, whose audience must be [`AUDIENCE`].
    #[must_use]
    pub fn new(reviewer: Reviewer, times: &ReviewTimes) -> Self {
        let tokens = Tokens::new(Arc::new(reviewer), "admin", LONGEST, times);
        Self(Arc::new(Inner {
            tokens,
            strangers: Strangers::new(Bounds::default()),
        }))
    }

    /// Lets in whoever shows, in `headers` of a request from `from`, that it is the user `allowed`.
    ///
    /// # Errors
    /// Anybody else, whether its token is a right one or not.
    pub async fn admit(
        &self,
        from: IpAddr,
        headers: &HeaderMap,
        allowed: &str,
    ) -> Result<Arc<Identity>, Refused> {
        let credential = key::credential(headers).ok().flatten();
        let jwt = credential.and_then(Jwt::parse).ok_or(Refused::Unknown)?;
        // Nobody is asked about a token that does not even say so itself.
        if jwt.subject().as_deref() != Some(allowed) {
            return Err(Refused::Unknown);
        }
        let Inner { tokens, strangers } = &*self.0;
        let ask = || strangers.token_review(from, Instant::now().into_std());
        let told = tokens.ask(jwt, aimass_chassis::clock::now(), ask).await;
        match told {
            Ok(Verdict::Yes(identity)) if **identity.user() == *allowed => Ok(identity),
            Ok(Verdict::Yes(_) | Verdict::No) => Err(Refused::Unknown),
            Err(Failure::Limited(_)) => Err(Refused::TooMany),
            Err(Failure::Unavailable) => Err(Refused::Unavailable),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let later = [(RETRY_AFTER, "1")];
        match self {
            Self::Unknown => {
                let text = "show a token of the ServiceAccount that may ask here, for audience aimass-gateway";
                let scheme = [(WWW_AUTHENTICATE, "Bearer")];
                (StatusCode::UNAUTHORIZED, scheme, text).into_response()
            }
            Self::TooMany => {
                let text = "too many tokens from this address";
                (StatusCode::TOO_MANY_REQUESTS, later, text).into_response()
            }
            Self::Unavailable => {
                let text = "the API server does not say whose token this is";
                (StatusCode::SERVICE_UNAVAILABLE, later, text).into_response()
            }
        }
    }
}
