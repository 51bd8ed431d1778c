//! Reads JSON strings.
//!
//! Pure. An unescaped run is checked and handed on in one piece.

use crate::json::read::{Reader, Syntax};

const NO_QUOTE: &str = "Missing a closing quotation mark in string.";
const BAD_ENCODING: &str = "Invalid encoding in string.";
const BAD_ESCAPE: &str = "Invalid escape character in string.";
const BAD_HEX: &str = "Incorrect hex digit after \\u escape in string.";
const BAD_SURROGATE: &str = "The surrogate pair in string is invalid.";

impl Reader<'_> {
    /// A string, whose quotation mark is next; its decoded text goes to `part`, piece by piece.
    pub(crate) fn string(&mut self, mut part: impl FnMut(&str)) -> Result<(), Syntax> {
        self.advance();
        loop {
            part(self.run()?);
            match self.peek() {
                Some(b'"') => {
                    self.advance();
                    return Ok(());
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    part(character.encode_utf8(&mut [0; 4]));
                }
                None | Some(0) => return Err(self.fail(NO_QUOTE)),
                Some(_) => return Err(self.fail(BAD_ENCODING)),
            }
        }
    }

    /// Everything up to the next byte that is not itself.
    fn run(&mut self) -> Result<&str, Syntax> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
        let length = rest.iter().position(special).unwrap_or(rest.len());
        let run = rest.get(..length).unwrap_or_default();
        let text = str::from_utf8(run).map_err(|error| Syntax {
            text: BAD_ENCODING,
            offset: self.position + error.valid_up_to(),
        })?;
        self.position += length;
        Ok(text)
    }

    /// An escape sequence, whose backslash is next. Errors point at the backslash.
    fn escape(&mut self) -> Result<char, Syntax> {
        let start = self.position;
        let fail = |text| {
            Err(Syntax {
                text,
                offset: start,
            })
        };
        self.advance();
        let letter = self.peek();
        let character = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.advance();
                return self.unicode(start);
            }
            _ => return fail(BAD_ESCAPE),
        };
        self.advance();
        Ok(character)
    }

    /// The digits after `\u`, and a second escape if they are the first half of a pair.
    fn unicode(&mut self, start: usize) -> Result<char, Syntax> {
        let bad_pair = Syntax {
            text: BAD_SURROGATE,
            offset: start,
        };
        let first = self.hex(start)?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.take(b'\\') || !self.take(b'u') {
                    return Err(bad_pair);
                }
                let second = self.hex(start)?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(bad_pair);
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            _ => first,
        };
        // Only a lone second half of a pair is no character.
        char::from_u32(code).ok_or(bad_pair)
    }

    fn hex(&mut self, start: usize) -> Result<u32, Syntax> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(Syntax {
                    text: BAD_HEX,
                    offset: start,
                });
            };
            code = code * 16 + digit;
            self.advance();
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Checks;

    #[track_caller]
    fn check(json: &[u8], expect: Result<&str, (&'static str, usize)>) {
        let mut reader = Reader::new(json, Checks::Strict).unwrap();
        let mut text = String::new();
        let result = reader.string(|part| text.push_str(part));
        let expect_text = expect.map_err(|(text, offset)| Syntax { text, offset });
        assert_eq!(result.map(|()| text.as_str()), expect_text);
    }

    #[test]
    fn every_escape_becomes_its_character() {
        check(br#""""#, Ok(""));
        check(br#""a\"\\\/\b\f\n\r\tz""#, Ok("a\"\\/\u{8}\u{c}\n\r\tz"));
        check(br#""\u0041\u00fc\u0000\ud83d\uDE00""#, Ok("Aü\0😀"));
        check("\"ü😀\u{7f}\"".as_bytes(), Ok("ü😀\u{7f}"));
    }

    #[test]
    fn a_broken_string_is_named_with_its_place() {
        check(br#""abc"#, Err((NO_QUOTE, 4)));
        check(b"\"ab\0\"", Err((NO_QUOTE, 3)));
        check(b"\"ab\n\"", Err((BAD_ENCODING, 3)));
        check(b"\"ab\xff\"", Err((BAD_ENCODING, 3)));
        check(b"\"a\xc3\"", Err((BAD_ENCODING, 2)));
        check(b"\"\xed\xa0\x80\"", Err((BAD_ENCODING, 1)));
        check(br#""a\x""#, Err((BAD_ESCAPE, 2)));
        check(br#""a\"#, Err((BAD_ESCAPE, 2)));
        check(br#""a\u12g4""#, Err((BAD_HEX, 2)));
        check(br#""a\u12"#, Err((BAD_HEX, 2)));
        check(br#""a\ud83d""#, Err((BAD_SURROGATE, 2)));
        check(br#""a\ud83d\n""#, Err((BAD_SURROGATE, 2)));
        check(br#""a\ud83d\u0041""#, Err((BAD_SURROGATE, 2)));
        check(br#""a\ude00""#, Err((BAD_SURROGATE, 2)));
    }
}
