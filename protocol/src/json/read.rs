//! A cursor over JSON text.
//!
//! Pure. What it accepts, its error texts and their offsets are those of RapidJSON, which TensorFlow Serving uses.
//! The codecs drive it value by value; [`Reader::skip`] passes over what they do not want.

use crate::error::{Error, Kind};
use crate::json::Checks;

/// A place and what is wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) text: &'static str,
    pub(crate) offset: usize,
}

pub(crate) const EMPTY: &str = "The document is empty.";
pub(crate) const INVALID: &str = "Invalid value.";
pub(crate) const NO_NAME: &str = "Missing a name for object member.";
pub(crate) const NO_COLON: &str = "Missing a colon after a name of object member.";
pub(crate) const NO_OBJECT_COMMA: &str = "Missing a comma or } after an object member.";
pub(crate) const NO_ARRAY_COMMA: &str = "Missing a comma or ] after an array element.";
pub(crate) const TRAILING: &str = "The document root must not be followed by other values.";

impl From<Syntax> for Error {
    fn from(syntax: Syntax) -> Self {
        let Syntax { text, offset } = syntax;
        Self::new(
            Kind::BadJson,
            format!("JSON Parse error: {text} at offset: {offset}"),
        )
    }
}

impl From<Fail> for Error {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Syntax(syntax) => syntax.into(),
            Fail::Meaning(error) => error,
        }
    }
}

/// Why a value was not taken: the JSON is broken, or it says something that is not allowed.
///
/// The first ends everything. After the second the caller goes back to where the value began and skips it, so that a
/// syntax error further on still wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fail {
    Syntax(Syntax),
    Meaning(Error),
}

impl From<Syntax> for Fail {
    fn from(syntax: Syntax) -> Self {
        Self::Syntax(syntax)
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Meaning(error)
    }
}

/// The cursor.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) position: usize,
    pub(crate) checks: Checks,
}

impl<'a> Reader<'a> {
    /// At the first byte of `bytes`. No bytes at all are an error of their own, without an offset.
    pub(crate) fn new(bytes: &'a [u8], checks: Checks) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::new(
                Kind::BadJson,
                "JSON Parse error: The document is empty",
            ));
        }
        Ok(Self {
            bytes,
            position: 0,
            checks,
        })
    }

    /// Passes over a UTF-8 byte order mark at the start.
    pub(crate) fn byte_order_mark(&mut self) {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.position = 3;
        }
    }

    /// The next byte, if any.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// Passes over one byte.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.position += 1;
    }

    /// Passes over white space, then the next byte, if any.
    #[inline]
    pub(crate) fn next_token(&mut self) -> Option<u8> {
        while let Some(byte) = self.peek() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.advance();
        }
        None
    }

    /// Passes over `byte` if it is next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    /// An error at the cursor.
    pub(crate) const fn fail(&self, text: &'static str) -> Syntax {
        Syntax {
            text,
            offset: self.position,
        }
    }

    /// The first byte of the root value.
    pub(crate) fn root(&mut self) -> Result<u8, Syntax> {
        self.next_token().ok_or_else(|| self.fail(EMPTY))
    }

    /// After the root value: nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Syntax> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.fail(TRAILING)),
        }
    }

    /// Into an array or object whose opening byte is next. False if it has no items; then it is passed over.
    pub(crate) fn open(&mut self, close: u8) -> bool {
        self.advance();
        !matches!(self.next_token(), Some(byte) if byte == close && self.take(close))
    }

    /// After an item of an array: whether there is another one. If not, the array is passed over.
    #[inline]
    pub(crate) fn next_item(&mut self) -> Result<bool, Syntax> {
        let more = match self.next_token() {
            Some(b',') => true,
            Some(b']') => false,
            _ => return Err(self.fail(NO_ARRAY_COMMA)),
        };
        self.advance();
        Ok(more)
    }

    /// After a member of an object: whether there is another one. If not, the object is passed over.
    pub(crate) fn next_member(&mut self) -> Result<bool, Syntax> {
        let more = match self.next_token() {
            Some(b',') => true,
            Some(b'}') => false,
            _ => return Err(self.fail(NO_OBJECT_COMMA)),
        };
        self.advance();
        Ok(more)
    }

    /// A member's name, into `name`, and the colon. The cursor is then at the value or at white space in front of it.
    pub(crate) fn name(&mut self, name: &mut String) -> Result<(), Syntax> {
        name.clear();
        self.name_parts(|part| name.push_str(part))
    }

    /// A member's name, which nobody wants, and the colon.
    pub(crate) fn skip_name(&mut self) -> Result<(), Syntax> {
        self.name_parts(|_| {})
    }

    fn name_parts(&mut self, part: impl FnMut(&str)) -> Result<(), Syntax> {
        if self.next_token() != Some(b'"') {
            return Err(self.fail(NO_NAME));
        }
        self.string(part)?;
        if self.next_token() != Some(b':') {
            return Err(self.fail(NO_COLON));
        }
        self.advance();
        Ok(())
    }

    /// `null`, `true` or `false`, whose first letter is next.
    pub(crate) fn word(&mut self, word: &[u8]) -> Result<(), Syntax> {
        for byte in word {
            if !self.take(*byte) {
                return Err(self.fail(INVALID));
            }
        }
        Ok(())
    }
}
