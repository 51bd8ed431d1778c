//! Looks at a base path: which versions lie there, and what their files look like.
//!
//! Reads names, sizes and times, never contents. Called by `loader/follow.rs` on the loading thread at each poll, so it is
//! cheap at rest: only versions that could be loaded are looked into.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Policy, Print};
use crate::files::Hashing;

/// The version of a model file that lies in the base path itself.
const ONLY_VERSION: i64 = 1;
/// Versions that are looked into: the highest.
const MAX_VERSIONS: usize = 16;
/// Names read of one folder; what is beyond is not seen.
const MAX_NAMES: usize = 100_000;
/// Files looked at in one version.
const MAX_FILES: usize = 10_000;
/// Folders inside folders.
const MAX_DEPTH: usize = 16;
/// So long after the last change a folder is at rest: longer than any pause within a copy to a local disk.
const REST: Duration = Duration::from_secs(2);

/// One version on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub folder: PathBuf,
    /// Of its files.
    pub print: Print,
    /// No file at all lies there (yet).
    pub is_empty: bool,
    /// Its last change was a while ago, by the file system's own clock.
    pub at_rest: bool,
}

/// The versions below `base` that `policy` allows, the highest of them; none below `from`.
///
/// `wall` is the time since 1970, to judge what is at rest.
///
/// # Errors
/// The base path cannot be read.
pub fn look(
    base: &Path,
    policy: Policy,
    from: Option<i64>,
    wall: Duration,
) -> io::Result<BTreeMap<i64, Found>> {
    let mut folders = folders(base)?;
    if folders.is_empty() && holds_model(base)? {
        folders.insert(ONLY_VERSION, base.to_owned());
    }
    let wanted = |version: i64| policy.allows(version) && from.is_none_or(|from| version >= from);
    let highest = folders
        .into_iter()
        .rev()
        .filter(|(version, _)| wanted(*version))
        .take(MAX_VERSIONS);
    let mut found = BTreeMap::new();
    for (version, folder) in highest {
        match look_into(folder, wall) {
            Ok(sight) => {
                found.insert(version, sight);
            }
            // It is just going away; the next look tells.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Folders named by a number. Of two with the same number the shorter name counts.
fn folders(base: &Path) -> io::Result<BTreeMap<i64, PathBuf>> {
    let mut folders: BTreeMap<i64, (usize, PathBuf)> = BTreeMap::new();
    for child in fs::read_dir(base)?.take(MAX_NAMES) {
        let child = child?;
        let name = child.file_name();
        let Some((name, version)) = name.to_str().and_then(|name| Some((name, number(name)?)))
        else {
            continue;
        };
        // Followed: a version may be a link to a folder elsewhere.
        if !fs::metadata(child.path()).is_ok_and(|metadata| metadata.is_dir()) {
            continue;
        }
        let shorter = |(length, _): &(usize, PathBuf)| *length > name.len();
        if folders.get(&version).is_none_or(shorter) {
            folders.insert(version, (name.len(), child.path()));
        }
    }
    let path = |(version, (_, path))| (version, path);
    Ok(folders.into_iter().map(path).collect())
}

/// `00000123` is 123; signs, blanks and what does not fit are no versions.
fn number(name: &str) -> Option<i64> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        name.parse().ok()
    } else {
        None
    }
}

/// Whether a model lies in the base path itself, without a version.
fn holds_model(base: &Path) -> io::Result<bool> {
    for child in fs::read_dir(base)?.take(MAX_NAMES) {
        let name = child?.file_name();
        let name = name.to_str().unwrap_or_default();
        if name.ends_with(".onnx") || name == "saved_model.pb" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn look_into(folder: PathBuf, wall: Duration) -> io::Result<Found> {
    let mut files = Vec::new();
    let mut newest = Duration::ZERO;
    let mut waiting = vec![(folder.clone(), 0)];
    while let Some((path, depth)) = waiting.pop() {
        newest = newest.max(changed(&fs::metadata(&path)?));
        for child in fs::read_dir(&path)?.take(MAX_FILES) {
            let path = child?.path();
            let Some(metadata) = metadata(&path)? else {
                continue;
            };
            newest = newest.max(changed(&metadata));
            if !metadata.is_dir() {
                files.push((path, metadata));
            } else if depth < MAX_DEPTH {
                waiting.push((path, depth + 1));
            }
            if files.len() > MAX_FILES {
                // The load will refuse it; until then it need not be told apart.
                waiting.clear();
                break;
            }
        }
    }
    let at_rest = wall.checked_sub(newest).is_some_and(|rest| rest >= REST);
    Ok(Found {
        print: print(&mut files),
        is_empty: files.is_empty(),
        folder,
        at_rest,
    })
}

/// Of what a link leads to; of the link itself where it leads nowhere, which the load tells. `None`: just deleted.
fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    let followed = fs::metadata(path).or_else(|_| fs::symlink_metadata(path));
    match followed {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// When the file was last written, renamed or replaced: nobody can set that back, as `cp -p` does with other times.
fn changed(metadata: &Metadata) -> Duration {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

fn print(files: &mut [(PathBuf, Metadata)]) -> Print {
    files.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut hash = Hashing::new();
    for (path, metadata) in files {
        hash.update(path.as_os_str().as_encoded_bytes());
        let numbers = [
            metadata.len(),
            metadata.ino(),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
            metadata.ctime().cast_unsigned(),
            metadata.ctime_nsec().cast_unsigned(),
        ];
        hash.update(&[0]);
        for number in numbers {
            hash.update(&number.to_le_bytes());
        }
    }
    Print(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::ZERO;

    fn base(files: &[&str]) -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        for file in files {
            let path = base.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        base
    }

    #[track_caller]
    fn check(files: &[&str], expect: &[(i64, &str)]) {
        let base = base(files);
        let found = look(base.path(), Policy::Latest, None, NEVER).unwrap();
        let found: Vec<(i64, &Path)> = found
            .iter()
            .map(|(version, found)| (*version, found.folder.strip_prefix(base.path()).unwrap()))
            .collect();
        let expect: Vec<(i64, &Path)> = expect
            .iter()
            .map(|(version, folder)| (*version, Path::new(folder)))
            .collect();
        assert_eq!(found, expect, "{files:?}");
    }

    #[test]
    fn folders_with_numbers_are_versions() {
        check(
            &["1/model.onnx", "00000123/model.onnx", "2/m.onnx"],
            &[(1, "1"), (2, "2"), (123, "00000123")],
        );
        check(&["0/m.onnx"], &[(0, "0")]);
    }

    #[test]
    fn other_names_are_none() {
        check(
            &[
                "-1/m.onnx",
                "+1/m.onnx",
                "1.5/m.onnx",
                "v1/m.onnx",
                "tmp/m.onnx",
                " 1/m.onnx",
            ],
            &[],
        );
        check(&["99999999999999999999/m.onnx"], &[]);
        check(&["5"], &[]);
    }

    #[test]
    fn of_two_folders_with_one_number_the_shorter_name_counts() {
        check(&["007/m.onnx", "7/m.onnx"], &[(7, "7")]);
    }

    #[test]
    fn a_model_file_without_a_version_is_version_1() {
        check(&["model.onnx"], &[(1, "")]);
        check(&["saved_model.pb"], &[(1, "")]);
        check(&["model.onnx", "3/model.onnx"], &[(3, "3")]);
        check(&["readme.md"], &[]);
    }

    #[test]
    fn only_what_is_allowed_and_not_below_what_is_served_is_looked_into() {
        let base = base(&["1/m.onnx", "2/m.onnx", "3/m.onnx"]);
        let versions = |policy, from| -> Vec<i64> {
            let found = look(base.path(), policy, from, NEVER).unwrap();
            found.into_keys().collect()
        };
        assert_eq!(versions(Policy::Specific(2), None), [2]);
        assert_eq!(versions(Policy::Specific(9), None), [0_i64; 0]);
        assert_eq!(versions(Policy::Latest, Some(2)), [2, 3]);
    }

    #[test]
    fn the_print_changes_with_the_files_and_only_with_them() {
        let base = base(&["1/m.onnx"]);
        let print = || {
            let found = look(base.path(), Policy::Latest, None, NEVER).unwrap();
            found.get(&1).unwrap().print.clone()
        };
        let first = print();
        assert_eq!(print(), first);
        fs::write(base.path().join("1/weights"), "").unwrap();
        let second = print();
        assert_ne!(second, first);
        fs::write(base.path().join("1/m.onnx"), "xx").unwrap();
        assert_ne!(print(), second);
    }

    #[test]
    fn a_folder_is_at_rest_a_while_after_its_last_change() {
        let base = base(&["1/m.onnx"]);
        let at_rest = |wall| {
            let found = look(base.path(), Policy::Latest, None, wall).unwrap();
            found.get(&1).unwrap().at_rest
        };
        let changed = changed(&fs::metadata(base.path().join("1/m.onnx")).unwrap());
        assert!(!at_rest(changed));
        assert!(!at_rest(NEVER), "the clock stands before the file's");
        assert!(at_rest(changed + 2 * REST));
    }

    #[test]
    fn an_empty_folder_is_told_apart_and_a_missing_base_is_an_error() {
        let base = base(&[]);
        fs::create_dir(base.path().join("1")).unwrap();
        let found = look(base.path(), Policy::Latest, None, NEVER).unwrap();
        assert!(found.get(&1).unwrap().is_empty);
        assert!(look(&base.path().join("x"), Policy::Latest, None, NEVER).is_err());
    }
}
