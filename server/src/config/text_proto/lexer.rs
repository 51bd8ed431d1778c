//! Tokens of protobuf's text format.
//!
//! Pure. Called by the parser above, which never looks at characters.

use std::fmt;

use super::Error;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a number.
    Word(String),
    /// A string without its quotes, unescaped.
    Text(String),
    /// One of `:{}<>[],;-`.
    Sign(char),
    /// The end of the file.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(formatter, "{:?}", aimass_protocol::error::cut(word)),
            Self::Text(_) => formatter.write_str("a string"),
            Self::Sign(sign) => write!(formatter, "{sign:?}"),
            Self::End => formatter.write_str("the end of the file"),
        }
    }
}

/// Reads token by token, with one to look ahead.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    ahead: Option<(usize, Token)>,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            line: 1,
            ahead: None,
        }
    }

    /// The next token and its line.
    pub(super) fn next(&mut self) -> Result<(usize, Token), Error> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.read(),
        }
    }

    /// Takes the next token if it is `sign`.
    pub(super) fn take(&mut self, sign: char) -> Result<bool, Error> {
        let (line, token) = self.next()?;
        let taken = token == Token::Sign(sign);
        if !taken {
            self.ahead = Some((line, token));
        }
        Ok(taken)
    }

    /// Takes the next token if it is a string.
    pub(super) fn take_text(&mut self) -> Result<Option<String>, Error> {
        match self.next()? {
            (_, Token::Text(text)) => Ok(Some(text)),
            other => {
                self.ahead = Some(other);
                Ok(None)
            }
        }
    }

    pub(super) fn expect(&mut self, sign: char) -> Result<(), Error> {
        match self.next()? {
            (_, Token::Sign(seen)) if seen == sign => Ok(()),
            (line, token) => {
                let rule = format!("{sign:?} must stand here, not {token}");
                Err(Error::new(line, rule))
            }
        }
    }

    fn read(&mut self) -> Result<(usize, Token), Error> {
        self.skip_blank();
        let line = self.line;
        let Some(first) = self.rest.chars().next() else {
            return Ok((line, Token::End));
        };
        let token = match first {
            '"' | '\'' => Token::Text(self.text(first)?),
            ':' | '{' | '}' | '<' | '>' | '[' | ']' | ',' | ';' | '-' => {
                self.advance(1);
                Token::Sign(first)
            }
            _ if first.is_ascii_alphanumeric() || matches!(first, '_' | '.') => {
                let number = first.is_ascii_digit() || first == '.';
                Token::Word(self.word(number))
            }
            _ => {
                let rule = format!("{first:?} has no meaning here");
                return Err(Error::new(line, rule));
            }
        };
        Ok((line, token))
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if !self.rest.starts_with('#') {
                return;
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.advance(end);
        }
    }

    /// A number may have a sign in its exponent; a name has neither sign nor dot.
    fn word(&mut self, number: bool) -> String {
        let mut before = ' ';
        let belongs = |character: char| {
            let sign = number
                && (character == '.'
                    || (matches!(character, '+' | '-') && matches!(before, 'e' | 'E')));
            before = character;
            character.is_ascii_alphanumeric() || character == '_' || sign
        };
        let mut belongs = belongs;
        let end = self
            .rest
            .find(|character| !belongs(character))
            .unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default().to_owned();
        self.advance(end);
        word
    }

    fn text(&mut self, quote: char) -> Result<String, Error> {
        let line = self.line;
        self.advance(1);
        let mut bytes = Vec::new();
        loop {
            let Some(next) = self.rest.chars().next().filter(|next| *next != '\n') else {
                return Err(Error::new(line, "a string must end on the line it begins"));
            };
            self.advance(next.len_utf8());
            if next == quote {
                break;
            }
            if next == '\\' {
                self.escape(&mut bytes)?;
            } else {
                bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        String::from_utf8(bytes).map_err(|_not_utf8| Error::new(line, "a string must be UTF-8"))
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let line = self.line;
        let invalid = || Error::new(line, "an escape in a string must be one of protobuf's");
        let next = self.rest.chars().next().ok_or_else(invalid)?;
        let plain = match next {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            '?' | '\\' | '\'' | '"' => u8::try_from(next).unwrap_or_default(),
            '0'..='7' => {
                bytes.push(self.digits(0, 3, 8).and_then(byte).ok_or_else(invalid)?);
                return Ok(());
            }
            'x' | 'X' => {
                bytes.push(self.digits(1, 2, 16).and_then(byte).ok_or_else(invalid)?);
                return Ok(());
            }
            'u' | 'U' => {
                let count = if next == 'u' { 4 } else { 8 };
                let before = self.rest.len();
                let code = self.digits(1, count, 16).ok_or_else(invalid)?;
                let complete = before - self.rest.len() == count + 1;
                let character = char::from_u32(code).filter(|_| complete);
                let character = character.ok_or_else(invalid)?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(invalid()),
        };
        self.advance(1);
        bytes.push(plain);
        Ok(())
    }

    /// Up to `count` digits after `skip` characters, as a number.
    fn digits(&mut self, skip: usize, count: usize, radix: u32) -> Option<u32> {
        let digits: String = self
            .rest
            .chars()
            .skip(skip)
            .take(count)
            .take_while(|character| character.is_digit(radix))
            .collect();
        self.advance(skip + digits.len());
        u32::from_str_radix(&digits, radix).ok()
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
    }
}

fn byte(number: u32) -> Option<u8> {
    u8::try_from(number).ok()
}
