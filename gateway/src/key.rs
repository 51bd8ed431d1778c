//! API keys: the form of a token, where one may stand in a request, and whether one is right.
//!
//! Pure. Called by `phase::authenticate` and, for the place, by `forward`. Tokens are never logged; their hashes alone are
//! known here.

use aimass_protocol::Error;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Bytes that a credential may have, whatever its kind.
pub const MAX_CREDENTIAL: usize = 4096;

/// The other place of a credential, for callers whose `Authorization` is taken.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Before a credential among the subprotocols that are offered for a WebSocket: pages cannot set another header.
const OFFER: &str = "aimass.key.";

const SCHEME: &str = "bearer";
const PREFIX: &str = "aim_";
const ID: usize = 12;
/// 32 bytes as base64url without padding.
const SECRET: usize = 43;

/// What stands in for the hash of a key that there is not. Whatever has this hash: who meets it is refused all the same.
const NOBODY: [u8; 32] = [0; 32];

/// The credential of a request, as it stands in `Authorization: Bearer`, `x-api-key` or the offer of a WebSocket; `None` if
/// there is none.
///
/// Not yet judged: it may be of any form.
///
/// # Errors
/// `unauthenticated`: there are two that differ, one of another scheme, an empty one, or one of more than [`MAX_CREDENTIAL`]
/// bytes. Whoever shows a credential wants to be known by it, and is not answered as a stranger.
pub fn credential(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let bearers = headers.get_all(AUTHORIZATION).iter().map(bearer);
    let keys = headers.get_all(API_KEY).iter().map(text);
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offers = offers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|offer| offer.trim().strip_prefix(OFFER))
        .map(sized);
    let mut found = None;
    for credential in bearers.chain(keys).chain(offers) {
        let credential = credential.ok_or_else(Error::unauthenticated)?;
        if found.is_some_and(|found| found != credential) {
            return Err(Error::unauthenticated());
        }
        found = Some(credential);
    }
    Ok(found)
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(())?;
    sized(credential.trim_start_matches(' '))
}

fn text(value: &HeaderValue) -> Option<&str> {
    sized(value.to_str().ok()?)
}

fn sized(credential: &str) -> Option<&str> {
    (1..=MAX_CREDENTIAL)
        .contains(&credential.len())
        .then_some(credential)
}

/// A token of the form `aim_<id>_<secret>`: 12 × `[A-Za-z0-9]`, 43 × base64url.
#[derive(Clone, Copy)]
pub struct Token<'a> {
    whole: &'a str,
    id: &'a str,
}

