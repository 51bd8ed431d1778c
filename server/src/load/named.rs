//! A model that a person names: a folder, or one file with the external data that it asks for.
//!
//! Called by `inspect.rs`. What else lies beside the file is not the model's, so it is neither read nor hashed.

use std::path::{Component, Path};

use crate::check::features;
use crate::config::Origin;
use crate::fatal::{Fatal, Reason};
use crate::files;

use super::Checked;
use super::gather::{digest, read};

/// Reads and checks the model, as a server would.
pub(crate) fn checked(path: &Path) -> Result<Checked, Fatal> {
    if path.is_dir() {
        return super::checked(&Origin::of(path));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        let text = "the model must be a file or a folder with a name in UTF-8";
        return Err(Fatal::new(Reason::ArtifactInvalid, text));
    };
    let mut gathered = read(folder, &[files::find(folder, name)?], 0)?;
    // What cannot be read as a graph is the check's to refuse.
    let external = features(&gathered.bytes).map(|features| features.external);
    for location in external.unwrap_or_default().into_keys() {
        if is_below(&location) && folder.join(&location).is_file() {
            gathered.entries.push(files::entry(folder, &location)?);
        }
    }
    super::check_files(folder, 0, digest(&gathered.entries, None), gathered)
}

fn is_below(location: &str) -> bool {
    let path = Path::new(location);
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
}
