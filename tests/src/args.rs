//! What the environment tells a lane; the only place of this crate that reads it.
//!
//! `cargo xtask test <lane> [--plan P] [--seed N] [--keep]` sets these.

use std::path::PathBuf;

/// Where the lane's cluster is, and what to replay.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// `AIMASS_TEST_KUBECONFIG`: the cluster, with an administrator's rights.
    pub kubeconfig: Option<PathBuf>,
    /// `AIMASS_TEST_AUDIT`: the API server's audit log.
    pub audit: Option<PathBuf>,
    /// `AIMASS_TEST_H2SPEC`: the program that judges HTTP/2.
    pub h2spec: Option<PathBuf>,
    /// `AIMASS_TEST_HELM`: the program that renders the chart.
    pub helm: Option<PathBuf>,
    /// `AIMASS_TEST_PLAN`: `WORKLOAD: POINT ACTION`; only that plan is run.
    pub plan: Option<String>,
    /// `AIMASS_TEST_SEED`: of everything random.
    pub seed: Option<u64>,
    /// `AIMASS_TEST_PYTHON`: an interpreter with the clients of the lane `clients`.
    pub python: Option<PathBuf>,
    /// `AIMASS_TEST_KEEP`: namespaces stay after a test that passed.
    pub keep: bool,
}

impl Args {
    /// Reads the environment.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one file of this crate that reads the environment"
    )]
    pub fn read() -> Self {
        let path = |name| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let text = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            kubeconfig: path("AIMASS_TEST_KUBECONFIG"),
            audit: path("AIMASS_TEST_AUDIT"),
            h2spec: path("AIMASS_TEST_H2SPEC"),
            helm: path("AIMASS_TEST_HELM"),
            plan: text("AIMASS_TEST_PLAN"),
            seed: text("AIMASS_TEST_SEED").and_then(|seed| seed.parse().ok()),
            python: path("AIMASS_TEST_PYTHON"),
            keep: text("AIMASS_TEST_KEEP").is_some(),
        }
    }

    /// The seed: as given, else one for this run of the lane.
    #[must_use]
    pub fn seed(&self) -> u64 {
        let of_this_run = || u64::from(std::process::id());
        self.seed.unwrap_or_else(of_this_run)
    }
}

/// The folder of the repository: the one in which cargo runs this program. The one in which it was built may be another
/// checkout, which shares the output folder.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one file of this crate that reads the environment"
)]
pub fn repository() -> PathBuf {
    let run_in = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let of_crate = run_in.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut above = of_crate.ancestors();
    let root = above.find(|folder| folder.join("Cargo.lock").is_file());
    root.unwrap_or(&of_crate).to_owned()
}
