//! Where the running cluster keeps its files, and which of them `down` may delete.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// containerd's sockets and running containers: a fixed place, because a socket's path is short.
pub(super) const RUN: &str = "/run/aimass-cluster";

/// The file there that says where the state folder is.
const POINTER: &str = "state";

/// Folders and files below the state folder.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    root: PathBuf,
}

impl Files {
    /// Of a state folder, which need not exist.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Of the cluster that was started last on this machine, wherever its state folder is.
    pub(super) fn started() -> Option<Self> {
        let root = std::fs::read_to_string(Path::new(RUN).join(POINTER)).ok()?;
        Some(Self::new(root.into()))
    }

    /// Notes that a cluster with this state folder is being started.
    ///
    /// # Errors
    /// If the disk does not let it.
    pub(super) fn note_start(&self) -> Result<()> {
        write(
            &Path::new(RUN).join(POINTER),
            &self.root.display().to_string(),
        )
    }

    /// The state folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The administrator's access, for people and tests.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig/admin")
    }

    /// The access of one of Kubernetes' own processes.
    pub(super) fn kubeconfig_of(&self, name: &str) -> PathBuf {
        self.root.join("kubeconfig").join(name)
    }

    /// A key or certificate.
    pub(super) fn pki(&self, name: &str) -> PathBuf {
        self.root.join("pki").join(name)
    }

    /// A configuration file.
    pub(super) fn config(&self, name: &str) -> PathBuf {
        self.root.join("config").join(name)
    }

    /// A folder with the data of one process.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.root.join("data").join(name)
    }

    /// What one process printed.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// What the API server was asked, one JSON object per line.
    pub(crate) fn audit(&self) -> PathBuf {
        self.log("audit")
    }

    /// All logs; they outlive the cluster.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Which process was started as what.
    pub(super) fn record(&self, name: &str) -> PathBuf {
        self.records().join(name)
    }

    /// Written last before the first process starts: its presence says that all files are there.
    pub(super) fn records(&self) -> PathBuf {
        self.root.join("processes")
    }

    /// What `down` deletes: never the state folder itself, which may be any folder of the user's.
    pub(super) fn to_delete(&self) -> Vec<PathBuf> {
        let names = ["processes", "kubeconfig", "pki", "config", "data"];
        let mut paths: Vec<PathBuf> = names.iter().map(|name| self.root.join(name)).collect();
        paths.push(RUN.into());
        paths
    }
}

/// Writes a file, readable by its owner only, and the folders above it.
///
/// # Errors
/// If the disk does not let it.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let context = || format!("failed to write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let options = options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(path).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)
}
