//! C26, C30, C50: what the API server itself takes and refuses: the schema, its CEL rules with a
//! passing and a breaking example each, unknown fields, and the examples that users apply.

use std::collections::BTreeSet;

use aimass_tests::args::repository;
use aimass_tests::cluster::{Cluster, Namespace, definitions};
use aimass_tests::models;
use aimass_tests::walker;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};

#[test]
fn every_field_of_every_schema_has_a_bound_and_none_names_a_namespace() {
    for definition in definitions() {
        let found = walker::unbounded(&definition);
        assert!(
            found.is_empty(),
            "{}:\n{}",
            definition.spec.names.kind,
            found.join("\n")
        );
    }
}

/// A change to a good object, and the words of the refusal; none: it is taken.
struct Row(&'static str, Value, Option<&'static str>);

fn ok(pointer: &'static str, value: Value) -> Row {
    Row(pointer, value, None)
}

fn bad(pointer: &'static str, value: Value, words: &'static str) -> Row {
    Row(pointer, value, Some(words))
}

const RANGES: &str = "each must be a CIDR such as 10.0.0.0/8 or 2001:db8::/32";
const SOURCE: &str = "/spec/model/source";
const NAME: &str = "/metadata/name";
const RESOURCES: &str = "/spec/runtime/resources";
const ROLLOUT: &str = "/spec/rollout";
const TOLERATIONS: &str = "/spec/runtime/tolerations";

