//! Makes the objects of two namespaces comparable, and says where they differ.
//!
//! Namespace → `NS`, uid → its owner's name, revision hash → `H1`, `H2` … by age; what the API
//! server or time alone decides is masked. Whatever else differs between undisturbed runs is listed
//! in `tests/masks/<workload>.txt`, one `Kind:/pointer` a line, where reviewers see it grow.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use crate::args::repository;
use crate::faults::point::revision_of;

/// The kinds that a namespace of a test may hold, but for Events, Leases and what the harness and
/// Kubernetes put into every namespace.
const KINDS: [(&str, &str, &str, &str); 9] = [
    (
        "aimass.dev",
        "v1alpha1",
        "ModelDeployment",
        "modeldeployments",
    ),
    ("apps", "v1", "ControllerRevision", "controllerrevisions"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Service", "services"),
    ("", "v1", "Pod", "pods"),
    (
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
    ),
    (
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
    ),
];

/// The plurals of the kinds that the operator writes.
pub const CHILDREN: [&str; 5] = [
    "controllerrevisions",
    "deployments",
    "configmaps",
    "services",
    "poddisruptionbudgets",
];

/// What only time or the API server decides, wherever it stands.
const MASKED: [&str; 21] = [
    // The operator's own hash of what it applied, owner's uid included.
    "aimass.dev/applied",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "lastTimestamp",
    "startedAt",
    "finishedAt",
    "startTime",
    "createdAt",
    "since",
    "time",
    "checkedAt",
    "stepStartedAt",
    "clusterIP",
    "clusterIPs",
    "kubectl.kubernetes.io/last-applied-configuration",
    "deletionTimestamp",
];

/// The objects of a namespace, with comparable names and values, by `Kind/name`.
pub type Normal = BTreeMap<String, Value>;

/// Every object of the namespace.
///
/// # Errors
/// What the API server says.
pub async fn objects(client: &Client, namespace: &str) -> kube::Result<Vec<DynamicObject>> {
    let mut all = Vec::new();
    for (group, version, kind, plural) in KINDS {
        let kind = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let mut list = match api.list(&ListParams::default()).await {
            Ok(list) => list.items,
            // A lane without our definitions (C33) still has the others.
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => return Err(error),
        };
        for object in &mut list {
            object.types = Some(kube::api::TypeMeta {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
            });
        }
        list.retain(|o| o.name_any() != "kube-root-ca.crt");
        all.extend(list);
    }
    Ok(all)
}

/// An object without what nobody reads.
#[must_use]
pub fn without_noise(mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    object
}

/// Makes the objects of one namespace comparable with those of another.
#[must_use]
pub fn normal(namespace: &str, objects: &[DynamicObject]) -> Normal {
    let replaced = replacements(namespace, objects);
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for object in objects {
        let kind = object.types.as_ref().map_or("", |t| t.kind.as_str());
        let mut name = object.name_any();
        if let Some(stem) = object
            .metadata
            .generate_name
            .as_deref()
            .filter(|_| kind == "Pod")
        {
            name = format!("{stem}*");
        }
        let name = replace(&name, &replaced);
        let mut value = serde_json::to_value(object).unwrap_or_default();
        tidy(&mut value, kind, &replaced);
        if kind == "Pod" {
            // Which of equal pods is which, nobody can say.
            if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("name");
                metadata.remove("uid");
            }
        }
        all.entry(format!("{kind}/{name}")).or_default().push(value);
    }
    let mut normal = Normal::new();
    for (key, mut values) in all {
        values.sort_by_key(ToString::to_string);
        let many = values.len() > 1;
        for (number, value) in values.into_iter().enumerate() {
            let key = if many {
                format!("{key}#{number}")
            } else {
                key.clone()
            };
            normal.insert(key, value);
        }
    }
    normal
}

