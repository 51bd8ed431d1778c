//! The two reviews as Kubernetes' API has them: what is asked, and what an answer means.
//!
//! Pure. Used by `reviewer`. Sources: TokenReview of authentication.k8s.io/v1, SubjectAccessReview of authorization.k8s.io/v1.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};

use super::answers::Verdict;
use super::identity::{Identity, Wanted};

/// Asks who shows `token`, if it is meant for `audience`.
pub(super) fn token_review(token: &str, audience: &str) -> TokenReview {
    TokenReview {
        spec: TokenReviewSpec {
            audiences: Some(vec![audience.to_owned()]),
            token: token.to_owned(),
        },
        ..TokenReview::default()
    }
}

/// Who it is. An answer that does not name `audience` is a no: it comes from an API server that has not looked at audiences,
/// and the token may be one for that server itself.
pub(super) fn who(review: TokenReview, audience: &str) -> Verdict<Identity> {
    let status = review.status.unwrap_or_default();
    let named = status.audiences.iter().flatten().any(|one| one == audience);
    let authenticated = status.authenticated == Some(true);
    let user = status.user.filter(|_| authenticated && named);
    match user.and_then(Identity::new) {
        Some(identity) => Verdict::Yes(identity),
        None => Verdict::No,
    }
}

/// Asks whether `identity` may call `wanted`: `create` on `modeldeployments/predict`, as the chart's Roles grant it.
pub(super) fn access_review(identity: &Identity, wanted: &Wanted) -> SubjectAccessReview {
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(identity.user().to_string()),
            uid: identity.uid.clone(),
            groups: Some(identity.groups.clone()),
            extra: Some(identity.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                group: Some("aimass.dev".to_owned()),
                resource: Some("modeldeployments".to_owned()),
                subresource: Some("predict".to_owned()),
                verb: Some("create".to_owned()),
                namespace: Some(wanted.namespace.to_string()),
                name: Some(wanted.name.to_string()),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SubjectAccessReview::default()
    }
}

/// Whether it may.
pub(super) fn may(review: &SubjectAccessReview) -> Verdict<()> {
    let allowed = |status: &k8s_openapi::api::authorization::v1::SubjectAccessReviewStatus| {
        status.allowed && status.denied != Some(true)
    };
    match review.status.as_ref().is_some_and(allowed) {
        true => Verdict::Yes(()),
        false => Verdict::No,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answered(status: &Value) -> Verdict<Identity> {
        let mut review = serde_json::to_value(token_review("t", "aimass")).unwrap();
        review["status"] = status.clone();
        who(serde_json::from_value(review).unwrap(), "aimass")
    }

    #[test]
    fn a_token_is_asked_about_with_our_audience_alone() {
        let review = serde_json::to_value(token_review("t", "aimass")).unwrap();
        assert_eq!(
            review["spec"],
            json!({"token": "t", "audiences": ["aimass"]})
        );
        assert_eq!(review["kind"], "TokenReview");
        assert_eq!(review["apiVersion"], "authentication.k8s.io/v1");
    }

    #[test]
    fn who_is_authenticated_for_our_audience_is_known() {
        let status = json!({
            "authenticated": true, "audiences": ["x", "aimass"],
            "user": {"username": "system:serviceaccount:a:b", "groups": ["g"], "extra": {"k": ["v"]}},
        });
        let Verdict::Yes(identity) = answered(&status) else {
            panic!("{status}");
        };
        assert_eq!(&**identity.user(), "system:serviceaccount:a:b");
        assert_eq!(identity.groups, ["g"]);
    }

    #[test]
    fn whatever_else_is_answered_is_a_no() {
        let user = json!({"username": "a"});
        for status in [
            json!({}),
            json!({"authenticated": false, "audiences": ["aimass"], "user": user}),
            json!({"audiences": ["aimass"], "user": user}),
            json!({"authenticated": true, "user": user}),
            json!({"authenticated": true, "audiences": [], "user": user}),
            json!({"authenticated": true, "audiences": ["https://kubernetes.default.svc"], "user": user}),
            json!({"authenticated": true, "audiences": ["aimass"]}),
            json!({"authenticated": true, "audiences": ["aimass"], "user": {"username": ""}}),
            json!({"authenticated": false, "error": "expired"}),
        ] {
            assert_eq!(answered(&status), Verdict::No, "{status}");
        }
    }

    #[test]
    fn access_is_asked_for_in_the_words_of_roles() {
        let info = json!({"username": "a", "uid": "u", "groups": ["g"], "extra": {"k": ["v"]}});
        let identity = Identity::new(serde_json::from_value(info).unwrap()).unwrap();
        let wanted = Wanted {
            namespace: "shop".into(),
            name: "iris".into(),
        };
        let review = serde_json::to_value(access_review(&identity, &wanted)).unwrap();
        let expect = json!({
            "user": "a", "uid": "u", "groups": ["g"], "extra": {"k": ["v"]},
            "resourceAttributes": {
                "group": "aimass.dev", "resource": "modeldeployments", "subresource": "predict",
                "verb": "create", "namespace": "shop", "name": "iris",
            },
        });
        assert_eq!(review["spec"], expect);
        assert_eq!(review["apiVersion"], "authorization.k8s.io/v1");
    }

    #[test]
    fn only_a_plain_yes_allows() {
        for (status, expect) in [
            (json!({"allowed": true}), Verdict::Yes(())),
            (json!({"allowed": true, "denied": false}), Verdict::Yes(())),
            (json!({"allowed": true, "denied": true}), Verdict::No),
            (json!({"allowed": false}), Verdict::No),
            (
                json!({"allowed": false, "evaluationError": "e"}),
                Verdict::No,
            ),
        ] {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {}, "status": status,
            });
            assert_eq!(may(&serde_json::from_value(review).unwrap()), expect);
        }
        assert_eq!(may(&SubjectAccessReview::default()), Verdict::No);
    }
}
