//! Documents, examples and the changelog.

use std::path::{Component, Path, PathBuf};
use std::process::Command;

use aimass_crds::reason::Reason;
use aimass_crds::{APIKey, ModelDeployment, UsagePlan};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files::{File, below, none, root, with_extension};

#[test]
fn t07_every_example_is_understood() {
    let mut found = Vec::new();
    for file in below("examples/", "yaml") {
        let documents: Result<Vec<Value>, _> = serde_saphyr::from_multiple(&file.text);
        match documents {
            Ok(documents) if documents.is_empty() => found.push(format!("{}: empty", file.path)),
            Ok(documents) => found.extend(
                documents
                    .iter()
                    .filter_map(problem)
                    .map(|p| format!("{}: {p}", file.path)),
            ),
            Err(error) => found.push(format!("{}: {error}", file.path)),
        }
    }
    for file in below("examples/", "json") {
        if let Err(error) = serde_json::from_str::<Value>(&file.text) {
            found.push(format!("{}: {error}", file.path));
        }
    }
    none(
        &found,
        "Correct the example: users apply it as it is. What it renders to is held by operator/plan/tests.",
    );
}

/// What is wrong with one object of an example.
fn problem(document: &Value) -> Option<String> {
    let kind = document["kind"].as_str().unwrap_or_default();
    let known = ["ConfigMap", "PersistentVolumeClaim", "Secret", "Namespace"];
    let understood = match kind {
        "ModelDeployment" => spec_of::<ModelDeployment>(document),
        "APIKey" => spec_of::<APIKey>(document),
        "UsagePlan" => spec_of::<UsagePlan>(document),
        kind if known.contains(&kind) => return None,
        kind => return Some(format!("unknown kind {kind:?}")),
    };
    if document["apiVersion"] != "aimass.dev/v1alpha1" {
        return Some(format!("apiVersion is {}", document["apiVersion"]));
    }
    match understood {
        Ok(spec) => lost(&document["spec"], &spec, "spec"),
        Err(error) => Some(error),
    }
}

/// The spec of an object as it is understood.
fn spec_of<K: DeserializeOwned + Serialize>(document: &Value) -> Result<Value, String> {
    let parsed: K = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
    let object = serde_json::to_value(&parsed).expect("an object is JSON");
    Ok(object["spec"].clone())
}

/// The first path of `written` that `understood` does not hold: a field that does not exist.
fn lost(written: &Value, understood: &Value, path: &str) -> Option<String> {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            written.iter().find_map(|(key, value)| {
                let path = format!("{path}.{key}");
                match understood.get(key) {
                    Some(other) => lost(value, other, &path),
                    None => Some(format!("{path} is no field")),
                }
            })
        }
        (Value::Array(written), Value::Array(understood)) => written
            .iter()
            .zip(understood)
            .enumerate()
            .find_map(|(at, (value, other))| lost(value, other, &format!("{path}[{at}]"))),
        _ => None,
    }
}

#[test]
fn a_field_that_does_not_exist_is_found() {
    let written = serde_json::json!({"a": [{"b": 1, "c": 2}]});
    let understood = serde_json::json!({"a": [{"b": "1"}], "d": 1});
    assert_eq!(
        lost(&written, &understood, "spec").unwrap(),
        "spec.a[0].c is no field"
    );
    assert_eq!(lost(&understood, &understood, "spec"), None);
}

#[test]
fn t08_links_in_documents_resolve() {
    let mut found = Vec::new();
    for file in with_extension("md") {
        for target in links(&file.text) {
            if let Some(problem) = dead(&file, target) {
                found.push(format!("{}: {target}: {problem}", file.path));
            }
        }
    }
    none(
        &found,
        "Correct the link: paths are relative to the document, anchors are headings in lower case with '-'.",
    );
}

/// Targets of `[text](target)` outside of code.
fn links(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for line in outside_fences(text) {
        // Odd parts are inline code.
        let prose = line.split('`').step_by(2);
        for part in prose.flat_map(|prose| prose.split("](").skip(1)) {
            targets.extend(part.split([')', ' ']).next());
        }
    }
    targets
}

/// Lines that are not inside a ``` block.
fn outside_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// Why a link leads nowhere.
fn dead(file: &File, target: &str) -> Option<&'static str> {
    if target.starts_with("https://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let path = if path.is_empty() {
        PathBuf::from(&file.path)
    } else {
        normal(&folder.join(path))
    };
    let path = root().join(path);
    if !path.exists() {
        return Some("no such file");
    }
    if anchor.is_empty() {
        return None;
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let headings = outside_fences(&text).filter(|line| line.starts_with('#'));
    let mut anchors = headings.map(|line| slug(line.trim_start_matches('#')));
    anchors
        .all(|slug| slug != anchor)
        .then_some("no such heading")
}

