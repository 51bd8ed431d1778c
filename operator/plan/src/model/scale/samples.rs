//! What the tests of this module begin with: seven of ten slots, from zero to a hundred.

use std::time::Duration;

use super::{Limits, Rules, Tuning};

pub(super) const LIMITS: Limits = Limits {
    min: 0,
    max: 100,
    headroom: None,
};

pub(super) fn rules() -> Rules {
    Rules {
        in_flight: 7,
        rate: None,
        latency: None,
        max_concurrency: 10,
        window: Duration::from_secs(60),
        scale_down_delay: Duration::ZERO,
        idle_timeout: Duration::from_secs(300),
        tuning: Tuning::AIMASS,
    }
}
