//! External data of a model, read by us and handed over: for engines that would open files on their own.
//!
//! Called by `engine/<name>.rs` at load. Only files that the model names and that are in the manifest are read.

use std::path::{Component, Path};

use crate::engine::{Failure, Kind, Material};

/// Name and content of each file with external data.
pub(super) fn read(material: &Material<'_>) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let content = |name: &String| {
        let path = Path::new(name);
        let normal = path.components().all(|c| matches!(c, Component::Normal(_)));
        if !normal || !material.files.iter().any(|file| file == path) {
            // The check has refused this already; this is the second lock.
            return Err(refused(name, "is not one of the model's files"));
        }
        // The cause may hold a path: the name is enough.
        let bytes = std::fs::read(material.folder.join(path))
            .map_err(|error| refused(name, &format!("cannot be read: {}", error.kind())))?;
        Ok((name.clone(), bytes))
    };
    material.features.external.keys().map(content).collect()
}

fn refused(name: &str, what: &str) -> Failure {
    Failure::new("(graph)", format!("external data \"{name}\" {what}")).of(Kind::Model)
}
