//! Data. What the operator may do in the cluster: exactly the requests that its code sends.
//!
//! `cargo xtask codegen` renders these rules into the chart; a test compares them with the requests
//! that were seen. Secrets are not among them: credentials are mounted, never read.

/// One rule of a Role or ClusterRole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// API group; empty: core.
    pub group: &'static str,
    /// Resource, with its subresource if any.
    pub resource: &'static str,
    /// Names that it is restricted to; empty: all.
    pub names: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// What needs it.
    pub why: &'static str,
}

const fn rule(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Rule {
    Rule {
        group,
        resource,
        names: &[],
        verbs,
        why,
    }
}

/// `delete` goes with a `get` before it; an apply needs `patch`, and `create` where it creates.
const CHILD: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Rules of the ClusterRole; of a Role in the watched namespace with `--watch-namespace`.
pub const CLUSTER: &[Rule] = &[
    rule(
        "aimass.dev",
        "modeldeployments",
        &["get", "list", "watch"],
        "what is asked for",
    ),
    rule(
        "aimass.dev",
        "modeldeployments/status",
        &["patch"],
        "reports",
    ),
    // The owner references of children say blockOwnerDeletion.
    rule(
        "aimass.dev",
        "modeldeployments/finalizers",
        &["update"],
        "owner references",
    ),
    rule(
        "aimass.dev",
        "apikeys",
        &["get", "list", "watch"],
        "whether they open anything",
    ),
    rule("aimass.dev", "apikeys/status", &["patch"], "reports"),
    rule(
        "apps",
        "controllerrevisions",
        CHILD,
        "children: the memory of revisions",
    ),
    rule("apps", "deployments", CHILD, "children: one per revision"),
    rule("", "services", CHILD, "children: addresses"),
    rule("policy", "poddisruptionbudgets", CHILD, "children"),
    rule(
        "networking.k8s.io",
        "networkpolicies",
        CHILD,
        "children: who may reach pods",
    ),
    rule(
        "",
        "configmaps",
        CHILD,
        "sources, and children: copies of files",
    ),
    rule(
        "",
        "persistentvolumeclaims",
        &["get", "list", "watch"],
        "sources: that they exist",
    ),
    rule("", "pods", &["list", "watch"], "why a model is not ready"),
    rule(
        "",
        "resourcequotas",
        &["list", "watch"],
        "for how many pods there is room",
    ),
    rule(
        "events.k8s.io",
        "events",
        &["create", "list"],
        "reports; why volumes are not mounted",
    ),
];

/// Rules of a ClusterRole that there is only without `--watch-namespace`: of kinds without a namespace.
pub const PLANS: &[Rule] = &[
    rule(
        "aimass.dev",
        "usageplans",
        &["get", "list", "watch"],
        "whether they can be used",
    ),
    rule("aimass.dev", "usageplans/status", &["patch"], "reports"),
];

/// Rules of a ClusterRole where there are gateways: who sends signals is asked of the whole cluster. To
/// create a TokenReview stores nothing.
pub const REVIEWS: &[Rule] = &[rule(
    "authentication.k8s.io",
    "tokenreviews",
    &["create"],
    "whose signals are read",
)];

/// Rules of a Role in the gateways' namespace, where there are gateways.
pub const GATEWAYS: &[Rule] = &[rule(
    "discovery.k8s.io",
    "endpointslices",
    &["list", "watch"],
    "where gateways are",
)];

/// Name of the operator's Lease.
pub const LEASE_NAME: &str = "aimass-operator";

/// Rules of the Role in the operator's own namespace.
pub const LEASE: &[Rule] = &[
    rule(
        "coordination.k8s.io",
        "leases",
        &["create"],
        "leader election",
    ),
    Rule {
        group: "coordination.k8s.io",
        resource: "leases",
        names: &[LEASE_NAME],
        verbs: &["get", "update"],
        why: "leader election",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_that_reads_secrets_or_escalates() {
        let gateways = REVIEWS.iter().chain(GATEWAYS);
        for Rule {
            group,
            resource,
            verbs,
            ..
        } in CLUSTER.iter().chain(PLANS).chain(gateways).chain(LEASE)
        {
            assert!(!["secrets", "*"].contains(resource), "{resource}");
            assert_ne!(*group, "*");
            for verb in *verbs {
                assert!(
                    !["*", "escalate", "bind", "impersonate"].contains(verb),
                    "{verb}"
                );
            }
        }
    }
}