/// The revision hashes of the namespace, oldest first.
#[must_use]
pub fn hashes(objects: &[DynamicObject]) -> Vec<String> {
    let mut aged: Vec<(i64, String, String)> = Vec::new();
    for object in objects {
        let kind = object.types.as_ref().map_or("", |t| t.kind.as_str());
        if !matches!(kind, "ControllerRevision" | "Deployment") {
            continue;
        }
        let name = object.name_any();
        let Some((_, hash)) = revision_of(&name) else {
            continue;
        };
        // Without its ControllerRevision a Deployment comes last.
        let number = object
            .data
            .get("revision")
            .and_then(Value::as_i64)
            .unwrap_or(i64::MAX);
        let created = object.metadata.creation_timestamp.as_ref();
        let created = created.map(|t| t.0.to_string()).unwrap_or_default();
        aged.push((number, created, hash.to_owned()));
    }
    aged.sort();
    let mut hashes: Vec<String> = Vec::new();
    for (_, _, hash) in aged {
        if !hashes.contains(&hash) {
            hashes.push(hash);
        }
    }
    hashes
}

/// Replaces the revision hashes in a text by their numbers.
#[must_use]
pub fn without_hashes(text: &str, hashes: &[String]) -> String {
    let mut out = text.to_owned();
    for (number, hash) in hashes.iter().enumerate() {
        out = out.replace(hash, &format!("H{}", number.saturating_add(1)));
    }
    out
}

fn replacements(namespace: &str, objects: &[DynamicObject]) -> Vec<(String, String)> {
    let mut replaced = vec![(namespace.to_owned(), "NS".to_owned())];
    let hashes = hashes(objects);
    for object in objects {
        let kind = object.types.as_ref().map_or("", |t| t.kind.as_str());
        if let Some(uid) = object.uid() {
            let name = without_hashes(&object.name_any(), &hashes);
            replaced.push((uid, format!("uid of {kind}/{name}")));
        }
    }
    for (number, hash) in hashes.into_iter().enumerate() {
        replaced.push((hash, format!("H{}", number.saturating_add(1))));
    }
    replaced
}

fn replace(text: &str, replaced: &[(String, String)]) -> String {
    let mut out = text.to_owned();
    for (from, to) in replaced {
        if out.contains(from.as_str()) {
            out = out.replace(from.as_str(), to);
        }
    }
    out
}

