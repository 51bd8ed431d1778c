//! The condition `Routed`: whether every gateway obeys the present shares.
//!
//! Pure. Called by `message`. Since when it says so is read back: pods go a while after that.

use aimass_crds::condition::ConditionStatus;
use aimass_crds::reason::Reason;

use super::message::Saying;
use crate::model::gateways::Routed;

/// Whether every gateway obeys the present shares.
pub(super) fn routed(routed: &Routed) -> Saying {
    let Routed {
        expected,
        have,
        want,
        version,
    } = routed;
    if !expected {
        let message = "no gateway is installed: nobody divides requests";
        return (
            ConditionStatus::Unknown,
            Reason::NoGateway,
            message.to_owned(),
        );
    }
    if *want == 0 {
        let message = "no gateway is there: no pod is taken away, no share changes";
        return (
            ConditionStatus::Unknown,
            Reason::NoGateway,
            message.to_owned(),
        );
    }
    let counts = format!("{have} of {want} gateways obey trafficVersion {version}");
    if have == want {
        (ConditionStatus::True, Reason::AllGateways, counts)
    } else {
        (ConditionStatus::False, Reason::GatewaysLagging, counts)
    }
}
