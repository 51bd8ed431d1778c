//! Many byte strings in one buffer.
//!
//! Pure. What a tensor of byte strings is made of.

/// Byte strings, one behind the other in a single buffer: a million short ones cost two allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    bytes: Vec<u8>,
    /// Where each string ends in `bytes`; ascending.
    ends: Vec<usize>,
}

impl Strings {
    /// No strings.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Appends a copy of `string`.
    pub fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    /// Appends to a string that [`Strings::finish`] will end.
    pub(crate) fn extend(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
    }

    /// Ends the string that [`Strings::extend`] has built.
    pub(crate) fn finish(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Drops all but the first `len` strings, and the beginning of one that was not finished.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes
            .truncate(self.ends.last().copied().unwrap_or_default());
    }

    /// The number of strings.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no string.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The string at `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)?,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    /// All strings, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The bytes of all strings together.
    pub const fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The index of the first string that is not UTF-8.
    pub fn first_not_text(&self) -> Option<usize> {
        self.iter()
            .position(|string| str::from_utf8(string).is_err())
    }
}

impl<S: AsRef<[u8]>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Self {
        let mut all = Self::new();
        for string in strings {
            all.push(string.as_ref());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_borders() {
        let strings: Strings = ["ab", "", "c"].into_iter().collect();
        assert_eq!(
            strings.iter().collect::<Vec<_>>(),
            [b"ab".as_slice(), b"", b"c"]
        );
        assert_eq!(strings.get(3), None);
        assert_eq!(
            (strings.len(), strings.byte_len(), strings.is_empty()),
            (3, 3, false)
        );
    }
}
