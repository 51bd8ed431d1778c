//! The page of one kind: every field of its spec and status, from the schema as it is installed.
//!
//! Pure. Called by `reference`.

use serde_json::Value;

/// The page's name and text; `None` if `definition` is no CustomResourceDefinition with a schema.
pub(super) fn page(definition: &Value) -> Option<(String, String)> {
    let text = |pointer: &str| definition.pointer(pointer)?.as_str();
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema")?;
    let (kind, group) = (text("/spec/names/kind")?, text("/spec/group")?);
    let (plural, version) = (text("/spec/names/plural")?, text("/spec/versions/0/name")?);
    let short = text("/spec/names/shortNames/0").unwrap_or(plural);
    let mut page = format!(
        "# {kind}\n\n`{group}/{version}`, `kubectl get {plural}` or `kubectl get {short}`. {}\n\n\
         `kubectl explain {plural}.spec` prints the same. A field that is not in this list does not exist: the API server refuses it by name.\n",
        schema["description"].as_str().unwrap_or_default(),
    );
    for part in ["spec", "status"] {
        page += &format!("\n## {part}\n\n| field | type | what it is |\n| --- | --- | --- |\n");
        let part = schema.pointer(&format!("/properties/{part}"))?;
        rows(part, "", &mut page);
    }
    page += "\n## Rules\n\nBeyond types and bounds, the API server refuses a spec that breaks one of these:\n\n";
    rules(schema, "", &mut page);
    Some((kebab(kind), page))
}

/// One row for each field below `schema`, in the schema's order.
fn rows(schema: &Value, path: &str, page: &mut String) {
    let required = |name: &str| {
        let names = schema["required"].as_array().into_iter().flatten();
        names.into_iter().any(|required| required == name)
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{name}");
        let mark = if required(name) { ", required" } else { "" };
        let text = field["description"].as_str().unwrap_or_default();
        let text = text
            .replace('\n', " ")
            .replace('|', "\\|")
            .replace('<', "&lt;");
        *page += &format!("| `{path}` | {}{mark} | {text} |\n", kind(field));
        rows(field, &format!("{path}."), page);
        rows(&field["items"], &format!("{path}[]."), page);
    }
}

/// The type of a field with its bounds, in words.
fn kind(field: &Value) -> String {
    // Bounds are numbers of any kind in a schema; ours are whole.
    let number = |name: &str| field[name].as_f64().map(|bound| format!("{bound:.0}"));
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        return values
            .iter()
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "number or text".to_owned();
    }
    match field["type"].as_str().unwrap_or_default() {
        "string" if field["format"] == "date-time" => "time".to_owned(),
        "string" => bounded("text", number("maxLength")),
        "integer" => match (number("minimum"), number("maximum")) {
            (Some(least), Some(most)) => format!("integer {least}..{most}"),
            (Some(least), None) => format!("integer ≥ {least}"),
            _ => "integer".to_owned(),
        },
        "array" => bounded("list", number("maxItems")),
        "object" if field.get("additionalProperties").is_some() => {
            bounded("map", number("maxProperties"))
        }
        other => other.to_owned(),
    }
}

fn bounded(word: &str, most: Option<String>) -> String {
    most.map_or_else(|| word.to_owned(), |most| format!("{word} ≤ {most}"))
}

/// One line for each CEL rule's message.
fn rules(schema: &Value, path: &str, page: &mut String) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let at = if path.is_empty() {
            String::new()
        } else {
            format!("`{}`: ", path.trim_start_matches('.'))
        };
        let message = rule["message"]
            .as_str()
            .unwrap_or_default()
            .replace('<', "&lt;");
        *page += &format!("- {at}{message}\n");
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        rules(field, &format!("{path}.{name}"), page);
        rules(&field["items"], &format!("{path}.{name}[]"), page);
    }
}

/// `ModelDeployment` → `model-deployment`, `APIKey` → `api-key`.
fn kebab(kind: &str) -> String {
    let mut name = String::new();
    let mut rest = kind.chars().peekable();
    let mut before_upper = true;
    while let Some(c) = rest.next() {
        // A word begins after a lower letter, and with the last capital of several.
        let next_lower = rest.peek().is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && !name.is_empty() && (!before_upper || next_lower) {
            name.push('-');
        }
        before_upper = c.is_uppercase();
        name.extend(c.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_is_named_by_the_words_of_its_kind() {
        assert_eq!(kebab("ModelDeployment"), "model-deployment");
        assert_eq!(kebab("APIKey"), "api-key");
    }

    #[test]
    fn a_page_has_fields_bounds_and_rules() {
        let schema = json!({"description": "D.", "properties": {
            "spec": {"required": ["a"], "properties": {
                "a": {"type": "string", "maxLength": 9, "description": "A | a.", "x-kubernetes-validations": [{"message": "must be good"}]},
                "b": {"type": "array", "maxItems": 2, "items": {"properties": {"c": {"type": "integer", "minimum": 1, "maximum": 3}}}},
            }},
            "status": {"properties": {}},
        }});
        let definition = json!({"spec": {"group": "g", "names": {"kind": "BigThing", "plural": "bigthings"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}});
        let (name, page) = page(&definition).unwrap();
        assert_eq!(name, "big-thing");
        assert!(
            page.contains("| `a` | text ≤ 9, required | A \\| a. |\n"),
            "{page}"
        );
        assert!(page.contains("| `b[].c` | integer 1..3 |"), "{page}");
        assert!(page.contains("- `spec.a`: must be good\n"), "{page}");
    }
}
