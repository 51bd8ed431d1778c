//! The pinned Kubernetes: which programs it has, and with which flags they are built.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::go::{self, Module, Program};
use crate::places::Places;

/// The folder with all programs; builds them the first time.
///
/// # Errors
/// As [`go::ensure`].
pub(crate) fn ensure(places: &Places) -> Result<PathBuf> {
    go::ensure(places, &pinned(places)?)
}

/// The path of kubectl alone, for a cluster that is there: its build takes a minute at most.
///
/// # Errors
/// As [`go::ensure`].
pub(crate) fn kubectl(places: &Places) -> Result<PathBuf> {
    let mut module = pinned(places)?;
    module.programs.retain(|program| program.name == "kubectl");
    module.warning = "kubectl is not built yet. That happens once and takes about a minute.";
    Ok(go::ensure(places, &module)?.join("kubectl"))
}

fn pinned(places: &Places) -> Result<Module> {
    let path = places.repository().join("tools/kubernetes/go.mod");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let version = version(&text)
        .with_context(|| format!("{} does not require k8s.io/kubernetes", path.display()))?;
    Ok(module(version))
}

fn module(version: &str) -> Module {
    let plain = "-s -w".to_owned();
    // Without these /version says v0.0.0, and clients that ask for it refuse to go on.
    let [major, minor] = major_and_minor(version);
    let base = "k8s.io/component-base/version";
    let versioned = format!(
        "-s -w -X {base}.gitVersion={version} -X {base}.gitMajor={major} -X {base}.gitMinor={minor}"
    );
    let of_kubernetes = |name, package| Program {
        name,
        package,
        linker_flags: versioned.clone(),
    };
    Module {
        name: "kubernetes",
        warning: "Kubernetes is not built yet. That happens once and takes about 7 minutes on two \
                  cores (and 4 GB for Go's caches).",
        programs: vec![
            Program {
                name: "etcd",
                package: "go.etcd.io/etcd/server/v3",
                linker_flags: plain,
            },
            of_kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            of_kubernetes(
                "kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
            ),
            of_kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            of_kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
            of_kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
            of_kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ],
    }
}

/// `v1.36.4` of the line `k8s.io/kubernetes v1.36.4`.
fn version(go_mod: &str) -> Option<&str> {
    let mut lines = go_mod.lines().map(str::split_whitespace);
    lines.find_map(|mut words| {
        let word = words
            .next()
            .filter(|word| *word != "require")
            .or_else(|| words.next());
        (word == Some("k8s.io/kubernetes"))
            .then(|| words.next())
            .flatten()
    })
}

/// `1` and `36` of `v1.36.4`.
fn major_and_minor(version: &str) -> [&str; 2] {
    let mut parts = version.trim_start_matches('v').split('.');
    [
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_module() {
        let text = "module x\n\nrequire (\n\tk8s.io/api v0.36.4\n\tk8s.io/kubernetes v1.36.4\n)\n";
        assert_eq!(version(text), Some("v1.36.4"));
        assert_eq!(
            version("require k8s.io/kubernetes v1.2.3\n"),
            Some("v1.2.3")
        );
        assert_eq!(version("module x\n"), None);
        assert_eq!(major_and_minor("v1.36.4"), ["1", "36"]);
    }
}
