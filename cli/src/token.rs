//! API tokens, `aim_<id>_<secret>`: made from random bytes, hashed, recognised. Pure.
//!
//! The gateway finds a key by the id and compares the SHA-256 of the whole token; 256 random bits need no slow hash.
//! Used by `key` and `predict`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Bytes of which a token is made: 16 for the id, 32 for the secret.
pub const RANDOM_BYTES: usize = 48;

const PREFIX: &str = "aim_";
const ID_LENGTH: usize = 12;
/// 32 bytes in base64 without padding.
const SECRET_LENGTH: usize = 43;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token. It has no `Display`, and `Debug` shows its id alone: it is printed by [`Token::expose`] only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The text is no token. It is not repeated: it may be a secret of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an API key: aim_, 12 letters and digits, _, 43 letters, digits, '-' and '_'")]
pub struct Invalid;

impl Token {
    /// The token that `random` gives.
    ///
    /// The id takes the first 16 bytes as a number, written to base 62; that it has only 12 digits makes no two of them
    /// differ in likelihood by more than 2^-56. The secret is the other 32 bytes in base64url.
    #[must_use]
    pub fn make(random: &[u8; RANDOM_BYTES]) -> Self {
        let (number, secret) = random
            .split_first_chunk::<16>()
            .expect("16 bytes are fewer than all");
        let mut number = u128::from_be_bytes(*number);
        let mut text = PREFIX.to_owned();
        for _ in 0..ID_LENGTH {
            let digit = usize::try_from(number % 62).expect("less than 62");
            let letter = LETTERS.get(digit).expect("there are 62 letters");
            text.push(char::from(*letter));
            number /= 62;
        }
        text.push('_');
        URL_SAFE_NO_PAD.encode_string(secret, &mut text);
        Self(text)
    }

    /// Recognises a token.
    ///
    /// # Errors
    /// If `text` has not a token's form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let rest = text.strip_prefix(PREFIX).ok_or(Invalid)?;
        let (id, secret) = rest.split_once('_').ok_or(Invalid)?;
        let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_secret = secret.len() == SECRET_LENGTH && secret.bytes().all(inner);
        if is_id && is_secret {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid)
        }
    }

    /// What it is found by; no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        let from = PREFIX.len();
        self.0.get(from..from + ID_LENGTH).unwrap_or_default()
    }

    /// The SHA-256 of the whole token, in hexadecimal digits: what the cluster knows of it.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }

    /// The whole token: only for whom it was made, and for the header that proves it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(aim_{}_<secret>)", self.id())
    }
}

/// `bytes` in hexadecimal digits, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("a nibble is a digit");
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(random: [u8; RANDOM_BYTES], text: &str, sha256: &str) {
        let token = Token::make(&random);
        assert_eq!((token.expose(), token.sha256().as_str()), (text, sha256));
    }

    /// Computed with Python's `hashlib` and `base64`.
    #[test]
    fn known_bytes_give_known_tokens_and_hashes() {
        check(
            [0; RANDOM_BYTES],
            "aim_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "36c1b23be95b870bfe9c73d5c24f84ca6cda8dab5c440b217d20d5964faf41b4",
        );
        check(
            std::array::from_fn(|at| u8::try_from(at).unwrap()),
            "aim_pwGQsuGOgEkx_EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8",
            "125735267c802f66450e607ee4a3af0b9af2570e16ace38a283e4972e5007486",
        );
        check(
            [255; RANDOM_BYTES],
            "aim_7chF7tm8n9kl___________________________________________8",
            "911b14eea1860b1734d0c9be8de327e72c397f264bb071875cef0e7984229689",
        );
    }

    #[test]
    fn what_is_no_token_is_not_recognised() {
        let secret = "A".repeat(43);
        for bad in [
            String::new(),
            "aim_".to_owned(),
            format!("aim_7GmYq2TbX0aZ{secret}"),
            format!("aim_7GmYq2TbX0a_{secret}"),
            format!("aim_7GmYq2TbX0-Z_{secret}"),
            format!("aim_7GmYq2TbX0aZ_{secret}A"),
            format!("aim_7GmYq2TbX0aZ_{}", &secret[1..]),
            format!("aim_7GmYq2TbX0aZ_{}+", &secret[1..]),
            format!("AIM_7GmYq2TbX0aZ_{secret}"),
            format!(" aim_7GmYq2TbX0aZ_{secret}"),
            format!("aim_7GmYq2TbX0aZ_{secret}\n"),
        ] {
            assert_eq!(Token::parse(&bad), Err(Invalid), "{bad:?}");
        }
    }

    #[test]
    fn a_token_does_not_print_its_secret() {
        let token = Token::make(&[0; RANDOM_BYTES]);
        assert_eq!(format!("{token:?}"), "Token(aim_000000000000_<secret>)");
    }

    proptest! {
        #[test]
        fn every_token_is_recognised_and_has_60_characters(random in any::<[u8; 32]>(), id in any::<[u8; 16]>()) {
            let mut bytes = [0; RANDOM_BYTES];
            bytes[..16].copy_from_slice(&id);
            bytes[16..].copy_from_slice(&random);
            let token = Token::make(&bytes);
            prop_assert_eq!(token.expose().len(), 60);
            let parsed = Token::parse(token.expose());
            prop_assert_eq!(parsed.as_ref(), Ok(&token));
            prop_assert!(crate::names::credential(token.id()).is_ok());
            prop_assert_eq!(token.sha256().len(), 64);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _recognised = Token::parse(&text);
        }
    }
}
