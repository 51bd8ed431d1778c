//! What the gateway answers by itself: clients ask for it before their first request.

use aimass_gateway::table::{Deployment, RevisionState, Unready};
use serde_json::{Value, json};

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, Setup, model, table, token};

async fn get(gateway: &Gateway, path: &str, headers: &str) -> (u16, Value) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n");
    let answer = Client::talk(gateway.address, head).await;
    (answer.status, serde_json::from_str(&answer.text()).unwrap())
}

fn named(name: &str, public: bool) -> Deployment {
    let mut model = model(&[]);
    (model.name, model.served_name) = (name.into(), name.into());
    model.access.public = public;
    model
}

#[tokio::test]
async fn clients_find_the_server_live_and_ready() {
    let gateway = Gateway::to(&[]).await;
    let live = (200, json!({"live": true}));
    assert_eq!(get(&gateway, "/v2/health/live", "").await, live);
    let ready = (200, json!({"live": true, "ready": true}));
    assert_eq!(get(&gateway, "/v2/health/ready", "").await, ready);
    let (status, server) = get(&gateway, "/projects/shop/v2", "").await;
    assert_eq!(
        (status, server["extensions"][0].as_str()),
        (200, Some("binary_tensor_data"))
    );
}

#[tokio::test]
async fn a_list_has_what_its_caller_may_call() {
    let mut other = named("other", true);
    other.namespace = "else".into();
    let models = vec![
        named("open", true),
        named("iris", false),
        named("rose", false),
        other,
    ];
    let gateway = Setup::of(table(models, None)).start().await;
    let of = |names: &[&str]| (200, json!({"models": names}));
    for path in ["/v1/models", "/v2/models", "/projects/shop/v1/models"] {
        assert_eq!(get(&gateway, path, "").await, of(&["open"]), "{path}");
        // The key opens iris, and not rose.
        let key = format!("authorization: Bearer {}\r\n", token());
        assert_eq!(
            get(&gateway, path, &key).await,
            of(&["iris", "open"]),
            "{path}"
        );
    }
    assert_eq!(
        get(&gateway, "/projects/else/v1/models", "").await,
        of(&["other"])
    );
    assert_eq!(get(&gateway, "/projects/none/v1/models", "").await, of(&[]));
    let wrong = "authorization: Bearer aim_no\r\n";
    assert_eq!(get(&gateway, "/v1/models", wrong).await.0, 401);
}

/// Model `iris`, whose only revision is as `state` says and has no pods.
fn without_pods(state: RevisionState) -> Deployment {
    let mut model = model(&[]);
    (model.revisions[0].weight, model.revisions[0].state) = (100, state);
    model
}

#[tokio::test]
async fn a_model_that_sleeps_is_ready_and_stays_asleep() {
    let gateway = Gateway::with(without_pods(RevisionState::AtZero)).await;
    let ready = (200, json!({"name": "iris", "ready": true}));
    assert_eq!(get(&gateway, "/v2/models/iris/ready", "").await, ready);
    let (status, body) = get(&gateway, "/v1/models/iris", "").await;
    let version = &body["model_version_status"][0];
    assert_eq!(
        (status, &version["version"], &version["state"]),
        (200, &"7".into(), &"AVAILABLE".into())
    );
    assert_eq!(gateway.metric("aimass_gateway_queue_depth"), 0.0);
}

#[tokio::test]
async fn a_model_that_is_not_asleep_says_by_itself_how_it_is() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    assert_eq!(get(&gateway, "/v2/models/iris/ready", "").await.0, 200);
    assert_eq!(pod.count(), 1);
    for state in [
        RevisionState::Starting,
        RevisionState::Failing("ImagePullFailed".into()),
    ] {
        let gateway = Gateway::with(without_pods(state)).await;
        assert_eq!(get(&gateway, "/v2/models/iris/ready", "").await.0, 503);
    }
    let mut by_hand = without_pods(RevisionState::AtZero);
    by_hand.unready = Some(Unready {
        reason: "AtZero".into(),
        decided: true,
    });
    let gateway = Gateway::with(by_hand).await;
    assert_eq!(get(&gateway, "/v1/models/iris", "").await.0, 503);
}