/// Each rule of the schema, once kept and once broken.
fn rules() -> Vec<Row> {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let http = json!({"http": {"url": "https://m.example/a.onnx", "digest": digest}});
    let pvc = |path: &str| json!({"pvc": {"claimName": "models", "path": path}});
    let name = "metadata.name must start with a letter and hold at most 52 characters";
    let one = "exactly one of configMap, pvc, http must be set";
    let reserved = "keys under aimass.dev/ and app.kubernetes.io/ are reserved";
    let limit = "each request must be at most its limit";
    let surge = "maxSurge: 0 needs maxUnavailable above 0";
    let strategy = "rollingUpdate needs strategy: RollingUpdate";
    vec![
        ok(NAME, json!("a".repeat(52))),
        bad(NAME, json!("a".repeat(53)), name),
        bad(NAME, json!("9lives"), name),
        bad(NAME, json!("a.b"), name),
        ok(SOURCE, pvc("a/b.onnx")),
        ok(SOURCE, http.clone()),
        bad(SOURCE, json!({}), one),
        bad(
            SOURCE,
            json!({"configMap": {"name": "a"}, "http": http["http"]}),
            one,
        ),
        bad(SOURCE, pvc("a/../b.onnx"), "path must not contain '..'"),
        ok("/spec/model", json!({"source": pvc("a"), "maxSize": "1Gi"})),
        bad(
            "/spec/model/maxSize",
            json!("1Gi"),
            "maxSize needs source pvc or http",
        ),
        bad(
            "/spec/model",
            json!({"source": pvc("a"), "maxSize": "1Ki"}),
            "must be between 1Mi and 500Gi",
        ),
        bad(
            "/spec/model",
            json!({"source": pvc("a"), "maxSize": "501Gi"}),
            "must be between 1Mi and 500Gi",
        ),
        ok(
            RESOURCES,
            json!({"requests": {"cpu": "500m"}, "limits": {"cpu": 1}}),
        ),
        bad(
            RESOURCES,
            json!({"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}),
            limit,
        ),
        ok("/spec/runtime/podLabels", json!({"team": "a"})),
        bad(
            "/spec/runtime/podLabels",
            json!({"aimass.dev/revision": "a"}),
            reserved,
        ),
        ok("/spec/runtime/podAnnotations", json!({"team": "a"})),
        bad(
            "/spec/runtime/podAnnotations",
            json!({"app.kubernetes.io/name": "a"}),
            reserved,
        ),
        ok("/spec/runtime/startDeadline", json!("30s")),
        bad(
            "/spec/runtime/startDeadline",
            json!("3h"),
            "must be between 5s and 2h",
        ),
        bad(
            "/spec/runtime/startDeadline",
            json!("4s"),
            "must be between 5s and 2h",
        ),
        ok("/spec/batching", json!({"maxSize": 1024, "maxDelay": "1s"})),
        bad(
            "/spec/batching",
            json!({"maxDelay": "1001ms"}),
            "must be between 0s and 1s",
        ),
        ok(TOLERATIONS, json!([{"key": "gpu", "operator": "Exists"}])),
        bad(
            TOLERATIONS,
            json!([{"key": "gpu", "operator": "Exists", "value": "a"}]),
            "value must be left out with operator: Exists",
        ),
        ok(TOLERATIONS, json!([{"operator": "Exists"}])),
        bad(
            TOLERATIONS,
            json!([{"operator": "Equal"}]),
            "without key, operator must be Exists",
        ),
        ok(
            TOLERATIONS,
            json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}]),
        ),
        bad(
            TOLERATIONS,
            json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 3}]),
            "tolerationSeconds needs effect: NoExecute",
        ),
        ok(
            ROLLOUT,
            json!({"strategy": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
        ),
        ok(
            ROLLOUT,
            json!({"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}),
        ),
        bad(
            ROLLOUT,
            json!({"strategy": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
            strategy,
        ),
        ok(
            ROLLOUT,
            json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        ),
        bad(ROLLOUT, json!({"rollingUpdate": {"maxSurge": 0}}), surge),
        bad(
            ROLLOUT,
            json!({"rollingUpdate": {"maxSurge": "0%", "maxUnavailable": "0%"}}),
            surge,
        ),
        ok(
            "/spec/traffic",
            json!({"requestTimeout": "1h", "maxRequestBytes": "256Mi", "retry": "Never"}),
        ),
        bad(
            "/spec/traffic",
            json!({"requestTimeout": "99ms"}),
            "must be between 100ms and 1h",
        ),
        bad(
            "/spec/traffic",
            json!({"maxRequestBytes": "257Mi"}),
            "must be between 1Ki and 256Mi",
        ),
        ok(
            "/spec/access",
            json!({"mode": "Authenticated", "allowedCIDRs": ["10.0.0.0/8", "2001:db8::/32"]}),
        ),
        bad(
            "/spec/access",
            json!({"allowedCIDRs": ["10.0.0.0"]}),
            RANGES,
        ),
        ok(ROLLOUT, json!({"progressDeadline": "30s"})),
        bad(
            ROLLOUT,
            json!({"progressDeadline": "29s"}),
            "must be between 30s and 24h",
        ),
        bad(
            ROLLOUT,
            json!({"progressDeadline": "25h"}),
            "must be between 30s and 24h",
        ),
    ]
}

/// The same of pods that come and go with the load, and of requests that wait for them.
fn of_scaling() -> Vec<Row> {
    let (scaling, traffic) = ("/spec/scaling", "/spec/traffic");
    let both = |in_flight: i32, most: i32| {
        json!({
            "model": {"source": {"configMap": {"name": models::FILES}}},
            "scaling": {"target": {"inFlight": in_flight}}, "traffic": {"maxConcurrency": most},
        })
    };
    vec![
        ok(
            scaling,
            json!({
                "min": 0, "max": 8, "window": "6s", "scaleDownDelay": "1h", "idleTimeout": "10s",
                "target": {"inFlight": 4, "rate": 50, "latency": "200ms"},
            }),
        ),
        bad(
            scaling,
            json!({"min": 3, "max": 2}),
            "min must be at most max",
        ),
        bad(
            scaling,
            json!({"idleTimeout": "1m"}),
            "idleTimeout needs min: 0",
        ),
        bad(
            scaling,
            json!({"min": 0, "idleTimeout": "9s"}),
            "must be between 10s and 24h",
        ),
        bad(
            scaling,
            json!({"window": "5s"}),
            "must be between 6s and 1h",
        ),
        bad(
            scaling,
            json!({"scaleDownDelay": "61m"}),
            "must be between 0s and 1h",
        ),
        bad(
            scaling,
            json!({"target": {"latency": "11m"}}),
            "must be between 1ms and 10m",
        ),
        ok("/spec", both(8, 8)),
        bad(
            "/spec",
            both(9, 8),
            "scaling.target.inFlight must be at most traffic.maxConcurrency",
        ),
        ok(
            traffic,
            json!({"maxConcurrency": 1, "queue": {"maxRequests": 0, "maxBytes": "1Ki", "timeout": "0s"}}),
        ),
        bad(
            traffic,
            json!({"requestTimeout": "10s", "queue": {"timeout": "11s"}}),
            "queue.timeout must be at most requestTimeout",
        ),
        bad(
            traffic,
            json!({"queue": {"timeout": "11m"}}),
            "must be between 0s and 10m",
        ),
        bad(
            traffic,
            json!({"queue": {"maxBytes": "17Gi"}}),
            "must be between 1Ki and 16Gi",
        ),
    ]
}

/// The same of rollouts that are watched.
fn of_rollouts() -> Vec<Row> {
    let at = "/spec/rollout";
    let canary = |steps: Value| json!({"strategy": "Canary", "canary": {"steps": steps}});
    let analysis = |analysis: Value| json!({"strategy": "BlueGreen", "analysis": analysis});
    let decision = |action: &str| json!({"decision": {"revision": "7f3k2q5d", "action": action}});
    let lengths = [
        (
            "/spec/rollout/analysis/interval",
            "must be between 5s and 1h",
        ),
        (
            "/spec/rollout/analysis/maxHold",
            "must be between 1m and 720h",
        ),
        (
            "/spec/rollout/analysis/latencyP95/max",
            "must be between 1ms and 1h",
        ),
    ];
    let rising = "weights must rise from step to step";
    let limit = "at least one of max, maxIncrease must be set";
    let mut rows = vec![
        ok(
            at,
            canary(json!([{"weight": 5}, {"weight": 50, "approval": true}])),
        ),
        bad(at, canary(json!([{"weight": 50}, {"weight": 5}])), rising),
        bad(at, canary(json!([{"weight": 5}, {"weight": 5}])), rising),
        bad(at, canary(json!([])), "spec.rollout.canary.steps"),
        bad(
            at,
            canary(json!([{"weight": 5, "duration": "169h"}])),
            "must be between 0s and 168h",
        ),
        bad(at, canary(json!([{"weight": 100}])), "weight"),
        bad(at, json!({"canary": {}}), "canary needs strategy: Canary"),
        bad(
            at,
            json!({"strategy": "Canary", "blueGreen": {}}),
            "blueGreen needs strategy: BlueGreen",
        ),
        bad(
            at,
            json!({"analysis": {"errorRate": {"max": "1%"}}}),
            "analysis needs strategy: Canary or BlueGreen",
        ),
        ok(
            at,
            analysis(json!({"errorRate": {"max": "0.5%", "maxIncrease": "1%"}})),
        ),
        bad(
            at,
            analysis(json!({})),
            "at least one of errorRate, latencyP95, latencyP99 must be set",
        ),
        bad(at, analysis(json!({"errorRate": {}})), limit),
        bad(at, analysis(json!({"latencyP99": {}})), limit),
        bad(
            at,
            analysis(json!({"errorRate": {"max": "101%"}})),
            "errorRate.max",
        ),
        bad(
            at,
            analysis(json!({"errorRate": {"max": "1%"}, "onMaxHold": "Promote"})),
            "onMaxHold needs maxHold",
        ),
        ok(at, decision("Abort")),
        bad(at, decision("Continue"), "action: Continue needs step"),
        bad(at, decision("Retry"), "action: Retry needs attempt"),
        bad(at, decision("Hope"), "spec.rollout.decision.action"),
        ok(at, json!({"pin": "7f3k2q5d"})),
        bad(at, json!({"pin": "latest"}), "spec.rollout.pin"),
    ];
    rows.extend(lengths.map(|(path, message)| {
        let whole = json!({
            "strategy": "Canary",
            "analysis": {"interval": "30s", "maxHold": "1h", "latencyP95": {"max": "1s"}},
        });
        let pointer = path.strip_prefix(at).unwrap_or_default();
        bad(at, models::with(whole, pointer, json!("999h")), message)
    }));
    rows
}

/// The same of what is asked of a model that serves.
fn of_objectives() -> Vec<Row> {
    let at = "/spec/objectives";
    vec![
        ok(
            at,
            json!({"latencyP95": "1ms", "latencyP99": "10m", "errorRate": "0.5%", "window": "1h"}),
        ),
        ok(at, json!({"errorRate": "1%"})),
        bad(
            at,
            json!({"window": "5m"}),
            "at least one of errorRate, latencyP95, latencyP99 must be set",
        ),
        bad(
            at,
            json!({"latencyP95": "11m"}),
            "must be between 1ms and 10m",
        ),
        bad(
            at,
            json!({"latencyP99": "0ms"}),
            "must be between 1ms and 10m",
        ),
        bad(
            at,
            json!({"errorRate": "1%", "window": "59s"}),
            "must be between 1m and 1h",
        ),
        bad(at, json!({"errorRate": "101%"}), "objectives.errorRate"),
    ]
}

fn key() -> Value {
    json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey", "metadata": {"name": "ana"},
        "spec": {"models": ["iris"], "credentials": [credential("7GmYq2TbX0aZ")]},
    })
}

fn credential(id: &str) -> Value {
    json!({"id": id, "sha256": "ab".repeat(32)})
}

/// The same of APIKeys, and what their schema alone refuses.
fn of_keys() -> Vec<Row> {
    let (models, credentials) = ("/spec/models", "/spec/credentials");
    vec![
        ok(models, json!(["*"])),
        bad(models, json!(["*", "iris"]), "'*' must stand alone"),
        bad(models, json!([]), "spec.models"),
        bad(models, json!(["Iris"]), "spec.models"),
        ok("/spec/allowedCIDRs", json!(["0.0.0.0/0", "::1/128"])),
        bad("/spec/allowedCIDRs", json!(["::ffff:10.0.0.0/104"]), RANGES),
        ok("/spec/expiresAt", json!("2027-06-30T00:00:00Z")),
        bad("/spec/expiresAt", json!("next year"), "spec.expiresAt"),
        ok("/spec/plan", json!("free")),
        bad("/spec/plan", json!("a.b"), "spec.plan"),
        ok(
            credentials,
            json!([credential("7GmYq2TbX0aZ"), credential("8GmYq2TbX0aZ")]),
        ),
        bad(
            credentials,
            json!([credential("7GmYq2TbX0aZ"), credential("7GmYq2TbX0aZ")]),
            "Duplicate value",
        ),
        bad(
            credentials,
            json!([credential("short")]),
            "spec.credentials",
        ),
        bad(credentials, json!([]), "spec.credentials"),
    ]
}

fn plan() -> Value {
    json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "UsagePlan", "metadata": {"name": "free"},
        "spec": {"concurrency": 4},
    })
}

