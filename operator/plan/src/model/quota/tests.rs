//! What there is room for, quota by quota.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn quota(name: &str, spec: &Value, hard: &Value, used: &Value) -> Quota {
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": spec, "status": {"hard": hard, "used": used},
    }))
    .unwrap();
    Quota::of(&quota)
}

fn need(spec: &Value) -> Need {
    let template: PodTemplateSpec = serde_json::from_value(json!({"spec": spec})).unwrap();
    Need::of(&template)
}

fn container(requests: &Value, limits: &Value) -> Value {
    json!({"name": "c", "resources": {"requests": requests, "limits": limits}})
}

/// A pod as a model has it by itself.
fn usual() -> Value {
    let requests = json!({"cpu": "250m", "memory": "512Mi"});
    json!({"containers": [container(&requests, &json!({"memory": "512Mi"}))]})
}

#[track_caller]
fn check(hard: &Value, used: &Value, expect: Option<(i32, &str)>) {
    let found = room(&[quota("q", &json!({}), hard, used)], &[need(&usual())]);
    let found = found.as_ref().map(|room| {
        let tight = room.tight.first().unwrap();
        (room.headroom, tight.resource.as_str())
    });
    assert_eq!(found, expect, "{hard} {used}");
}

#[test]
fn each_resource_that_counts_pods_has_its_own_room() {
    let check = |resource: &str, hard: &str, used: &str, expect: Option<i32>| {
        let resource_of = |amount: &str| json!({resource: amount});
        let expect = expect.map(|headroom| (headroom, resource));
        check(&resource_of(hard), &resource_of(used), expect);
    };
    check("pods", "6", "4", Some(2));
    check("count/pods", "6", "6", Some(0));
    check("requests.cpu", "20", "19", Some(4));
    check("cpu", "20", "19800m", Some(0));
    check("requests.memory", "4Gi", "1Gi", Some(6));
    check("memory", "1G", "0", Some(1));
    check("limits.memory", "1Ti", "0", Some(2048));
    // used may be more than there is, when the quota was lowered
    check("pods", "2", "9", Some(0));
    check("requests.cpu", "1E", "0", Some(i32::MAX));
    // not asked for, or nothing that pods are counted by
    for other in [
        "limits.cpu",
        "requests.ephemeral-storage",
        "requests.nvidia.com/gpu",
        "hugepages-2Mi",
        "requests.storage",
        "services",
        "count/deployments.apps",
        "limits.nvidia.com/gpu",
    ] {
        check(other, "0", "0", None);
    }
}

#[test]
fn the_tightest_of_all_is_named() {
    let hard = json!({"pods": "10", "requests.cpu": "2", "requests.memory": "100Gi"});
    let used = json!({"pods": "1", "requests.cpu": "1", "requests.memory": "1Gi"});
    check(&hard, &used, Some((4, "requests.cpu")));
    let quotas = [
        quota(
            "wide",
            &json!({}),
            &json!({"pods": "9"}),
            &json!({"pods": "1"}),
        ),
        quota(
            "b",
            &json!({}),
            &json!({"pods": "3"}),
            &json!({"pods": "1"}),
        ),
        quota(
            "c",
            &json!({}),
            &json!({"cpu": "1"}),
            &json!({"cpu": "500m"}),
        ),
    ];
    let found = room(&quotas, &[need(&usual())]).unwrap();
    let named = found.tight.iter().map(|tight| tight.quota.as_str());
    assert_eq!((found.headroom, named.collect()), (2, vec!["b", "c"]));
    assert_eq!(room(&[], &[need(&usual())]), None);
    assert_eq!(room(&quotas, &[]), None, "nothing is known of its pods");
}

#[test]
fn of_several_kinds_of_pods_the_largest_must_fit() {
    let cpus = |cpu: &str| json!({"containers": [container(&json!({"cpu": cpu}), &json!({}))]});
    let quotas = [quota(
        "q",
        &json!({}),
        &json!({"cpu": "4"}),
        &json!({"cpu": "1"}),
    )];
    let needs = [need(&cpus("1")), need(&cpus("2")), need(&cpus("500m"))];
    assert_eq!(room(&quotas, &needs).unwrap().headroom, 1);
}

#[test]
fn what_is_not_counted_yet_or_not_understood_limits_nothing() {
    check(&json!({"pods": "2"}), &json!({}), None);
    check(&json!({"pods": "many"}), &json!({"pods": "1"}), None);
    let none = serde_json::from_value(json!({"spec": {"hard": {"pods": "0"}}})).unwrap();
    assert_eq!(room(&[Quota::of(&none)], &[need(&usual())]), None);
}

#[test]
fn containers_are_added_up_as_kubernetes_does_it() {
    let cpu = |amount: &str| container(&json!({"cpu": amount}), &json!({}));
    let sidecar = |amount: &str| {
        let mut container = cpu(amount);
        container["restartPolicy"] = json!("Always");
        container
    };
    let check = |spec: Value, expect: &str| {
        let found = need(&spec).of_resource("requests.cpu").unwrap();
        assert_eq!(found.canonical(), expect, "{spec}");
    };
    check(json!({"containers": [cpu("1"), cpu("250m")]}), "1250m");
    check(
        json!({"containers": [cpu("1")], "initContainers": [sidecar("10m")]}),
        "1010m",
    );
    check(
        json!({"containers": [cpu("1")], "initContainers": [cpu("700m"), cpu("900m")]}),
        "1",
    );
    check(
        json!({"containers": [cpu("1")], "initContainers": [cpu("3")]}),
        "3",
    );
    // one that starts beside a sidecar before it, but not beside one after it
    check(
        json!({"containers": [cpu("1")], "initContainers": [sidecar("1"), cpu("3"), sidecar("500m")]}),
        "4",
    );
    check(
        json!({"containers": [cpu("1")], "initContainers": [sidecar("1"), cpu("1"), sidecar("500m")]}),
        "2500m",
    );
}

