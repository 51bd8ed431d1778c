//! Everything that can go wrong while an object is reconciled, and what it means for the user.
//!
//! Pure. [`Error::failure`] is the one mapping from `kube::Error` to a reason and a message of the
//! status; `plan` never sees a client's error. Nothing here is a success: waiting is a value.

use std::time::Duration;

use aimass_crds::reason::Reason;
use aimass_plan::model::Failure;
use kube::core::response::Status;

use crate::deadline::{Exceeded, Throttled};
use crate::lease::fence::NotLeader;

/// Messages of conditions are at most this long.
const MESSAGE_BYTES: usize = 1024;

/// Why a reconcile did not reach its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The plan rejected the object, or it does not decode.
    #[error("rejected: {}", .0.message)]
    Rejected(Failure),
    /// The API server refused a call, or did not answer it.
    #[error("failed to {verb} {resource} {name}")]
    Call {
        /// As RBAC names it.
        verb: &'static str,
        /// As RBAC names it: `deployments.apps`.
        resource: String,
        /// Of the object.
        name: String,
        /// What kube made of it.
        source: Box<kube::Error>,
    },
    /// An object that is not ours has the name of a child.
    #[error("{kind} {name} exists and is not ours")]
    NameConflict {
        /// Of the stranger.
        kind: String,
        /// Of the stranger.
        name: String,
    },
    /// What the plan was computed from is out of date; the cache has been corrected.
    #[error("{resource} {name} changed since it was observed")]
    Stale {
        /// `deployments.apps`
        resource: String,
        /// Of the object.
        name: String,
    },
    /// A child is being deleted and must be gone before it can be created anew.
    #[error("{kind} {name} is still being deleted")]
    BeingDeleted {
        /// Of the child.
        kind: String,
        /// Of the child.
        name: String,
    },
    /// The object itself is gone or going: there is nothing to do and nobody to tell.
    #[error("the object is being deleted")]
    Gone,
    /// A reconcile took longer than it may.
    #[error("not done within {} s", .0.as_secs())]
    Late(Duration),
    /// A reconcile panicked; the log has the place.
    #[error("a defect of the operator ended the reconcile: {0}")]
    Panicked(String),
}

/// What an answer of the API server means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// RBAC.
    Forbidden,
    /// Validation, a policy, a webhook or a quota: the object as it is will not be taken.
    Refused,
    /// The namespace is going away, or gone.
    NamespaceTerminating,
    /// The state is not what a precondition says.
    Conflict,
    /// The object does not exist.
    NotFound,
    /// Not a leader (any more).
    NotLeader,
    /// No answer, or one that says "not now".
    Unavailable,
}

impl Error {
    /// What the status says about it, and whether time can help.
    pub(crate) fn failure(&self) -> Failure {
        let (terminal, reason, message) = match self {
            Self::Rejected(failure) => return failure.clone(),
            Self::Call {
                verb,
                resource,
                name,
                source,
            } => call(verb, resource, name, source),
            Self::NameConflict { kind, name } => (
                false,
                Reason::NameConflict,
                format!("{kind} {name} exists and is not ours: delete or rename it"),
            ),
            Self::Stale { resource, name } => (
                false,
                Reason::ApiUnavailable,
                format!("{resource} {name} is being changed by others; trying again"),
            ),
            Self::BeingDeleted { kind, name } => (
                false,
                Reason::ApiUnavailable,
                format!("{kind} {name} is still being deleted; waiting until it is gone"),
            ),
            Self::Gone => (
                true,
                Reason::ApiUnavailable,
                "the object is being deleted".to_owned(),
            ),
            Self::Late(limit) => (
                false,
                Reason::ApiUnavailable,
                format!("not done within {} s; trying again", limit.as_secs()),
            ),
            Self::Panicked(text) => (
                false,
                Reason::InternalError,
                format!("a defect of the operator ended the reconcile: {text}: please report it"),
            ),
        };
        Failure {
            terminal,
            reason,
            message: shorten(&message),
        }
    }

