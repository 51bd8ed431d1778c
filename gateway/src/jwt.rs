//! Tokens that somebody else has signed, such as those of ServiceAccounts: their shape, and what they say of themselves.
//!
//! Pure. Called by `phase::tokens`, `review`, `doorman`, and by `badge` for the gateway's own. Nothing here is proof: the payload is read before anybody has looked at the
//! signature, only so that the API server is not asked about what cannot be meant for this gateway. Tokens are never logged or
//! kept; what is remembered of one is found by its SHA-256.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// What a token without a signature says of its algorithm (RFC 7519 §6).
const UNSIGNED: &str = "none";

/// A credential of the form `<header>.<payload>.<signature>`, each of base64url and none empty (RFC 7515 §3.1).
#[derive(Clone, Copy)]
pub struct Jwt<'a> {
    whole: &'a str,
    header: &'a str,
    payload: &'a str,
}

/// What is read of a header.
#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// What is read of a payload (RFC 7519 §4.1). Kubernetes writes both, and times as whole seconds.
#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    exp: i64,
}

/// Another thing that is read of it.
#[derive(Deserialize)]
struct Subject {
    sub: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<'a> Jwt<'a> {
    /// `None` if `text` has another form.
    ///
    /// What this takes depends on `text` alone, which its sender knows.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (header, rest) = text.split_once('.')?;
        let (payload, signature) = rest.split_once('.')?;
        let well_formed = |part: &str| !part.is_empty() && part.bytes().all(is_base64url);
        [header, payload, signature]
            .into_iter()
            .all(well_formed)
            .then_some(Self {
                whole: text,
                header,
                payload,
            })
    }

    /// The token itself.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.whole
    }

    /// By which answers about it are found.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.whole.as_bytes()).into()
    }

    /// Whose it is, by its own word: of a ServiceAccount's token the name of the user that it is.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        let Subject { sub } = decode(self.payload)?;
        Some(sub)
    }

    /// How long it will be good after `now`, by its own word, if it is meant for `audience` and signed at all. `None`: nobody
    /// needs to be asked, it is good for nothing.
    #[must_use]
    pub fn time_left(&self, audience: &str, now: Timestamp) -> Option<Duration> {
        let header: Header = decode(self.header)?;
        let claims: Claims = decode(self.payload)?;
        let end = Timestamp::from_second(claims.exp).ok()?;
        let left = Duration::try_from(end.duration_since(now)).ok()?;
        let fits = !header.alg.eq_ignore_ascii_case(UNSIGNED) && claims.aud.names(audience);
        (fits && !left.is_zero()).then_some(left)
    }
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = r#"{"alg":"RS256","kid":"a"}"#;

    fn token(header: &str, payload: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2lnbmVk", encode(header), encode(payload))
    }

    /// What is left of such a token at second 1000, in seconds.
    #[track_caller]
    fn check(header: &str, payload: &str, expect: Option<u64>) {
        let token = token(header, payload);
        let jwt = Jwt::parse(&token).unwrap();
        let left = jwt.time_left("aimass", Timestamp::from_second(1000).unwrap());
        assert_eq!(
            left.map(|left| left.as_secs()),
            expect,
            "{header} {payload}"
        );
    }

    #[test]
    fn a_token_for_this_audience_is_good_until_its_end() {
        check(HEADER, r#"{"aud":["aimass"],"exp":1600}"#, Some(600));
        check(HEADER, r#"{"aud":"aimass","exp":1001}"#, Some(1));
        let several = r#"{"aud":["a","aimass"],"exp":1600,"iat":1,"sub":"s","kubernetes.io":{}}"#;
        check(HEADER, several, Some(600));
    }

    #[test]
    fn what_is_over_or_never_ends_is_good_for_nothing() {
        check(HEADER, r#"{"aud":"aimass","exp":1000}"#, None);
        check(HEADER, r#"{"aud":"aimass","exp":-5}"#, None);
        check(
            HEADER,
            r#"{"aud":"aimass","exp":9223372036854775807}"#,
            None,
        );
        check(HEADER, r#"{"aud":"aimass","exp":"1600"}"#, None);
        check(HEADER, r#"{"aud":"aimass"}"#, None);
        check(HEADER, r#"{"aud":"aimass","exp":1,"exp":1600}"#, None);
    }

    #[test]
    fn what_is_meant_for_others_is_good_for_nothing() {
        for audience in [r#""aud":"aimas""#, r#""aud":[]"#, r#""aud":1"#, r#""a":1"#] {
            check(HEADER, &format!("{{{audience},\"exp\":1600}}"), None);
        }
        check(HEADER, r#"{"aud":["AIMASS","aimass2"],"exp":1600}"#, None);
        check(HEADER, "[]", None);
        check(HEADER, "no json", None);
    }

    #[test]
    fn what_is_not_signed_is_good_for_nothing() {
        let claims = r#"{"aud":"aimass","exp":1600}"#;
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"NoNe"}"#, "{}", "x"] {
            check(header, claims, None);
        }
    }

    #[test]
    fn a_token_says_whose_it_is() {
        let subject = |payload| Jwt::parse(&token(HEADER, payload)).unwrap().subject();
        let account = "system:serviceaccount:shop:till";
        let payload = format!(r#"{{"aud":["aimass"],"exp":1600,"sub":"{account}"}}"#);
        assert_eq!(subject(&payload).as_deref(), Some(account));
        for payload in [r#"{"exp":1600}"#, r#"{"sub":7}"#, "no json"] {
            assert_eq!(subject(payload), None, "{payload}");
        }
    }

    #[test]
    fn other_forms_are_no_tokens() {
        for text in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.",
            ".b.c",
            "a..c",
            "a.b.c.d",
            "a.b.c=",
            "a.b.c ",
            "a.b+.c",
            "aim_abcDEF123456_0123456789abcdefghijABCDEFGHIJ0123456789-_a",
        ] {
            assert!(Jwt::parse(text).is_none(), "{text}");
        }
        assert!(Jwt::parse("a.b.c").is_some());
    }

    #[test]
    fn each_byte_of_a_token_counts() {
        let digest = |text: &str| Jwt::parse(text).unwrap().digest();
        assert_eq!(digest("a.b.c"), digest("a.b.c"));
        assert_ne!(digest("a.b.c"), digest("a.b.d"));
        assert_ne!(digest("a.bb.c"), digest("a.b.bc"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(header in ".{0,40}", payload in ".{0,40}", raw in "[A-Za-z0-9_.-]{0,60}") {
            let now = Timestamp::from_second(1000).unwrap();
            for text in [token(&header, &payload), raw] {
                if let Some(jwt) = Jwt::parse(&text) {
                    prop_assert_eq!(jwt.time_left("aimass", now), None);
                }
            }
        }
    }
}