impl<'a> Token<'a> {
    /// `None` if `text` has another form.
    ///
    /// What this takes depends on `text` alone, which its sender knows.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_at_checked(ID)?;
        let secret = secret.strip_prefix('_')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric();
        let well_formed = id.bytes().all(plain)
            && secret.len() == SECRET
            && secret
                .bytes()
                .all(|byte| plain(byte) || matches!(byte, b'-' | b'_'));
        well_formed.then_some(Self { whole: text, id })
    }

    /// By which its key is found. No secret.
    #[must_use]
    pub const fn id(&self) -> &'a str {
        self.id
    }

    /// Whether it is the token whose SHA-256 is `expected`; `None`: no key has its id.
    ///
    /// The work is the same for a right secret, a wrong one, and an id that nobody has: a caller cannot measure which ids
    /// there are, nor how much of a hash it has met. A secret of 256 random bits needs no slow hash.
    #[must_use]
    pub fn is_right(&self, expected: Option<&[u8; 32]>) -> bool {
        let digest: [u8; 32] = Sha256::digest(self.whole.as_bytes()).into();
        let known = Choice::from(u8::from(expected.is_some()));
        let expected = expected.unwrap_or(&NOBODY);
        let equal = digest.as_slice().ct_eq(expected.as_slice());
        (equal & known).into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "aim_abcDEF123456_0123456789abcdefghijABCDEFGHIJ0123456789-_a";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[track_caller]
    fn finds(pairs: &[(&'static str, &str)], expect: Option<&str>) {
        assert_eq!(credential(&headers(pairs)), Ok(expect), "{pairs:?}");
    }

    #[track_caller]
    fn refuses(pairs: &[(&'static str, &str)]) {
        let refused = Err(Error::unauthenticated());
        assert_eq!(credential(&headers(pairs)), refused, "{pairs:?}");
    }

    #[test]
    fn a_credential_stands_in_either_place_or_none() {
        finds(&[], None);
        finds(&[("cookie", "a=b")], None);
        finds(&[("authorization", "Bearer t")], Some("t"));
        finds(&[("authorization", "bEARER   t")], Some("t"));
        finds(&[("x-api-key", "t")], Some("t"));
    }

    #[test]
    fn one_may_be_offered_as_a_subprotocol() {
        let offer = |offer| ("sec-websocket-protocol", offer);
        finds(&[offer("aimass.v1, aimass.key.t")], Some("t"));
        finds(&[offer("aimass.v1"), offer("aimass.key.t")], Some("t"));
        finds(&[offer("aimass.v1"), ("x-api-key", "t")], Some("t"));
        finds(&[offer("aimass.v1,aimass.keys")], None);
        refuses(&[offer("aimass.key.t"), ("x-api-key", "u")]);
        refuses(&[offer("aimass.key.t, aimass.key.u")]);
        refuses(&[offer("aimass.v1, aimass.key.")]);
    }

    #[test]
    fn the_same_one_twice_is_one() {
        finds(
            &[("authorization", "Bearer t"), ("x-api-key", "t")],
            Some("t"),
        );
        finds(&[("x-api-key", "t"), ("x-api-key", "t")], Some("t"));
    }

    #[test]
    fn two_that_differ_are_none() {
        refuses(&[("authorization", "Bearer t"), ("x-api-key", "u")]);
        refuses(&[("authorization", "Bearer t"), ("authorization", "Bearer u")]);
        refuses(&[("x-api-key", "t"), ("x-api-key", "u")]);
        refuses(&[("authorization", "Basic dTpw"), ("x-api-key", "t")]);
    }

    #[test]
    fn what_is_no_credential_is_refused() {
        refuses(&[("authorization", "Basic dTpw")]);
        refuses(&[("authorization", "Bearer")]);
        refuses(&[("authorization", "Bearer ")]);
        refuses(&[("authorization", "")]);
        refuses(&[("authorization", "t")]);
        refuses(&[("authorization", "Bearer tü")]);
        refuses(&[("x-api-key", "")]);
    }

    #[test]
    fn four_kibibytes_are_enough() {
        let fits = "a".repeat(MAX_CREDENTIAL);
        finds(&[("x-api-key", &fits)], Some(&fits));
        refuses(&[("x-api-key", &"a".repeat(MAX_CREDENTIAL + 1))]);
        let bearer = format!("Bearer {}", "a".repeat(10_000));
        refuses(&[("authorization", &bearer)]);
    }

    #[test]
    fn a_token_has_an_id_and_a_secret() {
        assert_eq!(TOKEN.len(), 60);
        assert_eq!(Token::parse(TOKEN).unwrap().id(), "abcDEF123456");
    }

    #[test]
    fn other_forms_are_no_tokens() {
        let (id, secret) = ("abcDEF123456", "a".repeat(43));
        for text in [
            String::new(),
            "aim_".to_owned(),
            format!("aim-{id}_{secret}"),
            format!("AIM_{id}_{secret}"),
            format!("aim_{id}{secret}"),
            format!("aim_{id}_{secret}a"),
            format!("aim_{id}_{}", "a".repeat(42)),
            format!("aim_{id}_{}=", "a".repeat(42)),
            format!("aim_{id}_{}+", "a".repeat(42)),
            format!("aim_abcDEF12345_{secret}"),
            format!("aim_abcDEF12345-_{secret}"),
            format!("aim_abcDEF1234üx_{secret}"),
            format!("aim_{id}_{}ü", "a".repeat(41)),
            format!(" {TOKEN}"),
            format!("{TOKEN} "),
            "eyJhbGciOiJub25lIn0.e30.".to_owned(),
        ] {
            assert!(Token::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_hash_of_the_whole_token_decides() {
        let hash: [u8; 32] = Sha256::digest(TOKEN.as_bytes()).into();
        let token = Token::parse(TOKEN).unwrap();
        assert!(token.is_right(Some(&hash)));
        assert!(!token.is_right(None), "nobody has its id");
        for bit in 0..256 {
            let mut other = hash;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!token.is_right(Some(&other)), "bit {bit}");
        }
        let wrong = TOKEN.replace("-_a", "-_b");
        assert!(!Token::parse(&wrong).unwrap().is_right(Some(&hash)));
    }

    proptest! {
        #[test]
        fn only_the_exact_token_is_right(text in "aim_[a-c]{12}_[a-c_-]{43}") {
            let hash: [u8; 32] = Sha256::digest(TOKEN.as_bytes()).into();
            let token = Token::parse(&text).unwrap();
            prop_assert!(!token.is_right(Some(&hash)));
            prop_assert!(!token.is_right(None));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(32_u8..=255, 0..90)) {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(&bytes);
            headers.extend(value.map(|value| (AUTHORIZATION, value)));
            if let Ok(Some(text)) = credential(&headers) {
                let _ = Token::parse(text);
            }
        }
    }
}