    /// What the API server asked for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let Self::Call { source, .. } = self else {
            return None;
        };
        match source.as_ref() {
            kube::Error::Api(status) => {
                let seconds = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
                (seconds > 0).then(|| Duration::from_secs(seconds.into()))
            }
            kube::Error::Service(error) => error
                .downcast_ref::<Throttled>()
                .map(|throttled| throttled.after),
            _ => None,
        }
    }

    /// Whether it only means that another instance leads now.
    pub(crate) fn is_not_leader(&self) -> bool {
        matches!(self, Self::Call { source, .. } if cause(source) == Cause::NotLeader)
    }
}

fn call(verb: &str, resource: &str, name: &str, source: &kube::Error) -> (bool, Reason, String) {
    let said = said(source);
    match cause(source) {
        Cause::Forbidden => (
            false,
            Reason::Forbidden,
            format!("may not {verb} {resource}: grant it to the operator's account ({said})"),
        ),
        Cause::Refused => (
            false,
            Reason::ApplyRefused,
            format!("the API server refuses to {verb} {resource} {name}: {said}"),
        ),
        Cause::NamespaceTerminating => (
            true,
            Reason::ApplyRefused,
            format!("the namespace is being deleted: {said}"),
        ),
        Cause::Conflict | Cause::NotFound => (
            false,
            Reason::ApiUnavailable,
            format!("{resource} {name} is being changed by others; trying again: {said}"),
        ),
        Cause::NotLeader => (false, Reason::ApiUnavailable, said),
        Cause::Unavailable => (
            false,
            Reason::ApiUnavailable,
            format!("failed to {verb} {resource} {name}: {said}; trying again"),
        ),
    }
}

/// Sorts a client's error by what it means for us.
pub(crate) fn cause(error: &kube::Error) -> Cause {
    match error {
        kube::Error::Api(status) => status_cause(status),
        kube::Error::Service(error) if error.is::<NotLeader>() => Cause::NotLeader,
        // An answer that does not decode is not the answer of a healthy API server.
        _ => Cause::Unavailable,
    }
}

fn status_cause(status: &Status) -> Cause {
    let details = status.details.as_ref();
    let causes = || details.into_iter().flat_map(|details| &details.causes);
    match status.code {
        403 if causes().any(|cause| cause.reason == "NamespaceTerminating") => {
            Cause::NamespaceTerminating
        }
        // RBAC says: User "…" cannot patch resource "…"; quota, policies and webhooks say what
        // they found instead.
        403 if status.message.contains(" cannot ") && status.message.contains(" resource ") => {
            Cause::Forbidden
        }
        401 => Cause::Forbidden,
        404 if details.is_some_and(|details| details.kind == "namespaces") => {
            Cause::NamespaceTerminating
        }
        404 => Cause::NotFound,
        409 => Cause::Conflict,
        // A uid that is not the object's (checked: 422 on an object that exists, 409 otherwise).
        422 if causes().any(|cause| cause.field == "metadata.uid") => Cause::Conflict,
        400 | 403 | 405 | 406 | 413 | 415 | 422 => Cause::Refused,
        _ => Cause::Unavailable,
    }
}

/// The innermost sentence of a client's error: what the API server or the network said.
pub(crate) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(error) => {
            if let Some(own) = error.downcast_ref::<Exceeded>() {
                return own.to_string();
            }
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                text = error.to_string();
                source = error.source();
            }
            text
        }
        other => other.to_string(),
    }
}

