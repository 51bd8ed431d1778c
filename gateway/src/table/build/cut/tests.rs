//! Objects as the API server gives them, and what counts of them.

use serde_json::{Value, json};

use super::*;
use crate::table::RevisionState;

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the value in place"
)]
fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    // By text, as in the streams.
    serde_json::from_str(&value.to_string()).unwrap()
}

fn deployment(spec: &Value, status: &Value) -> ModelDeployment {
    let mut whole = json!({"model": {"source": {"configMap": {"name": "c"}}}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    object(json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": "iris", "namespace": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": whole, "status": status,
    }))
}

fn read(spec: &Value, status: &Value) -> Cut<Model> {
    let mut notes = Vec::new();
    let cut = model(&deployment(spec, status), &mut notes);
    assert_eq!(notes, [""; 0]);
    cut
}

#[test]
fn a_model_without_settings_has_the_defaults() {
    let model = read(&json!({}), &json!(null)).unwrap();
    assert_eq!(&*model.served_name, "iris");
    assert_eq!(model.request_timeout, Duration::from_secs(60));
    assert_eq!(model.max_request_bytes, 16 << 20);
    assert_eq!((model.retry, model.stable), (Retry::Unsent, None));
    assert_eq!(model.access, Access::default());
    assert_eq!(model.unready, None);
    assert!(!model.deleted && model.revisions.is_empty());
    assert_eq!((model.target, model.traffic_version), (None, 0));
    let capacity = Capacity {
        per_pod: 16,
        waiting: 100,
        waiting_bytes: 64 << 20,
        wait: Duration::from_secs(30),
    };
    assert_eq!(model.capacity, capacity);
}

#[test]
fn what_a_model_says_of_traffic_and_access_counts() {
    let spec = json!({
        "servedName": "my_model",
        "traffic": {"requestTimeout": "1500ms", "maxRequestBytes": "1Ki", "retry": "Idempotent"},
        "access": {"mode": "Public", "allowedCIDRs": ["10.0.0.0/8"]},
    });
    let status = json!({
        "stable": {"revision": "aaaaaaaa", "number": 3},
        "revisions": [{"name": "aaaaaaaa", "number": 3, "role": "Stable", "model": "m", "replicas": 1,
            "readyReplicas": 1, "reason": "Ready"}],
    });
    let model = read(&spec, &status).unwrap();
    assert_eq!(&*model.served_name, "my_model");
    assert_eq!(model.request_timeout, Duration::from_millis(1500));
    assert_eq!(model.max_request_bytes, 1024);
    assert_eq!((model.retry, model.stable), (Retry::Idempotent, Some(3)));
    assert!(model.access.public);
    assert_eq!(model.access.allowed.len(), 1);
    let known = Known {
        name: "aaaaaaaa".into(),
        number: 3,
        state: RevisionState::Ready,
        weight: 0,
    };
    assert_eq!(model.revisions, [known]);
}

#[test]
fn how_many_wait_and_where_counts() {
    let spec = json!({
        "traffic": {"maxConcurrency": 4, "requestTimeout": "20s",
            "queue": {"maxRequests": 0, "maxBytes": "1Mi", "timeout": "5s"}},
    });
    let capacity = read(&spec, &json!(null)).unwrap().capacity;
    let expect = Capacity {
        per_pod: 4,
        waiting: 0,
        waiting_bytes: 1 << 20,
        wait: Duration::from_secs(5),
    };
    assert_eq!(capacity, expect);
    // Nobody waits longer than the request may take.
    let short = read(&json!({"traffic": {"requestTimeout": "20s"}}), &json!(null));
    assert_eq!(short.unwrap().capacity.wait, Duration::from_secs(20));
    let scaled = read(
        &json!({"scaling": {"target": {"inFlight": 3}}}),
        &json!(null),
    );
    assert_eq!(scaled.unwrap().capacity.per_pod, 6);
}

