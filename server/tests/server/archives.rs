//! Files on volumes: digests, private copies, archives and what is wrong with them.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use aimass_server::config::Origin;
use aimass_server::fatal::{Fatal, Reason};
use aimass_server::files::{self, Digest, Hashing, Limits, Manifest};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::serving::{load_origin, testdata};

fn linear() -> Vec<u8> {
    fs::read(testdata().join("linear.onnx")).unwrap()
}

fn digest_of(bytes: &[u8]) -> Digest {
    let mut hash = Hashing::new();
    hash.update(bytes);
    Digest::of_hex(&hash.finish())
}

/// A tar of files and other entries.
fn tar(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, bytes) in entries {
        let mut header = Header::new_ustar();
        // Written past the checks of the library, which refuses such names.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        }
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn copy(name: &str, bytes: &[u8], limits: Limits) -> (Result<Manifest, Fatal>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("model")).unwrap();
    let source = folder.path().join(name);
    fs::write(&source, bytes).unwrap();
    let destination = folder.path().join("model/files");
    (
        files::copy(&source, &destination, Some(&digest_of(bytes)), limits),
        folder,
    )
}

#[track_caller]
fn refused(entries: &[(&str, EntryType, &[u8])], text: &str) {
    let (result, folder) = copy("m.tar", &tar(entries), Limits::default());
    let fatal = result.unwrap_err();
    assert_eq!(fatal.reason, Reason::ArtifactInvalid);
    assert!(fatal.message.contains(text), "{fatal}");
    assert!(
        !folder.path().join("model/files").exists(),
        "nothing is put into place"
    );
    assert!(!folder.path().join("model/manifest.json").exists());
}

#[test]
fn archives_are_unpacked_and_their_digest_is_that_of_the_archive() {
    let model = linear();
    let packed = tar(&[
        ("./", EntryType::Directory, b""),
        ("./a/model.onnx", EntryType::Regular, &model),
    ]);
    for (name, bytes) in [
        ("m.tar", packed.clone()),
        ("m.tar.gz", gzip(&packed)),
        ("m.tgz", gzip(&packed)),
    ] {
        let (manifest, folder) = copy(name, &bytes, Limits::default());
        let manifest = manifest.unwrap();
        assert_eq!(manifest.digest, digest_of(&bytes));
        assert_eq!(manifest.files[0].path, "a/model.onnx");
        let destination = folder.path().join("model/files");
        assert_eq!(fs::read(destination.join("a/model.onnx")).unwrap(), model);
        assert_eq!(files::manifest(&destination).unwrap(), Some(manifest));
        assert!(!folder.path().join("model/.partial").exists());
    }
}

#[test]
fn an_archive_that_reaches_out_is_refused() {
    let regular = EntryType::Regular;
    refused(&[("../evil.onnx", regular, b"x")], "does not stay inside");
    refused(&[("/etc/evil", regular, b"x")], "does not stay inside");
    refused(&[("a/../../evil", regular, b"x")], "does not stay inside");
    refused(
        &[("link", EntryType::Symlink, b"")],
        "is a link or a special file",
    );
    refused(
        &[("link", EntryType::Link, b"")],
        "is a link or a special file",
    );
    refused(
        &[("pipe", EntryType::Fifo, b"")],
        "is a link or a special file",
    );
    refused(
        &[("disk", EntryType::Block, b"")],
        "is a link or a special file",
    );
    refused(
        &[("a", regular, b"1"), ("a", regular, b"2")],
        "a occurs twice",
    );
    refused(&[], "there are no files");
}

#[test]
fn an_archive_that_is_too_much_is_refused() {
    let zeros = vec![0; 8 << 20];
    let bomb = gzip(&tar(&[("model.onnx", EntryType::Regular, &zeros)]));
    let (result, _folder) = copy("m.tgz", &bomb, Limits::default());
    assert!(
        result
            .unwrap_err()
            .message
            .contains("inflates to more than 200 times its size")
    );

    let two = tar(&[
        ("a", EntryType::Regular, b"1"),
        ("b", EntryType::Regular, b"2"),
    ]);
    let (result, _folder) = copy(
        "m.tar",
        &two,
        Limits {
            max_files: 1,
            ..Limits::default()
        },
    );
    assert!(result.unwrap_err().message.contains("more than 1 files"));

    let limits = Limits {
        max_bytes: 5000,
        ..Limits::default()
    };
    let (result, _folder) = copy(
        "m.tgz",
        &gzip(&tar(&[("a", EntryType::Regular, &[7; 6000])])),
        limits,
    );
    assert!(result.unwrap_err().message.contains("or 5000 bytes"));

    let (result, _folder) = copy("m.tgz", &bomb[..bomb.len() / 2], Limits::default());
    assert_eq!(result.unwrap_err().reason, Reason::ArtifactInvalid);
}

