//! What a plan decided beyond objects: all that `status` and `next` need to know of it.
//!
//! Pure. Made by [`super::plan`], carried through `apply`, read by [`super::status()`] and
//! [`super::next()`]. Everything that depends on time is decided here, so that a status never changes
//! because a clock moved.

use std::collections::BTreeSet;

use aimass_crds::model_deployment::{LimitedBy, RevisionRef, Role, ScalingMode, Weight};
use aimass_crds::reason::Reason;
use jiff::Timestamp;
use serde::Serialize;

use super::analysis::CheckResult;
use super::gateways::Routed;
use super::objectives::Within;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outlook {
    /// The object is being deleted: nothing is written, its children go by garbage collection.
    Deleting,
    /// The usual case.
    Serving(Box<Decided>),
}

/// What was decided for an object that is to serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// Whether what the spec refers to is there.
    pub accepted: Accepted,
    /// `servedName`, effective.
    pub served_name: String,
    /// The address of the model.
    pub url: String,
    /// How many pods there shall be, and who says so.
    pub scaling: Scaling,
    /// The revision that the spec asks for, if it is known.
    pub target: Option<RevisionRef>,
    /// The last one that was rolled out completely, as of now.
    pub stable: Option<RevisionRef>,
    /// All revisions that exist or are made by this plan, the newest first; at most 10.
    pub revisions: Vec<RevisionOutlook>,
    /// The rollout as it has to be remembered.
    pub rollout: Option<RolloutMemory>,
    /// How far it is.
    pub progress: Progress,
    /// What it waits for.
    pub wait: Option<Wait>,
    /// The share of each revision in the requests, the newest first.
    pub traffic: Vec<Weight>,
    /// How many gateways obey it.
    pub routed: Routed,
    /// Whether the model keeps to its objectives.
    pub within: Within,
    /// What keeps pods from getting ready, of the revision that matters most.
    pub failure: Option<RevisionFailure>,
    /// When time alone will change something.
    pub wake_at: Option<Timestamp>,
}

/// Whether the references of a spec resolve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Accepted {
    /// They do.
    Valid,
    /// Something does not exist.
    Missing {
        /// `ConfigMapNotFound`, `ClaimNotFound`.
        reason: Reason,
        /// What is missing, then what to do.
        message: String,
    },
    /// We may not look.
    Forbidden(String),
}

/// How many pods there shall be, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scaling {
    /// Who says it.
    pub mode: ScalingMode,
    /// `spec.scaling.min`, effective.
    pub min: i32,
    /// `spec.scaling.max`, effective.
    pub max: i32,
    /// How many; 0 while suspended.
    pub desired: i32,
    /// What keeps it from being more.
    pub limited_by: Option<LimitedBy>,
    /// The decision in words.
    pub message: String,
    /// Which quota has no room for more, and what to do, where that is known.
    pub held: Option<String>,
    /// The load says it, but no gateway speaks.
    pub silent: bool,
    /// The load calls for no pod. A new revision may have one all the same, to prove itself.
    pub asleep: bool,
}

impl Scaling {
    /// How many ready pods are enough: all where a person says how many; where the load does, no
    /// alarm is due while further ones start.
    pub(crate) fn enough(&self) -> i32 {
        match self.mode {
            ScalingMode::Automatic => self.min.max(1).min(self.desired),
            ScalingMode::Fixed | ScalingMode::Suspended => self.desired,
        }
    }
}

/// One revision and what is decided for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevisionOutlook {
    /// Eight characters.
    pub name: String,
    /// Counted up.
    pub number: i64,
    /// When it was made; `None`: by this plan.
    pub created: Option<Timestamp>,
    /// Where its files come from, for people.
    pub model: String,
    /// The digest of its files, where known.
    pub digest: Option<String>,
    /// What it is for.
    pub role: Role,
    /// How many pods it shall have.
    pub size: i32,
    /// What keeps its pods from getting ready.
    pub failure: Option<PodFailure>,
}

