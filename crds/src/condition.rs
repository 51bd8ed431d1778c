//! The types of conditions, closed, and what a condition looks like inside our processes.
//!
//! Pure. Written by the `status` functions of `aimass_plan`; on the wire a condition is `metav1::Condition`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition as WireCondition;

/// A condition as Kubernetes defines it.
pub type Condition = WireCondition;

/// Every type of condition that our kinds may have, in the order in which status lists them. APIKeys
/// and UsagePlans have no children: neither `Applied` nor what follows from pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// It does what it is for: callers get answers, a key opens, a plan holds. Only sums up.
    Ready,
    /// The spec is valid and what it refers to exists.
    Accepted,
    /// Our writes reached the cluster.
    Applied,
    /// The revision that the spec asks for serves alone.
    RolledOut,
    /// There are as many replicas as the load calls for, or why not.
    Scaled,
    /// Every gateway obeys the present weights.
    Routed,
    /// The model keeps to `spec.objectives`: how many requests fail, how long answers take.
    WithinObjectives,
    /// Not there yet, or waiting for something (only while true).
    Reconciling,
    /// A person must act (only while true).
    Stalled,
}

impl ConditionType {
    /// Every type, in the order in which status lists them.
    pub const ALL: [Self; 9] = [
        Self::Ready,
        Self::Accepted,
        Self::Applied,
        Self::RolledOut,
        Self::Scaled,
        Self::Routed,
        Self::WithinObjectives,
        Self::Reconciling,
        Self::Stalled,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Accepted => "Accepted",
            Self::Applied => "Applied",
            Self::RolledOut => "RolledOut",
            Self::Scaled => "Scaled",
            Self::Routed => "Routed",
            Self::WithinObjectives => "WithinObjectives",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }

    /// The condition of this type in `conditions`.
    #[must_use]
    pub fn find(self, conditions: &[Condition]) -> Option<&Condition> {
        conditions
            .iter()
            .find(|condition| condition.type_ == self.as_str())
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// We cannot tell (any more).
    Unknown,
}

impl ConditionStatus {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}