/// The same of UsagePlans.
fn of_plans() -> Vec<Row> {
    let rates =
        |name: &str, window: &str| json!([{"name": name, "requests": 60, "window": window}]);
    let at = "/spec/rates";
    vec![
        bad(NAME, json!("a.b"), "metadata.name must be a DNS label"),
        bad(
            "/spec",
            json!({"mode": "Shadow"}),
            "at least one of rates, concurrency must be set",
        ),
        ok(at, rates("per-minute", "1m")),
        bad(
            at,
            rates("inflight", "1m"),
            "inflight is what the RateLimit headers call the limit of concurrency",
        ),
        bad(at, rates("per-minute", "25h"), "must be between 1s and 24h"),
        bad(at, rates("Per minute", "1m"), "spec.rates"),
        bad("/spec/mode", json!("Off"), "spec.mode"),
    ]
}

/// What the schema alone refuses: forms, enums, bounds.
fn forms() -> Vec<Row> {
    vec![
        ok("/spec/replicas", json!(1000)),
        bad("/spec/replicas", json!(1001), "spec.replicas"),
        bad("/spec/replicas", json!(-1), "spec.replicas"),
        bad("/spec/replicas", json!("3"), "spec.replicas"),
        ok("/spec/servedName", json!("my_model")),
        bad("/spec/servedName", json!("-a"), "spec.servedName"),
        bad(
            "/spec/servedName",
            json!("a".repeat(129)),
            "spec.servedName",
        ),
        bad("/spec/servedName", json!("🦀"), "spec.servedName"),
        bad("/spec/restartToken", json!("a b"), "spec.restartToken"),
        bad(
            "/spec/runtime/builtin",
            json!({"engine": "Magic"}),
            "spec.runtime.builtin.engine",
        ),
        bad(
            "/spec/runtime/builtin",
            json!({"threads": 65}),
            "spec.runtime.builtin.threads",
        ),
        bad(
            "/spec/batching",
            json!({"maxSize": 0}),
            "spec.batching.maxSize",
        ),
        bad(
            "/spec/runtime/startDeadline",
            json!("1 hour"),
            "spec.runtime.startDeadline",
        ),
        bad(
            RESOURCES,
            json!({"requests": {"cpu": "two"}}),
            "spec.runtime.resources.requests",
        ),
        bad(
            RESOURCES,
            json!({"requests": {"cpu": -1}}),
            "spec.runtime.resources.requests",
        ),
        bad(
            SOURCE,
            json!({"configMap": {"name": "A_b"}}),
            "spec.model.source.configMap.name",
        ),
        bad(
            SOURCE,
            json!({"configMap": {"name": "a", "digest": "md5:1"}}),
            "digest",
        ),
        bad(
            SOURCE,
            json!({"http": {"url": "https://m.example/a.onnx"}}),
            "digest",
        ),
        bad(
            SOURCE,
            json!({"pvc": {"claimName": "a", "path": "/a"}}),
            "path",
        ),
        bad("/spec/rollout/history", json!(7), "spec.rollout.history"),
        bad(
            "/spec/rollout/strategy",
            json!("Magic"),
            "spec.rollout.strategy",
        ),
        bad("/spec/model", Value::Null, "spec.model"),
    ]
}

