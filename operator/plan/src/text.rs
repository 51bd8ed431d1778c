//! Texts for people, of bounded length.
//!
//! Pure. Called wherever a message of a condition or of an Event is made.

/// At most 1 KiB, as conditions and Events allow: cut at a character, marked as cut.
pub(crate) fn bounded(message: &str) -> String {
    cut(message, 1024)
}

/// At most `bytes`, cut at a character and marked as cut.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub('…'.len_utf8()));
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_marked() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lo…");
        assert_eq!(cut("éééé", 6), "é…");
        let long = bounded(&"é".repeat(1000));
        assert!(long.len() <= 1024 && long.ends_with('…'));
    }
}
