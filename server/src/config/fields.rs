//! Values of fields of a text protobuf, as the readers of TensorFlow Serving's files need them.
//!
//! Pure. A wrong value is an error with its line.

use super::text_proto::{Error, Field, Value};

impl Field {
    /// The fields of a message.
    pub(super) fn message(&self) -> Result<&[Field], Error> {
        match &self.value {
            Value::Message(fields) => Ok(fields),
            Value::Word(_) | Value::Text(_) => Err(self.wrong("a message in braces")),
        }
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&str, Error> {
        match &self.value {
            Value::Text(text) => Ok(text),
            Value::Word(_) | Value::Message(_) => Err(self.wrong("a string in quotes")),
        }
    }

    /// A whole number: decimal, hexadecimal or octal.
    pub(super) fn integer(&self) -> Result<i64, Error> {
        let Value::Word(word) = &self.value else {
            return Err(self.wrong("a whole number"));
        };
        let (sign, digits) = match word.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", word.as_str()),
        };
        let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(digits) => (16, digits),
            None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
            None => (10, digits),
        };
        let plain = digits.starts_with(|digit: char| digit.is_digit(radix));
        i64::from_str_radix(&format!("{sign}{digits}"), radix)
            .ok()
            .filter(|_| plain)
            .ok_or_else(|| self.wrong("a whole number"))
    }

    /// A truth value.
    pub(super) fn boolean(&self) -> Result<bool, Error> {
        match &self.value {
            Value::Word(word) => match word.as_str() {
                "true" | "True" | "t" | "1" => Ok(true),
                "false" | "False" | "f" | "0" => Ok(false),
                _ => Err(self.wrong("true or false")),
            },
            Value::Text(_) | Value::Message(_) => Err(self.wrong("true or false")),
        }
    }

    /// What is wrong with this value.
    pub(super) fn wrong(&self, expected: &str) -> Error {
        Error::new(self.line, format!("{} must be {expected}", self.name))
    }

    /// What is wrong with a field that the schema has not, or this server not.
    pub(super) fn unknown(&self, message: &str, known: &str) -> Error {
        let name = aimass_protocol::error::cut(&self.name);
        let rule = format!("fields of {message} must be among {known}, is {name}");
        Error::new(self.line, rule)
    }
}

#[cfg(test)]
mod tests {
    use super::super::text_proto::parse;
    use super::*;

    fn field(text: &str) -> Field {
        parse(&format!("a: {text}")).unwrap().remove(0)
    }

    #[test]
    fn whole_numbers_have_three_notations() {
        let integer = |text| field(text).integer().ok();
        assert_eq!(integer("42"), Some(42));
        assert_eq!(integer("-1"), Some(-1));
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("0x1F"), Some(31));
        assert_eq!(integer("017"), Some(15));
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        for wrong in [
            "9223372036854775808",
            "1.5",
            "1e3",
            "x",
            "'1'",
            "08",
            "--1",
            "{}",
        ] {
            assert!(
                parse(&format!("a: {wrong}")).is_err() || integer(wrong).is_none(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_wrong_names_field_and_line() {
        let error = parse("\n\nport: 'x'").unwrap().remove(0).integer();
        assert_eq!(
            error.unwrap_err().to_string(),
            "line 3: port must be a whole number"
        );
        assert_eq!(
            field("yes").boolean().unwrap_err().rule,
            "a must be true or false"
        );
        assert_eq!(
            field("1").text().unwrap_err().rule,
            "a must be a string in quotes"
        );
        assert_eq!(
            field("1").message().unwrap_err().rule,
            "a must be a message in braces"
        );
        assert_eq!(field("True").boolean(), Ok(true));
    }
}
