//! What changes with every request: counters that outlive tables.
//!
//! Shared by `Arc` between a table and the next one; only atomics and small locks.

use std::sync::atomic::AtomicU32;

/// Of one ModelDeployment.
#[derive(Debug, Default)]
pub struct DeploymentLive {}

/// Of one pod.
#[derive(Debug, Default)]
pub struct EndpointLive {
    /// Requests that it has been given and has not ended.
    pub in_flight: AtomicU32,
}
