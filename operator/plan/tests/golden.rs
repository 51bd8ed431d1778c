//! Golden objects: everything that a plan would apply, as one YAML stream per case.
//!
//! Cases are `testdata/*.yaml` and every ModelDeployment in `examples/*.yaml`. A file may hold
//! ConfigMaps too: those are what the model's source finds. Of an APIKey or a UsagePlan there is
//! nothing to apply; its status is shown.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests; clippy allows both in functions marked as such only"
)]

use std::fmt::Write as _;
use std::path::Path;

use aimass_crds::{APIKey, ModelDeployment, UsagePlan};
use aimass_plan::model::{Children, Failure, Observed, Platform, Reference, plan};
use aimass_plan::{key, usage_plan};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;
use serde_json::Value;

fn cases(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut cases: Vec<(String, String)> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    cases.sort();
    cases
}

fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter()
        .filter(|document| !document.is_null())
        .collect()
}

/// All objects, on a platform with a gateway or without one.
fn render(text: &str, gateway: bool) -> String {
    let all = documents(text);
    let of = |kind: &'static str| all.iter().filter(move |document| document["kind"] == kind);
    let mut stream = String::new();
    for model in of("ModelDeployment") {
        let mut model: ModelDeployment = serde_json::from_value(model.clone()).unwrap();
        model
            .metadata
            .namespace
            .get_or_insert_with(|| "default".to_owned());
        model.metadata.uid = Some("11111111-1111-1111-1111-111111111111".to_owned());
        let source = &model.spec.model.source;
        let config_map = source.config_map.as_ref().and_then(|source| {
            of("ConfigMap").find(|document| document["metadata"]["name"] == source.name.as_str())
        });
        let reference = match config_map {
            Some(document) => files(serde_json::from_value(document.clone()).unwrap()),
            None if source.pvc.is_some() => Reference::Claim,
            None if source.http.is_some() => Reference::NotNeeded,
            None => Reference::Absent,
        };
        match plan(&model, &observed(reference, gateway)) {
            Ok(plan) => {
                for desired in plan.objects {
                    push(&mut stream, &desired.object);
                }
                let outlook = serde_json::to_value(&plan.outlook).unwrap();
                let accepted = &outlook["Serving"]["accepted"];
                let failure = &outlook["Serving"]["failure"];
                let url = outlook["Serving"]["url"].as_str().unwrap_or_default();
                writeln!(
                    stream,
                    "---\n# accepted: {accepted}\n# failure: {failure}\n# url: {url}"
                )
                .unwrap();
            }
            Err(rejection) => writeln!(stream, "---\n# rejected: {rejection}").unwrap(),
        }
    }
    for document in of("APIKey") {
        let key: APIKey = serde_json::from_value(document.clone()).unwrap();
        let observed = key::Observed {
            now: now(),
            plan: match key.spec.plan {
                Some(_) => key::PlanReference::Exists,
                None => key::PlanReference::NotNeeded,
            },
            taken: Vec::new(),
            unknown_models: Vec::new(),
            last_used: None,
        };
        let outcome = key::plan(&key, &observed);
        let status = key::status(&key, outcome.as_ref().map_err(Failure::from), now());
        push(&mut stream, &status);
    }
    for document in of("UsagePlan") {
        let plan: UsagePlan = serde_json::from_value(document.clone()).unwrap();
        let outcome = usage_plan::plan(&plan, usage_plan::Observed { keys: 2 });
        let status = usage_plan::status(&plan, outcome.map_err(Failure::from), now());
        push(&mut stream, &status);
    }
    stream
}

fn push(stream: &mut String, value: &impl Serialize) {
    write!(stream, "---\n{}", serde_saphyr::to_string(value).unwrap()).unwrap();
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn observed(reference: Reference, gateway: bool) -> Observed {
    Observed {
        now: now(),
        platform: Platform {
            server_image: "aimass.test/aimass-server:dev".to_owned(),
            onnxruntime_image: Some("aimass.test/aimass-server:dev-ort".to_owned()),
            allow_http: false,
            allow_hosts: vec!["models.internal".to_owned()],
            traces: None,
            gateway_url: gateway.then(|| "https://models.example".to_owned()),
            gateway_namespace: gateway.then(|| "aimass-system".to_owned()),
            operator_namespace: Some("aimass-system".to_owned()),
        },
        reference,
        children: Children::default(),
        pods: Vec::new(),
        signals: aimass_plan::model::Signals::default(),
        quotas: Vec::new(),
    }
}

fn files(config_map: ConfigMap) -> Reference {
    let text = config_map.data.unwrap_or_default().into_iter();
    let text = text.map(|(name, text)| (name, ByteString(text.into_bytes())));
    Reference::ConfigMap(
        text.chain(config_map.binary_data.unwrap_or_default())
            .collect(),
    )
}

#[test]
fn every_case_renders_as_before() {
    let cases = cases("testdata");
    assert!(cases.len() >= 8, "cases are missing");
    for (name, text) in cases {
        insta::assert_snapshot!(name.as_str(), render(&text, true));
    }
}

#[test]
fn every_example_renders_as_before() {
    for (name, text) in cases("../../examples") {
        let rendered = render(&text, false);
        assert!(!rendered.contains("# rejected"), "{name}: {rendered}");
        assert!(!rendered.contains("InvalidSpec"), "{name}: {rendered}");
        insta::assert_snapshot!(format!("example_{name}"), rendered);
    }
}
