//! The list of conditions while it is made: `lastTransitionTime` moves only with the status.
//!
//! Pure. Called by the `status` of each kind.

use aimass_crds::condition::{Condition, ConditionStatus, ConditionType};
use aimass_crds::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::text::bounded;

/// Conditions in the making.
pub(crate) struct Conditions<'a> {
    previous: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
    made: Vec<(ConditionType, Condition)>,
}

impl<'a> Conditions<'a> {
    /// None yet.
    pub(crate) fn new(previous: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self {
            previous,
            generation,
            now,
            made: Vec::new(),
        }
    }

    /// Adds one, judged now.
    pub(crate) fn set(
        &mut self,
        of: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: &str,
    ) {
        let before = of
            .find(self.previous)
            .filter(|before| before.status == status.as_str());
        let since = before.map_or(Time(self.now), |before| before.last_transition_time.clone());
        self.push(
            of,
            Condition {
                type_: of.as_str().to_owned(),
                status: status.as_str().to_owned(),
                reason: reason.as_str().to_owned(),
                message: bounded(message),
                observed_generation: self.generation,
                last_transition_time: since,
            },
        );
    }

    /// Keeps one as it was; `false` if there was none.
    pub(crate) fn keep(&mut self, of: ConditionType) -> bool {
        let Some(before) = of.find(self.previous) else {
            return false;
        };
        let kept = Condition {
            observed_generation: self.generation,
            ..before.clone()
        };
        self.push(of, kept);
        true
    }

    /// What one says that was made before.
    pub(crate) fn made(&self, of: ConditionType) -> Option<&Condition> {
        self.made
            .iter()
            .find(|(other, _)| *other == of)
            .map(|(_, condition)| condition)
    }

    /// What one said before.
    pub(crate) fn before(&self, of: ConditionType) -> Option<&'a Condition> {
        of.find(self.previous)
    }

    /// All, in the one order.
    pub(crate) fn finish(mut self) -> Vec<Condition> {
        self.made.sort_by_key(|(of, _)| *of);
        self.made
            .into_iter()
            .map(|(_, condition)| condition)
            .collect()
    }

    fn push(&mut self, of: ConditionType, condition: Condition) {
        self.made.retain(|(other, _)| *other != of);
        self.made.push((of, condition));
    }
}

/// Kubernetes keeps whole seconds.
pub(crate) fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