#[test]
fn a_limit_without_a_request_is_the_request() {
    let limits = json!({"nvidia.com/gpu": "2", "ephemeral-storage": "1Gi", "cpu": "2"});
    let need = need(&json!({"containers": [container(&json!({"cpu": "1"}), &limits)]}));
    let of = |resource: &str| need.of_resource(resource).map(Amount::canonical);
    assert_eq!(of("requests.nvidia.com/gpu").as_deref(), Some("2"));
    assert_eq!(of("ephemeral-storage").as_deref(), Some("1Gi"));
    assert_eq!(of("limits.ephemeral-storage").as_deref(), Some("1Gi"));
    assert_eq!(of("requests.cpu").as_deref(), Some("1"));
    assert_eq!(of("limits.cpu").as_deref(), Some("2"));
    assert_eq!(of("memory"), None);
}

#[test]
fn a_quota_counts_the_pods_that_all_its_scopes_select() {
    let full = |spec: &Value| quota("q", spec, &json!({"pods": "1"}), &json!({"pods": "1"}));
    let bare = json!({"containers": [{"name": "c"}]});
    let mut classed = usual();
    classed["priorityClassName"] = json!("high");
    let mut ending = usual();
    ending["activeDeadlineSeconds"] = json!(60);
    let check = |spec: Value, pod: &Value, expect: bool| {
        let found = room(&[full(&spec)], &[need(pod)]);
        assert_eq!(found.is_some(), expect, "{spec} {pod}");
    };
    let scopes = |scopes: &[&str]| json!({"scopes": scopes});
    check(scopes(&[]), &usual(), true);
    check(scopes(&["BestEffort"]), &usual(), false);
    check(scopes(&["BestEffort"]), &bare, true);
    check(scopes(&["NotBestEffort"]), &usual(), true);
    check(scopes(&["NotBestEffort"]), &bare, false);
    check(scopes(&["Terminating"]), &usual(), false);
    check(scopes(&["Terminating"]), &ending, true);
    check(scopes(&["NotTerminating"]), &usual(), true);
    check(scopes(&["NotTerminating", "BestEffort"]), &usual(), false);
    check(scopes(&["CrossNamespacePodAffinity"]), &usual(), false);
    check(scopes(&["FromTheFuture"]), &usual(), false);
    let class = |operator: &str, values: &[&str]| {
        json!({"scopeSelector": {"matchExpressions": [{
            "scopeName": "PriorityClass", "operator": operator, "values": values,
        }]}})
    };
    check(class("In", &["high", "low"]), &classed, true);
    check(class("In", &["low"]), &classed, false);
    check(class("NotIn", &["low"]), &classed, true);
    check(class("NotIn", &["high"]), &classed, false);
    check(class("Exists", &[]), &classed, true);
    check(class("DoesNotExist", &[]), &classed, false);
    check(scopes(&["PriorityClass"]), &classed, true);
    // the cluster may have a default
    for operator in ["In", "NotIn", "Exists", "DoesNotExist"] {
        check(class(operator, &["low"]), &usual(), false);
    }
}

#[test]
fn it_is_said_what_is_left_and_what_to_do() {
    let check = |resource: &str, hard: &str, used: &str, further, expect: &str| {
        let quotas = [quota(
            "aimass",
            &json!({}),
            &json!({resource: hard}),
            &json!({resource: used}),
        )];
        let found = room(&quotas, &[need(&usual())]).unwrap();
        assert_eq!(found.tight[0].said(further), expect);
    };
    check(
        "requests.cpu",
        "20",
        "20",
        0,
        "quota aimass has 0 of 20 requests.cpu left: raise it, or lower spec.runtime.resources.requests",
    );
    check(
        "requests.cpu",
        "20",
        "19400m",
        2,
        "quota aimass has 100m of 20 requests.cpu left, and a replica needs 250m: raise it, or lower spec.runtime.resources.requests",
    );
    check(
        "limits.memory",
        "2Gi",
        "2Gi",
        0,
        "quota aimass has 0 of 2Gi limits.memory left: raise it, or lower spec.runtime.resources.limits",
    );
    check(
        "pods",
        "6",
        "4",
        2,
        "quota aimass has 0 of 6 pods left: raise it",
    );
    check(
        "pods",
        "6",
        "4",
        9,
        "quota aimass has 0 of 6 pods left: raise it",
    );
}

proptest! {
    /// As many as there is room for are within the quota, and one more is not: as admission has it.
    #[test]
    fn the_headroom_is_exactly_what_fits(
        hard in 0_u32..5000,
        used in 0_u32..5000,
        each in 1_u32..500,
    ) {
        let milli = |amount: u32| json!({"requests.cpu": format!("{amount}m")});
        let pod = json!({"containers": [
            container(&json!({"cpu": format!("{each}m")}), &json!({})),
        ]});
        let quotas = [quota("q", &json!({}), &milli(hard), &milli(used))];
        let found = room(&quotas, &[need(&pod)]).unwrap().headroom;
        let headroom = u32::try_from(found).unwrap();
        let fits = |pods: u32| used + pods * each <= hard;
        prop_assert!(headroom == 0 || fits(headroom));
        prop_assert!(!fits(headroom + 1));
    }
}