/// `path` without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// A heading as its anchor: lower case, spaces as '-', no other punctuation.
fn slug(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| {
        if c == ' ' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    })
    .collect()
}

#[test]
fn links_are_found_outside_of_code() {
    let text = "see [a](b.md) and `[c](d)`\n```\n[e](f)\n```\n[`g`](h.md#i) [j](https://k)";
    assert_eq!(links(text), ["b.md", "h.md#i", "https://k"]);
    assert_eq!(slug(" What is *not* tested?"), "what-is-not-tested");
}

#[test]
fn t10_a_changed_contract_has_a_changelog_fragment() {
    let fragments: Vec<_> = below("changelog.d/", "md")
        .into_iter()
        .filter(|f| !f.path.ends_with("README.md"))
        .collect();
    let kinds = [".breaking.md", ".added.md", ".changed.md", ".fixed.md"];
    let wrong =
        |f: &&File| !kinds.iter().any(|kind| f.path.ends_with(kind)) || f.text.trim().is_empty();
    let mut found: Vec<_> = fragments
        .iter()
        .filter(wrong)
        .map(|f| f.path.clone())
        .collect();
    if fragments.is_empty() && contract_changed() {
        found.push("crds/yaml or protocol/openapi changed since the last release".to_owned());
    }
    none(
        &found,
        "Add changelog.d/<slug>.<breaking|added|changed|fixed>.md: one or two sentences in the users' words.",
    );
}

/// Whether the files of the contracts differ from the last release; without one they do.
fn contract_changed() -> bool {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(root())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(release) = git(&["describe", "--tags", "--abbrev=0", "--match=v*"]) else {
        return true;
    };
    git(&[
        "diff",
        "--name-only",
        &release,
        "--",
        "crds/yaml",
        "protocol/openapi",
    ])
    .is_none_or(|names| !names.is_empty())
}

#[test]
fn t12_every_reason_that_asks_for_something_says_what() {
    let fine = [
        Reason::Valid,
        Reason::UpToDate,
        Reason::Serving,
        Reason::Complete,
        Reason::Idle,
        Reason::Waking,
        Reason::AllGateways,
        Reason::WithinLimits,
        Reason::Met,
        Reason::NoObjectives,
        Reason::FixedReplicas,
        Reason::Ready,
        Reason::Active,
        Reason::RevisionCreated,
        Reason::WeightChanged,
        Reason::ScaledUp,
        Reason::ScaledDown,
        Reason::ScaledToZero,
        Reason::WokenUp,
    ];
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap_or_default();
    let silent =
        |reason: &&Reason| !fine.contains(reason) && !page.contains(&format!("`{reason}`"));
    let found: Vec<_> = Reason::ALL
        .iter()
        .filter(silent)
        .map(ToString::to_string)
        .collect();
    none(
        &found,
        "Say in docs/troubleshooting.md what it means and what to do, or list it here as no trouble.",
    );
}

/// Flags of the operator that the chart works out from its values about the gateway, and from what.
const DERIVED: [(&str, &str); 5] = [
    ("gateway-url", "aimass.gateway.url"),
    ("gateway-namespace", "aimass.gateway.namespace"),
    ("gateway-token-file", "audience: aimass-gateway"),
    ("gateways", ".Values.gateway.enabled"),
    ("isolate-models", ".Values.gateway.isolateModels"),
];

#[test]
fn t12_the_chart_sets_every_flag_of_the_operator() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let (flags, values) = (
        read("docs/reference/flags.md"),
        read("charts/aimass/values.yaml"),
    );
    let template = read("charts/aimass/templates/deployment.yaml");
    let (_, section) = flags
        .split_once("\n## aimass-operator\n")
        .expect("the page has the operator");
    let section = section.split("\n## ").next().unwrap_or_default();
    let names = section
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"));
    let names: Vec<_> = names
        .filter_map(|line| line.split([' ', '[', '=']).next())
        .collect();
    assert!(names.len() > 5, "the page is not understood: {names:?}");
    let mut found = Vec::new();
    for name in names {
        let value = camel(name);
        let derived = DERIVED.iter().find(|(flag, _)| *flag == name);
        if derived.is_some_and(|(_, from)| template.contains(from))
            && template.contains(&format!("--{name}="))
        {
            continue;
        }
        let is_set = template.contains(&format!("--{name}")) && template.contains(&value);
        if !is_set || !values.contains(&format!("\n{value}: ")) {
            found.push(format!("--{name} ({value})"));
        }
    }
    none(
        &found,
        "Add the value to charts/aimass/{values.yaml,values.schema.json} and pass it in templates/deployment.yaml.",
    );
}

/// `admin-port` → `adminPort`.
fn camel(flag: &str) -> String {
    let mut words = flag.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + tail
    })
}
