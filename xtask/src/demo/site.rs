//! The cluster of the demo: one of our own, or one that is there.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cluster::{self, Cluster, Lane};
use crate::places::Places;
use crate::{helm, kubernetes, step};

/// A cluster, and how it is reached.
pub(super) struct Site {
    kind: Kind,
    kubectl: PathBuf,
    helm: PathBuf,
}

/// Whose cluster it is.
enum Kind {
    /// Started by us, on this machine.
    Own(Cluster),
    /// Of a context in the user's kubeconfig.
    Context(String),
}

impl Site {
    /// Starts a cluster, or looks whether that of `context` answers.
    ///
    /// # Errors
    /// If there is none then.
    pub(super) fn choose(places: &Places, context: Option<&str>) -> Result<Self> {
        let Some(context) = context else {
            let cluster = cluster::up(places, Lane::Full)?;
            let (kubectl, helm) = (cluster.bin.join("kubectl"), helm::binary(places)?);
            return Ok(Self {
                kind: Kind::Own(cluster),
                kubectl,
                helm,
            });
        };
        let kubectl = kubernetes::kubectl(places)?;
        let kind = Kind::Context(context.to_owned());
        let site = Self {
            kind,
            kubectl,
            helm: helm::binary(places)?,
        };
        if let Err(error) = site.kubectl_output(&["get", "--raw", "/readyz"]) {
            let contexts = Command::new(&site.kubectl)
                .args(["config", "get-contexts"])
                .output();
            let known = contexts.map(|c| String::from_utf8_lossy(&c.stdout).into_owned());
            bail!(
                "the cluster of context {context:?} does not answer: {error:#}\ncontexts:\n{}",
                known.unwrap_or_default()
            );
        }
        Ok(site)
    }

    /// Whether it was started by us: then images are loaded and addresses reached directly.
    pub(super) fn is_own(&self) -> bool {
        self.own().is_some()
    }

    /// The cluster, if it was started by us.
    pub(super) fn own(&self) -> Option<&Cluster> {
        match &self.kind {
            Kind::Own(cluster) => Some(cluster),
            Kind::Context(_) => None,
        }
    }

    /// What tells `kubectl` and `aimass` that this cluster is meant.
    pub(super) fn flags(&self) -> [OsString; 2] {
        match &self.kind {
            Kind::Own(cluster) => ["--kubeconfig".into(), cluster.files.kubeconfig().into()],
            Kind::Context(name) => ["--context".into(), name.into()],
        }
    }

    /// `kubectl` for this cluster.
    pub(super) fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.args(self.flags());
        command
    }

    /// What `kubectl` prints in the namespace of the demo.
    ///
    /// # Errors
    /// If it fails.
    pub(super) fn kubectl_output(&self, arguments: &[&str]) -> Result<String> {
        step::output(
            self.kubectl()
                .args(["--namespace", super::models::NAMESPACE])
                .args(arguments),
        )
    }

    /// `helm` for this cluster.
    pub(super) fn helm(&self) -> Command {
        let mut command = Command::new(&self.helm);
        match &self.kind {
            Kind::Own(cluster) => command.arg("--kubeconfig").arg(cluster.files.kubeconfig()),
            Kind::Context(name) => command.args(["--kube-context", name]),
        };
        command
    }

    /// What a person types first.
    pub(super) fn how_to_enter(&self) -> String {
        match &self.kind {
            Kind::Own(_) => "  eval \"$(cargo xtask cluster env)\"\n".to_owned(),
            Kind::Context(name) => format!(
                "  kubectl config use-context {name}\n  \
                 kubectl port-forward --namespace aimass-system service/aimass-gateway 8501 8443:443 &\n"
            ),
        }
    }

    /// What a person types last.
    pub(super) fn how_to_leave(&self) -> String {
        match &self.kind {
            Kind::Own(_) => "  cargo xtask cluster down".to_owned(),
            Kind::Context(_) => format!(
                "  kubectl delete --filename examples/linear.yaml --filename examples/digits.yaml --filename examples/plan.yaml\n  \
                 kubectl delete apikey demo\n  \
                 {} uninstall {} --namespace {}\n  \
                 kubectl delete namespace {2}\n  \
                 kubectl delete --filename charts/aimass/crds",
                self.helm.display(),
                super::install::RELEASE,
                super::install::NAMESPACE
            ),
        }
    }
}