async fn dry_run(ns: &Namespace, object: &Value) -> Result<(), String> {
    let params = PostParams {
        dry_run: true,
        field_manager: None,
    };
    let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
    match api(ns, &object).create(&params, &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

/// The objects of the same kind, with the harness's own rights.
fn api(ns: &Namespace, object: &DynamicObject) -> Api<DynamicObject> {
    let kind = object
        .types
        .as_ref()
        .map_or("", |types| types.kind.as_str());
    let of = |plural| {
        let kind = GroupVersionKind::gvk("aimass.dev", "v1alpha1", kind);
        ApiResource::from_gvk_with_plural(&kind, plural)
    };
    match kind {
        "APIKey" => Api::namespaced_with(ns.client.clone(), &ns.name, &of("apikeys")),
        "UsagePlan" => Api::all_with(ns.client.clone(), &of("usageplans")),
        _ => models::api(ns),
    }
}

async fn check(good: Value, rows: Vec<Row>) -> BTreeSet<&'static str> {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("admission").await;
    let mut wrong = Vec::new();
    let mut broken = BTreeSet::new();
    for Row(pointer, value, expect) in rows {
        let object = models::with(good.clone(), pointer, value.clone());
        let answer = dry_run(&ns, &object).await;
        match (expect, &answer) {
            (None, Ok(())) => {}
            (Some(words), Err(message)) if message.contains(words) => {
                broken.insert(words);
            }
            _ => wrong.push(format!(
                "{pointer} = {value}: expected {expect:?}, got {answer:?}"
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    broken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c26_each_rule_is_kept_and_broken_by_an_example() {
    let mut broken = check(models::model("iris", 1), rules()).await;
    broken.extend(check(models::model("iris", 1), of_scaling()).await);
    broken.extend(check(models::model("iris", 1), of_rollouts()).await);
    broken.extend(check(models::model("iris", 1), of_objectives()).await);
    broken.extend(check(key(), of_keys()).await);
    broken.extend(check(plan(), of_plans()).await);
    // No rule without an example: each message of the schema was heard.
    for definition in definitions() {
        for message in messages(&definition) {
            let heard = broken.iter().any(|words| message.starts_with(*words));
            assert!(heard, "no example breaks: {message}");
        }
    }
}

fn messages(definition: &impl serde::Serialize) -> BTreeSet<String> {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if key == "x-kubernetes-validations" {
                        let rules = value.as_array().into_iter().flatten();
                        found.extend(rules.filter_map(|r| Some(r["message"].as_str()?.to_owned())));
                    } else {
                        walk(value, found);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(
        &serde_json::to_value(definition).expect("a definition is JSON"),
        &mut found,
    );
    assert!(!found.is_empty(), "the schema has rules");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c26_values_beyond_their_form_are_refused_with_their_path() {
    check(models::model("iris", 1), forms()).await;
}

/// What `kubectl` sends with `--validate=strict`, its default.
async fn strict(ns: &Namespace, object: &Value, dry_run: bool) -> Result<Value, String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let within = format!("namespaces/{}/", ns.name);
    let (group, within, kind) = match object["kind"].as_str() {
        Some("ConfigMap") => ("api/v1", within.as_str(), "configmaps"),
        Some("APIKey") => ("apis/aimass.dev/v1alpha1", within.as_str(), "apikeys"),
        Some("UsagePlan") => ("apis/aimass.dev/v1alpha1", "", "usageplans"),
        _ => (
            "apis/aimass.dev/v1alpha1",
            within.as_str(),
            "modeldeployments",
        ),
    };
    let dry = if dry_run { "&dryRun=All" } else { "" };
    let path =
        format!("/{group}/{within}{kind}/{name}?fieldManager=kubectl&fieldValidation=Strict{dry}");
    let request = http::Request::patch(path)
        .header("content-type", "application/apply-patch+yaml")
        .body(object.to_string().into_bytes())
        .expect("a valid request");
    match ns.client.request::<Value>(request).await {
        Ok(object) => Ok(object),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c30_an_unknown_field_is_refused_and_named() {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("c30").await;
    for (pointer, named) in [
        ("/spec/modle", "modle"),
        ("/spec/model/source/configmap", "configmap"),
        ("/spec/runtime/resources/limit", "limit"),
    ] {
        let object = models::with(models::model("iris", 1), pointer, json!({"name": "a"}));
        let refusal = strict(&ns, &object, false)
            .await
            .expect_err("an unknown field");
        assert!(refusal.contains(named), "{refusal}");
    }
    strict(&ns, &models::model("iris", 1), false)
        .await
        .expect("the good one is taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p20_every_example_is_valid_against_this_api_server() {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("p20").await;
    let folder = repository().join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("examples/ is there") {
        let path = entry.expect("examples/ can be read").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("an example can be read");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for document in documents {
            let kind = document["kind"].as_str().unwrap_or_default();
            let ours = ["ModelDeployment", "APIKey", "UsagePlan", "ConfigMap"];
            if !ours.contains(&kind) {
                continue;
            }
            if let Err(refusal) = strict(&ns, &document, true).await {
                panic!("{} {kind}: {refusal}", path.display());
            }
            seen += 1;
        }
    }
    assert!(
        seen >= 4,
        "linear.yaml and digits.yaml: a ConfigMap and a ModelDeployment each"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_means_absent_and_no_default_is_written_into_the_spec() {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("nulls").await;
    let object = models::with(models::model("iris", 1), "/spec/rollout", Value::Null);
    let object = models::with(object, "/spec/runtime", json!({"resources": null}));
    // By a create: an apply compares nulls before anybody could drop them.
    let params = PostParams::default();
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let stored = models::api(&ns)
        .create(&params, &object)
        .await
        .expect("null is absence");
    assert_eq!(
        stored.data["spec"],
        json!({
            "model": {"source": {"configMap": {"name": models::FILES}}},
            "replicas": 1,
            "runtime": {},
        })
    );
}
