//! `--model_config_file`: TensorFlow Serving's ModelServerConfig, of one model.
//!
//! Pure. Called by `source.rs`. What is not offered here is refused by name: a setting that is silently left out would
//! serve something else than was asked for.
//! Source: tensorflow_serving/config/model_server_config.proto, file_system_storage_path_source.proto.

use std::collections::BTreeMap;

use super::text_proto::{Error, Field, parse};
use crate::versions::Policy;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelFile {
    pub(super) name: String,
    pub(super) base_path: String,
    pub(super) policy: Policy,
    pub(super) labels: BTreeMap<String, i64>,
}

/// Reads the file.
pub(super) fn read(text: &str) -> Result<ModelFile, Error> {
    let mut models = Vec::new();
    for field in &parse(text)? {
        match field.name.as_str() {
            "model_config_list" => models.extend(list(field)?),
            _ => return Err(field.unknown("ModelServerConfig", "model_config_list")),
        }
    }
    match models.as_slice() {
        [model] => config(model),
        [] => Err(Error::new(1, "model_config_list must hold a config")),
        [_, second, ..] => {
            let rule = "aimass-server serves one model; start one process for each";
            Err(Error::new(second.line, rule))
        }
    }
}

fn list(field: &Field) -> Result<Vec<Field>, Error> {
    let fields = field.message()?;
    match fields.iter().find(|field| field.name != "config") {
        Some(other) => Err(other.unknown("model_config_list", "config")),
        None => Ok(fields.to_vec()),
    }
}

fn config(model: &Field) -> Result<ModelFile, Error> {
    let (mut name, mut base_path) = (None, None);
    let mut policy = Policy::Latest;
    let mut labels = BTreeMap::new();
    for field in model.message()? {
        match field.name.as_str() {
            "name" => name = Some(field.text()?.to_owned()),
            "base_path" => base_path = Some(field.text()?.to_owned()),
            "model_platform" => platform(field)?,
            "model_version_policy" => policy = version_policy(field)?,
            "version_labels" => {
                let (label, version) = version_label(field)?;
                labels.insert(label, version);
            }
            _ => {
                let known = "name, base_path, model_platform, model_version_policy, version_labels";
                return Err(field.unknown("config", known));
            }
        }
    }
    let missing = |what: &str| Error::new(model.line, format!("config must have a {what}"));
    Ok(ModelFile {
        name: name.ok_or_else(|| missing("name"))?,
        base_path: base_path.ok_or_else(|| missing("base_path"))?,
        policy,
        labels,
    })
}

/// Every file for TensorFlow Serving names its own platform; the model has to be converted, not the file.
fn platform(field: &Field) -> Result<(), Error> {
    match field.text()? {
        "tensorflow" | "onnx" => Ok(()),
        _ => Err(field.wrong("\"tensorflow\" or \"onnx\"")),
    }
}

fn version_policy(field: &Field) -> Result<Policy, Error> {
    let rule = "latest { num_versions: 1 } or specific { versions: N }: one version is served";
    match field.message()? {
        [] => Ok(Policy::Latest),
        [latest] if latest.name == "latest" => match latest.message()? {
            [] => Ok(Policy::Latest),
            [number] if number.name == "num_versions" && number.integer()? == 1 => {
                Ok(Policy::Latest)
            }
            _ => Err(field.wrong(rule)),
        },
        [specific] if specific.name == "specific" => match specific.message()? {
            [number] if number.name == "versions" => match number.integer()? {
                version @ 0.. => Ok(Policy::Specific(version)),
                _ => Err(number.wrong("a whole number from 0")),
            },
            _ => Err(field.wrong(rule)),
        },
        _ => Err(field.wrong(rule)),
    }
}

fn version_label(field: &Field) -> Result<(String, i64), Error> {
    let (mut key, mut value) = (None, None);
    for entry in field.message()? {
        match entry.name.as_str() {
            "key" => key = Some(entry.text()?.to_owned()),
            "value" => value = Some(entry.integer()?),
            _ => return Err(entry.unknown("version_labels", "key, value")),
        }
    }
    key.zip(value)
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| field.wrong("{ key: \"LABEL\" value: VERSION }"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(config: &str) -> String {
        format!("model_config_list {{ config {{ name: 'm' base_path: '/models/m' {config} }} }}")
    }

    #[track_caller]
    fn refused(text: &str, expect: &str) {
        assert_eq!(read(text).unwrap_err().to_string(), expect, "{text}");
    }

    #[test]
    fn the_file_of_tensorflow_servings_own_guide_is_understood() {
        let text = "\
model_config_list {
  config {
    name: 'my_first_model'
    base_path: '/tmp/my_first_model/'
    model_platform: 'tensorflow'
    model_version_policy {
      specific {
        versions: 42
      }
    }
    version_labels {
      key: 'stable'
      value: 42
    }
  }
}
";
        let expect = ModelFile {
            name: "my_first_model".to_owned(),
            base_path: "/tmp/my_first_model/".to_owned(),
            policy: Policy::Specific(42),
            labels: BTreeMap::from([("stable".to_owned(), 42)]),
        };
        assert_eq!(read(text), Ok(expect));
    }

    #[test]
    fn the_latest_version_is_the_default_and_may_be_said() {
        for policy in [
            "",
            "model_version_policy {}",
            "model_version_policy: { latest: {} }",
            "model_version_policy { latest { num_versions: 1 } }",
        ] {
            assert_eq!(
                read(&with(policy)).unwrap().policy,
                Policy::Latest,
                "{policy}"
            );
        }
    }

    #[test]
    fn several_models_are_several_processes() {
        refused(
            "model_config_list {\n config { }\n config { }\n}",
            "line 3: aimass-server serves one model; start one process for each",
        );
        refused("", "line 1: model_config_list must hold a config");
    }

    #[test]
    fn several_versions_are_refused() {
        let rule = "line 1: model_version_policy must be latest { num_versions: 1 } or specific \
                    { versions: N }: one version is served";
        for policy in [
            "all {}",
            "latest { num_versions: 2 }",
            "specific { versions: 1 versions: 2 }",
            "specific {}",
        ] {
            refused(&with(&format!("model_version_policy {{ {policy} }}")), rule);
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        refused(
            "custom_model_config {}",
            "line 1: fields of ModelServerConfig must be among model_config_list, is custom_model_config",
        );
        refused(
            &with("logging_config {}"),
            "line 1: fields of config must be among name, base_path, model_platform, \
             model_version_policy, version_labels, is logging_config",
        );
        refused(
            &with("model_platform: 'tfrt'"),
            "line 1: model_platform must be \"tensorflow\" or \"onnx\"",
        );
        refused(
            &with("version_labels { key: 'x' }"),
            "line 1: version_labels must be { key: \"LABEL\" value: VERSION }",
        );
        refused(
            "model_config_list { config { name: 'm' } }",
            "line 1: config must have a base_path",
        );
    }
}