/// A status with revisions `aaaaaaaa` (number 1) and `bbbbbbbb` (2), and this traffic.
fn shared(traffic: &Value) -> Value {
    let revision = |name: &str, number: i64, reason: &str| {
        json!({"name": name, "number": number, "role": "Stable", "model": "m", "replicas": 1,
            "readyReplicas": 1, "reason": reason})
    };
    json!({
        "target": {"revision": "bbbbbbbb", "number": 2}, "trafficVersion": 12, "traffic": traffic,
        "revisions": [revision("bbbbbbbb", 2, "ModelLoadFailed"), revision("aaaaaaaa", 1, "AtZero")],
    })
}

#[test]
fn each_revision_has_its_weight_and_what_is_said_of_it() {
    let traffic = json!([
        {"revision": "aaaaaaaa", "weight": 95}, {"revision": "bbbbbbbb", "weight": 5}]);
    let model = read(&json!({}), &shared(&traffic)).unwrap();
    assert_eq!((model.target, model.traffic_version), (Some(2), 12));
    let known = model.revisions.iter();
    let known: Vec<_> = known
        .map(|known| (known.weight, known.state.clone()))
        .collect();
    let failing = RevisionState::Failing("ModelLoadFailed".into());
    assert_eq!(known, [(5, failing), (95, RevisionState::AtZero)]);
}

#[test]
fn traffic_that_cannot_be_obeyed_is_refused() {
    for (traffic, expect) in [
        (
            json!([{"revision": "aaaaaaaa", "weight": 99}]),
            "status.traffic must be 100 in all, is 99",
        ),
        (
            json!([{"revision": "cccccccc", "weight": 100}]),
            "status.traffic names cccccccc, which is no revision",
        ),
        (
            json!([{"revision": "aaaaaaaa", "weight": -1}, {"revision": "bbbbbbbb", "weight": 101}]),
            "status.traffic[aaaaaaaa] must be between 0 and 100, is -1",
        ),
        (
            json!([{"revision": "aaaaaaaa", "weight": 50}, {"revision": "aaaaaaaa", "weight": 50}]),
            "status.traffic names aaaaaaaa twice",
        ),
    ] {
        let error = read(&json!({}), &shared(&traffic)).unwrap_err();
        assert_eq!(error, expect);
    }
}

#[test]
fn a_value_beyond_its_bounds_is_refused_with_its_path() {
    for (spec, path) in [
        (
            json!({"traffic": {"requestTimeout": "2h"}}),
            "spec.traffic.requestTimeout",
        ),
        (
            json!({"traffic": {"requestTimeout": "soon"}}),
            "spec.traffic.requestTimeout",
        ),
        (
            json!({"traffic": {"maxRequestBytes": "1Gi"}}),
            "spec.traffic.maxRequestBytes",
        ),
        (
            json!({"access": {"allowedCIDRs": ["10.0.0.0/8", "x"]}}),
            "spec.access.allowedCIDRs",
        ),
        (
            json!({"traffic": {"queue": {"maxRequests": 10_001}}}),
            "spec.traffic.queue.maxRequests",
        ),
        (
            json!({"traffic": {"queue": {"maxBytes": "1"}}}),
            "spec.traffic.queue.maxBytes",
        ),
        (
            json!({"traffic": {"queue": {"timeout": "11m"}}}),
            "spec.traffic.queue.timeout",
        ),
    ] {
        let error = read(&spec, &json!(null)).unwrap_err();
        assert!(error.starts_with(path), "{error}");
    }
}

