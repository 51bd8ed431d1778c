//! Data. Why something is as it is: the closed set of reasons.
//!
//! The same value is a condition's reason, an Event's reason and a metric's label. Reasons are for
//! programs and never renamed; the text for people is the message beside them.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Every reason that conditions, revisions, failures and Events may carry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of this file.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    // Accepted
    /// The spec is valid and its references exist.
    Valid,
    /// The spec breaks a rule; the message names the path, the rule and the value.
    InvalidSpec,
    /// The stored object does not parse; the message names the path.
    Undecodable,
    /// The ConfigMap of the source, or its key, does not exist.
    ConfigMapNotFound,
    /// The PersistentVolumeClaim of the source does not exist.
    ClaimNotFound,
    /// The revision that `spec.rollout.pin` names is not kept.
    RevisionNotFound,
    /// The UsagePlan that an APIKey names does not exist: the gateway's plan for everybody holds.
    PlanNotFound,

    // Applied
    /// All children are as they should be.
    UpToDate,
    /// The operator lacks a permission; the message names verb and resource.
    Forbidden,
    /// The API server refuses an object; the message quotes it.
    ApplyRefused,
    /// An object that is not ours has the name of one of our children.
    NameConflict,
    /// The API server cannot be reached or does not answer in time.
    ApiUnavailable,
    /// The operator itself failed (a panic); its log has the details.
    InternalError,

    // Ready
    /// As many replicas as asked for answer.
    Serving,
    /// Fewer replicas than asked for answer.
    Degraded,
    /// No replica is ready yet, and nothing is known to be wrong.
    Starting,
    /// Nobody calls, so there is no pod: the first request starts one and waits for it.
    Idle,
    /// Somebody called while there was no pod: one starts, requests wait for it.
    Waking,
    /// `spec.suspend` is true.
    Suspended,
    /// Zero replicas are asked for.
    AtZero,

    // Ready, of APIKeys and UsagePlans
    /// The key opens its models; the plan's limits hold.
    Active,
    /// `spec.disabled` of the APIKey is true.
    Disabled,
    /// None of the APIKey's credentials is accepted any more.
    Expired,
    /// Another, older APIKey has the id of one of its credentials.
    DuplicateKeyID,

    // RolledOut
    /// The revision that the spec asks for serves alone.
    Complete,
    /// Pods of the new revision replace those of the old one.
    Progressing,
    /// The new revision's pods find no room: quota or nodes.
    WaitingForCapacity,
    /// A step waits for enough requests, or for a verdict that is none yet.
    Holding,
    /// `spec.rollout.paused` is true.
    Paused,
    /// A step waits for a person's word: `spec.rollout.decision`.
    AwaitingApproval,
    /// The next step's weight is above `spec.rollout.canary.maxWeight`.
    AtMaxWeight,
    /// The old revision is brought back.
    RollingBack,
    /// The new revision failed; the old one serves.
    RolledBack,
    /// A person has taken the new revision back.
    Aborted,
    /// The new revision failed and nothing was rolled back: there is no old one, or
    /// `rollout.autoRollback` is false.
    Failed,
    /// `spec.rollout.pin` is served, whatever the rest of the spec says.
    Pinned,
    /// The spec is not accepted, so nothing is rolled out.
    NotAccepted,

    // Routed
    /// Every gateway obeys the present weights.
    AllGateways,
    /// Not every gateway obeys the present weights yet, or says so.
    GatewaysLagging,
    /// There is no gateway that could obey weights or count requests.
    NoGateway,

    // Scaled
    /// There are as many replicas as the load calls for, within `spec.scaling`.
    WithinLimits,
    /// The number of replicas is set by `spec.replicas`.
    FixedReplicas,
    /// The load calls for more replicas than `spec.scaling.max`.
    MaxReplicasReached,
    /// No gateway says what the load is, or what became of requests: the number of replicas stays.
    NoSignals,

    // WithinObjectives
    /// A whole window kept to all objectives.
    Met,
    /// Too many answers of a whole window took longer than `objectives.latencyP95` or `latencyP99`.
    LatencyAboveObjective,
    /// Too many requests of a whole window failed: `objectives.errorRate`.
    ErrorRateAboveObjective,
    /// `spec.objectives` is not set.
    NoObjectives,
    /// No window with at least 20 requests yet, or not any more: nothing can be said.
    NoTraffic,

    // Pods, in order of causality
    /// The API server or an admission policy refuses the pods.
    AdmissionRefused,
    /// A ResourceQuota is used up.
    QuotaExceeded,
    /// No node has room for a pod or matches it.
    Unschedulable,
    /// A volume cannot be mounted.
    VolumeMountFailed,
    /// A container cannot be created from its configuration.
    ConfigInvalid,
    /// An image cannot be pulled.
    ImagePullFailed,
    /// The model's files cannot be reached.
    ArtifactUnavailable,
    /// The model's files may not be read.
    AccessDenied,
    /// Fetching the model's files takes too long.
    FetchTimeout,
    /// The model's files do not fit.
    OutOfDisk,
    /// The model's files are damaged or not what they should be.
    ArtifactInvalid,
    /// The model's files do not have the digest that the spec names.
    DigestMismatch,
    /// A container needs more memory than its limit.
    OutOfMemory,
    /// The engine refuses the model.
    ModelLoadFailed,
    /// The engine that the spec names is not there: no image has it, or the image lacks its library.
    EngineUnavailable,
    /// A container ends again and again.
    CrashLooping,
    /// A pod was evicted from its node.
    Evicted,
    /// A pod was not ready within `runtime.startDeadline`, or a rollout made no progress within
    /// `rollout.progressDeadline`.
    StartTimeout,
    /// The new revision is worse than `rollout.analysis` allows.
    AnalysisFailed,
    /// No verdict on the new revision within `rollout.analysis.maxHold`.
    AnalysisInconclusive,

    // Revisions and further Events
    /// All pods of a revision are ready.
    Ready,
    /// A new revision was made.
    RevisionCreated,
    /// Requests are divided in another way.
    WeightChanged,
    /// More replicas are asked for.
    ScaledUp,
    /// Fewer replicas are asked for.
    ScaledDown,
    /// Nobody calls, and the last replica goes.
    ScaledToZero,
    /// Somebody calls, and the first replica comes.
    WokenUp,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == text)
            .ok_or(UnknownReason)
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A text that names no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason;

impl fmt::Display for UnknownReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a reason of aimass")
    }
}

impl std::error::Error for UnknownReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_by_its_name_and_is_a_valid_kubernetes_reason() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert!(reason.as_str().len() <= 64);
            assert!(reason.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert_eq!("serving".parse::<Reason>(), Err(UnknownReason));
    }
}
