//! Data. What the spec of an APIKey or a UsagePlan can do wrong: the rule in positive form, the value
//! seen and the path.
//!
//! Made by the `valid` of these kinds alone; models have their own.

use aimass_crds::reason::Reason;

use crate::model::Failure;

/// Why a spec is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A text has not the form that its field asks for.
    #[error("{path} must be {rule}, is {value:?}")]
    Text {
        /// Where.
        path: String,
        /// What it must be.
        rule: &'static str,
        /// As seen.
        value: String,
    },
    /// A number is out of its range.
    #[error("{path} must be between {min} and {max}, is {value}")]
    Integer {
        /// Where.
        path: String,
        /// Least.
        min: i64,
        /// Most.
        max: i64,
        /// As seen.
        value: i64,
    },
    /// A duration is none, or out of its range.
    #[error("{path} must be between {min} and {max}, is {value:?}")]
    Range {
        /// Where.
        path: String,
        /// Least.
        min: &'static str,
        /// Most.
        max: &'static str,
        /// As seen.
        value: String,
    },
    /// A list is too short or too long.
    #[error("{path} must hold {min} to {max} items, holds {count}")]
    Count {
        /// Where.
        path: &'static str,
        /// Least.
        min: usize,
        /// Most.
        max: usize,
        /// As seen.
        count: usize,
    },
    /// Two items of a list have the same key.
    #[error("{path} must hold each {key} once, {value:?} is there twice")]
    Twice {
        /// Where.
        path: &'static str,
        /// `id`, `name`
        key: &'static str,
        /// As seen.
        value: String,
    },
    /// All models, and some of them.
    #[error("spec.models must be names, or '*' alone")]
    StarAmongNames,
    /// A plan without a limit.
    #[error("at least one of rates, concurrency must be set in spec")]
    NoLimit,
}

impl From<&Rejection> for Failure {
    /// Nothing but a change of the object helps.
    fn from(rejection: &Rejection) -> Self {
        Self {
            terminal: true,
            reason: Reason::InvalidSpec,
            message: rejection.to_string(),
        }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::from(&rejection)
    }
}
