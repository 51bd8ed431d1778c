//! How numbers that JSON cannot express are written.
//!
//! Pure. Chosen by the server per route and by the header `aimass-json-nonfinite`; obeyed by the writers of both protocols.

/// The form of NaN and the infinities in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonfinite {
    /// `NaN`, `Infinity`, `-Infinity`: as TensorFlow Serving does, outside RFC 8259. The default of `/v1`.
    Token,
    /// The same in quotation marks: valid JSON. The default of `/v2` and of strict checks.
    String,
    /// `null`.
    Null,
}

impl Nonfinite {
    /// The form that the header `aimass-json-nonfinite` names.
    pub fn from_header(value: &str) -> Option<Self> {
        match value {
            "token" => Some(Self::Token),
            "string" => Some(Self::String),
            "null" => Some(Self::Null),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_knows_three_words() {
        assert_eq!(Nonfinite::from_header("token"), Some(Nonfinite::Token));
        assert_eq!(Nonfinite::from_header("string"), Some(Nonfinite::String));
        assert_eq!(Nonfinite::from_header("null"), Some(Nonfinite::Null));
        assert_eq!(Nonfinite::from_header("Token"), None);
        assert_eq!(Nonfinite::from_header(""), None);
    }
}
