//! Metrics in the OpenMetrics text format.

pub use prometheus_client::registry::Registry;

/// The content type of [`encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a registry as OpenMetrics text.
#[must_use]
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail; a metric that fails to encode leaves out the rest.
    if prometheus_client::encoding::text::encode(&mut text, registry).is_err() {
        tracing::error!("failed to encode the metrics");
    }
    text
}
