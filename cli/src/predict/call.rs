//! The one request: posts a body within a deadline and reads a bounded answer. Judged by `answer`.
//!
//! No proxy of the environment is used, and no redirect followed: a key must not go where nobody sent it.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, Response, Url, redirect};

use super::address;
use super::answer::Received;
use crate::client::{chain, printable};
use crate::outcome::{Exit, Failure};
use crate::token::Token;

/// For name, connection and handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// The other side knows the deadline too; its answer that it has passed comes a little later.
const GRACE: Duration = Duration::from_secs(1);
/// The largest answer that is read.
const MAX_ANSWER: usize = 256 << 20;

/// A request but for its body.
pub(super) struct Call<'a> {
    pub(super) url: &'a Url,
    pub(super) key: Option<&'a Token>,
    pub(super) trust: Trust,
    pub(super) timeout: Duration,
    pub(super) request_id: &'a str,
}

/// Whose certificates are trusted.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// Those of the system's authorities, and of these.
    System(Vec<Certificate>),
    /// All.
    Anybody,
}

/// Posts `body`.
pub(super) async fn post(call: &Call<'_>, body: Vec<u8>) -> Result<Received, Failure> {
    let deadline = call.timeout.as_millis().to_string();
    let mut request = client(call)?
        .post(call.url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .header("x-request-id", call.request_id)
        .header("x-request-timeout-ms", deadline)
        // The names that TensorFlow Serving has for what is no number would be no JSON.
        .header("aimass-json-nonfinite", "string")
        .body(body);
    if let Some(key) = call.key {
        request = request.bearer_auth(key.expose());
    }
    let response = request.send().await.map_err(|error| broken(call, &error))?;
    received(call, response).await
}

fn client(call: &Call<'_>) -> Result<Client, Failure> {
    let builder = || {
        Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(call.timeout.saturating_add(GRACE))
            .user_agent(concat!("aimass/", env!("CARGO_PKG_VERSION")))
    };
    let built = match &call.trust {
        Trust::Anybody => builder().tls_danger_accept_invalid_certs(true).build(),
        Trust::System(authorities) => trusting(builder, authorities),
    };
    built.map_err(|error| Failure::new(format!("failed to begin a request: {}", chain(&error))))
}

/// With the system's authorities, if it has any: an image of one binary has none.
fn trusting(
    builder: impl Fn() -> ClientBuilder,
    authorities: &[Certificate],
) -> reqwest::Result<Client> {
    let besides = builder().tls_certs_merge(authorities.to_vec()).build();
    besides.or_else(|_| builder().tls_certs_only(authorities.to_vec()).build())
}

async fn received(call: &Call<'_>, mut response: Response) -> Result<Received, Failure> {
    let (status, headers) = (response.status().as_u16(), response.headers());
    let text = |name: HeaderName| text(headers, &name);
    let mut received = Received {
        status,
        kind: text(HeaderName::from_static("aimass-error")),
        request_id: text(HeaderName::from_static("x-request-id"))
            .unwrap_or_else(|| call.request_id.to_owned()),
        retry_after: text(RETRY_AFTER),
        location: text(LOCATION),
        body: Vec::new(),
    };
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| broken(call, &error))?;
        let Some(chunk) = chunk else {
            return Ok(received);
        };
        if received.body.len().saturating_add(chunk.len()) > MAX_ANSWER {
            return Err(Failure::new(format!(
                "the answer has more than {MAX_ANSWER} bytes: ask for fewer instances"
            )));
        }
        received.body.extend_from_slice(&chunk);
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(printable(value))
}

/// A request that brought no answer.
fn broken(call: &Call<'_>, error: &reqwest::Error) -> Failure {
    let (url, id) = (call.url, call.request_id);
    let host = url.host_str().unwrap_or_default();
    if error.is_timeout() && !error.is_connect() {
        let seconds = call.timeout.as_secs_f64();
        return unanswered(format!(
            "no answer within {seconds} s, request {id}: raise --timeout, or see whether the model is ready"
        ));
    }
    if is_certificate(error) {
        return Failure::new(format!(
            "the certificate of {host} is not trusted: {}. Give its authority by --ca-file",
            cause(error)
        ));
    }
    if !error.is_connect() {
        return unanswered(format!(
            "the connection to {host} broke, request {id}: {}",
            cause(error)
        ));
    }
    let what = if address::is_within_cluster(url) {
        "this address is known within the cluster only: from outside, give that of the gateway by --url; or kubectl \
         port-forward a Service, and --url http://localhost:PORT"
    } else {
        "is the address right, and does anything listen there?"
    };
    unanswered(format!(
        "{host} cannot be connected to: {}: {what}",
        cause(error)
    ))
}

fn unanswered(text: String) -> Failure {
    Failure {
        exit: Exit::Unanswered,
        text,
    }
}

/// What is the matter, without the address, which the person typed or which is named already.
fn cause(error: &reqwest::Error) -> String {
    match error.source() {
        Some(source) => chain(source),
        None => "no reason is known".to_owned(),
    }
}

/// Whether the far side's certificate is why there is no connection.
fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    let tls = error.downcast_ref::<rustls::Error>();
    let here = tls.is_some_and(|tls| matches!(tls, rustls::Error::InvalidCertificate(_)));
    // An I/O error does not count what it wraps among its causes.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    here || wrapped.is_some_and(|error| is_certificate(error))
        || error.source().is_some_and(is_certificate)
}
