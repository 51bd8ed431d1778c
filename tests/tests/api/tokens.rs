//! Callers with tokens of Kubernetes: what the gateway asks, put to a real API server with the rights that the chart grants.

use std::sync::Arc;
use std::time::Duration;

use aimass_gateway::jwt::Jwt;
use aimass_gateway::metrics::ReviewTimes;
use aimass_gateway::review::{Failure, Identity, Reviewer, Reviews, Verdict, Wanted};
use aimass_tests::args::repository;
use aimass_tests::cluster::{Cluster, Everywhere, Namespace};
use aimass_tests::eventually;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Client};
use serde_json::json;

const AUDIENCE: &str = "aimass";
/// Until a right that was just given is one, and no `no` from before is remembered.
const SOON: Duration = Duration::from_secs(20);

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

async fn account(ns: &Namespace, name: &str) {
    let account = ServiceAccount {
        metadata: named(name),
        ..ServiceAccount::default()
    };
    let created = ns.api().create(&PostParams::default(), &account).await;
    created.expect("the API server takes a ServiceAccount");
}

/// A token of the account, as a pod gets it by a projected volume.
async fn token(ns: &Namespace, account: &str, audiences: &[&str]) -> String {
    let accounts: Api<ServiceAccount> = ns.api();
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(audiences.iter().map(ToString::to_string).collect()),
            expiration_seconds: Some(600),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let answer = accounts.create_token_request(account, &params, &request);
    let status = answer.await.expect("the API server gives a token").status;
    let token = status.and_then(|status| status.token);
    token.expect("the token is in the status")
}

fn subject(ns: &Namespace, account: &str) -> Vec<Subject> {
    vec![Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.to_owned(),
        namespace: Some(ns.name.clone()),
        ..Subject::default()
    }]
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// The rules of the gateway's ClusterRole, as the chart writes them.
fn rules() -> Vec<PolicyRule> {
    let path = repository().join("charts/aimass/templates/gateway-rights.yaml");
    let text = std::fs::read_to_string(path).expect("the chart has the gateway's rights");
    let (_, rest) = text.split_once("\nrules:\n").expect("it has rules");
    let (rules, _) = rest.split_once("\n---\n").expect("they have an end");
    let plain: Vec<&str> = rules.lines().filter(|line| !line.contains("{{")).collect();
    serde_saphyr::from_str(&plain.join("\n")).expect("the rules are YAML")
}

/// Gives the account the chart's rights of a gateway.
async fn grant(ns: &Namespace, account: &str) -> Everywhere {
    let name = format!("{}-gateway", ns.name);
    let role = ClusterRole {
        metadata: named(&name),
        rules: Some(rules()),
        ..ClusterRole::default()
    };
    let binding = ClusterRoleBinding {
        metadata: named(&name),
        role_ref: role_ref("ClusterRole", &name),
        subjects: Some(subject(ns, account)),
    };
    let params = PostParams::default();
    let roles: Api<ClusterRole> = Api::all(ns.client.clone());
    let created = roles.create(&params, &role).await;
    created.expect("the API server takes a ClusterRole");
    let bindings: Api<ClusterRoleBinding> = Api::all(ns.client.clone());
    let created = bindings.create(&params, &binding).await;
    created.expect("the API server takes its binding");
    Everywhere::of(name, &ns.client)
}

/// Lets the account call model `iris`, as a Role with `resourceNames` does.
async fn allow(ns: &Namespace, account: &str) {
    let role = Role {
        metadata: named(account),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec!["aimass.dev".to_owned()]),
            resources: Some(vec!["modeldeployments/predict".to_owned()]),
            resource_names: Some(vec!["iris".to_owned()]),
            verbs: vec!["create".to_owned()],
            ..PolicyRule::default()
        }]),
    };
    let binding = RoleBinding {
        metadata: named(account),
        role_ref: role_ref("Role", account),
        subjects: Some(subject(ns, account)),
    };
    let params = PostParams::default();
    let created = ns.api().create(&params, &role).await;
    created.expect("the API server takes a Role");
    let created = ns.api().create(&params, &binding).await;
    created.expect("the API server takes its binding");
}

