//! What is in an image's root: the binary, and the four things that programs expect elsewhere.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::image::oci::Entry;
use crate::packages::AUTHORITIES;

/// The user as which images run.
pub(super) const USER: u32 = 65532;

/// The files of an image, in no particular order.
///
/// # Errors
/// If the certificate authorities cannot be read.
pub(super) fn entries(name: &str, binary: Vec<u8>) -> Result<Vec<Entry>> {
    let passwd = format!("aimass:x:{USER}:{USER}::/:/sbin/nologin\n");
    let group = format!("aimass:x:{USER}:\n");
    let authorities = authorities(Path::new(AUTHORITIES))?;
    Ok(vec![
        Entry::folder("etc"),
        Entry::folder("etc/ssl"),
        Entry::folder("etc/ssl/certs"),
        Entry::file("etc/passwd", passwd.into_bytes(), 0o644),
        Entry::file("etc/group", group.into_bytes(), 0o644),
        Entry::file("etc/ssl/certs/ca-certificates.crt", authorities, 0o644),
        Entry::folder("tmp").with_mode(0o1777),
        Entry::file(name, binary, 0o755),
    ])
}

/// Mozilla's authorities as one file, as the distribution's package has them.
///
/// Not the machine's own list: that has what its owner trusts, which is not for everybody.
fn authorities(folder: &Path) -> Result<Vec<u8>> {
    let context = || {
        format!(
            "failed to read the certificate authorities in {}",
            folder.display()
        )
    };
    let entries = std::fs::read_dir(folder).with_context(context)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(context)?.path());
    }
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        all.extend(std::fs::read(&path).with_context(context)?);
        if !all.ends_with(b"\n") {
            all.push(b'\n');
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_joined_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b.crt"), "B").unwrap();
        std::fs::write(folder.path().join("a.crt"), "A\n").unwrap();
        assert_eq!(authorities(folder.path()).unwrap(), b"A\nB\n");
    }
}
