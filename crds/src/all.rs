//! Every CustomResourceDefinition of aimass, as it is installed.
//!
//! Pure. Called by `cargo xtask codegen`, which writes `crds/yaml`, and by tests. What the derives
//! make of the types is cleaned here: no `nullable`, no `default`, no `null` in `enum` (so that
//! `x: null` equals absence and nothing is ever written into a user's spec), and bounds for
//! `metav1::Condition`, whose schema has none.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::api_key::APIKey;
use crate::model_deployment::ModelDeployment;
use crate::usage_plan::UsagePlan;

/// Every CustomResourceDefinition with the name of its file under `crds/yaml`, in order of names.
#[must_use]
pub fn custom_resource_definitions() -> Vec<(String, CustomResourceDefinition)> {
    [APIKey::crd(), ModelDeployment::crd(), UsagePlan::crd()]
        .into_iter()
        .map(|crd| (format!("{}.yaml", crd.spec.names.plural), cleaned(&crd)))
        .collect()
}

fn cleaned(crd: &CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).expect("a CustomResourceDefinition is plain JSON");
    let versions = value
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
            clean(schema);
        }
        if let Some(condition) = version.pointer_mut(
            "/schema/openAPIV3Schema/properties/status/properties/conditions/items/properties",
        ) {
            bound_condition(condition);
        }
    }
    serde_json::from_value(value).expect("cleaning keeps a CustomResourceDefinition")
}

/// Cleans one schema and all below it. Property names are left alone: only keywords are removed.
fn clean(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else {
        return;
    };
    keywords.remove("nullable");
    keywords.remove("default");
    if let Some(Value::Array(values)) = keywords.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    for (keyword, below) in keywords.iter_mut() {
        match keyword.as_str() {
            "properties" => below
                .as_object_mut()
                .into_iter()
                .flat_map(Map::values_mut)
                .for_each(clean),
            "items" | "additionalProperties" => clean(below),
            "allOf" | "anyOf" | "oneOf" => {
                below.as_array_mut().into_iter().flatten().for_each(clean);
            }
            _ => {}
        }
    }
}

