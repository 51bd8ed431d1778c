//! What every request passes before the application and every answer after it: framing is judged,
//! bodies are watched, a body's fault becomes its answer, and a closing connection says so.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use super::body::{Answer, Fault, Noted, Watched};
use super::connection::Origin;
use super::guard::{Activity, InFlight};
use super::upgrade::Upgrade;
use super::{Limits, framing};
use crate::shutdown::Stop;

/// The front of one connection.
pub(super) struct Front {
    pub(super) app: Router,
    pub(super) limits: Limits,
    /// What its requests are marked with.
    pub(super) origin: Origin,
    pub(super) activity: Activity,
    /// Cancelled when connections are to end with the answer under way.
    pub(super) drain: Stop,
    /// What the connection goes on with if it is upgraded.
    pub(super) upgrade: Upgrade,
}

impl Front {
    /// Answers one request; `in_flight` began with its head.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        in_flight: Arc<InFlight>,
    ) -> Result<Response<Answer>, Infallible> {
        let Self {
            app,
            limits,
            origin,
            activity,
            drain,
            upgrade,
        } = &*self;
        let version = request.version();
        let noted = Noted::default();
        let judged = framing::judge(&request, limits);
        let response = match judged {
            Err(refusal) => framing::refusal(refusal.status(), refusal.text()),
            Ok(()) => {
                let watch =
                    |body| Watched::new(body, limits, noted.clone(), Arc::clone(&in_flight));
                let mut request = request.map(|body| Body::new(watch(body)));
                request.extensions_mut().insert(origin.connection);
                if let Some(secured) = &origin.secured {
                    request.extensions_mut().insert(secured.clone());
                }
                if version == Version::HTTP_11 && request.headers().contains_key(UPGRADE) {
                    request.extensions_mut().insert(upgrade.clone());
                }
                unless_faulty(app.clone(), request, &noted).await?
            }
        };
        let mut response =
            response.map(|body| Answer::new(body, limits, activity.clone(), in_flight));
        let ends = judged.is_err() || noted.get().is_some() || drain.is_cancelled();
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if ends && version < Version::HTTP_2 && !upgraded {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// The application's answer; to a faulty body never a success.
async fn unless_faulty(
    app: Router,
    request: Request<Body>,
    noted: &Noted,
) -> Result<Response<Body>, Infallible> {
    let answer = app.oneshot(request).await?;
    // gRPC's refusals have status 200 and say so in the head, where a success has no status yet.
    let refused = answer.status().is_client_error()
        || answer.status().is_server_error()
        || answer.headers().contains_key("grpc-status");
    Ok(match noted.get() {
        Some(Fault::Slow) if !refused => framing::refusal(
            StatusCode::REQUEST_TIMEOUT,
            "the request body came too slowly; send at least 1 KiB a second",
        ),
        Some(Fault::Broken) if !refused => framing::refusal(
            StatusCode::BAD_REQUEST,
            "the request body ended early or is malformed",
        ),
        // The application's refusal is in the words of its protocol.
        Some(Fault::Slow | Fault::Broken) | None => answer,
    })
}
