//! The pod template of a revision: container `server`, and `fetch` beside it for remote files.
//!
//! Pure, infallible. Called by `revision` when a revision is made, never again for it. Complete
//! under Pod Security "restricted". No token is mounted: a pod never talks to Kubernetes.

mod containers;
mod probes;
mod volumes;

use k8s_openapi::api::core::v1::{
    Capabilities, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec,
    SeccompProfile, SecurityContext, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use aimass_crds::model_deployment::{Effect, Operator, Toleration as WireToleration};

use super::labels;
use super::observed::Platform;
use super::source::Content;
use super::valid::Valid;

/// Seconds between the loss of readiness and the closing of listeners (`--drain-delay`).
const DRAIN_DELAY: i64 = 3;
/// Who the containers run as.
const USER: i64 = 65532;

/// The pod template of revision `name` with its number.
pub(crate) fn template(
    valid: &Valid,
    platform: &Platform,
    content: &Content,
    (revision, number): (&str, i64),
) -> PodTemplateSpec {
    let runtime = &valid.runtime;
    let mut pod_labels = runtime.pod_labels.clone();
    pod_labels.extend(labels::of_pods(valid, revision));
    let annotations = runtime.pod_annotations.clone();
    let fetch = containers::fetch(valid, platform);
    let grace = valid.traffic.stop_grace();
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            containers: vec![containers::server(
                valid,
                content,
                platform,
                (revision, number),
            )],
            enable_service_links: Some(false),
            image_pull_secrets: some(
                runtime
                    .pull_secrets
                    .iter()
                    .map(|name| LocalObjectReference { name: name.clone() })
                    .collect(),
            ),
            init_containers: some(fetch.into_iter().collect()),
            node_selector: (!runtime.node_selector.is_empty())
                .then(|| runtime.node_selector.clone()),
            priority_class_name: runtime.priority_class.clone(),
            runtime_class_name: runtime.runtime_class.clone(),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            service_account_name: runtime.service_account.clone(),
            // the listeners close after the delay, then requests in flight have the grace, then two
            // seconds for the rest
            termination_grace_period_seconds: Some(DRAIN_DELAY + grace + 2),
            tolerations: some(runtime.tolerations.iter().map(toleration).collect()),
            topology_spread_constraints: Some(vec![TopologySpreadConstraint {
                label_selector: Some(labels::selector(labels::select_revision(valid, revision))),
                max_skew: 1,
                topology_key: "kubernetes.io/hostname".to_owned(),
                when_unsatisfiable: "ScheduleAnyway".to_owned(),
                ..TopologySpreadConstraint::default()
            }]),
            volumes: Some(volumes::all(valid, revision)),
            ..PodSpec::default()
        }),
    }
}

/// What both containers may do: nothing.
fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        ..SecurityContext::default()
    }
}

/// An empty list that is applied would be owned, and differ from an absent one.
fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

fn toleration(wire: &WireToleration) -> Toleration {
    Toleration {
        key: wire.key.clone(),
        operator: wire.operator.map(|operator| match operator {
            Operator::Equal => "Equal".to_owned(),
            Operator::Exists => "Exists".to_owned(),
        }),
        value: wire.value.clone(),
        effect: wire.effect.map(|effect| match effect {
            Effect::NoSchedule => "NoSchedule".to_owned(),
            Effect::PreferNoSchedule => "PreferNoSchedule".to_owned(),
            Effect::NoExecute => "NoExecute".to_owned(),
        }),
        toleration_seconds: wire.toleration_seconds,
    }
}
