//! What a request holds of the shared state, counted until it is dropped.
//!
//! Handed out by `state.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;

/// One inference request, counted until dropped.
pub struct InFlight(pub(super) Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.in_flight.dec();
    }
}

/// Bytes of one body, counted until dropped.
pub struct Reservation {
    pub(super) shared: Arc<Shared>,
    pub(super) bytes: u64,
}

impl Reservation {
    /// Takes `bytes` more; false if all bodies together would be too large.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes as u64;
        let all = self
            .shared
            .buffered
            .fetch_add(more, Ordering::Relaxed)
            .saturating_add(more);
        self.bytes = self.bytes.saturating_add(more);
        self.shared
            .metrics
            .buffered_bytes
            .inc_by(i64::try_from(more).unwrap_or(i64::MAX));
        all <= self.shared.settings.max_buffered
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared
            .buffered
            .fetch_sub(self.bytes, Ordering::Relaxed);
        self.shared
            .metrics
            .buffered_bytes
            .dec_by(i64::try_from(self.bytes).unwrap_or(i64::MAX));
    }
}
