//! The condition `RolledOut`: how far the change to what the spec asks for is.
//!
//! Pure. Called by `message`. What is waited for is said in figures that stay while it is waited for.

use aimass_crds::condition::ConditionStatus;
use aimass_crds::model_deployment::RevisionRef;
use aimass_crds::reason::Reason;

use super::message::Saying;
use super::sums::Sums;
use crate::model::outlook::{Decided, Failed, Progress, Wait};
use crate::text::cut;

/// How far the change to what the spec asks for is.
pub(super) fn rolled_out(decided: &Decided, sums: &Sums) -> Saying {
    let target = named(decided.target.as_ref());
    let stable = named(decided.stable.as_ref());
    let failed = decided
        .rollout
        .as_ref()
        .and_then(|rollout| rollout.failed());
    let (reason, message) = match decided.progress {
        Progress::Complete => {
            return (
                ConditionStatus::True,
                Reason::Complete,
                format!("{target} serves"),
            );
        }
        Progress::GatewaysLagging => {
            let message = going(decided, sums, &target);
            return (ConditionStatus::Unknown, Reason::GatewaysLagging, message);
        }
        Progress::Starting => (Reason::Starting, going(decided, sums, &target)),
        Progress::Progressing => (Reason::Progressing, going(decided, sums, &target)),
        Progress::WaitingForCapacity => (Reason::WaitingForCapacity, going(decided, sums, &target)),
        Progress::Holding => (Reason::Holding, going(decided, sums, &target)),
        Progress::AwaitingApproval => (Reason::AwaitingApproval, going(decided, sums, &target)),
        Progress::AtMaxWeight => (Reason::AtMaxWeight, going(decided, sums, &target)),
        Progress::Paused => {
            let going = going(decided, sums, &target);
            let message = format!("{going}; paused: set spec.rollout.paused to false to go on");
            (Reason::Paused, message)
        }
        Progress::RollingBack => {
            let why = failed.map(|failed| format!("{target} failed: {}; ", why(failed)));
            let message = format!("{}{stable} is brought back", why.unwrap_or_default());
            (Reason::RollingBack, message)
        }
        Progress::RolledBack | Progress::Aborted | Progress::Failed => ended(decided, failed),
        Progress::Pinned => (
            Reason::Pinned,
            format!("{target} serves by spec.rollout.pin: remove it to serve what spec asks for"),
        ),
        Progress::Suspended => (
            Reason::Suspended,
            "suspended: nothing is rolled out".to_owned(),
        ),
        Progress::NotAccepted => (
            Reason::NotAccepted,
            "the spec is not accepted, see condition Accepted: what serves goes on".to_owned(),
        ),
    };
    (ConditionStatus::False, reason, message)
}

/// A rollout that goes no further by itself.
fn ended(decided: &Decided, failed: Option<&Failed>) -> (Reason, String) {
    let target = named(decided.target.as_ref());
    let stable = named(decided.stable.as_ref());
    let why = failed.map(why).unwrap_or_default();
    let attempt = failed.map_or(1, |failed| failed.attempt);
    let again = format!(
        "correct the spec, or say Retry with attempt {attempt} in spec.rollout.decision to try the same again"
    );
    match decided.progress {
        Progress::Aborted => (
            Reason::Aborted,
            format!("{target} was taken back, {stable} serves: {again}"),
        ),
        Progress::RolledBack => (
            Reason::RolledBack,
            format!("{target} failed, {stable} serves: {why}; {again}"),
        ),
        _ => (Reason::Failed, format!("{target} failed: {why}; {again}")),
    }
}

fn why(failed: &Failed) -> String {
    format!("{}: {}", failed.reason, cut(&failed.message, 600))
}

/// How many pods are ready, which share they have, what is waited for and what is in the way.
fn going(decided: &Decided, sums: &Sums, target: &str) -> String {
    let revision = decided.target.as_ref().map(|target| &target.revision);
    let ready = revision.map_or(0, |revision| sums.of_revision(revision).ready);
    let mut text = format!(
        "{ready} of {} pods of {target} are ready",
        decided.scaling.desired
    );
    let weight = decided.rollout.as_ref().map_or(0, |rollout| rollout.weight);
    if weight > 0 {
        text.push_str(&format!(", it gets {weight} % of the requests"));
    }
    if let Some(wait) = decided.wait.as_ref().and_then(|wait| waits(decided, wait)) {
        text.push_str("; ");
        text.push_str(&wait);
    }
    let outlook = decided.revisions.iter().find(|r| Some(&r.name) == revision);
    if let Some(failure) = outlook.and_then(|revision| revision.failure.as_ref()) {
        let why = cut(&failure.message, 600);
        text.push_str(&format!("; {}: {why}", failure.reason));
    }
    text
}

/// What is waited for; `None` where the counts have said it.
fn waits(decided: &Decided, wait: &Wait) -> Option<String> {
    Some(match wait {
        Wait::Pods { weight, want } => {
            let weighted = *weight > 0 && decided.stable.is_some();
            return weighted.then(|| format!("{weight} % need {want} ready"));
        }
        Wait::Gateways => {
            let routed = &decided.routed;
            return routed.expected.then(|| {
                format!(
                    "{} of {} gateways obey these shares",
                    routed.have, routed.want
                )
            });
        }
        Wait::Watched { step, seconds } => format!("step {step} is watched for {seconds} s"),
        Wait::Verdict {
            step,
            nobody_counts: true,
            ..
        } => format!(
            "step {step} is held, because without a gateway nobody counts requests: say Promote in spec.rollout.decision to go on"
        ),
        Wait::Verdict { step, want, .. } => {
            let seen = decided.rollout.as_ref().map(|rollout| &rollout.checks);
            let have = seen.and_then(|checks| checks.iter().map(|check| check.requests).min());
            format!(
                "step {step} is held: {} requests were judged, {want} are needed, on the stable revision too where it is compared with",
                have.unwrap_or(0)
            )
        }
        Wait::Approval { step } => format!(
            "step {step} waits for a person: say Continue with step {step} in spec.rollout.decision"
        ),
        Wait::MaxWeight { weight } => {
            format!("the next share is {weight} %: raise spec.rollout.canary.maxWeight to go on")
        }
        Wait::Leaving => "pods of another revision still end".to_owned(),
    })
}

fn named(revision: Option<&RevisionRef>) -> String {
    revision.map_or_else(
        || "no revision".to_owned(),
        |revision| {
            format!(
                "revision {} (number {})",
                revision.revision, revision.number
            )
        },
    )
}
