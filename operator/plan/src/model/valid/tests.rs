//! One row per rejection: a good input, mutated; and the defaults.

use serde_json::{Value, json};

use super::*;
use crate::model::samples;

fn platform() -> Platform {
    Platform {
        onnxruntime_image: Some("s:1-ort".to_owned()),
        ..samples::platform()
    }
}

/// A good object, with `value` put at `pointer` (members on the way are made).
fn with(pointer: &str, value: Value) -> ModelDeployment {
    let mut object = json!({
        "apiVersion": "aimass.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "iris"},
        "spec": {"model": {"source": {"configMap": {"name": "iris-model"}}}},
    });
    let mut place = &mut object;
    for part in pointer.split('/').skip(1) {
        place = &mut place[part];
    }
    *place = value;
    serde_json::from_value(object).unwrap()
}

#[track_caller]
fn check(pointer: &str, value: Value, expect: &Rejection) {
    assert_eq!(
        &valid(&with(pointer, value), &platform()).unwrap_err(),
        expect,
        "{pointer}"
    );
}

#[track_caller]
fn text(pointer: &str, value: Value, at: &'static str) {
    match valid(&with(pointer, value), &platform()).unwrap_err() {
        Rejection::Text { path, .. } => assert_eq!(path, at),
        other => panic!("{pointer}: {other:?}"),
    }
}

fn http(url: &str) -> Value {
    json!({"http": {"url": url, "digest": format!("sha256:{}", "a".repeat(64))}})
}

#[test]
fn the_smallest_object_gets_every_default() {
    let valid = valid(&with("/spec/suspend", Value::Null), &platform()).unwrap();
    assert_eq!((valid.served_name.as_str(), valid.replicas), ("iris", None));
    assert!(!valid.suspended);
    assert_eq!(valid.runtime.threads, 1);
    assert_eq!(valid.runtime.start_deadline, Duration::from_secs(600));
    assert_eq!(valid.runtime.resources.requests["cpu"], "250m");
    assert_eq!(valid.runtime.resources.requests["memory"], "512Mi");
    assert_eq!(valid.runtime.resources.limits["memory"], "512Mi");
    assert!(!valid.runtime.resources.limits.contains_key("cpu"));
    assert!(valid.rollout.auto_rollback && !valid.rollout.paused);
    assert_eq!(valid.traffic.request_timeout, Duration::from_secs(60));
    assert_eq!(
        (
            valid.rollout.history,
            valid.rollout.progress_deadline.as_secs()
        ),
        (3, 600)
    );
}

#[test]
fn a_memory_limit_is_always_set_and_no_request_is_above_its_limit() {
    let of = |resources: Value| {
        let valid = valid(
            &with("/spec/runtime", json!({"resources": resources})),
            &platform(),
        )
        .unwrap();
        (valid.runtime.resources, valid.runtime.threads)
    };
    let (resources, _) = of(json!({"requests": {"memory": "1024Mi"}}));
    assert_eq!(
        (&*resources.requests["memory"], &*resources.limits["memory"]),
        ("1Gi", "1Gi")
    );
    let (resources, _) = of(json!({"limits": {"memory": "4Gi", "cpu": "100m"}}));
    assert_eq!(
        (&*resources.requests["memory"], &*resources.requests["cpu"]),
        ("4Gi", "100m")
    );
    assert_eq!(of(json!({"limits": {"cpu": 2}})).1, 2);
    assert_eq!(of(json!({"requests": {"cpu": "3900m"}})).1, 3);
    assert_eq!(of(json!({"limits": {"cpu": 500}})).1, 64);
}

