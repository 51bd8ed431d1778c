//! `aimass-operator render`: prints, offline, what would be applied for the models of a file.
//!
//! Reads the file and writes standard output; no cluster is involved. ConfigMaps of the same file
//! are what the models' sources find. Called by `main`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use aimass_chassis::args::EXIT_USAGE;
use aimass_crds::ModelDeployment;
use aimass_plan::model::{Children, Failure, Observed, Platform, Reference, Signals, plan};
use anyhow::{Context as _, bail};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::RenderArgs;
use crate::config;
use crate::model::observe::files_of;
use crate::watch::item;
use crate::watch::references::Kind;

const NAME: &str = "aimass-operator render";
/// More than any set of manifests; a file beyond it is a mistake.
const FILE_BYTES: u64 = 64 << 20;

/// Renders the file of `args`; 0, or 1 with a text on standard error.
#[must_use]
pub fn main(args: &RenderArgs) -> ExitCode {
    let platform = match config::platform(&args.platform) {
        Ok(platform) => platform,
        Err(problems) => return fail(&problems.describe(NAME), EXIT_USAGE),
    };
    let rendered = read(&args.file).and_then(|text| render(&text, &platform));
    match rendered {
        Ok(stream) => {
            print!("{stream}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("{NAME}: {error:#}"), 1),
    }
}

/// Says on standard error why the process ends.
#[must_use]
pub fn fail(why: &str, code: u8) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(code)
}

/// Prints what clap has to say: help and version are no failure, anything else is wrong usage.
#[must_use]
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told when even standard error is closed.
    let _closed = error.print();
    if error.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(
            std::fs::File::open(file)
                .with_context(|| format!("failed to open {}", file.display()))?,
        )
    };
    let read = source.take(FILE_BYTES).read_to_string(&mut text);
    let length = read.with_context(|| format!("failed to read {}", file.display()))?;
    if u64::try_from(length)? >= FILE_BYTES {
        bail!("{} must be smaller than 64 MiB", file.display());
    }
    Ok(text)
}

/// All objects for all models in `text` (YAML documents) as one YAML stream.
///
/// # Errors
/// If `text` is not YAML, holds no ModelDeployment, or one that does not decode or is rejected.
pub fn render(text: &str, platform: &Platform) -> anyhow::Result<String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("not valid YAML")?;
    let mut models: Vec<ModelDeployment> = Vec::new();
    let mut config_maps = BTreeMap::new();
    for (index, document) in documents.into_iter().enumerate() {
        match document.get("kind").and_then(Value::as_str) {
            Some("ModelDeployment") => models.push(decode(document, index)?),
            Some("ConfigMap") => {
                let object: ConfigMap = decode(document, index)?;
                let namespace = object
                    .metadata
                    .namespace
                    .clone()
                    .unwrap_or_else(default_namespace);
                let name = object.metadata.name.clone().unwrap_or_default();
                config_maps.insert((namespace, name), object);
            }
            // Whatever else is applied together with them is not ours to render; and keys and plans
            // have no objects of their own.
            _ => {}
        }
    }
    if models.is_empty() {
        bail!("the file holds no ModelDeployment");
    }
    let mut stream = String::new();
    for model in models {
        render_one(model, &config_maps, platform, &mut stream)?;
    }
    Ok(stream)
}

fn render_one(
    mut model: ModelDeployment,
    config_maps: &BTreeMap<(String, String), ConfigMap>,
    platform: &Platform,
    stream: &mut String,
) -> anyhow::Result<()> {
    let name = model.metadata.name.clone().unwrap_or_default();
    let namespace = model
        .metadata
        .namespace
        .get_or_insert_with(default_namespace)
        .clone();
    let reference = match item::source_reference(&model.spec.model.source) {
        None => Reference::NotNeeded,
        Some((Kind::Claim, _)) => Reference::Claim,
        Some((Kind::ConfigMap, source)) => {
            let found = config_maps
                .get(&(namespace.clone(), source.clone()))
                .cloned();
            let found = found.with_context(|| {
                format!(
                    "ModelDeployment {name}: the file has no ConfigMap {source} in namespace \
                     {namespace}: add it, since its content is part of what is applied"
                )
            })?;
            Reference::ConfigMap(files_of(found))
        }
    };
    let observed = Observed {
        // Nothing that is applied depends on the time of the first plan.
        now: Timestamp::UNIX_EPOCH,
        platform: platform.clone(),
        reference,
        children: Children::default(),
        pods: Vec::new(),
        signals: Signals::default(),
        quotas: Vec::new(),
    };
    let plan = plan(&model, &observed).map_err(|rejection| {
        let Failure {
            terminal: _,
            reason,
            message,
        } = rejection.into();
        anyhow::anyhow!("ModelDeployment {name}: {reason}: {message}")
    })?;
    for desired in &plan.objects {
        push(stream, &desired.object)?;
    }
    Ok(())
}

fn push(stream: &mut String, object: &impl Serialize) -> anyhow::Result<()> {
    stream.push_str("---\n");
    let text = serde_saphyr::to_string(object).context("failed to write YAML")?;
    stream.push_str(&text);
    if !text.ends_with('\n') {
        stream.push('\n');
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(document: Value, index: usize) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let number = index.saturating_add(1);
        anyhow::anyhow!("document {number}: {}: {}", error.path(), error.inner())
    })
}

fn default_namespace() -> String {
    "default".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::platform;

    const MODEL: &str = "apiVersion: aimass.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: iris}\nspec: {model: {source: {configMap: {name: files}}}}\n";
    const FILES: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: files}\nbinaryData: {model.onnx: AAAA}\n";

    fn error(text: &str) -> String {
        format!("{:#}", render(text, &platform()).unwrap_err())
    }

    #[test]
    fn all_objects_are_one_stream() {
        let stream = render(&format!("{MODEL}---\n{FILES}"), &platform()).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&stream).unwrap();
        let kinds: Vec<&str> = objects
            .iter()
            .map(|o| o["kind"].as_str().unwrap())
            .collect();
        for kind in ["ConfigMap", "ControllerRevision", "Service", "Deployment"] {
            assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
        }
    }

    #[test]
    fn rendering_twice_gives_the_same() {
        let text = format!("{MODEL}---\n{FILES}");
        assert_eq!(
            render(&text, &platform()).unwrap(),
            render(&text, &platform()).unwrap()
        );
    }

    #[test]
    fn a_missing_config_map_is_named() {
        assert!(error(MODEL).contains("no ConfigMap files in namespace default"));
    }

    #[test]
    fn a_path_that_does_not_decode_is_named() {
        let text = MODEL.replace("{name: files}", "{name: [1]}");
        let text = error(&text);
        assert!(
            text.starts_with("document 1: spec.model.source.configMap.name"),
            "{text}"
        );
    }

    #[test]
    fn a_file_without_models_is_refused() {
        assert!(error(FILES).contains("no ModelDeployment"));
        assert!(error("a: [").contains("not valid YAML"));
    }
}
