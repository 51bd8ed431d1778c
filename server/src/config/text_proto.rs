//! Protobuf's text format, as far as TensorFlow Serving's configuration files use it.
//!
//! Pure. Called by the readers of those files beside it. Knows no schema: a message is its fields in the order of the
//! file, each with its line, so that whoever reads a value can say where a wrong one stands. Bounded in size, depth and
//! fields; it never recurses deeper than [`MAX_DEPTH`].
//! Source: protobuf.dev, "Text Format Language Specification". Left out: extensions and `Any` in brackets.

mod lexer;

use lexer::{Lexer, Token};

/// Bytes of a file.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Messages inside messages.
const MAX_DEPTH: usize = 32;
/// Fields of a file.
const MAX_FIELDS: usize = 10_000;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub(super) struct Error {
    /// From 1.
    pub(super) line: usize,
    /// In positive form, with the value seen.
    pub(super) rule: String,
}

impl Error {
    pub(super) fn new(line: usize, rule: impl Into<String>) -> Self {
        let rule = rule.into();
        Self { line, rule }
    }
}

/// One field of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// `{ … }`
    Message(Vec<Field>),
    /// A number, a word or the sign and digits as they are written.
    Word(String),
    /// In quotes.
    Text(String),
}

/// The fields of a whole file.
pub(super) fn parse(text: &str) -> Result<Vec<Field>, Error> {
    if text.len() > MAX_BYTES {
        let rule = format!("the file must be at most {MAX_BYTES} bytes long");
        return Err(Error::new(1, rule));
    }
    let mut parser = Parser {
        lexer: Lexer::new(text),
        fields: 0,
    };
    parser.message(0, None)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    fields: usize,
}

impl Parser<'_> {
    /// Fields up to `end`, or to the end of the file.
    fn message(&mut self, depth: usize, end: Option<char>) -> Result<Vec<Field>, Error> {
        let mut fields = Vec::new();
        loop {
            let (line, token) = self.lexer.next()?;
            match (token, end) {
                (Token::End, None) => return Ok(fields),
                (Token::Sign(sign), Some(end)) if sign == end => return Ok(fields),
                (Token::End, Some(end)) => {
                    return Err(Error::new(line, format!("a message must end with {end}")));
                }
                (Token::Word(name), _) if is_name(&name) => {
                    self.field(&name, line, depth, &mut fields)?;
                }
                (token, _) => {
                    let rule = format!("the name of a field must stand here, not {token}");
                    return Err(Error::new(line, rule));
                }
            }
        }
    }

    /// What comes after a name: one value, or a list of them.
    fn field(
        &mut self,
        name: &str,
        line: usize,
        depth: usize,
        fields: &mut Vec<Field>,
    ) -> Result<(), Error> {
        let colon = self.lexer.take(':')?;
        if self.lexer.take('[')? {
            if !colon {
                let rule = format!("a colon must stand between {name} and its list");
                return Err(Error::new(line, rule));
            }
            if !self.lexer.take(']')? {
                loop {
                    let value = self.value(name, colon, depth)?;
                    self.push(name, line, value, fields)?;
                    if !self.lexer.take(',')? {
                        break;
                    }
                }
                self.lexer.expect(']')?;
            }
        } else {
            let value = self.value(name, colon, depth)?;
            self.push(name, line, value, fields)?;
        }
        if !self.lexer.take(',')? {
            self.lexer.take(';')?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        name: &str,
        line: usize,
        value: Value,
        fields: &mut Vec<Field>,
    ) -> Result<(), Error> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            let rule = format!("the file must have at most {MAX_FIELDS} fields");
            return Err(Error::new(line, rule));
        }
        let name = name.to_owned();
        fields.push(Field { name, line, value });
        Ok(())
    }

    fn value(&mut self, name: &str, colon: bool, depth: usize) -> Result<Value, Error> {
        let (line, token) = self.lexer.next()?;
        let end = match token {
            Token::Sign('{') => '}',
            Token::Sign('<') => '>',
            Token::Sign('-') if colon => {
                return match self.lexer.next()? {
                    (_, Token::Word(word)) => Ok(Value::Word(format!("-{word}"))),
                    (line, token) => {
                        let rule = format!("a number must follow the minus sign, not {token}");
                        Err(Error::new(line, rule))
                    }
                };
            }
            Token::Word(word) if colon => return Ok(Value::Word(word)),
            Token::Text(mut text) if colon => {
                // Strings side by side are one.
                while let Some(more) = self.lexer.take_text()? {
                    text.push_str(&more);
                }
                return Ok(Value::Text(text));
            }
            token => {
                let what = if colon { "a value" } else { "a colon or {" };
                let rule = format!("{what} must follow {name}, not {token}");
                return Err(Error::new(line, rule));
            }
        };
        if depth >= MAX_DEPTH {
            let rule = format!("messages must be at most {MAX_DEPTH} deep");
            return Err(Error::new(line, rule));
        }
        self.message(depth + 1, Some(end)).map(Value::Message)
    }
}

fn is_name(word: &str) -> bool {
    word.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

#[cfg(test)]
mod tests;
