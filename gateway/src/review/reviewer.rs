//! The two calls to the API server: a review is created, and comes back answered.
//!
//! Beside `watch.rs` the only file of the gateway that holds a client. Creating a review stores nothing and changes nothing in
//! the cluster. Used by `review`, which sees to deadlines and to how many there are.
//!
//! Not by way of `Api`: it would log an answer that it does not understand, and answers repeat the token.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answers::Verdict;
use super::identity::{Identity, Wanted};
use super::wire;

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// Bytes of an answer: the token of at most 4 KiB, a user, and what the server adds.
const MAX_ANSWER: usize = 256 << 10;

/// Asks the API server.
pub struct Reviewer {
    client: Client,
    audience: Arc<str>,
}

impl Reviewer {
    /// That asks about tokens for `audience`.
    #[must_use]
    pub const fn new(client: Client, audience: Arc<str>) -> Self {
        Self { client, audience }
    }

    /// Whom tokens must be meant for.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Who shows `token`.
    ///
    /// # Errors
    /// Why there is no answer, in a text without secrets.
    pub(super) async fn who(&self, token: &str) -> Result<Verdict<Arc<Identity>>, String> {
        let review = wire::token_review(token, &self.audience);
        let answer = self.create(TOKEN_REVIEWS, &review).await?;
        Ok(match wire::who(answer, &self.audience) {
            Verdict::Yes(identity) => Verdict::Yes(Arc::new(identity)),
            Verdict::No => Verdict::No,
        })
    }

    /// Whether `identity` may call `wanted`.
    ///
    /// # Errors
    /// Why there is no answer, in a text without secrets.
    pub(super) async fn may(
        &self,
        identity: &Identity,
        wanted: &Wanted,
    ) -> Result<Verdict<()>, String> {
        let review = wire::access_review(identity, wanted);
        let answer = self.create(ACCESS_REVIEWS, &review).await?;
        Ok(wire::may(&answer))
    }

    async fn create<T>(&self, path: &str, review: &T) -> Result<T, String>
    where
        T: Serialize + DeserializeOwned,
    {
        let body = serde_json::to_vec(review).map_err(|error| error.to_string())?;
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| error.to_string())?;
        let answer = self.client.send(request).await.map_err(|error| {
            let error = anyhow::Error::from(error);
            format!("failed to ask the API server at {path}: {error:#}")
        })?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return Err(refusal(path, head.status));
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| format!("failed to read the answer of {path}: {error}"))?;
        // What exactly is wrong with it would repeat what is in it.
        let unreadable = |_secret| format!("the answer of {path} is no review");
        serde_json::from_slice(&body.to_bytes()).map_err(unreadable)
    }
}

/// What it means that the API server does not review.
fn refusal(path: &str, status: StatusCode) -> String {
    match status {
        StatusCode::FORBIDDEN => format!(
            "may not create at {path}: grant `create` on tokenreviews.authentication.k8s.io and \
             subjectaccessreviews.authorization.k8s.io to the gateway's account"
        ),
        status => format!("the API server answers {status} at {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_named() {
        let text = refusal(TOKEN_REVIEWS, StatusCode::FORBIDDEN);
        assert!(text.contains("grant `create` on tokenreviews"), "{text}");
        let text = refusal(ACCESS_REVIEWS, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text.contains("500"), "{text}");
    }
}