/// At most [`MESSAGE_BYTES`], cut between characters.
pub(crate) fn shorten(message: &str) -> String {
    const MORE: &str = "…";
    if message.len() <= MESSAGE_BYTES {
        return message.to_owned();
    }
    let room = MESSAGE_BYTES.saturating_sub(MORE.len());
    let end = (0..=room)
        .rev()
        .find(|end| message.is_char_boundary(*end))
        .unwrap_or(0);
    let head = message.get(..end).unwrap_or_default();
    format!("{head}{MORE}")
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn api(code: u16, message: &str) -> Status {
        Status::failure(message, "").with_code(code)
    }

    fn error(source: kube::Error) -> Error {
        Error::Call {
            verb: "patch",
            resource: "deployments.apps".to_owned(),
            name: "iris-abc".to_owned(),
            source: Box::new(source),
        }
    }

    fn details() -> StatusDetails {
        serde_json::from_str("{}").unwrap()
    }

    fn status_with(code: u16, details: StatusDetails) -> Status {
        Status {
            details: Some(details),
            ..api(code, "refused")
        }
    }

    fn with_cause(code: u16, reason: &str, field: &str) -> Status {
        let cause = StatusCause {
            reason: reason.to_owned(),
            message: String::new(),
            field: field.to_owned(),
        };
        status_with(
            code,
            StatusDetails {
                causes: vec![cause],
                ..details()
            },
        )
    }

    #[track_caller]
    fn check(status: Status, expect: Cause, reason: Reason, terminal: bool) {
        let source = kube::Error::Api(status.boxed());
        assert_eq!(cause(&source), expect);
        let failure = error(source).failure();
        assert_eq!(
            (failure.reason, failure.terminal),
            (reason, terminal),
            "{}",
            failure.message
        );
    }

    #[test]
    fn rbac_is_told_from_policy() {
        let rbac = r#"deployments.apps "a" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "deployments" in API group "apps" in the namespace "x""#;
        check(api(403, rbac), Cause::Forbidden, Reason::Forbidden, false);
        let failure = error(kube::Error::Api(api(403, rbac).boxed())).failure();
        assert!(
            failure
                .message
                .starts_with("may not patch deployments.apps: grant it")
        );
        let quota = r#"services "a" is forbidden: exceeded quota: q, requested: services=1"#;
        check(api(403, quota), Cause::Refused, Reason::ApplyRefused, false);
        let webhook = r#"admission webhook "x" denied the request: no"#;
        check(
            api(403, webhook),
            Cause::Refused,
            Reason::ApplyRefused,
            false,
        );
    }

    #[test]
    fn a_namespace_that_goes_away_is_final() {
        let going = with_cause(403, "NamespaceTerminating", "");
        check(
            going,
            Cause::NamespaceTerminating,
            Reason::ApplyRefused,
            true,
        );
        let gone = StatusDetails {
            kind: "namespaces".to_owned(),
            ..details()
        };
        check(
            status_with(404, gone),
            Cause::NamespaceTerminating,
            Reason::ApplyRefused,
            true,
        );
    }

    #[test]
    fn a_wrong_uid_is_a_conflict_and_another_wrong_field_is_not() {
        let uid = with_cause(422, "FieldValueInvalid", "metadata.uid");
        check(uid, Cause::Conflict, Reason::ApiUnavailable, false);
        let selector = with_cause(422, "FieldValueInvalid", "spec.selector");
        check(selector, Cause::Refused, Reason::ApplyRefused, false);
    }

    #[test]
    fn what_time_heals() {
        for code in [408, 429, 500, 502, 503, 504] {
            check(
                api(code, "busy"),
                Cause::Unavailable,
                Reason::ApiUnavailable,
                false,
            );
        }
        let late = kube::Error::Service(Exceeded(Duration::from_secs(15)).into());
        assert_eq!(cause(&late), Cause::Unavailable);
        assert!(
            error(late)
                .failure()
                .message
                .contains("no answer within 15000 ms")
        );
    }

    #[test]
    fn retry_after_is_found_in_header_and_body() {
        let throttled = Throttled {
            status: http::StatusCode::TOO_MANY_REQUESTS,
            after: Duration::from_secs(9),
        };
        let header = error(kube::Error::Service(throttled.into()));
        assert_eq!(header.retry_after(), Some(Duration::from_secs(9)));
        let later = StatusDetails {
            retry_after_seconds: 5,
            ..details()
        };
        let body = error(kube::Error::Api(status_with(429, later).boxed()));
        assert_eq!(body.retry_after(), Some(Duration::from_secs(5)));
        assert_eq!(
            error(kube::Error::Api(api(500, "").boxed())).retry_after(),
            None
        );
    }

    #[test]
    fn losing_the_lease_is_told_from_failures() {
        assert!(error(kube::Error::Service(NotLeader.into())).is_not_leader());
        assert!(!error(kube::Error::Api(api(403, "no").boxed())).is_not_leader());
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let long = "é".repeat(MESSAGE_BYTES);
        let short = shorten(&long);
        assert!(short.len() <= MESSAGE_BYTES && short.ends_with('…'));
        assert_eq!(shorten("short"), "short");
    }
}
