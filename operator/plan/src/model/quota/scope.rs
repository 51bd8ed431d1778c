//! Which pods a quota counts: its scopes.
//!
//! Pure. What is not understood selects nothing here: such a quota limits nothing too early, and is
//! told of when it refuses pods. Source: kubernetes `pkg/quota/v1/evaluator/core/pods.go`,
//! `podMatchesScopeFunc`.

use k8s_openapi::api::core::v1::{ResourceQuotaSpec, ScopedResourceSelectorRequirement};

use super::Need;

/// One scope of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Terminating,
    NotTerminating,
    BestEffort,
    NotBestEffort,
    PriorityClass(Classes),
    /// `CrossNamespacePodAffinity`, which no pod of a model has; or something newer.
    Other,
}

/// What a pod's priority class has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Classes {
    Any,
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// All scopes of a quota, by either of the fields that have them.
pub(super) fn all(spec: Option<&ResourceQuotaSpec>) -> Vec<Scope> {
    let scopes = spec.and_then(|spec| spec.scopes.as_ref());
    let scopes = scopes.into_iter().flatten();
    let selector = spec.and_then(|spec| spec.scope_selector.as_ref());
    let selectors = selector.and_then(|selector| selector.match_expressions.as_ref());
    let selectors = selectors.into_iter().flatten();
    let exists = |name: &String| scope(name, "Exists", &[]);
    scopes.map(exists).chain(selectors.map(selected)).collect()
}

fn selected(selector: &ScopedResourceSelectorRequirement) -> Scope {
    let values = selector.values.as_deref().unwrap_or_default();
    scope(&selector.scope_name, &selector.operator, values)
}

fn scope(name: &str, operator: &str, values: &[String]) -> Scope {
    match (name, operator) {
        ("Terminating", "Exists") => Scope::Terminating,
        ("NotTerminating", "Exists") => Scope::NotTerminating,
        ("BestEffort", "Exists") => Scope::BestEffort,
        ("NotBestEffort", "Exists") => Scope::NotBestEffort,
        ("PriorityClass", "Exists") => Scope::PriorityClass(Classes::Any),
        ("PriorityClass", "In") => Scope::PriorityClass(Classes::In(values.to_vec())),
        ("PriorityClass", "NotIn") => Scope::PriorityClass(Classes::NotIn(values.to_vec())),
        _ => Scope::Other,
    }
}

impl Scope {
    /// Whether it selects such a pod, as far as one can know. One that names no priority class may
    /// be given the cluster's default, so that nothing is known of it.
    pub(super) fn selects(&self, need: &Need) -> bool {
        match self {
            Self::Terminating => need.is_terminating,
            Self::NotTerminating => !need.is_terminating,
            Self::BestEffort => need.is_best_effort,
            Self::NotBestEffort => !need.is_best_effort,
            Self::PriorityClass(classes) => match (&need.priority_class, classes) {
                (None, _) => false,
                (Some(_), Classes::Any) => true,
                (Some(class), Classes::In(values)) => values.contains(class),
                (Some(class), Classes::NotIn(values)) => !values.contains(class),
            },
            Self::Other => false,
        }
    }
}
