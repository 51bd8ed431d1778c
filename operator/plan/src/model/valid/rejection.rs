//! Data. What a spec can do wrong: the rule in positive form, the value seen and the path.
//!
//! Made by `valid` alone (and [`Rejection::RevisionTaken`] by the planner).

use aimass_crds::reason::Reason;

use crate::model::planned::Failure;

/// Why a spec is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The object's name leaves no room for children.
    #[error(
        "metadata.name must start with a letter and hold at most 52 characters (a-z, 0-9, '-'), is {name:?}: children are named <name>-<revision>"
    )]
    Name {
        /// As seen.
        name: String,
    },
    /// A text has not the form that its field asks for.
    #[error("{path} must be {rule}, is {value:?}")]
    Text {
        /// Where.
        path: &'static str,
        /// What it must be.
        rule: &'static str,
        /// As seen.
        value: String,
    },
    /// A number is out of its range.
    #[error("{path} must be between {min} and {max}, is {value}")]
    Integer {
        /// Where.
        path: &'static str,
        /// Least.
        min: i32,
        /// Most.
        max: i32,
        /// As seen.
        value: i32,
    },
    /// A duration or quantity is no such thing, or out of its range.
    #[error("{path} must be between {min} and {max}, is {value:?}")]
    Range {
        /// Where.
        path: &'static str,
        /// Least.
        min: &'static str,
        /// Most.
        max: &'static str,
        /// As seen.
        value: String,
    },
    /// Not exactly one source.
    #[error("exactly one of configMap, pvc, http must be set in spec.model.source, {count} are")]
    Source {
        /// How many are.
        count: usize,
    },
    /// A bound on a source that has its own.
    #[error("spec.model.maxSize needs source pvc or http: a ConfigMap never holds more than 1 MiB")]
    MaxSizeOfConfigMap,
    /// Plain HTTP on a platform that forbids it.
    #[error(
        "spec.model.source.http.url must start with https://, is {url:?}: the platform does not allow http:// (flag --allow-http of the operator)"
    )]
    PlainHttp {
        /// As seen.
        url: String,
    },
    /// A resource is no amount.
    #[error(
        "spec.runtime.resources.{kind}[{resource}] must be a quantity such as 500m, 2 or 512Mi, is {value:?}"
    )]
    Quantity {
        /// `requests` or `limits`.
        kind: &'static str,
        /// Which resource.
        resource: String,
        /// As seen.
        value: String,
    },
    /// A request above its limit.
    #[error(
        "spec.runtime.resources.requests[{resource}] must be at most its limit ({limit}), is {request}"
    )]
    RequestAboveLimit {
        /// Which resource.
        resource: String,
        /// As seen.
        request: String,
        /// As seen.
        limit: String,
    },
    /// A label or annotation under a prefix of ours.
    #[error("keys of {path} must not start with aimass.dev/ or app.kubernetes.io/, one is {key:?}")]
    ReservedKey {
        /// Where.
        path: &'static str,
        /// As seen.
        key: String,
    },
    /// Settings of one strategy for another one.
    #[error("{path} needs strategy: {needs}, is {is}")]
    Strategy {
        /// Where.
        path: &'static str,
        /// The strategy, or strategies, that has it.
        needs: &'static str,
        /// As seen, or by default.
        is: &'static str,
    },
    /// A field that says nothing without another one.
    #[error("{path} needs {needs}")]
    Incomplete {
        /// Where.
        path: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// A rolling update that could not begin.
    #[error("spec.rollout.rollingUpdate: maxSurge: 0 needs maxUnavailable above 0")]
    NoPortion,
    /// An engine that the installation has no image for.
    #[error(
        "spec.runtime.builtin.engine must be Auto, Tract or Rten, is OnnxRuntime: the operator has no image with it (flag --onnxruntime-server-image)"
    )]
    NoOnnxRuntime,
    /// Two contents with the same hash.
    #[error(
        "revision {revision} exists with another content: set spec.restartToken to any new value"
    )]
    RevisionTaken {
        /// Eight characters.
        revision: String,
    },
}

impl Rejection {
    /// What the rejection means for the reconcile: nothing but a change of the object helps.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let reason = match self {
            Self::RevisionTaken { .. } => Reason::NameConflict,
            Self::NoOnnxRuntime => Reason::EngineUnavailable,
            Self::Name { .. }
            | Self::Text { .. }
            | Self::Integer { .. }
            | Self::Range { .. }
            | Self::Source { .. }
            | Self::MaxSizeOfConfigMap
            | Self::PlainHttp { .. }
            | Self::Quantity { .. }
            | Self::RequestAboveLimit { .. }
            | Self::ReservedKey { .. }
            | Self::Strategy { .. }
            | Self::Incomplete { .. }
            | Self::NoPortion => Reason::InvalidSpec,
        };
        Failure {
            terminal: true,
            reason,
            message: self.to_string(),
        }
    }
}

impl From<&Rejection> for Failure {
    fn from(rejection: &Rejection) -> Self {
        rejection.failure()
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        rejection.failure()
    }
}
