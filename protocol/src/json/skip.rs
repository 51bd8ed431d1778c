//! Passes over JSON values, checking their syntax.
//!
//! Pure. Iterative: one bit per open array or object, so that any depth costs linear time and an eighth of a byte.

use crate::json::read::{NO_ARRAY_COMMA, NO_OBJECT_COMMA, Reader, Syntax};

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
            _ => self.number().map(|_| ()),
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
