//! Whether a stream is from the pod that its endpoint names: the API server says whose token it has.
//!
//! Asks only: to create a TokenReview stores nothing. Called by `reader` once for each connection.
//!
//! Not by way of `Api`: it would log an answer that it does not understand, and answers repeat the token.

use std::time::Duration;

use aimass_crds::signals::OPERATOR_AUDIENCE;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Limited};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use tokio::time::timeout;

use crate::context::Context;

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
/// Where a token that is bound to a pod says to which. Source: Kubernetes' documentation of
/// ServiceAccount tokens.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// Bytes of an answer: the token, a user, and what the server adds.
const MOST: usize = 256 << 10;
/// For an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Whether `token` is meant for operators and bound to the pod of that uid.
///
/// # Errors
/// Why there is no answer, in a text without secrets.
pub(super) async fn is_of(ctx: &Context, token: &str, pod: &str) -> Result<bool, String> {
    let review = timeout(DEADLINE, create(ctx, token)).await;
    let review = review.map_err(|_late| format!("no answer within {DEADLINE:?}"))??;
    Ok(names(&review, pod))
}

async fn create(ctx: &Context, token: &str) -> Result<TokenReview, String> {
    let review = TokenReview {
        spec: TokenReviewSpec {
            audiences: Some(vec![OPERATOR_AUDIENCE.to_owned()]),
            token: token.to_owned(),
        },
        ..TokenReview::default()
    };
    let body = serde_json::to_vec(&review).map_err(|error| error.to_string())?;
    let request = Request::post(PATH)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| error.to_string())?;
    let answer = ctx.send(request).await.map_err(|error| error.to_string())?;
    let (head, body) = answer.into_parts();
    if head.status == http::StatusCode::FORBIDDEN {
        return Err("grant `create` on tokenreviews.authentication.k8s.io to it".to_owned());
    }
    if !head.status.is_success() {
        return Err(format!("it answers {}", head.status));
    }
    let body = Limited::new(body, MOST).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    // What exactly is wrong with it would repeat what is in it.
    serde_json::from_slice(&body).map_err(|_secret| "its answer is no review".to_owned())
}

fn names(review: &TokenReview, pod: &str) -> bool {
    let Some(status) = &review.status else {
        return false;
    };
    let meant = status.audiences.iter().flatten();
    let meant = meant
        .into_iter()
        .any(|audience| audience == OPERATOR_AUDIENCE);
    let extra = status.user.as_ref().and_then(|user| user.extra.as_ref());
    let bound = extra.and_then(|extra| extra.get(POD_UID));
    let bound = matches!(bound.map(Vec::as_slice), Some([uid]) if uid == pod);
    status.authenticated == Some(true) && meant && bound
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::transcript::{context, refused};

    fn answer(change: impl FnOnce(&mut Value)) -> Value {
        let mut review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {},
            "status": {
                "authenticated": true, "audiences": ["aimass-operator"],
                "user": {
                    "username": "system:serviceaccount:aimass-system:aimass-gateway",
                    "extra": {"authentication.kubernetes.io/pod-uid": ["pod-1"]},
                },
            },
        });
        change(&mut review["status"]);
        review
    }

    async fn ask(answer: (u16, Value)) -> Result<bool, String> {
        let (ctx, transcript) = context([answer]);
        let said = is_of(&ctx, "secret", "pod-1").await;
        let asked = transcript.all();
        assert_eq!(asked[0].line, format!("POST {PATH}"));
        assert_eq!(
            asked[0].body["spec"],
            json!({"audiences": ["aimass-operator"], "token": "secret"})
        );
        said
    }

    #[tokio::test]
    async fn a_token_must_be_of_the_pod_and_for_the_operator() {
        let bound = |pods: Value| {
            answer(|s| s["user"]["extra"] = json!({"authentication.kubernetes.io/pod-uid": pods}))
        };
        for (name, answer, expect) in [
            ("it is", answer(|_| {}), true),
            (
                "not known",
                answer(|s| s["authenticated"] = json!(false)),
                false,
            ),
            (
                "for others",
                answer(|s| s["audiences"] = json!(["aimass"])),
                false,
            ),
            (
                "for nobody",
                answer(|s| s["audiences"] = json!(null)),
                false,
            ),
            ("of another pod", bound(json!(["pod-2"])), false),
            ("of two pods", bound(json!(["pod-1", "pod-2"])), false),
            (
                "of no pod",
                answer(|s| s["user"]["extra"] = json!({})),
                false,
            ),
        ] {
            assert_eq!(ask((201, answer)).await, Ok(expect), "{name}");
        }
    }

    #[tokio::test]
    async fn without_an_answer_nobody_knows() {
        for answer in [
            refused(500, "no"),
            refused(403, "no"),
            (201, json!("secret")),
        ] {
            let error = ask(answer).await.unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
