//! Passes over JSON values by their brackets and quotation marks alone.
//!
//! Pure. Used by `ws::envelope`, which wants a few members of the root and none of the tensors: whether these are well
//! formed is found by the codec that reads them, so looking twice would be in vain. Linear, without recursion or memory.

use crate::json::read::{INVALID, Reader, Syntax};

/// Passes over the value at the cursor. What is not well formed inside it may pass; where it ends is known if it is.
pub(super) fn pass(reader: &mut Reader<'_>) -> Result<(), Syntax> {
    match reader.peek() {
        Some(b'"') => pass_string(reader),
        Some(b'[' | b'{') => pass_nested(reader),
        _ => pass_word(reader),
    }
}

fn pass_nested(reader: &mut Reader<'_>) -> Result<(), Syntax> {
    let mut depth = 0_usize;
    loop {
        let rest = reader.bytes.get(reader.position..).unwrap_or_default();
        let special = |byte: &u8| matches!(byte, b'"' | b'[' | b']' | b'{' | b'}');
        let length = rest.iter().position(special);
        reader.position += length.unwrap_or(rest.len());
        match reader.peek() {
            Some(b'"') => {
                pass_string(reader)?;
                continue;
            }
            Some(b'[' | b'{') => depth += 1,
            Some(_) => depth -= 1,
            None => return Err(reader.fail(INVALID)),
        }
        reader.advance();
        if depth == 0 {
            return Ok(());
        }
    }
}

fn pass_string(reader: &mut Reader<'_>) -> Result<(), Syntax> {
    reader.advance();
    loop {
        let rest = reader.bytes.get(reader.position..).unwrap_or_default();
        let special = |byte: &u8| matches!(byte, b'"' | b'\\');
        let length = rest.iter().position(special);
        reader.position += length.unwrap_or(rest.len());
        match reader.peek() {
            Some(b'"') => {
                reader.advance();
                return Ok(());
            }
            // The backslash and whatever it escapes.
            Some(_) => reader.position += 2,
            None => return Err(reader.fail(INVALID)),
        }
    }
}

/// A number, `true`, `null` and the like.
fn pass_word(reader: &mut Reader<'_>) -> Result<(), Syntax> {
    let start = reader.position;
    let ends = |byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
    while reader.peek().is_some_and(|byte| !ends(byte)) {
        reader.advance();
    }
    if reader.position == start {
        return Err(reader.fail(INVALID));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Checks;

    #[track_caller]
    fn check(json: &str, expect: Option<usize>) {
        let mut reader = Reader::new(json.as_bytes(), Checks::Lenient).unwrap();
        let passed = pass(&mut reader).ok().map(|()| reader.position);
        assert_eq!(passed, expect, "{json}");
    }

    #[test]
    fn a_value_ends_where_its_brackets_do() {
        check("1.5,2", Some(3));
        check("-Infinity}", Some(9));
        check("null ", Some(4));
        check("[],1", Some(2));
        check("[[1,2],{\"a\":[]}],1", Some(16));
        check(r#""a]\"}\\",1"#, Some(9));
        check(r#"["]",{"[":"\\\""}],1"#, Some(18));
    }

    #[test]
    fn a_value_without_an_end_is_an_error() {
        for json in [
            "[",
            "[[]",
            "{\"a\":1",
            "\"abc",
            "\"abc\\",
            "\"abc\\\"",
            ",",
            "}",
        ] {
            check(json, None);
        }
    }

    #[test]
    fn any_depth_is_passed_over() {
        let depth = 500_000;
        check(&("[".repeat(depth) + &"]".repeat(depth)), Some(2 * depth));
        check(&"[".repeat(depth), None);
    }
}
