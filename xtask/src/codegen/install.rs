//! `deploy/install.yaml`: the chart with its default values, for those without Helm.
//!
//! Runs helm; called by [`super::run`].

use std::process::Command;

use anyhow::Result;

use super::{Generated, yaml_header};
use crate::places::Places;
use crate::{helm, step};

/// The namespace, which a chart does not make itself; its pods are as restricted as the models'.
const NAMESPACE: &str = "\
---
apiVersion: v1
kind: Namespace
metadata:
  name: aimass-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

/// The file.
pub(super) fn files(places: &Places) -> Result<Vec<Generated>> {
    let mut helm = Command::new(helm::binary(places)?);
    helm.args([
        "template",
        "aimass",
        "charts/aimass",
        "--namespace=aimass-system",
    ]);
    helm.args(["--include-crds", "--kube-version=1.33"])
        .current_dir(places.repository());
    let rendered = step::output(&mut helm)?;
    let text = yaml_header("charts/aimass") + NAMESPACE + rendered.trim_end() + "\n";
    Ok(vec![Generated {
        path: "deploy/install.yaml".to_owned(),
        text,
    }])
}
