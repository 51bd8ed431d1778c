//! Shows a caller the value an error is about.
//!
//! Pure. Copies tokens without the white space between them; never recurses, stops soon after the limit of a text.

use crate::error::MAX_PAYLOAD;

/// The value that begins at `start`, compact, cut at [`MAX_PAYLOAD`] bytes between two characters.
///
/// The value need not be checked yet: if it turns out to be broken, its syntax error is answered instead.
pub(crate) fn compact(json: &[u8], start: usize) -> String {
    let mut shown = Vec::with_capacity(64);
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for byte in json.get(start..).unwrap_or_default() {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match byte {
            _ if quoted => {
                quoted = escaped || *byte != b'"';
                escaped = !escaped && *byte == b'\\';
            }
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            // A bare value ends at what belongs to its surroundings.
            b',' | b']' | b'}' if depth == 0 => break,
            b']' | b'}' => depth -= 1,
            _ if blank && depth == 0 => break,
            _ if blank => continue,
            _ => {}
        }
        shown.push(*byte);
        let complete = depth == 0 && !quoted && matches!(byte, b'"' | b']' | b'}');
        if complete || shown.len() > MAX_PAYLOAD {
            break;
        }
    }
    shown.truncate(MAX_PAYLOAD);
    match String::from_utf8(shown) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(valid);
            String::from_utf8(bytes).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, start: usize, expect: &str) {
        assert_eq!(compact(json.as_bytes(), start), expect);
    }

    #[test]
    fn a_value_is_shown_without_white_space_and_surroundings() {
        check("[1, 2]", 0, "[1,2]");
        check("{ \"a b\" : [ 1 , {} ] } x", 0, "{\"a b\":[1,{}]}");
        check("[1 , 22 , 3]", 5, "22");
        check("[1,\"a\\\"]\" ,3]", 3, "\"a\\\"]\"");
        check("[\"\\\\\",2]", 1, "\"\\\\\"");
        check("[true]", 1, "true");
        check("{\"a\":null}", 5, "null");
        check("", 0, "");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let json = format!("[{}]", "1, ".repeat(1000));
        assert_eq!(compact(json.as_bytes(), 0).len(), 256);
        let json = format!("[\"{}\"]", "ü".repeat(1000));
        assert_eq!(compact(json.as_bytes(), 1).len(), 255);
    }
}