/// What keeps pods from getting ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodFailure {
    /// One of the reasons of pods.
    pub reason: Reason,
    /// What is, then what to do; at most 1 KiB.
    pub message: String,
    /// The pod it was seen on.
    pub pod: Option<String>,
    /// Waiting does not help: a rollout to such a revision has failed.
    pub decisive: bool,
}

/// A failure and the revision whose pods have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevisionFailure {
    /// Eight characters.
    pub revision: String,
    /// What it is.
    pub failure: PodFailure,
}

/// A rollout as it is remembered in `status.rollout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolloutMemory {
    /// The revision that is rolled out.
    pub revision: String,
    /// Counted up by each Retry, from 1.
    pub attempt: i32,
    /// When it began.
    pub started: Timestamp,
    /// The step that it has come to, from 1; 0 before the first.
    pub step: i32,
    /// Since when all gateways obey the step's weight; `None`: they do not yet.
    pub step_started: Option<Timestamp>,
    /// Since when a further ready pod is waited for; `None`: the clock stands still.
    pub progressed: Option<Timestamp>,
    /// The highest number of its pods ready at once so far.
    pub ready: i32,
    /// The share of the requests that it is to have by now.
    pub weight: i32,
    /// The listed steps that are not judged again.
    pub passed: BTreeSet<i32>,
    /// When it was last judged in this step.
    pub checked: Option<Timestamp>,
    /// What was said of it then.
    pub checks: Vec<CheckResult>,
    /// Why it failed, or the attempt before it did.
    pub failure: Option<Failed>,
}

impl RolloutMemory {
    /// Why the present attempt failed.
    pub(crate) fn failed(&self) -> Option<&Failed> {
        let failure = self.failure.as_ref();
        failure.filter(|failure| failure.attempt >= self.attempt)
    }
}

/// Why a rollout failed, and since when that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Which attempt did.
    pub attempt: i32,
    /// When it was noticed.
    pub time: Timestamp,
    /// What failed.
    pub reason: Reason,
    /// What is, then what to do.
    pub message: String,
    /// The pod it was seen on.
    pub pod: Option<String>,
}

/// What a rollout waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Wait {
    /// Ready pods of the new revision, before it gets a share of the requests.
    Pods {
        /// The share.
        weight: i32,
        /// How many it needs.
        want: i32,
    },
    /// Gateways that do not obey its share yet, or do not say so.
    Gateways,
    /// A step that is watched for a while.
    Watched {
        /// From 1.
        step: i32,
        /// For how long at least.
        seconds: u64,
    },
    /// A verdict that is none yet.
    Verdict {
        /// From 1.
        step: i32,
        /// Requests that are enough for one.
        want: u32,
        /// There is nobody who counts requests.
        nobody_counts: bool,
    },
    /// A person's word.
    Approval {
        /// From 1.
        step: i32,
    },
    /// A greater `maxWeight`.
    MaxWeight {
        /// The next step's share.
        weight: i32,
    },
    /// Pods of a revision that is neither the old nor the new one.
    Leaving,
}

/// How far a rollout is: the reason of `RolledOut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Progress {
    /// The target serves alone.
    Complete,
    /// No pod of the target was ready yet.
    Starting,
    /// Pods of the target replace others.
    Progressing,
    /// The target's pods find no room.
    WaitingForCapacity,
    /// Gateways do not take over the weights.
    GatewaysLagging,
    /// No verdict on the target yet.
    Holding,
    /// By `rollout.paused`.
    Paused,
    /// A step waits for a person.
    AwaitingApproval,
    /// The next step's weight is above `maxWeight`.
    AtMaxWeight,
    /// The stable revision is brought back.
    RollingBack,
    /// The stable revision is back.
    RolledBack,
    /// A person took the target back.
    Aborted,
    /// The target failed and stays.
    Failed,
    /// A revision serves by `rollout.pin`.
    Pinned,
    /// By `suspend`.
    Suspended,
    /// The spec's references do not resolve.
    NotAccepted,
}
