//! `spec.batching`.
//!
//! Pure. Called by `valid`. What is absent stays absent: the server measures, and a default that is not written into a
//! revision's identity changes no revision.

use std::time::Duration;

use aimass_crds::model_deployment::Batching as WireBatching;

use super::{Rejection, fields};

/// What the pods compute together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batching {
    /// 1 to 1024.
    pub(crate) max_size: Option<i32>,
    /// At most 1 s.
    pub(crate) max_delay: Option<Duration>,
}

pub(super) fn batching(wire: &WireBatching) -> Result<Batching, Rejection> {
    let max_size = match wire.max_size {
        Some(size) => Some(fields::integer("spec.batching.maxSize", size, 1, 1024)?),
        None => None,
    };
    let delay = fields::duration(
        "spec.batching.maxDelay",
        wire.max_delay.as_ref(),
        Duration::ZERO,
        ("0s", "1s"),
    )?;
    Ok(Batching {
        max_size,
        max_delay: wire.max_delay.as_ref().map(|_| delay),
    })
}
