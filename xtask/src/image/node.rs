//! The image store of the running cluster's node.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cluster;
use crate::places::Places;
use crate::step;

/// Images by name, each with the digest of its manifest.
pub(super) fn digests(places: &Places) -> Result<BTreeMap<String, String>> {
    let list = step::output(ctr(places)?.args(["images", "list"]))?;
    Ok(parse(&list))
}

/// Loads an OCI archive.
pub(super) fn import(places: &Places, archive: &Path) -> Result<()> {
    step::output(ctr(places)?.args(["images", "import"]).arg(archive)).map(|_| ())
}

/// Gives an image another name.
pub(super) fn tag(places: &Places, name: &str, other: &str) -> Result<()> {
    step::output(ctr(places)?.args(["images", "tag", "--force", name, other])).map(|_| ())
}

/// The namespace is that of the kubelet's images.
fn ctr(places: &Places) -> Result<Command> {
    let mut command = Command::new(
        places
            .program("ctr")
            .context("the command ctr is missing")?,
    );
    command.args(["--address", &cluster::socket(), "--namespace", "k8s.io"]);
    Ok(command)
}

/// `REF TYPE DIGEST SIZE …`, a heading first.
fn parse(list: &str) -> BTreeMap<String, String> {
    let lines = list.lines().skip(1).map(str::split_whitespace);
    let pairs = lines.filter_map(|mut words| {
        let name = words.next()?;
        let digest = words.find(|word| word.starts_with("sha256:"))?;
        Some((name.to_owned(), digest.to_owned()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_digests_are_read() {
        let list = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
                    a.test/x:1 application/vnd.oci sha256:12ab 1.0 KiB linux/amd64 -\n";
        let expect = BTreeMap::from([("a.test/x:1".to_owned(), "sha256:12ab".to_owned())]);
        assert_eq!(parse(list), expect);
        assert!(parse("").is_empty());
    }
}
