//! This gateway's own token: what it shows where it speaks to other gateways, and another one for the operator.
//!
//! The kubelet keeps it in a file, and writes a new one there before it ends. So it is read whenever there is somebody to show it
//! to, and never kept for longer than a connection. Read by `run`, which learns from it who this gateway is, by `peer` and by
//! `signals`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::HeaderValue;
use jiff::Timestamp;

use crate::doorman::AUDIENCE;
use crate::jwt::Jwt;
use crate::key::MAX_CREDENTIAL;

/// How a token begins as a header's value.
const SCHEME: &str = "Bearer ";

/// Where the token is, and whom it is meant for.
#[derive(Debug)]
pub struct Badge {
    file: PathBuf,
    audience: &'static str,
}

/// The token of this moment.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The value of `authorization`; it is not printed.
    pub authorization: HeaderValue,
    /// The user that the API server will say it is.
    pub user: Arc<str>,
    /// How long it will be good.
    pub left: Duration,
}

impl Badge {
    /// A file with a token for other gateways.
    #[must_use]
    pub const fn new(file: PathBuf) -> Self {
        Self::meant_for(file, AUDIENCE)
    }

    /// A file with a token for `audience`.
    #[must_use]
    pub const fn meant_for(file: PathBuf, audience: &'static str) -> Self {
        Self { file, audience }
    }

    /// Reads it at `now`.
    ///
    /// # Errors
    /// There is none, or one that is over or meant for others.
    pub async fn read(&self, now: Timestamp) -> anyhow::Result<Shown> {
        let Self { file, audience } = self;
        let path = file.display();
        let failed = || format!("failed to read this gateway's token from {path}");
        let size = tokio::fs::metadata(file).await.with_context(failed)?;
        let size = size.len();
        ensure!(
            size <= MAX_CREDENTIAL as u64,
            "{path} must have at most {MAX_CREDENTIAL} bytes, has {size}"
        );
        let text = tokio::fs::read_to_string(file).await.with_context(failed)?;
        shown(text.trim(), audience, now).with_context(|| {
            format!("{path} must hold a token of a ServiceAccount for audience {audience} that is not over")
        })
    }
}

impl Shown {
    /// The token alone.
    #[must_use]
    pub fn token(&self) -> &str {
        let text = self.authorization.to_str().unwrap_or_default();
        text.strip_prefix(SCHEME).unwrap_or_default()
    }
}

fn shown(text: &str, audience: &str, now: Timestamp) -> Option<Shown> {
    let jwt = Jwt::parse(text)?;
    let left = jwt.time_left(audience, now)?;
    let mut authorization = HeaderValue::try_from(format!("{SCHEME}{text}")).ok()?;
    authorization.set_sensitive(true);
    Some(Shown {
        authorization,
        user: jwt.subject()?.into(),
        left,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const USER: &str = "system:serviceaccount:aimass-system:aimass-gateway";

    fn token(audience: &str, end: i64) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let claims = format!(r#"{{"aud":["{audience}"],"exp":{end},"sub":"{USER}"}}"#);
        format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#), encode(&claims))
    }

    async fn read(text: &str) -> anyhow::Result<Shown> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, text).unwrap();
        let now = Timestamp::from_second(1000).unwrap();
        Badge::new(file).read(now).await
    }

    #[tokio::test]
    async fn a_token_says_who_this_gateway_is_and_until_when() {
        let token = token(AUDIENCE, 1600);
        let shown = read(&format!("{token}\n")).await.unwrap();
        assert_eq!(&*shown.user, USER);
        assert_eq!(shown.left, Duration::from_secs(600));
        assert_eq!(shown.authorization, format!("Bearer {token}"));
        assert_eq!(shown.token(), token);
        assert!(!format!("{shown:?}").contains(&token));
    }

    #[tokio::test]
    async fn what_the_others_would_not_take_is_not_shown() {
        for text in [
            String::new(),
            "no token".to_owned(),
            token(AUDIENCE, 1000),
            token("aimass", 1600),
            "a".repeat(MAX_CREDENTIAL + 1),
        ] {
            let error = format!("{:#}", read(&text).await.unwrap_err());
            assert!(error.contains("must h"), "{error}");
        }
        let nowhere = Badge::new(PathBuf::from("/nowhere/token"));
        let error = nowhere.read(Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/token"));
    }
}
