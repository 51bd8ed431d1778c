//! Where things are: the only file of the tool that learns of the environment (through clap).

use std::path::{Path, PathBuf};

use clap::Args;

/// Folders, each from its environment variable or else by default.
#[derive(Args, Clone, Debug)]
pub(crate) struct Places {
    /// Kubernetes' and other tools' binaries, kept between checkouts
    #[arg(long, env = "AIMASS_CACHE", value_name = "DIR", global = true)]
    cache: Option<PathBuf>,
    /// Files of the running cluster
    #[arg(
        long,
        env = "AIMASS_STATE",
        value_name = "DIR",
        default_value = "/var/lib/aimass/cluster",
        global = true
    )]
    state: PathBuf,
    /// Cargo's output
    #[arg(long, env = "CARGO_TARGET_DIR", value_name = "DIR", global = true)]
    target: Option<PathBuf>,
    #[arg(
        long,
        env = "HOME",
        hide = true,
        default_value = "/root",
        global = true
    )]
    home: PathBuf,
    /// The folder of this tool's crate, as cargo says when it runs it: the one from when it was built may be that of another
    /// checkout, which shares the output folder
    #[arg(
        long,
        env = "CARGO_MANIFEST_DIR",
        hide = true,
        default_value = env!("CARGO_MANIFEST_DIR"),
        global = true
    )]
    crate_folder: PathBuf,
    /// The caller's own search path, which `cluster env` extends
    #[arg(long, env = "PATH", hide = true, default_value = "", global = true)]
    search_path: String,
}

impl Places {
    /// The folder of the repository.
    #[must_use]
    pub(crate) fn repository(&self) -> PathBuf {
        let of_crate = &self.crate_folder;
        of_crate.parent().unwrap_or(of_crate).to_owned()
    }

    /// What is kept between runs and checkouts.
    #[must_use]
    pub(crate) fn cache(&self) -> PathBuf {
        let by_default = || self.home.join(".cache/aimass");
        self.absolute(self.cache.clone().unwrap_or_else(by_default))
    }

    /// Files of the running cluster.
    #[must_use]
    pub(crate) fn state(&self) -> PathBuf {
        self.absolute(self.state.clone())
    }

    /// Cargo's output folder.
    #[must_use]
    pub(crate) fn target(&self) -> PathBuf {
        let by_default = || PathBuf::from("target");
        self.absolute(self.target.clone().unwrap_or_else(by_default))
    }

    /// The folders in which programs are looked for. `sbin` is added: it is not in the `PATH` of
    /// people who became root by `su`.
    #[must_use]
    pub(crate) fn programs(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = std::env::split_paths(&self.search_path).collect();
        for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"] {
            if !folders.iter().any(|f| f == Path::new(folder)) {
                folders.push(folder.into());
            }
        }
        folders
    }

    /// The full path of a program, if it is installed.
    #[must_use]
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let mut candidates = self.programs().into_iter().map(|f| f.join(name));
        candidates.find(|path| path.is_file())
    }

    fn absolute(&self, path: PathBuf) -> PathBuf {
        if path.is_absolute() {
            return path;
        }
        self.repository().join(path)
    }
}