/// The bounds that `metav1::Condition` has in Go's markers; its generated schema lacks them.
fn bound_condition(properties: &mut Value) {
    let bounds = json!({
        "type": {"maxLength": 316},
        "status": {"enum": ["True", "False", "Unknown"]},
        "reason": {"minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
        "message": {"maxLength": 1024},
        "observedGeneration": {"minimum": 0, "maximum": 9_007_199_254_740_991_i64},
    });
    let (Some(properties), Value::Object(bounds)) = (properties.as_object_mut(), bounds) else {
        return;
    };
    for (name, keywords) in bounds {
        if let (Some(Value::Object(property)), Value::Object(keywords)) =
            (properties.get_mut(&name), keywords)
        {
            property.extend(keywords);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind's schema, with the name of its file.
    fn schemas() -> Vec<(String, Value)> {
        let schema = |(name, crd): (String, CustomResourceDefinition)| {
            let value = serde_json::to_value(crd).unwrap();
            assert!(
                value.to_string().len() < 100_000,
                "{name} must stay below 150 kB"
            );
            let pointer = "/spec/versions/0/schema/openAPIV3Schema";
            (name, value.pointer(pointer).unwrap().clone())
        };
        custom_resource_definitions()
            .into_iter()
            .map(schema)
            .collect()
    }

    /// Calls `visit` with the path and the schema of everything below every kind's schema.
    fn walk_all(visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
        for (_, schema) in schemas() {
            walk("", &schema, visit);
        }
    }

    #[test]
    fn files_are_in_order_of_their_names() {
        let names: Vec<String> = schemas().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["apikeys.yaml", "modeldeployments.yaml", "usageplans.yaml"]
        );
    }

    /// Calls `visit` with the path and the schema of everything below `schema`.
    fn walk(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
        let keywords = schema.as_object().unwrap();
        visit(path, keywords);
        for (name, below) in keywords
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            walk(&format!("{path}.{name}"), below, visit);
        }
        for (keyword, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
            if let Some(below) = keywords.get(keyword) {
                walk(&format!("{path}{suffix}"), below, visit);
            }
        }
    }

    #[test]
    fn every_string_list_map_and_integer_is_bounded() {
        walk_all(&mut |path, keywords| {
            let has = |name: &str| keywords.contains_key(name);
            let bounded = match keywords.get("type").and_then(Value::as_str) {
                Some("string") => has("maxLength") || has("enum") || has("format"),
                Some("array") => has("maxItems"),
                Some("integer") => has("minimum") && has("maximum"),
                Some("object") => {
                    path.is_empty()
                        || path == ".metadata"
                        || has("properties")
                        || has("maxProperties")
                }
                Some("boolean") => true,
                None => has("x-kubernetes-int-or-string") && has("pattern") && has("maxLength"),
                Some(other) => panic!("{path} is of type {other}"),
            };
            let free = [".apiVersion", ".kind"].contains(&path);
            assert!(bounded || free, "{path} has no bound: {keywords:?}");
        });
    }

    #[test]
    fn nothing_is_nullable_or_defaulted() {
        walk_all(&mut |path, keywords| {
            assert!(!keywords.contains_key("nullable"), "{path}");
            assert!(!keywords.contains_key("default"), "{path}");
            assert!(
                !keywords.contains_key("anyOf") && !keywords.contains_key("oneOf"),
                "{path}"
            );
            let values = keywords.get("enum").and_then(Value::as_array);
            assert!(!values.into_iter().flatten().any(Value::is_null), "{path}");
        });
    }

    #[test]
    fn every_field_is_explained() {
        walk_all(&mut |path, keywords| {
            let own = path.starts_with(".spec") || path.starts_with(".status");
            let item = path.ends_with("[]") || path.ends_with("{}");
            if own && !item && !path.contains(".conditions") {
                let text = keywords
                    .get("description")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                assert!(text.contains('.'), "{path} has no docstring");
            }
        });
    }

    #[test]
    fn no_schema_names_a_namespace() {
        walk_all(&mut |path, _| {
            assert!(!path.to_lowercase().contains("namespace"), "{path}");
        });
    }

    #[track_caller]
    fn check(file: &str, pointer: &str, expect: &Value) {
        let (_, schema) = schemas()
            .into_iter()
            .find(|(name, _)| name == file)
            .unwrap();
        let found = schema.pointer(pointer);
        assert_eq!(found, Some(expect), "{file} {pointer}");
    }

    #[test]
    fn the_rules_and_the_merge_keys_survive_the_cleaning() {
        let keys = |name: &str| json!([name]);
        for file in ["apikeys.yaml", "modeldeployments.yaml", "usageplans.yaml"] {
            let conditions = "/properties/status/properties/conditions/x-kubernetes-list-map-keys";
            check(file, conditions, &keys("type"));
            check(file, "/required", &json!(["spec"]));
        }
        let file = "modeldeployments.yaml";
        let revisions = "/properties/status/properties/revisions/x-kubernetes-list-map-keys";
        check(file, revisions, &keys("name"));
        let traffic = "/properties/status/properties/traffic/x-kubernetes-list-map-keys";
        check(file, traffic, &keys("revision"));
        check(file, "/properties/spec/required", &json!(["model"]));
        let file = "apikeys.yaml";
        let credentials = "/properties/spec/properties/credentials/x-kubernetes-list-map-keys";
        check(file, credentials, &keys("id"));
        let required = json!(["credentials", "models"]);
        check(file, "/properties/spec/required", &required);
        let rates = "/properties/spec/properties/rates/x-kubernetes-list-map-keys";
        check("usageplans.yaml", rates, &keys("name"));
    }

    #[test]
    fn every_rule_has_a_message() {
        let mut rules = 0;
        walk_all(&mut |path, keywords| {
            for rule in keywords
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                rules += 1;
                assert!(
                    rule.get("message").is_some(),
                    "a rule at {path} has no message"
                );
            }
        });
        assert_eq!(rules, 57);
    }
}
