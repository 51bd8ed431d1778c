//! How spans are sent: by the process's own runtime, without redirects and within a time; failures go to the log.
//!
//! Called by OpenTelemetry's thread, which has no runtime of its own.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

use crate::logs::chain;

/// For one batch.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends batches to the collector.
#[derive(Debug)]
pub(super) struct Sender {
    client: reqwest::Client,
    runtime: Handle,
}

impl Sender {
    /// Trusts the authorities of the system, if `tls` wants any: an image may have none.
    pub(super) fn new(tls: bool) -> anyhow::Result<Self> {
        let builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .user_agent(concat!("aimass/", env!("CARGO_PKG_VERSION")));
        let builder = if tls {
            builder
        } else {
            builder.tls_certs_only([])
        };
        let client = builder.build().context(
            "failed to make the client for traces: https needs the system's certificate authorities",
        )?;
        Ok(Self {
            client,
            runtime: Handle::current(),
        })
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let send = async move { client.send_bytes(request).await };
        let answer = match self.runtime.spawn(send).await {
            Ok(answer) => answer,
            Err(ended) => Err(ended.into()),
        };
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => {
                tracing::warn!(
                    http.status = answer.status().as_u16(),
                    "the collector refused traces"
                );
            }
            Err(error) => {
                tracing::warn!(error = chain(error.as_ref()), "failed to send traces");
            }
        }
        answer
    }
}
