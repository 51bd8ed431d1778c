//! Tools that are built from pinned Go modules, kept outside the tree.
//!
//! A folder of the cache is named after the hash of `go.mod` and `go.sum`: what is in it never
//! changes, so a binary that is there is the right one. Called by `kubernetes.rs`.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::places::Places;
use crate::step;

/// How much of the hash names the folder: 16 hexadecimal digits.
const KEY_BYTES: usize = 8;

/// One program of a Go module.
pub(crate) struct Program {
    /// The file's name.
    pub(crate) name: &'static str,
    /// The package that has its `main`.
    pub(crate) package: &'static str,
    /// For the linker: `-s -w`, and versions where the program prints one.
    pub(crate) linker_flags: String,
}

/// A pinned module: a folder under `tools/` with `go.mod` and `go.sum`.
pub(crate) struct Module {
    /// The folder's name, and that of its part of the cache.
    pub(crate) name: &'static str,
    /// What is said before a build that takes its time.
    pub(crate) warning: &'static str,
    /// What is built.
    pub(crate) programs: Vec<Program>,
}

/// The folder with all programs of `module`; builds those that are missing.
///
/// # Errors
/// If Go is missing or too old, or a build fails; the error names the log.
pub(crate) fn ensure(places: &Places, module: &Module) -> Result<PathBuf> {
    let source = places.repository().join("tools").join(module.name);
    let cache = places.cache().join(module.name);
    let folder = cache.join(key(&source)?);
    let is_missing = |program: &&Program| !folder.join(program.name).is_file();
    if !module.programs.iter().any(|program| is_missing(&program)) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let _lock = lock(&cache)?;
    // Another checkout may have built some of it while this one waited for the lock.
    let missing: Vec<&Program> = module.programs.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(folder);
    }
    let go = go(places, &source)?;
    step::say(module.warning);
    for program in missing {
        build(&go, &source, &folder, program)?;
    }
    Ok(folder)
}

/// Builds under another name first: what has the right name is whole.
fn build(go: &Path, source: &Path, folder: &Path, program: &Program) -> Result<()> {
    let unfinished = folder.join(format!(".{}.unfinished", program.name));
    let log = folder.join(format!("{}.log", program.name));
    let mut command = Command::new(go);
    command
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .args([
            "build",
            "-trimpath",
            "-ldflags",
            &program.linker_flags,
            "-o",
        ])
        .arg(&unfinished)
        .arg(program.package);
    step::run(&format!("build {}", program.name), &mut command, &log).context(
        "to go on after a broken download or a full disk, run the same command again: what is \
         built already is kept",
    )?;
    std::fs::rename(&unfinished, folder.join(program.name))
        .with_context(|| format!("failed to name {}", unfinished.display()))
}

/// The first 16 hexadecimal digits of the hash of `go.mod` and `go.sum`.
fn key(source: &Path) -> Result<String> {
    key_of(&["go.mod", "go.sum"].map(|name| source.join(name)), "")
}

/// The first 16 hexadecimal digits of the hash of these files and of `more`: names a folder after
/// what is in it.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn key_of(files: &[PathBuf], more: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for path in files {
        let bytes =
            std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        hash.update(bytes);
    }
    hash.update(more);
    Ok(hexadecimal(hash.finalize().iter().take(KEY_BYTES)))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// One build at a time per machine; released when the process ends.
///
/// # Errors
/// If there is no place for the lock.
pub(crate) fn lock(cache: &Path) -> Result<File> {
    let path = cache.join(".lock");
    let file = File::create(&path)
        .with_context(|| format!("failed to create the lock {}", path.display()))?;
    if file.try_lock().is_err() {
        step::say(&format!(
            "Waiting for another build in {} to end.",
            cache.display()
        ));
        file.lock()
            .with_context(|| format!("failed to lock {}", path.display()))?;
    }
    Ok(file)
}

/// The `go` command, new enough for `go.mod`.
fn go(places: &Places, source: &Path) -> Result<PathBuf> {
    let cure = "install Go from https://go.dev/dl/ and put it on PATH";
    // Where Go's own instructions put it, also for those who have not extended PATH yet.
    let usual = Some(PathBuf::from("/usr/local/go/bin/go")).filter(|path| path.is_file());
    let Some(go) = places.program("go").or(usual) else {
        bail!("the command go is missing: {cure}");
    };
    let text = std::fs::read_to_string(source.join("go.mod")).context("failed to read go.mod")?;
    let wanted = text
        .lines()
        .find_map(|line| line.strip_prefix("go "))
        .unwrap_or_default();
    let mut command = Command::new(&go);
    let said = step::output(command.env("GOTOOLCHAIN", "local").arg("version"))?;
    let found = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."))
        .map(minor);
    let needed = minor(wanted.strip_prefix("1.").unwrap_or_default());
    if found.is_none_or(|found| found < needed) {
        bail!(
            "go {wanted} or newer is needed, found: {}: {cure}",
            said.trim()
        );
    }
    Ok(go)
}

/// `26` of `26.8`.
fn minor(version: &str) -> u32 {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_number() {
        assert_eq!(minor("26.8"), 26);
        assert_eq!(minor("9"), 9);
        assert_eq!(minor("27rc1"), 27);
        assert_eq!(minor(""), 0);
    }

    #[test]
    fn the_key_depends_on_both_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("go.mod"), "module x\n").unwrap();
        std::fs::write(folder.path().join("go.sum"), "a\n").unwrap();
        let first = key(folder.path()).unwrap();
        std::fs::write(folder.path().join("go.sum"), "b\n").unwrap();
        let second = key(folder.path()).unwrap();
        assert_eq!(first.len(), 16);
        assert_ne!(first, second);
    }
}
