//! SHA-256 of files, archives and folders.
//!
//! A folder's digest is the hash of the lines `<hex>  <relative path>\n`, sorted by path bytes: what
//! `find … | sort | xargs sha256sum | sha256sum` prints.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Entry;
use crate::fatal::Fatal;

/// `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest with these hex digits, which came from [`Hashing::finish`].
    pub fn of_hex(hex: &str) -> Self {
        Self(format!("sha256:{hex}"))
    }

    /// The digest of a folder with `entries`, in any order.
    pub fn of_folder(entries: &[Entry]) -> Self {
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_by(|left, right| left.path.as_bytes().cmp(right.path.as_bytes()));
        let mut hash = Hashing::new();
        for entry in entries {
            hash.update(format!("{}  {}\n", entry.sha256, entry.path).as_bytes());
        }
        Self::of_hex(&hash.finish())
    }

    /// The text `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() == 64 && hex.bytes().all(lower) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be sha256: and 64 lower-case hex digits")
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

/// A hash under way.
pub struct Hashing(Sha256);

impl Default for Hashing {
    fn default() -> Self {
        Self::new()
    }
}

impl Hashing {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash in lower-case hex.
    pub fn finish(self) -> String {
        self.0
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Size and hash of a file; `shown` names it in errors.
pub(super) fn hash_file(path: &Path, shown: &str) -> Result<(u64, String), Fatal> {
    let unreadable = |error| Fatal::io(&format!("failed to read {shown}"), &error);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hash = Hashing::new();
    let mut buffer = vec![0; 128 << 10];
    let mut size = 0_u64;
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        hash.update(bytes);
        size += bytes.len() as u64;
    }
    Ok((size, hash.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_spelled_in_one_way() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Hashing::new().finish(), hex, "the hash of nothing");
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        assert_eq!(digest, Digest::of_hex(hex));
        for text in [
            "",
            hex,
            "sha256:",
            "sha256:E3",
            &format!("sha256:{}", hex.to_uppercase()),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_is_hashed_as_sha256sum_prints_it_sorted_by_path() {
        let entry = |path: &str, sha256: &str| Entry {
            path: path.to_owned(),
            size: 0,
            sha256: sha256.to_owned(),
        };
        let entries = [entry("b", "22"), entry("a/c", "11")];
        let mut hash = Hashing::new();
        hash.update(b"11  a/c\n22  b\n");
        assert_eq!(Digest::of_folder(&entries), Digest::of_hex(&hash.finish()));
    }
}
