//! A key for the demo, made and used by the tool `aimass` as people use it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::certificate;
use super::models::NAMESPACE;
use super::site::Site;
use crate::places::Places;
use crate::{image, step};

/// The APIKey.
const NAME: &str = "demo";

/// The tool, with the cluster that it is for.
pub(super) struct Tool<'a> {
    places: &'a Places,
    site: &'a Site,
    /// The program.
    pub(super) path: PathBuf,
}

impl<'a> Tool<'a> {
    /// Builds it.
    ///
    /// # Errors
    /// If it cannot be built.
    pub(super) fn build(places: &'a Places, site: &'a Site) -> Result<Self> {
        let path = image::tool(places)?;
        Ok(Self { places, site, path })
    }

    /// Makes the key anew and gives its token: the cluster has only the hash of the last one.
    ///
    /// # Errors
    /// If the cluster refuses.
    pub(super) fn key(&self, model: &str) -> Result<String> {
        self.site
            .kubectl_output(&["delete", "apikey", NAME, "--ignore-not-found"])?;
        let mut command = Command::new(&self.path);
        command.args(["key", "create", NAME, "--model", model, "--plan", "free"]);
        command.args(["--owner", "the demo", "--expires", "30d"]);
        command
            .args(["--namespace", NAMESPACE])
            .args(self.site.flags());
        let token = step::output(&mut command).context("no key could be made")?;
        Ok(token.trim().to_owned())
    }

    /// Asks a model over HTTPS.
    ///
    /// # Errors
    /// If it refuses.
    pub(super) fn predict(
        &self,
        model: &str,
        body: &Path,
        at: &str,
        token: &str,
    ) -> Result<String> {
        let mut command = Command::new(&self.path);
        command
            .args(["predict", model])
            .arg(format!("@{}", body.display()));
        command.args(["--url", at, "--ca-file"]);
        command.arg(certificate::authority(self.places));
        command.env("AIMASS_KEY", token);
        step::output(&mut command).with_context(|| format!("{model} does not answer at {at}"))
    }
}
