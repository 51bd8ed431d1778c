//! Walks the schemas of the custom resource definitions.
//!
//! Pure. Hygiene: every string, list, map and integer that a user may write has a bound, and no
//! schema names a namespace, so that no object can refer into another one.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// One field of a schema.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// `spec.model.source.configMap.name`; `[]` for the items of a list, `{}` for those of a map.
    pub path: String,
    /// What the schema says of it.
    pub schema: &'a JSONSchemaProps,
}

/// Every field of every version below `spec` and `status`, parents first.
#[must_use]
pub fn fields(definition: &CustomResourceDefinition) -> Vec<Field<'_>> {
    let mut out = Vec::new();
    for version in &definition.spec.versions {
        let schema = version
            .schema
            .as_ref()
            .and_then(|s| s.open_api_v3_schema.as_ref());
        let properties = schema.and_then(|s| s.properties.as_ref());
        for (name, schema) in properties.into_iter().flatten() {
            if matches!(name.as_str(), "spec" | "status") {
                walk(name.clone(), schema, &mut out);
            }
        }
    }
    out
}

fn walk<'a>(path: String, schema: &'a JSONSchemaProps, out: &mut Vec<Field<'a>>) {
    for (name, field) in schema.properties.iter().flatten() {
        walk(format!("{path}.{name}"), field, out);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
        walk(format!("{path}[]"), item, out);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &schema.additional_properties {
        walk(format!("{path}{{}}"), value, out);
    }
    out.push(Field { path, schema });
}

/// What is wrong with the schema, in words: nothing for one that is sound.
#[must_use]
pub fn unbounded(definition: &CustomResourceDefinition) -> Vec<String> {
    let fields = fields(definition);
    fields.iter().filter_map(complaint).collect()
}

fn complaint(field: &Field<'_>) -> Option<String> {
    let Field { path, schema } = field;
    let leaf = path.rsplit('.').next().unwrap_or_default();
    if leaf == "namespace" {
        return Some(format!("{path}: no object may name a namespace"));
    }
    let int_or_string = schema.x_kubernetes_int_or_string == Some(true);
    let kind = match schema.type_.as_deref() {
        Some(kind) => kind,
        None if int_or_string => "string",
        None => return Some(format!("{path}: has no type")),
    };
    let bounded = match kind {
        "string" => {
            schema.max_length.is_some() || schema.enum_.is_some() || schema.format.is_some()
        }
        "integer" => {
            (schema.minimum.is_some() && schema.maximum.is_some()) || path.starts_with("status")
        }
        "array" => schema.max_items.is_some(),
        "object" => schema.additional_properties.is_none() || schema.max_properties.is_some(),
        "boolean" => true,
        _ => return Some(format!("{path}: must not be of type {kind}")),
    };
    let missing = match kind {
        "string" => "maxLength, enum or format",
        "integer" => "minimum and maximum",
        "array" => "maxItems",
        _ => "maxProperties",
    };
    (!bounded).then(|| format!("{path}: {kind} without {missing}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(field: &serde_json::Value, expect: &[&str]) {
        let definition = json!({
            "metadata": {"name": "x"},
            "spec": {
                "group": "g", "scope": "Namespaced", "names": {"kind": "X", "plural": "xs"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "properties": {"a": field}},
                    }},
                }}],
            },
        });
        let definition = serde_json::from_value(definition).unwrap();
        assert_eq!(unbounded(&definition), expect);
    }

    #[test]
    fn what_has_no_bound_is_named() {
        check(
            &json!({"type": "string"}),
            &["spec.a: string without maxLength, enum or format"],
        );
        check(&json!({"type": "string", "maxLength": 3}), &[]);
        check(
            &json!({"type": "integer", "minimum": 0}),
            &["spec.a: integer without minimum and maximum"],
        );
        check(
            &json!({"type": "number"}),
            &["spec.a: must not be of type number"],
        );
        check(
            &json!({"type": "array", "items": {"type": "boolean"}}),
            &["spec.a: array without maxItems"],
        );
        check(
            &json!({"type": "object", "additionalProperties": {"type": "string", "maxLength": 1}}),
            &["spec.a: object without maxProperties"],
        );
        check(
            &json!({"type": "object", "properties": {"namespace": {"type": "string", "maxLength": 1}}}),
            &["spec.a.namespace: no object may name a namespace"],
        );
    }
}
