//! Names of classes: `labels.txt` beside the model file, one a line, for models that give scores alone.
//!
//! Called by `load.rs` once the files are known and hashed. What cannot be used is told in the log and left out: a file of
//! that name may be something else, and no model is refused for it.

use std::path::Path;

use aimass_protocol::{Dim, Signature, v1};

use crate::files::{self, Entry};

const NAME: &str = "labels.txt";
/// The 21,841 names of ImageNet take half of it.
const MAX_BYTES: u64 = 1 << 20;

/// The labels beside the model file `model`; none if there is no such file, or none that can be used.
pub fn beside(
    folder: &Path,
    entries: &[Entry],
    model: &Entry,
    signature: &Signature,
) -> Vec<String> {
    let path = match model.path.rsplit_once('/') {
        Some((parent, _)) => format!("{parent}/{NAME}"),
        None => NAME.to_owned(),
    };
    let Some(entry) = entries.iter().find(|entry| entry.path == path) else {
        return Vec::new();
    };
    let labels = read(folder, entry);
    let labels = labels.and_then(|labels| match declared_classes(signature) {
        Some(classes) if classes != labels.len() => Err(format!(
            "it has {} lines, and the model gives {classes} scores: one line is needed for each",
            labels.len()
        )),
        _ => Ok(labels),
    });
    match labels {
        Ok(labels) => labels,
        Err(reason) => {
            tracing::warn!(file = path, reason, "the labels are not used");
            Vec::new()
        }
    }
}

fn read(folder: &Path, entry: &Entry) -> Result<Vec<String>, String> {
    if entry.size > MAX_BYTES {
        return Err(format!("it exceeds {MAX_BYTES} bytes"));
    }
    let bytes = files::read(folder, entry).map_err(|fatal| fatal.message)?;
    let text = String::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// How many scores the model says that it gives for each example.
fn declared_classes(signature: &Signature) -> Option<usize> {
    let scores = v1::classes(signature).ok()?.scores?;
    let shape = signature.outputs().get(scores)?.shape.as_deref()?;
    match shape {
        [_, Dim::Fixed(classes)] => Some(*classes),
        _ => None,
    }
}
