//! Writes OCI image archives: a layout (`oci-layout`, `index.json`, `blobs/sha256/…`) as one tar.
//!
//! Sorted entries, owner 0, time 0 in tar and gzip: equal contents give equal digests.
//! Source: the Image Format Specification of the Open Container Initiative, 1.1.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::go::hexadecimal;
use crate::image::root::USER;

/// What a layer is, for those who unpack it.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Changes when this file writes the same contents differently.
const FORMAT: u32 = 1;

/// A file or folder of the root.
pub(super) struct Entry {
    /// Without a leading slash.
    pub(super) path: String,
    /// The contents; a folder has none.
    pub(super) bytes: Vec<u8>,
    mode: u32,
    is_folder: bool,
}

impl Entry {
    /// A file.
    pub(super) fn file(path: &str, bytes: Vec<u8>, mode: u32) -> Self {
        Self {
            path: path.to_owned(),
            bytes,
            mode,
            is_folder: false,
        }
    }

    /// The same with other permissions.
    pub(super) fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// A folder that anybody may read.
    pub(super) fn folder(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            bytes: Vec::new(),
            mode: 0o755,
            is_folder: true,
        }
    }
}

/// What an image says of itself.
pub(super) struct About<'a> {
    /// Name and tag.
    pub(super) name: &'a str,
    /// One line.
    pub(super) title: &'a str,
    /// `NAME=value`, for its process.
    pub(super) environment: &'a [&'a str],
    /// Of the project.
    pub(super) version: &'a str,
    /// What is started.
    pub(super) entry_point: String,
}

/// Lies beside an archive: from what it was written, and what it is.
#[derive(Serialize, Deserialize)]
struct Stamp {
    format: u32,
    config: String,
    manifest: String,
}

/// Writes the archive, unless it is there with the same contents. Gives the manifest's digest.
///
/// # Errors
/// If the disk does not let it.
pub(super) fn write(archive: &Path, about: &About<'_>, entries: Vec<Entry>) -> Result<String> {
    let layer = layer(entries)?;
    let config = config(about, &digest(&layer)).to_string().into_bytes();
    let stamp_file = archive.with_extension("json");
    let stamp: Option<Stamp> = std::fs::read(&stamp_file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(stamp) = stamp
        && stamp.format == FORMAT
        && stamp.config == digest(&config)
        && archive.is_file()
    {
        return Ok(stamp.manifest);
    }
    let folder = archive.parent().context("an archive is in a folder")?;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let (bytes, manifest) = pack(about.name, &config, &layer)?;
    let unfinished = archive.with_extension("unfinished");
    std::fs::write(&unfinished, bytes)
        .with_context(|| format!("failed to write {}", unfinished.display()))?;
    std::fs::rename(&unfinished, archive)
        .with_context(|| format!("failed to name {}", archive.display()))?;
    let stamp = Stamp {
        format: FORMAT,
        config: digest(&config),
        manifest: manifest.clone(),
    };
    std::fs::write(&stamp_file, serde_json::to_vec(&stamp)?)
        .with_context(|| format!("failed to write {}", stamp_file.display()))?;
    Ok(manifest)
}

/// The whole archive, and the digest of its manifest.
fn pack(name: &str, config: &[u8], layer: &[u8]) -> Result<(Vec<u8>, String)> {
    let layer = compress(layer)?;
    let describe = |kind: &str, blob: &[u8]| json!({ "mediaType": kind, "digest": digest(blob), "size": blob.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": describe(CONFIG, config),
        "layers": [describe(LAYER, &layer)],
    })
    .to_string()
    .into_bytes();
    let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    let mut of_index = describe(MANIFEST, &manifest);
    if let Some(fields) = of_index.as_object_mut() {
        let names = json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": tag,
        });
        fields.insert("annotations".to_owned(), names);
    }
    let index = json!({ "schemaVersion": 2, "manifests": [of_index] })
        .to_string()
        .into_bytes();
    let manifest_digest = digest(&manifest);
    let version = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
    let mut entries = vec![
        Entry::folder("blobs"),
        Entry::folder("blobs/sha256"),
        Entry::file("index.json", index, 0o644),
        Entry::file("oci-layout", version, 0o644),
    ];
    for blob in [config.to_vec(), manifest, layer] {
        let path = format!("blobs/{}", digest(&blob).replace(':', "/"));
        entries.push(Entry::file(&path, blob, 0o644));
    }
    Ok((archive_of(entries)?, manifest_digest))
}

