//! Passes over JSON values, checking their syntax.
//!
//! Pure. Iterative: one bit per open array or object, so that any depth costs linear time and an eighth of a byte.

use crate::json::read::{NO_ARRAY_COMMA, NO_OBJECT_COMMA, Reader, Syntax};

/// Numbers of fewer bytes and without an exponent are below 10^308.
const PLAIN_BYTES: usize = 300;

impl Reader<'_> {
    /// Passes over the next value, whatever it is.
    pub(crate) fn skip(&mut self) -> Result<(), Syntax> {
        let mut nesting = Nesting::default();
        loop {
            match self.next_token() {
                Some(b'{') => {
                    if self.open(b'}') {
                        nesting.push(true);
                        self.skip_name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    if self.open(b']') {
                        nesting.push(false);
                        continue;
                    }
                }
                _ => self.skip_scalar()?,
            }
            loop {
                let Some(object) = nesting.last() else {
                    return Ok(());
                };
                match (object, self.next_token()) {
                    (_, Some(b',')) => {
                        self.advance();
                        if object {
                            self.skip_name()?;
                        }
                        break;
                    }
                    (true, Some(b'}')) | (false, Some(b']')) => {
                        self.advance();
                        nesting.pop();
                    }
                    (true, _) => return Err(self.fail(NO_OBJECT_COMMA)),
                    (false, _) => return Err(self.fail(NO_ARRAY_COMMA)),
                }
            }
        }
    }

    /// Passes over a value that is neither array nor object.
    pub(crate) fn skip_scalar(&mut self) -> Result<(), Syntax> {
        match self.peek() {
            Some(b'"') => self.string(|_| {}),
            Some(b'n') => self.word(b"null"),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            _ => self.skip_number(),
        }
    }

    /// Passes over a number without its value, which only an exponent or very many digits can make too big.
    #[inline]
    fn skip_number(&mut self) -> Result<(), Syntax> {
        let start = self.position;
        self.take(b'-');
        let whole = self.digits();
        let leads = self.bytes.get(self.position.wrapping_sub(whole)) == Some(&b'0');
        let fraction = self.take(b'.').then(|| self.digits());
        let plain = whole > 0 && !(leads && whole > 1) && fraction != Some(0);
        let ends = !matches!(self.peek(), Some(b'e' | b'E'));
        if plain && ends && self.position - start < PLAIN_BYTES {
            return Ok(());
        }
        self.position = start;
        self.number().map(|_| ())
    }

    /// Passes over digits: how many there are.
    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.advance();
        }
        self.position - start
    }

    /// Passes over the next value, of which it is known that its syntax is right; of another one, over something.
    pub(crate) fn pass(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.next_token() {
            match byte {
                b'"' => self.pass_string(),
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.advance();
                    continue;
                }
                // Of the value, or of what it is in.
                b'}' | b']' => {
                    if depth > 0 {
                        depth -= 1;
                        self.advance();
                    }
                }
                b',' | b':' if depth > 0 => {
                    self.advance();
                    continue;
                }
                _ => self.pass_word(),
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn pass_string(&mut self) {
        self.advance();
        while let Some(byte) = self.peek() {
            self.position += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    #[inline]
    fn pass_word(&mut self) {
        let ends = |byte: u8| {
            matches!(
                byte,
                b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'
            )
        };
        while self.peek().is_some_and(|byte| !ends(byte)) {
            self.advance();
        }
    }
}

/// A stack of bits; the top 64 are in `top`, full words below it in `full`.
#[derive(Default)]
struct Nesting {
    top: u64,
    /// Bits in `top` that are used: 0 only if the whole stack is empty.
    used: u32,
    full: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        if self.used == u64::BITS {
            self.full.push(self.top);
            self.used = 0;
        }
        self.top = (self.top << 1) | u64::from(object);
        self.used += 1;
    }

    fn last(&self) -> Option<bool> {
        (self.used > 0).then_some(self.top & 1 == 1)
    }

    fn pop(&mut self) {
        self.top >>= 1;
        self.used = self.used.saturating_sub(1);
        if self.used == 0
            && let Some(word) = self.full.pop()
        {
            self.top = word;
            self.used = u64::BITS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Checks;

    #[track_caller]
    fn check(json: &str, expect: Result<(), (&'static str, usize)>) {
        let mut reader = Reader::new(json.as_bytes(), Checks::Strict).unwrap();
        let result = reader.skip().and_then(|()| reader.end());
        assert_eq!(
            result,
            expect.map_err(|(text, offset)| Syntax { text, offset }),
            "{json}"
        );
    }

    #[test]
    fn any_value_can_be_passed_over() {
        for json in [
            "0",
            "-1.5e-3",
            "\"a\"",
            "null",
            "true",
            "false",
            "[]",
            "{}",
            " [ ] ",
            "[1,[2,{\"a\":[]}],{}]",
            "{\"a\":{\"b\":[{\"c\":null}]},\"a\":1}",
        ] {
            check(json, Ok(()));
        }
    }

    #[test]
    fn broken_json_is_named_with_its_place() {
        check("[1,]", Err(("Invalid value.", 3)));
        check("[1 2]", Err((NO_ARRAY_COMMA, 3)));
        check("[1", Err((NO_ARRAY_COMMA, 2)));
        check("[1}", Err((NO_ARRAY_COMMA, 2)));
        check("[01]", Err((NO_ARRAY_COMMA, 2)));
        check("{oops", Err(("Missing a name for object member.", 1)));
        check("{\"a\":1,}", Err(("Missing a name for object member.", 7)));
        check(
            "{\"a\" 1}",
            Err(("Missing a colon after a name of object member.", 5)),
        );
        check("{\"a\":}", Err(("Invalid value.", 5)));
        check("{\"a\":1 \"b\"", Err((NO_OBJECT_COMMA, 7)));
        check("{\"a\":1]", Err((NO_OBJECT_COMMA, 6)));
        check("nul", Err(("Invalid value.", 3)));
        check("trux", Err(("Invalid value.", 3)));
        check("/* */ 1", Err(("Invalid value.", 0)));
        check(
            "1 2",
            Err(("The document root must not be followed by other values.", 2)),
        );
    }

    #[test]
    fn numbers_are_checked_without_their_values() {
        for number in ["0", "-0", "10", "0.5", "-12.25", "1e5", "1E-5", "0e0"] {
            check(number, Ok(()));
        }
        for (number, text, offset) in [
            (
                "01",
                "The document root must not be followed by other values.",
                1,
            ),
            ("-", "Invalid value.", 1),
            ("-a", "Invalid value.", 1),
            (".5", "Invalid value.", 0),
            ("1.", "Missing fraction part in number.", 2),
            ("1.e5", "Missing fraction part in number.", 2),
            ("1e", "Missing exponent in number.", 2),
            ("1e309", "Number too big to be stored in double.", 0),
        ] {
            check(number, Err((text, offset)));
        }
        check(&"9".repeat(299), Ok(()));
        let big = ("Number too big to be stored in double.", 0);
        check(&"9".repeat(400), Err(big));
        check(&format!("0.{}", "1".repeat(400)), Ok(()));
    }

    #[test]
    fn what_is_checked_is_passed_over_alike() {
        for json in [
            "0",
            "-1.5e-3",
            r#""a\\\"]}""#,
            "null",
            "[]",
            "{}",
            "[1,[2,{\"a\":[]}],{}]",
            "{\"a]\":{\"b\":[{\"c\" : null}]},\"a\":[1 , 2]}",
        ] {
            let text = format!(" {json} ,9]");
            let mut reader = Reader::new(text.as_bytes(), Checks::Strict).unwrap();
            reader.pass();
            assert_eq!(reader.position, json.len() + 1, "{json}");
        }
        // Nothing that is wrong keeps it from its end.
        for json in ["[", "{\"a", "]", ",", "\"\\", ""] {
            let text = format!("{json} ");
            let mut reader = Reader::new(text.as_bytes(), Checks::Strict).unwrap();
            reader.pass();
            assert!(reader.position <= text.len() + 1, "{json}");
        }
    }

    #[test]
    fn half_a_million_levels_are_passed_over_and_come_back() {
        let depth = 500_000;
        let mut json = "[{\"a\":".repeat(depth / 2);
        json.push('1');
        json.push_str(&"}]".repeat(depth / 2));
        check(&json, Ok(()));
        check(&"[".repeat(depth), Err(("Invalid value.", depth)));
        let wrong = json.len() - 1;
        json.replace_range(wrong.., "}");
        check(&json, Err((NO_ARRAY_COMMA, wrong)));
    }
}