#[test]
fn every_rule_rejects_what_breaks_it() {
    let name = |name: &str| Rejection::Name {
        name: name.to_owned(),
    };
    for bad in ["", "Iris", "1ris", "iris-", "i.ris", "ïris"] {
        check("/metadata/name", json!(bad), &name(bad));
    }
    check(
        "/metadata/name",
        json!("i".repeat(53)),
        &name(&"i".repeat(53)),
    );
    for replicas in [-1, 1001] {
        check(
            "/spec/replicas",
            json!(replicas),
            &Rejection::Integer {
                path: "spec.replicas",
                min: 0,
                max: 1000,
                value: replicas,
            },
        );
    }
    check(
        "/spec/runtime/builtin",
        json!({"threads": 65}),
        &Rejection::Integer {
            path: "spec.runtime.builtin.threads",
            min: 1,
            max: 64,
            value: 65,
        },
    );
    check(
        "/spec/rollout",
        json!({"history": 7}),
        &Rejection::Integer {
            path: "spec.rollout.history",
            min: 0,
            max: 6,
            value: 7,
        },
    );
    for size in [0, 1025] {
        check(
            "/spec/batching",
            json!({"maxSize": size}),
            &Rejection::Integer {
                path: "spec.batching.maxSize",
                min: 1,
                max: 1024,
                value: size,
            },
        );
    }
    check(
        "/spec/batching",
        json!({"maxDelay": "1001ms"}),
        &Rejection::Range {
            path: "spec.batching.maxDelay",
            min: "0s",
            max: "1s",
            value: "1001ms".to_owned(),
        },
    );
    for deadline in ["4s", "3h", "soon", "10"] {
        check(
            "/spec/runtime/startDeadline",
            json!(deadline),
            &Rejection::Range {
                path: "spec.runtime.startDeadline",
                min: "5s",
                max: "2h",
                value: deadline.to_owned(),
            },
        );
    }
    for timeout in ["99ms", "61m", "0s", "1"] {
        check(
            "/spec/traffic/requestTimeout",
            json!(timeout),
            &Rejection::Range {
                path: "spec.traffic.requestTimeout",
                min: "100ms",
                max: "1h",
                value: timeout.to_owned(),
            },
        );
    }
    for bytes in ["1023", "257Mi", "many"] {
        check(
            "/spec/traffic/maxRequestBytes",
            json!(bytes),
            &Rejection::Range {
                path: "spec.traffic.maxRequestBytes",
                min: "1Ki",
                max: "256Mi",
                value: bytes.to_owned(),
            },
        );
    }
    check(
        "/spec/rollout/progressDeadline",
        json!("29s"),
        &Rejection::Range {
            path: "spec.rollout.progressDeadline",
            min: "30s",
            max: "24h",
            value: "29s".to_owned(),
        },
    );
    check(
        "/spec/model/source",
        json!({}),
        &Rejection::Source { count: 0 },
    );
    check(
        "/spec/model/source",
        json!({"configMap": {"name": "a"}, "pvc": {"claimName": "b", "path": "c"}}),
        &Rejection::Source { count: 2 },
    );
    check(
        "/spec/model/maxSize",
        json!("1Gi"),
        &Rejection::MaxSizeOfConfigMap,
    );
    for size in ["1Ki", "501Gi", "much"] {
        let model = json!({"source": http("https://a/b"), "maxSize": size});
        check(
            "/spec/model",
            model,
            &Rejection::Range {
                path: "spec.model.maxSize",
                min: "1Mi",
                max: "500Gi",
                value: size.to_owned(),
            },
        );
    }
    check(
        "/spec/model/source",
        http("http://a/b"),
        &Rejection::PlainHttp {
            url: "http://a/b".to_owned(),
        },
    );
    check(
        "/spec/runtime/resources",
        json!({"limits": {"cpu": "many"}}),
        &Rejection::Quantity {
            kind: "limits",
            resource: "cpu".to_owned(),
            value: "many".to_owned(),
        },
    );
    check(
        "/spec/runtime/resources",
        json!({"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}),
        &Rejection::RequestAboveLimit {
            resource: "cpu".to_owned(),
            request: "2".to_owned(),
            limit: "1500m".to_owned(),
        },
    );
    check(
        "/spec/runtime/podLabels",
        json!({"aimass.dev/revision": "x"}),
        &Rejection::ReservedKey {
            path: "spec.runtime.podLabels",
            key: "aimass.dev/revision".to_owned(),
        },
    );
    check(
        "/spec/runtime/podAnnotations",
        json!({"app.kubernetes.io/name": "x"}),
        &Rejection::ReservedKey {
            path: "spec.runtime.podAnnotations",
            key: "app.kubernetes.io/name".to_owned(),
        },
    );
    check(
        "/spec/rollout",
        json!({"strategy": "Recreate", "rollingUpdate": {}}),
        &Rejection::Strategy {
            path: "spec.rollout.rollingUpdate",
            needs: "RollingUpdate",
            is: "Recreate",
        },
    );
    let strategy = |path, needs| Rejection::Strategy {
        path,
        needs,
        is: "RollingUpdate",
    };
    check(
        "/spec/rollout",
        json!({"canary": {}}),
        &strategy("spec.rollout.canary", "Canary"),
    );
    check(
        "/spec/rollout",
        json!({"blueGreen": {}}),
        &strategy("spec.rollout.blueGreen", "BlueGreen"),
    );
    check(
        "/spec/rollout",
        json!({"analysis": {"errorRate": {"max": "1%"}}}),
        &strategy("spec.rollout.analysis", "Canary or BlueGreen"),
    );
    for (analysis, path, needs) in [
        (
            json!({}),
            "spec.rollout.analysis",
            "at least one of errorRate, latencyP95, latencyP99",
        ),
        (
            json!({"errorRate": {}}),
            "spec.rollout.analysis.errorRate",
            "at least one of max, maxIncrease",
        ),
        (
            json!({"latencyP99": {}}),
            "spec.rollout.analysis.latencyP99",
            "at least one of max, maxIncrease",
        ),
        (
            json!({"errorRate": {"max": "1%"}, "onMaxHold": "Promote"}),
            "spec.rollout.analysis.onMaxHold",
            "maxHold",
        ),
    ] {
        check(
            "/spec/rollout",
            json!({"strategy": "Canary", "analysis": analysis}),
            &Rejection::Incomplete { path, needs },
        );
    }
    for (action, needs) in [
        ("Continue", "step, for action: Continue"),
        ("Retry", "attempt, for action: Retry"),
    ] {
        check(
            "/spec/rollout/decision",
            json!({"revision": "abcdefgh", "action": action}),
            &Rejection::Incomplete {
                path: "spec.rollout.decision",
                needs,
            },
        );
    }
    check(
        "/spec/rollout/rollingUpdate",
        json!({"maxSurge": 0}),
        &Rejection::NoPortion,
    );
    check(
        "/spec/rollout/rollingUpdate",
        json!({"maxSurge": "0%", "maxUnavailable": "0%"}),
        &Rejection::NoPortion,
    );
}

#[test]
fn every_text_has_its_form() {
    for bad in ["", "-a", "a-", "a b", "ä"] {
        text("/spec/servedName", json!(bad), "spec.servedName");
    }
    text("/spec/restartToken", json!("a b"), "spec.restartToken");
    for bad in ["", "abcdefg", "abcdefghi", "ABCDEFGH", "abcdefg1"] {
        text("/spec/rollout/pin", json!(bad), "spec.rollout.pin");
        text(
            "/spec/rollout/decision",
            json!({"revision": bad, "action": "Abort"}),
            "spec.rollout.decision.revision",
        );
    }
    for bad in [
        json!([]),
        json!([{"weight": 50}, {"weight": 10}]),
        json!([{"weight": 5}, {"weight": 5}]),
    ] {
        text(
            "/spec/rollout",
            json!({"strategy": "Canary", "canary": {"steps": bad}}),
            "spec.rollout.canary.steps",
        );
    }
    text(
        "/spec/access",
        json!({"allowedCIDRs": ["10.0.0.0/8", "10.0.0.0"]}),
        "spec.access.allowedCIDRs",
    );
    text(
        "/spec/model/source/configMap/name",
        json!("A"),
        "spec.model.source.configMap.name",
    );
    text(
        "/spec/model/source/configMap/key",
        json!("a/b"),
        "spec.model.source.configMap.key",
    );
    text(
        "/spec/model/source/configMap/digest",
        json!("sha256:A"),
        "spec.model.source.configMap.digest",
    );
    for bad in ["/a", "a/../b", "..", "a b", "a\\b", ""] {
        text(
            "/spec/model/source",
            json!({"pvc": {"claimName": "c", "path": bad}}),
            "spec.model.source.pvc.path",
        );
    }
    for bad in [
        "ftp://a/b",
        "https://",
        "https://u@a/b",
        "https://a/b#c",
        "https://a/b c",
        "https://a?b",
    ] {
        text(
            "/spec/model/source",
            http(bad),
            "spec.model.source.http.url",
        );
    }
    for bad in [
        json!("101%"),
        json!(1001),
        json!("-1"),
        json!("1.5%"),
        json!("%"),
    ] {
        text(
            "/spec/rollout/rollingUpdate",
            json!({"maxSurge": bad}),
            "spec.rollout.rollingUpdate.maxSurge",
        );
    }
}

#[test]
fn a_rejection_names_the_path_the_rule_and_the_value() {
    let error = valid(&with("/spec/replicas", json!(1001)), &platform()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "spec.replicas must be between 0 and 1000, is 1001"
    );
    let failure = error.failure();
    assert!(failure.terminal);
    assert_eq!(failure.reason, aimass_crds::reason::Reason::InvalidSpec);
    let taken = Rejection::RevisionTaken {
        revision: "abcdefgh".to_owned(),
    };
    assert_eq!(
        taken.failure().reason,
        aimass_crds::reason::Reason::NameConflict
    );
}

#[test]
fn onnxruntime_needs_an_image_with_it() {
    let wanted = with("/spec/runtime/builtin/engine", json!("OnnxRuntime"));
    let there = valid(&wanted, &platform()).unwrap();
    assert_eq!(there.runtime.image, "s:1-ort");
    let none = Platform {
        onnxruntime_image: None,
        ..platform()
    };
    let rejection = valid(&wanted, &none).unwrap_err();
    assert_eq!(rejection, Rejection::NoOnnxRuntime);
    let reason = aimass_crds::reason::Reason::EngineUnavailable;
    assert_eq!(rejection.failure().reason, reason);
    for engine in ["Auto", "Tract", "Rten"] {
        let other = with("/spec/runtime/builtin/engine", json!(engine));
        assert_eq!(valid(&other, &none).unwrap().runtime.image, "s:1");
    }
}

#[test]
fn objectives_say_something_and_within_their_ranges() {
    let at = "/spec/objectives";
    check(
        at,
        json!({"window": "5m"}),
        &Rejection::Incomplete {
            path: "spec.objectives",
            needs: "at least one of errorRate, latencyP95, latencyP99",
        },
    );
    let range = |path, (min, max), value: &str| Rejection::Range {
        path,
        min,
        max,
        value: value.to_owned(),
    };
    let latency = ("1ms", "10m");
    check(
        at,
        json!({"latencyP95": "0ms"}),
        &range("spec.objectives.latencyP95", latency, "0ms"),
    );
    check(
        at,
        json!({"latencyP99": "11m"}),
        &range("spec.objectives.latencyP99", latency, "11m"),
    );
    check(
        at,
        json!({"errorRate": "101%"}),
        &range("spec.objectives.errorRate", ("0%", "100%"), "101%"),
    );
    check(
        at,
        json!({"errorRate": "1%", "window": "59s"}),
        &range("spec.objectives.window", ("1m", "1h"), "59s"),
    );
    let good = with(at, json!({"errorRate": "0%", "window": "1h"}));
    let objectives = valid(&good, &platform()).unwrap().objectives.unwrap();
    assert_eq!(objectives.window, Duration::from_secs(3600));
    let error_rate = objectives.checks.error_rate.unwrap().max.unwrap();
    assert_eq!(error_rate.hundredths, 0);
}