fn origin(folder: &Path, digest: Option<Digest>) -> Origin {
    Origin {
        digest,
        ..Origin::of(folder)
    }
}

#[test]
fn the_digest_is_checked_before_the_model_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), linear()).unwrap();
    let right = digest_of(&linear());
    let model = load_origin(origin(folder.path(), Some(right.clone()))).unwrap();
    assert_eq!(model.digest(), right.as_str());
    let wrong = digest_of(b"something else");
    let fatal = load_origin(origin(folder.path(), Some(wrong)))
        .err()
        .unwrap();
    assert_eq!(
        (fatal.reason, fatal.reason.exit_code()),
        (Reason::DigestMismatch, 3)
    );
    assert!(fatal.message.contains(right.as_str()), "{fatal}");
}

#[test]
fn a_folder_may_be_named_by_its_own_digest() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), linear()).unwrap();
    fs::write(folder.path().join("labels.txt"), "a\nb\n").unwrap();
    let found = files::list(folder.path(), &Limits::default()).unwrap();
    let entry = |file: &files::Found| files::entry(folder.path(), &file.path).unwrap();
    let digest = Digest::of_folder(&found.iter().map(entry).collect::<Vec<_>>());
    assert!(load_origin(origin(folder.path(), Some(digest))).is_ok());
}

#[test]
fn a_mounted_config_map_is_read_through_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("..2026_01_01");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("model.onnx"), linear()).unwrap();
    std::os::unix::fs::symlink("..2026_01_01", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/model.onnx", folder.path().join("model.onnx")).unwrap();
    let model = load_origin(origin(folder.path(), Some(digest_of(&linear())))).unwrap();
    assert_eq!(model.digest(), digest_of(&linear()).as_str());
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("labels.txt")).unwrap();
    let fatal = load_origin(origin(folder.path(), None)).err().unwrap();
    assert!(
        fatal.message.contains("labels.txt is a link that leaves"),
        "{fatal}"
    );
}

#[test]
fn a_volumes_folder_is_copied_once_and_served_from_the_copy() {
    let volume = tempfile::tempdir().unwrap();
    fs::create_dir_all(volume.path().join("v1/extra")).unwrap();
    fs::write(volume.path().join("v1/model.onnx"), linear()).unwrap();
    fs::write(volume.path().join("v1/extra/labels.txt"), "x").unwrap();
    let own = tempfile::tempdir().unwrap();
    let origin = Origin {
        copy_from: Some(volume.path().join("v1")),
        ..Origin::of(own.path().join("files"))
    };
    let first = load_origin(origin.clone()).unwrap();
    // Overwritten in place afterwards: the copy is what this revision is.
    fs::write(volume.path().join("v1/model.onnx"), "damaged").unwrap();
    let second = load_origin(origin.clone()).unwrap();
    assert_eq!(first.digest(), second.digest());
    // But a copy that was tampered with is noticed.
    fs::write(own.path().join("files/extra/labels.txt"), "y").unwrap();
    let fatal = load_origin(origin).err().unwrap();
    assert_eq!(fatal.reason, Reason::DigestMismatch);
}

#[test]
fn what_is_missing_may_come_later() {
    let own = tempfile::tempdir().unwrap();
    let missing = own.path().join("nothing");
    let copied = Origin {
        copy_from: Some(missing.clone()),
        ..Origin::of(own.path().join("files"))
    };
    for origin in [copied, origin(&missing, None)] {
        let fatal = load_origin(origin).err().unwrap();
        assert_eq!(
            (fatal.reason, fatal.reason.exit_code()),
            (Reason::ArtifactUnavailable, 4)
        );
    }
}

#[test]
fn which_file_is_the_model_is_never_guessed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.onnx"), linear()).unwrap();
    fs::write(folder.path().join("b.onnx"), linear()).unwrap();
    let fatal = load_origin(origin(folder.path(), None)).err().unwrap();
    assert!(
        fatal.message.contains("ambiguous: a.onnx and b.onnx"),
        "{fatal}"
    );
    fs::rename(
        folder.path().join("b.onnx"),
        folder.path().join("model.onnx"),
    )
    .unwrap();
    assert!(load_origin(origin(folder.path(), None)).is_ok());
}
