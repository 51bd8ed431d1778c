//! Unpacks tar archives, packed or not, entry by entry.
//!
//! Called by `staging` once the archive's digest is known. Only folders and regular files; anything that could point or
//! reach elsewhere is refused, not skipped: a model that needs it would be broken without.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::list::invalid;
use super::staging::{Kind, Staging};
use crate::fatal::Fatal;

/// Unpacked bytes that every archive may have, whatever its ratio.
const FREE_BYTES: u64 = 1 << 20;

/// Unpacks `reader`, of `packed` bytes.
pub(super) fn unpack(
    reader: impl Read,
    kind: Kind,
    packed: u64,
    staging: &mut Staging,
) -> Result<(), Fatal> {
    match kind {
        Kind::File | Kind::Tar => entries(reader, staging),
        Kind::TarGz => {
            let ratio = staging.limits().max_ratio;
            let left = packed.saturating_mul(ratio).max(FREE_BYTES);
            entries(
                Inflating {
                    reader: MultiGzDecoder::new(reader),
                    left,
                    ratio,
                },
                staging,
            )
        }
    }
}

fn entries(reader: impl Read, staging: &mut Staging) -> Result<(), Fatal> {
    let damaged = |error: io::Error| invalid(&format!("the archive is damaged: {error}"));
    let mut archive = Archive::new(reader);
    for (count, entry) in archive.entries().map_err(damaged)?.enumerate() {
        // Folders count too: they are entries without bytes.
        if count > staging.limits().max_files.saturating_mul(2) {
            return Err(super::list::too_much(staging.limits()));
        }
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path_bytes().into_owned();
        let path = String::from_utf8(path)
            .map_err(|error| invalid(&format!("a path in the archive is not UTF-8: {error}")))?;
        let path = path.strip_prefix("./").unwrap_or(&path);
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => {}
            EntryType::Regular | EntryType::Continuous => staging.add(path, &mut entry)?,
            _ => {
                let shown = path
                    .get(..path.floor_char_boundary(128))
                    .unwrap_or_default();
                let text = format!("{shown:?} in the archive is a link or a special file");
                return Err(invalid(&text));
            }
        }
    }
    Ok(())
}

/// Inflates, up to a bound.
struct Inflating<R> {
    reader: R,
    left: u64,
    ratio: u64,
}

impl<R: Read> Read for Inflating<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let text = format!("it inflates to more than {} times its size", self.ratio);
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        Ok(count)
    }
}
