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

/// Bounds, in seconds, of how long models take to wake and what that consists of.
///
/// From a decision to a pod that had to be waited for. Where models wake whose image and files are on the node, each
/// is about a fifth above the one before: what is read from them there is right to a tenth.
pub const COLD_START_SECONDS: [f64; 23] = [
    0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.36, 0.43, 0.52, 0.63, 0.75, 0.9,
    1.1, 1.3, 1.6, 2.0, 5.0, 15.0, 60.0,
];

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
