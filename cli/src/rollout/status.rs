//! How far a rollout is, as text. Pure.

use aimass_crds::ModelDeployment;
use aimass_crds::condition::ConditionType;
use aimass_crds::model_deployment::{CheckStatus, ModelDeploymentStatus, RevisionStatus};

use crate::client::printable;
use crate::table;

const REVISIONS: [&str; 6] = ["REVISION", "NUMBER", "ROLE", "SHARE", "PODS", "STATE"];
const CHECKS: [&str; 6] = ["CHECK", "VERDICT", "REQUESTS", "NEW", "STABLE", "LIMIT"];

/// What `RolledOut` says; the revisions with their shares; what was measured, if anything was.
pub(super) fn text(model: &ModelDeployment) -> String {
    let Some(status) = &model.status else {
        return "The operator has not looked at it yet.\n".to_owned();
    };
    let mut text = String::new();
    if let Some(condition) = ConditionType::RolledOut.find(&status.conditions) {
        let (reason, message) = (&condition.reason, printable(&condition.message));
        text.push_str(&format!("{reason}: {message}\n"));
    }
    if !status.revisions.is_empty() {
        let rows = status.revisions.iter().map(|known| revision(status, known));
        let rows: Vec<_> = std::iter::once(REVISIONS.map(str::to_owned))
            .chain(rows)
            .collect();
        text.push('\n');
        text.push_str(&table::lines(&rows));
    }
    let checks = status.rollout.as_ref().map(|rollout| &*rollout.checks);
    let checks = checks.unwrap_or_default();
    if !checks.is_empty() {
        let rows = checks.iter().map(check);
        let rows: Vec<_> = std::iter::once(CHECKS.map(str::to_owned))
            .chain(rows)
            .collect();
        text.push('\n');
        text.push_str(&table::lines(&rows));
    }
    text
}

fn revision(status: &ModelDeploymentStatus, known: &RevisionStatus) -> [String; REVISIONS.len()] {
    let share = status
        .traffic
        .iter()
        .find(|share| share.revision == known.name);
    let share = share.map_or_else(|| "-".to_owned(), |share| format!("{} %", share.weight));
    [
        known.name.clone(),
        known.number.to_string(),
        format!("{:?}", known.role),
        share,
        format!("{}/{}", known.ready_replicas, known.replicas),
        known.reason.clone(),
    ]
    .map(|cell| printable(&cell))
}

fn check(check: &CheckStatus) -> [String; CHECKS.len()] {
    let or_none = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    [
        check.metric.clone(),
        format!("{:?}", check.verdict),
        check.requests.to_string(),
        or_none(&check.new),
        or_none(&check.stable),
        or_none(&check.limit),
    ]
    .map(|cell| printable(&cell))
}
