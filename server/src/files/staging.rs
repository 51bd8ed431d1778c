//! A private copy under way: files are written beside their destination and renamed into place together.
//!
//! Used by `copy` and by `fetch`. Only regular files that this process created; a crash leaves a folder that the next run
//! removes. Order at the end: folder, then manifest, so that a manifest is never ahead of its files.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Component, Path, PathBuf};

use super::list::{invalid, too_much};
use super::{Digest, Entry, Hashing, Limits, Manifest, archive, manifest_path};
use crate::fatal::{Fatal, Reason};

/// What the source's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One file of the model.
    File,
    /// `.tar`
    Tar,
    /// `.tar.gz`, `.tgz`
    TarGz,
}

impl Kind {
    /// By the end of a file's name.
    pub fn of_name(name: &str) -> Self {
        if name.ends_with(".tar") {
            Self::Tar
        } else if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            Self::TarGz
        } else {
            Self::File
        }
    }
}

/// A copy that is not yet in place.
pub struct Staging {
    destination: PathBuf,
    /// `<parent>/.partial`
    partial: PathBuf,
    limits: Limits,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Staging {
    /// Begins a copy for `destination`, whose parent must exist and be on the same file system. Removes what a run
    /// before left unfinished.
    pub fn begin(destination: &Path, limits: Limits) -> Result<Self, Fatal> {
        let partial = destination.with_file_name(".partial");
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Fatal::io("failed to remove an unfinished copy", &error));
            }
            _ => {}
        }
        fs::create_dir_all(partial.join("files"))
            .map_err(|error| Fatal::io("failed to create the folder for a copy", &error))?;
        Ok(Self {
            destination: destination.to_owned(),
            partial,
            limits,
            entries: Vec::new(),
            bytes: 0,
        })
    }

    /// Where a download or an archive is kept until its digest is known to be right.
    pub fn scratch(&self) -> PathBuf {
        self.partial.join("source")
    }

    /// Copies `reader` to the relative `path`, hashing on the way.
    pub fn add(&mut self, path: &str, reader: &mut dyn Read) -> Result<(), Fatal> {
        let target = self.target(path)?;
        if self.entries.len() >= self.limits.max_files {
            return Err(too_much(&self.limits));
        }
        let unwritable = |error| Fatal::io(&format!("failed to write {path}"), &error);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(unwritable)?;
        }
        // `create_new`: a path that occurs twice in an archive must not replace the first.
        let mut file = File::create_new(&target).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => invalid(&format!("{path} occurs twice")),
            _ => unwritable(error),
        })?;
        let mut hash = Hashing::new();
        let mut buffer = vec![0; 128 << 10];
        let mut size = 0_u64;
        loop {
            let count = reader
                .read(&mut buffer)
                .map_err(|error| read_failure(path, &error))?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            size += bytes.len() as u64;
            self.bytes = self.bytes.saturating_add(bytes.len() as u64);
            if self.bytes > self.limits.max_bytes {
                return Err(too_much(&self.limits));
            }
            hash.update(bytes);
            file.write_all(bytes).map_err(unwritable)?;
        }
        file.sync_all().map_err(unwritable)?;
        self.entries.push(Entry {
            path: path.to_owned(),
            size,
            sha256: hash.finish(),
        });
        Ok(())
    }

    /// Takes over what is in the scratch file: unpacks it, or makes it the file `name`. Its digest has been checked.
    pub fn add_scratch(&mut self, kind: Kind, name: &str) -> Result<(), Fatal> {
        let scratch = self.scratch();
        let open = || {
            File::open(&scratch).map_err(|error| Fatal::io("failed to read the download", &error))
        };
        match kind {
            Kind::File => {
                let target = self.target(name)?;
                let (size, sha256) = super::digest::hash_file(&scratch, name)?;
                fs::rename(&scratch, target)
                    .map_err(|error| Fatal::io("failed to move the download", &error))?;
                self.entries.push(Entry {
                    path: name.to_owned(),
                    size,
                    sha256,
                });
            }
            Kind::Tar | Kind::TarGz => {
                let file = open()?;
                let size = file.metadata().map_or(0, |metadata| metadata.len());
                archive::unpack(BufReader::new(file), kind, size, self)?;
                fs::remove_file(&scratch)
                    .map_err(|error| Fatal::io("failed to remove the archive", &error))?;
            }
        }
        Ok(())
    }

    /// What was added so far, in order of arrival.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The limits of this copy.
    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Puts the copy into place of whatever was there. `digest` is that of the source.
    pub fn finish(mut self, digest: Digest) -> Result<Manifest, Fatal> {
        if self.entries.is_empty() {
            return Err(invalid("there are no files"));
        }
        self.entries
            .sort_by(|left, right| left.path.cmp(&right.path));
        let manifest = Manifest {
            digest,
            files: std::mem::take(&mut self.entries),
        };
        self.place(&manifest)
            .map_err(|error| Fatal::io("failed to put the copy into place", &error))?;
        Ok(manifest)
    }

    fn place(&self, manifest: &Manifest) -> io::Result<()> {
        let sync = |folder: &Path| File::open(folder)?.sync_all();
        let files = self.partial.join("files");
        sync(&files)?;
        let draft = self.partial.join("manifest.json");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(manifest)?)?;
        file.sync_all()?;
        let final_manifest = manifest_path(&self.destination);
        absent(fs::remove_file(&final_manifest))?;
        absent(fs::remove_dir_all(&self.destination))?;
        fs::rename(files, &self.destination)?;
        fs::rename(draft, final_manifest)?;
        if let Some(parent) = self.destination.parent() {
            sync(parent)?;
        }
        fs::remove_dir_all(&self.partial)
    }

    /// The place of a relative path, which must not leave the copy.
    fn target(&self, path: &str) -> Result<PathBuf, Fatal> {
        let relative = Path::new(path);
        let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
        if path.is_empty() || path.len() > 1024 || !relative.components().all(normal) {
            let shown = path
                .get(..path.floor_char_boundary(128))
                .unwrap_or_default();
            return Err(invalid(&format!(
                "the path {shown:?} does not stay inside the model's folder"
            )));
        }
        Ok(self.partial.join("files").join(relative))
    }
}

/// An archive's own damage comes as a read error; everything else is the system's.
fn read_failure(path: &str, error: &io::Error) -> Fatal {
    match error.kind() {
        io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidData
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::Other => Fatal::new(
            Reason::ArtifactInvalid,
            format!("{path} is damaged: {error}"),
        ),
        _ => Fatal::io(&format!("failed to read {path}"), error),
    }
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