/// What a gateway that runs as `account` asks with.
async fn reviews(ns: &Namespace, account: &str) -> Reviews {
    let auth = json!({"token": token(ns, account, &[]).await});
    let auth: AuthInfo = serde_json::from_value(auth).expect("a token is all that it needs");
    let mut config = ns.cluster.config.clone();
    config.auth_info = auth;
    config.default_retry = false;
    let client = Client::try_from(config).expect("it is the cluster's configuration");
    let reviewer = Reviewer::new(client, AUDIENCE.into());
    Reviews::new(reviewer, &ReviewTimes::default())
}

async fn who(reviews: &Reviews, token: &str) -> Result<Verdict<Arc<Identity>>, Failure> {
    let jwt = Jwt::parse(token).expect("tokens of Kubernetes have this form");
    let now = aimass_chassis::clock::now();
    reviews.token(jwt, now, || Ok(())).await
}

/// The verdict that comes within a while.
async fn becomes<V: PartialEq + std::fmt::Debug>(
    what: &str,
    expect: Verdict<V>,
    ask: impl AsyncFn() -> Result<Verdict<V>, Failure>,
) {
    eventually(SOON, what, || async {
        let told = ask().await;
        let so = told.as_ref() == Ok(&expect);
        so.then_some(()).ok_or(format!("{told:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pods_token_is_known_and_opens_what_a_role_allows() {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("tokens").await;
    for name in ["gateway", "till"] {
        account(&ns, name).await;
    }
    let rights = grant(&ns, "gateway").await;
    let reviews = reviews(&ns, "gateway").await;
    let till = token(&ns, "till", &[AUDIENCE]).await;
    let identity = eventually(SOON, "the token is known", || async {
        match who(&reviews, &till).await {
            Ok(Verdict::Yes(identity)) => Ok(identity),
            told => Err(format!("{told:?}")),
        }
    })
    .await;
    let user = format!("system:serviceaccount:{}:till", ns.name);
    assert_eq!(**identity.user(), *user);
    assert!(identity.is_service_account());

    let may = async |namespace: &str, name: &str| {
        let wanted = Wanted {
            namespace: namespace.into(),
            name: name.into(),
        };
        reviews.access(&identity, &wanted, || Ok(())).await
    };
    assert_eq!(
        may(&ns.name, "iris").await,
        Ok(Verdict::No),
        "nobody let it"
    );
    allow(&ns, "till").await;
    let iris = async || may(&ns.name, "iris").await;
    becomes("the role opens its model", Verdict::Yes(()), iris).await;
    assert_eq!(may(&ns.name, "rose").await, Ok(Verdict::No));
    assert_eq!(may("default", "iris").await, Ok(Verdict::No));

    let accounts: Api<ServiceAccount> = ns.api();
    accounts
        .delete("till", &DeleteParams::default())
        .await
        .expect("it can go");
    let again = async || who(&reviews, &till).await;
    becomes("the token ends with its account", Verdict::No, again).await;
    rights.revoke().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_for_others_and_forged_ones_prove_nothing() {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("forged").await;
    for name in ["gateway", "till"] {
        account(&ns, name).await;
    }
    let rights = grant(&ns, "gateway").await;
    let reviews = reviews(&ns, "gateway").await;
    let till = token(&ns, "till", &[AUDIENCE]).await;
    eventually(SOON, "the gateway may ask", || async {
        let told = who(&reviews, &till).await;
        told.map_err(|failure| format!("{failure:?}"))
    })
    .await;
    // Of the API server itself: it opens Kubernetes, and not models.
    for audiences in [&[][..], &["another"]] {
        let token = token(&ns, "till", audiences).await;
        assert_eq!(
            who(&reviews, &token).await,
            Ok(Verdict::No),
            "{audiences:?}"
        );
    }
    // Signed for another, and said to be for us.
    let other = token(&ns, "till", &["another"]).await;
    let (head, _) = till.rsplit_once('.').expect("a token has three parts");
    let (_, signature) = other.rsplit_once('.').expect("a token has three parts");
    let forged = format!("{head}.{signature}");
    assert_eq!(who(&reviews, &forged).await, Ok(Verdict::No));
    rights.revoke().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_rights_a_gateway_knows_nobody_and_says_no_to_nobody() {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("rightless").await;
    for name in ["gateway", "till"] {
        account(&ns, name).await;
    }
    let reviews = reviews(&ns, "gateway").await;
    let till = token(&ns, "till", &[AUDIENCE]).await;
    assert_eq!(who(&reviews, &till).await, Err(Failure::Unavailable));
}