fn config(about: &About<'_>, layer: &str) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let labels: BTreeMap<&str, &str> = BTreeMap::from([
        ("org.opencontainers.image.title", about.title),
        ("org.opencontainers.image.version", about.version),
        ("org.opencontainers.image.licenses", "Apache-2.0"),
    ]);
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": [about.entry_point],
            "WorkingDir": "/",
            "Env": about.environment,
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
    })
}

fn layer(entries: Vec<Entry>) -> Result<Vec<u8>> {
    archive_of(entries)
}

fn archive_of(mut entries: Vec<Entry>) -> Result<Vec<u8>> {
    // A folder's path is shorter than those in it, and so comes first.
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut archive = tar::Builder::new(Vec::new());
    for Entry {
        path,
        bytes,
        mode,
        is_folder,
    } in entries
    {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(u64::try_from(bytes.len())?);
        let kind = if is_folder {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        };
        header.set_entry_type(kind);
        let path = if is_folder { format!("{path}/") } else { path };
        archive
            .append_data(&mut header, &path, bytes.as_slice())
            .with_context(|| format!("failed to pack {path}"))?;
    }
    archive.into_inner().context("failed to end an archive")
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::new(6));
    encoder
        .write_all(bytes)
        .context("failed to compress a layer")?;
    encoder.finish().context("failed to compress a layer")
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(Sha256::digest(bytes).iter()))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn about() -> About<'static> {
        About {
            name: "example.test/x:dev",
            title: "X",
            environment: &["A=1"],
            version: "1.0.0",
            entry_point: "/x".to_owned(),
        }
    }

    fn entries() -> Vec<Entry> {
        vec![
            Entry::file("x", b"binary".to_vec(), 0o755),
            Entry::file("etc/passwd", b"x".to_vec(), 0o644),
            Entry::folder("etc"),
        ]
    }

    /// The files of an archive, by path.
    fn unpack(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            assert_eq!(entry.header().uid().unwrap(), 0);
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        files
    }

    #[test]
    fn equal_contents_give_equal_archives() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1.tar"), folder.path().join("2.tar"));
        let digest = write(&first, &about(), entries()).unwrap();
        let mut other_order = entries();
        other_order.reverse();
        assert_eq!(write(&second, &about(), other_order).unwrap(), digest);
        assert_eq!(
            std::fs::read(first).unwrap(),
            std::fs::read(second).unwrap()
        );
    }

    #[test]
    fn an_unchanged_archive_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.tar");
        let digest = write(&path, &about(), entries()).unwrap();
        std::fs::write(&path, "untouched").unwrap();
        assert_eq!(write(&path, &about(), entries()).unwrap(), digest);
        assert_eq!(std::fs::read(&path).unwrap(), b"untouched");
        let mut changed = entries();
        changed[0].bytes.push(b'!');
        assert_ne!(write(&path, &about(), changed).unwrap(), digest);
        assert_ne!(std::fs::read(&path).unwrap(), b"untouched");
    }

    #[test]
    fn every_digest_is_that_of_its_blob() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.tar");
        let manifest_digest = write(&path, &about(), entries()).unwrap();
        let files = unpack(&std::fs::read(&path).unwrap());
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let blob = |digest: &Value| {
            let digest = digest.as_str().unwrap();
            let bytes = &files[&format!("blobs/{}", digest.replace(':', "/"))];
            assert_eq!(super::digest(bytes), digest);
            bytes.clone()
        };
        let index = json(&files["index.json"]);
        assert_eq!(index["manifests"][0]["digest"], manifest_digest);
        let manifest = json(&blob(&index["manifests"][0]["digest"]));
        let config = json(&blob(&manifest["config"]["digest"]));
        let layer = blob(&manifest["layers"][0]["digest"]);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(layer.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&plain));
        assert_eq!(config["config"]["User"], "65532:65532");
        let paths: Vec<String> = unpack(&plain).into_keys().collect();
        assert_eq!(paths, ["etc/", "etc/passwd", "x"]);
    }
}
