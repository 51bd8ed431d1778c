//! Metrics in the OpenMetrics text format.

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
pub use prometheus_client::registry::Registry;

/// A label of a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word(pub &'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

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