#[test]
fn why_a_model_does_not_answer_is_known() {
    let condition = |status: &str| {
        json!({"conditions": [{"type": "Ready", "status": status, "reason": "ModelLoadFailed", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    };
    let reason = |spec: Value, status: Value| {
        let unready = read(&spec, &status).unwrap().unready;
        unready.map(|unready| unready.reason.to_string())
    };
    let reason_of = |spec, status| reason(spec, status).unwrap_or_default();
    assert_eq!(reason_of(json!({}), condition("False")), "ModelLoadFailed");
    assert_eq!(reason_of(json!({}), condition("Unknown")), "");
    assert_eq!(reason_of(json!({}), condition("True")), "");
    assert_eq!(
        reason_of(json!({"replicas": 0}), condition("True")),
        "AtZero"
    );
    let suspended = json!({"replicas": 0, "suspend": true});
    assert_eq!(reason_of(suspended, condition("False")), "Suspended");
}

fn slice_of(extra: &Value) -> EndpointSlice {
    let mut whole = json!({
        "metadata": {"name": "s", "namespace": "a", "labels": {
            "aimass.dev/deployment": "iris", "aimass.dev/revision": "aaaaaaaa"}},
        "addressType": "IPv4",
        "ports": [{"name": "grpc", "port": 8500}, {"name": "http", "port": 8501}],
        "endpoints": [{"addresses": ["10.0.0.1"]}],
    });
    for (key, value) in extra.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    object(whole)
}

#[test]
fn an_endpoint_has_the_port_named_http_and_its_conditions() {
    let with = |conditions: Value| {
        let endpoints = json!([{"addresses": ["10.0.0.1", "10.0.0.9"], "conditions": conditions}]);
        let slice = slice(&slice_of(&json!({"endpoints": endpoints})), &mut Vec::new()).unwrap();
        assert_eq!((&*slice.deployment, &*slice.revision), ("iris", "aaaaaaaa"));
        assert_eq!(slice.endpoints.len(), 1);
        assert_eq!(slice.endpoints[0].0, "10.0.0.1:8501".parse().unwrap());
        slice.endpoints[0].1
    };
    assert_eq!(with(json!(null)), EndpointState::Ready);
    assert_eq!(with(json!({})), EndpointState::Ready);
    assert_eq!(with(json!({"ready": true})), EndpointState::Ready);
    let draining = json!({"ready": false, "serving": true, "terminating": true});
    assert_eq!(with(draining), EndpointState::Serving);
    assert_eq!(with(json!({"ready": false})), EndpointState::NotReady);
    let dead = json!({"ready": false, "serving": false});
    assert_eq!(with(dead), EndpointState::NotReady);
}

#[test]
fn addresses_that_no_pod_has_are_left_aside() {
    for (kind, address) in [
        ("IPv4", "127.0.0.1"),
        ("IPv4", "169.254.169.254"),
        ("IPv4", "0.0.0.0"),
        ("IPv4", "255.255.255.255"),
        ("IPv4", "224.0.0.1"),
        ("IPv4", "example.com"),
        ("IPv6", "::1"),
        ("IPv6", "::"),
        ("IPv6", "fe80::1"),
        ("IPv6", "ff02::1"),
        ("IPv6", "::ffff:127.0.0.1"),
        ("IPv6", "::ffff:169.254.169.254"),
    ] {
        let endpoints = json!([{"addresses": [address]}, {"addresses": ["10.0.0.2"]}]);
        let extra = json!({"addressType": kind, "endpoints": endpoints});
        let mut notes = Vec::new();
        let slice = slice(&slice_of(&extra), &mut notes).unwrap();
        assert_eq!(slice.endpoints.len(), 1, "{address}");
        assert!(notes[0].contains("is no address of a pod"), "{notes:?}");
    }
}

#[test]
fn a_slice_that_does_not_say_whose_it_is_or_how_to_reach_it_is_refused() {
    for (extra, what) in [
        (
            json!({"metadata": {"name": "s", "labels": {}}}),
            "aimass.dev/deployment",
        ),
        (json!({"addressType": "FQDN"}), "addressType"),
        (
            json!({"ports": [{"name": "grpc", "port": 8500}]}),
            "no port named http",
        ),
        (
            json!({"ports": [{"name": "http", "port": 70_000}]}),
            "no port named http",
        ),
        (
            json!({"ports": [{"name": "http", "port": 0}]}),
            "no port named http",
        ),
    ] {
        let error = slice(&slice_of(&extra), &mut Vec::new()).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    let empty = json!({"endpoints": [], "ports": []});
    let slice = slice(&slice_of(&empty), &mut Vec::new()).unwrap();
    assert!(slice.endpoints.is_empty());
}

#[test]
fn each_credential_is_a_key_that_ends_with_the_sooner_of_both_ends() {
    let key: APIKey = object(json!({
        "metadata": {"name": "ana", "namespace": "a", "uid": "u"},
        "spec": {
            "models": ["iris"], "plan": "free", "expiresAt": "2027-01-01T00:00:00Z", "disabled": true,
            "allowedCIDRs": ["192.0.2.0/24"],
            "credentials": [
                {"id": "AAAAAAAAAAAA", "sha256": "0a".repeat(32)},
                {"id": "BBBBBBBBBBBB", "sha256": "ff".repeat(32), "notAfter": "2026-06-01T00:00:00Z"},
            ],
        },
    }));
    let read = credentials(&key, &mut Vec::new()).unwrap();
    assert_eq!(read.created, Timestamp::MAX);
    let (first, second) = (&read.keys[0], &read.keys[1]);
    assert_eq!((&*first.0, first.1.sha256), ("AAAAAAAAAAAA", [0x0a; 32]));
    assert_eq!(second.1.sha256, [0xff; 32]);
    let end = |key: &Key| key.not_after.unwrap().to_string();
    assert_eq!(end(&first.1), "2027-01-01T00:00:00Z");
    assert_eq!(end(&second.1), "2026-06-01T00:00:00Z");
    assert!(first.1.disabled && first.1.allowed.len() == 1);
    assert_eq!(first.1.plan.as_deref(), Some("free"));
    assert_eq!((&*first.1.namespace, &*first.1.name), ("a", "ana"));
}

#[test]
fn a_hash_that_is_none_refuses_the_whole_key() {
    for hash in [
        "",
        "0a",
        &"zz".repeat(32),
        &"+1".repeat(32),
        &"é".repeat(32),
    ] {
        let key: APIKey = object(json!({
            "metadata": {"name": "ana"},
            "spec": {"models": ["iris"], "credentials": [{"id": "AAAAAAAAAAAA", "sha256": hash}]},
        }));
        let error = credentials(&key, &mut Vec::new()).unwrap_err();
        assert!(
            error.starts_with("spec.credentials[AAAAAAAAAAAA].sha256"),
            "{error}"
        );
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the value in place"
)]
fn plan_of(spec: Value) -> Cut<Arc<Plan>> {
    let object: UsagePlan = object(json!({"metadata": {"name": "free"}, "spec": spec}));
    plan(&object, &mut Vec::new())
}

#[test]
fn a_plan_has_rates_with_their_bursts() {
    let plan = plan_of(json!({
        "rates": [{"name": "m", "requests": 60, "window": "1m"}, {"name": "s", "requests": 5, "window": "1s", "burst": 9}],
        "concurrency": 4, "mode": "Shadow",
    }));
    let plan = plan.unwrap();
    let bursts: Vec<u64> = plan.rates.iter().map(|rate| rate.burst).collect();
    assert_eq!(bursts, [6, 9]);
    assert_eq!((plan.concurrency, plan.shadow), (Some(4), true));
    assert_eq!(plan.rates[0].window, Duration::from_secs(60));
}

#[test]
fn a_plan_with_nonsense_is_refused_with_the_path() {
    let rate = |requests: i64, window: &str| json!({"rates": [{"name": "m", "requests": requests, "window": window}]});
    for (spec, path) in [
        (rate(0, "1m"), "spec.rates[m].requests"),
        (rate(1, "0s"), "spec.rates[m].window"),
        (rate(1, "25h"), "spec.rates[m].window"),
        (json!({"concurrency": 0}), "spec.concurrency"),
    ] {
        let error = plan_of(spec).unwrap_err();
        assert!(error.starts_with(path), "{error}");
    }
}