fn tidy(value: &mut Value, kind: &str, replaced: &[(String, String)]) {
    match value {
        Value::String(text) => *text = replace(text, replaced),
        Value::Array(items) => items.iter_mut().for_each(|item| tidy(item, kind, replaced)),
        Value::Object(fields) => {
            let old = std::mem::take(fields);
            for (key, mut value) in old {
                // How often Kubernetes' own controllers looked says nothing of us.
                let foreign = key == "observedGeneration" && kind != "ModelDeployment";
                if MASKED.contains(&key.as_str()) || foreign {
                    continue;
                }
                tidy(&mut value, kind, replaced);
                // Kubernetes' own controllers list their conditions as they come.
                if let ("conditions", Some(list)) = (key.as_str(), value.as_array_mut())
                    && kind != "ModelDeployment"
                {
                    list.sort_by_key(|c| c.get("type").map(ToString::to_string));
                }
                fields.insert(replace(&key, replaced), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Where two states differ: `Kind/name:/pointer: left ≠ right`, at most 40 places.
#[must_use]
pub fn differences(left: &Normal, right: &Normal, mask: &Mask) -> Vec<String> {
    let mut out = Vec::new();
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for key in keys {
        match (left.get(key), right.get(key)) {
            (Some(left), Some(right)) => compare(key, "", (left, right), mask, &mut out),
            (Some(_), None) => out.push(format!("{key}: missing")),
            (None, _) => out.push(format!("{key}: should not be there")),
        }
    }
    out.truncate(40);
    out
}

fn compare(key: &str, pointer: &str, sides: (&Value, &Value), mask: &Mask, out: &mut Vec<String>) {
    if sides.0 == sides.1 || mask.covers(key, pointer) {
        return;
    }
    match sides {
        (Value::Object(left), Value::Object(right)) => {
            let fields: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for field in fields {
                let of = |side: &serde_json::Map<String, Value>| side.get(field).cloned();
                let (left, right) = (of(left).unwrap_or_default(), of(right).unwrap_or_default());
                compare(
                    key,
                    &format!("{pointer}/{field}"),
                    (&left, &right),
                    mask,
                    out,
                );
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (number, sides) in left.iter().zip(right).enumerate() {
                compare(key, &format!("{pointer}/{number}"), sides, mask, out);
            }
        }
        (left, right) => out.push(format!("{key}:{pointer}: {left} ≠ {right}")),
    }
}

/// What is known to differ between undisturbed runs of one workload.
#[derive(Clone, Debug, Default)]
pub struct Mask(Vec<(String, String)>);

impl Mask {
    /// Reads `tests/masks/<workload>.txt`; empty where there is none.
    #[must_use]
    pub fn of(workload: &str) -> Self {
        let path = repository().join(format!("tests/masks/{workload}.txt"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            lines
                .filter_map(|line| line.split_once(':'))
                .map(|(kind, pointer)| (kind.to_owned(), pointer.to_owned()))
                .collect(),
        )
    }

    fn covers(&self, key: &str, pointer: &str) -> bool {
        let kind = key.split('/').next().unwrap_or_default();
        self.0
            .iter()
            .any(|(masked, pattern)| masked == kind && matches(pattern, pointer))
    }
}

/// `*` stands for one segment.
fn matches(pattern: &str, pointer: &str) -> bool {
    let (pattern, pointer) = (pattern.split('/'), pointer.split('/'));
    pattern.clone().count() == pointer.clone().count()
        && pattern.zip(pointer).all(|(p, s)| p == "*" || p == s)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn objects(namespace: &str, hash: &str, uid: &str, replicas: i32) -> Vec<DynamicObject> {
        let object = |value: Value| serde_json::from_value(value).unwrap();
        let name = format!("iris-{hash}");
        vec![
            object(json!({
                "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
                "metadata": {"name": "iris", "namespace": namespace, "uid": uid},
                "status": {"target": {"revision": hash}, "observedGeneration": 1},
            })),
            object(json!({
                "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1,
                "metadata": {"name": name, "namespace": namespace, "uid": "u-2"},
            })),
            object(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {
                    "name": name, "namespace": namespace, "uid": "u-3", "generation": 4,
                    "resourceVersion": uid, "ownerReferences": [{"uid": uid}],
                },
                "spec": {"replicas": replicas},
            })),
        ]
    }

    #[test]
    fn two_namespaces_with_the_same_objects_are_equal() {
        let a = normal("n-1", &objects("n-1", "aaaaaaaa", "u-1", 2));
        let b = normal("n-2", &objects("n-2", "bbbbbbbb", "u-9", 2));
        assert_eq!(differences(&a, &b, &Mask::default()), Vec::<String>::new());
        assert!(a.contains_key("Deployment/iris-H1"), "{a:?}");
    }

    #[test]
    fn a_difference_is_named_and_a_mask_covers_it() {
        let a = normal("n-1", &objects("n-1", "aaaaaaaa", "u-1", 2));
        let b = normal("n-2", &objects("n-2", "bbbbbbbb", "u-9", 3));
        let found = differences(&a, &b, &Mask::default());
        assert_eq!(found, ["Deployment/iris-H1:/spec/replicas: 2 ≠ 3"]);
        let mask = Mask::parse("# why\nDeployment:/spec/*\n");
        assert_eq!(differences(&a, &b, &mask), Vec::<String>::new());
        let missing = differences(&a, &Normal::new(), &mask);
        assert_eq!(missing.len(), 3);
    }
}
