//! Where the model comes from: the one folder that an operator names, or a base path with versions, as TensorFlow Serving
//! has it.
//!
//! Called by `config.rs`. Reads the configuration file that a flag names; else pure.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model_file::ModelFile;
use super::text_proto::MAX_BYTES;
use super::{Checker, Origin, model_file};
use crate::args::TensorFlowServingArgs;
use crate::model::FIRST_VERSION;
use crate::versions::{Policy, Retries};

/// The name of a model that nobody names, as in TensorFlow Serving.
const DEFAULT_NAME: &str = "default";

/// Where the model comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// One folder, loaded once.
    Folder(Origin),
    /// A folder of versions, which come and go.
    Versions(Versions),
}

/// A base path.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The folder.
    pub base: PathBuf,
    /// Which versions in it.
    pub policy: Policy,
    /// Between two looks; `None`: one look is all.
    pub poll: Option<Duration>,
    /// For files that could not be read.
    pub retries: Retries,
}

/// The flags of the operator's form, apart from the folder.
pub(super) struct FolderFlags {
    pub(super) dir: Option<String>,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) digest: Option<String>,
    pub(super) copy_from: Option<String>,
    pub(super) wait: bool,
}

/// The source, and what is known of the model with it.
pub(super) struct Described {
    pub(super) source: Source,
    pub(super) name: String,
    /// Fixed in the operator's form alone.
    pub(super) version: Option<i64>,
    pub(super) labels: BTreeMap<String, i64>,
}

/// Decides between the forms: the operator's folder, the configuration file, the base path, the image's environment.
pub(super) fn describe(
    p: &mut Checker<'_>,
    folder: FolderFlags,
    serving: &TensorFlowServingArgs,
) -> Described {
    let versions = Versions {
        base: PathBuf::new(),
        policy: Policy::Latest,
        poll: poll(p, &serving.file_system_poll_wait_seconds),
        retries: retries(p, serving),
    };
    if folder.dir.as_ref().is_some_and(|dir| !dir.is_empty()) {
        return described_folder(p, folder, serving);
    }
    for (flag, given) in [
        ("--model-version", folder.version.is_some()),
        ("--model-digest", folder.digest.is_some()),
        ("--model-copy-from", folder.copy_from.is_some()),
        ("--model-wait", folder.wait),
    ] {
        if given {
            p.0.add(flag, "must be combined with --model-dir");
        }
    }
    if let Some(path) = &serving.model_config_file {
        let flag = "--model-config-file";
        let file = read_file(path).and_then(|text| {
            model_file::read(&text).map_err(|error| format!("must be understood: {error}"))
        });
        let Some(file) = p.0.take(flag, file) else {
            return in_base(
                p,
                flag,
                DEFAULT_NAME.to_owned(),
                String::from("/"),
                &versions,
            );
        };
        let ModelFile {
            name,
            base_path,
            policy,
            labels,
        } = file;
        let versions = Versions { policy, ..versions };
        let mut described = in_base(p, flag, name, base_path, &versions);
        described.labels = labels;
        return described;
    }
    match &serving.model_base_path {
        Some(base) => {
            let name = folder.name.unwrap_or_else(|| DEFAULT_NAME.to_owned());
            in_base(p, "--model-base-path", name, base.clone(), &versions)
        }
        None => {
            let (base, image) = (&serving.image_model_base_path, &serving.image_model_name);
            let name = folder.name.unwrap_or_else(|| image.clone());
            let base = Path::new(base).join(image).to_string_lossy().into_owned();
            in_base(p, "--model-base-path", name, base, &versions)
        }
    }
}

fn described_folder(
    p: &mut Checker<'_>,
    folder: FolderFlags,
    serving: &TensorFlowServingArgs,
) -> Described {
    let FolderFlags {
        dir,
        name,
        version,
        digest,
        copy_from,
        wait,
    } = folder;
    if serving.model_base_path.is_some() || serving.model_config_file.is_some() {
        let rule = "must not be combined with --model-base-path or --model-config-file";
        p.0.add("--model-dir", rule);
    }
    if wait && copy_from.is_some() {
        p.0.add(
            "--model-wait",
            "must not be combined with --model-copy-from",
        );
    }
    let origin = Origin {
        copy_from: copy_from.map(PathBuf::from),
        wait,
        digest: p.digest("--model-digest", digest.as_deref()),
        ..Origin::of(dir.unwrap_or_default())
    };
    let name = name.unwrap_or_else(|| DEFAULT_NAME.to_owned());
    Described {
        source: Source::Folder(origin),
        name: p.name("--model-name", name),
        version: Some(version.map_or(FIRST_VERSION, |version| p.version(&version))),
        labels: BTreeMap::new(),
    }
}

fn in_base(
    p: &mut Checker<'_>,
    flag: &str,
    name: String,
    base: String,
    versions: &Versions,
) -> Described {
    if base.is_empty() || base.contains("://") {
        let rule = "must name a folder of this machine; to bring files from elsewhere use `aimass-server fetch`";
        p.0.add(flag, &format!("{rule}, is {base:?}"));
    }
    let base = base.into();
    Described {
        source: Source::Versions(Versions {
            base,
            ..versions.clone()
        }),
        name: p.name("--model-name", name),
        version: None,
        labels: BTreeMap::new(),
    }
}

fn poll(p: &mut Checker<'_>, seconds: &str) -> Option<Duration> {
    match p.number("--file-system-poll-wait-seconds", seconds, 0..=86_400) {
        0 => None,
        seconds => Some(Duration::from_secs(seconds as u64)),
    }
}

fn retries(p: &mut Checker<'_>, serving: &TensorFlowServingArgs) -> Retries {
    let max = p.number(
        "--max-num-load-retries",
        &serving.max_num_load_retries,
        0..=1_000_000,
    );
    // A day: what is longer is a mistake.
    let interval = p.number(
        "--load-retry-interval-micros",
        &serving.load_retry_interval_micros,
        0..=86_400_000_000,
    );
    Retries {
        max: u32::try_from(max).unwrap_or(u32::MAX),
        interval: Duration::from_micros(interval as u64),
    }
}

/// The text of a configuration file.
pub(super) fn read_file(path: &str) -> Result<String, String> {
    let mut text = String::new();
    // One byte more than allowed tells a file that is too long.
    let read =
        File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(format!(
            "must name a file that can be read, is {path:?}: {error}"
        )),
    }
}
