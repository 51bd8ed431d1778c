//! Who calls: keys, what they open, and what callers cannot say in another's name.

use aimass_gateway::config::Settings;
use aimass_gateway::limit::Bounds;
use aimass_gateway::table::{Network, Unready};

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, KEY_ID, Setup, model, table, token};

/// A gateway before one pod, whose model only key holders may call.
async fn closed() -> (Gateway, Pod) {
    let pod = Pod::answering(OK).await;
    let mut model = model(&[pod.address]);
    model.access.public = false;
    (Gateway::with(model).await, pod)
}

fn bearer() -> String {
    format!("authorization: Bearer {}\r\n", token())
}

#[tokio::test]
async fn a_key_opens_what_is_closed_to_others() {
    let (gateway, pod) = closed().await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.verdict(), (401, "unauthenticated".to_owned()));
    assert_eq!(answer.header("www-authenticate"), "bearer");
    assert_eq!(pod.count(), 0);
    for headers in [bearer(), format!("x-api-key: {}\r\n", token())] {
        let answer = Client::ask(gateway.address, &headers).await;
        assert_eq!(answer.status, 200);
        let asked = pod.last();
        assert_eq!(
            asked.header("aimass-caller"),
            Some(KEY_ID.to_lowercase().as_str())
        );
        assert_eq!(asked.header("aimass-project"), Some("shop"));
        assert!(
            !asked.head.contains(&token().to_lowercase()),
            "{}",
            asked.head
        );
    }
    let lines = gateway.lines(3).await;
    assert_eq!(
        (&lines[0]["caller.kind"], &lines[0]["http.status"]),
        (&"anonymous".into(), &401.into())
    );
    assert_eq!(
        (&lines[1]["caller.kind"], &lines[1]["caller.id"]),
        (&"key".into(), &KEY_ID.into())
    );
}

#[tokio::test]
async fn whatever_is_wrong_with_a_key_is_one_answer() {
    let (gateway, pod) = closed().await;
    let mut answers = Vec::new();
    for credential in [
        format!("aim_{KEY_ID}_{}", "t".repeat(43)),
        format!("aim_aaaaaaaaaaaa_{}", "s".repeat(43)),
        "aim_short".to_owned(),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.".to_owned(),
        "a".repeat(10_000),
    ] {
        let headers = format!("authorization: Bearer {credential}\r\nx-request-id: r\r\n");
        let answer = Client::ask(gateway.address, &headers).await;
        assert_eq!(answer.verdict(), (401, "unauthenticated".to_owned()));
        answers.push(answer.said());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn a_model_that_is_not_the_callers_does_not_exist() {
    let pod = Pod::answering(OK).await;
    let mut other = model(&[pod.address]);
    (other.uid, other.namespace) = ("u2".into(), "bank".into());
    other.access.public = false;
    let mut unnamed = model(&[pod.address]);
    (unnamed.uid, unnamed.name, unnamed.served_name) = ("u3".into(), "rose".into(), "rose".into());
    unnamed.access.public = false;
    let gateway = Setup::of(table(vec![other, unnamed], None)).start().await;
    let ask = async |path: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nx-request-id: r\r\n{}content-length: 0\r\n\r\n",
            bearer()
        );
        Client::talk(gateway.address, request).await
    };
    let theirs = ask("/projects/bank/v1/models/iris:predict").await;
    let nobodys = ask("/projects/none/v1/models/iris:predict").await;
    assert_eq!(theirs.verdict(), (404, "unknown_model".to_owned()));
    assert_eq!(theirs.said(), nobodys.said());
    // In its own project it may know what there is.
    let unnamed = ask("/v1/models/rose:predict").await;
    assert_eq!(unnamed.verdict(), (403, "forbidden".to_owned()));
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn what_callers_say_in_our_name_does_not_arrive() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let spoofed = "x-forwarded-for: 1.2.3.4\r\nx-forwarded-host: bank\r\nx-forwarded-proto: https\r\nforwarded: for=1.2.3.4\r\n\
        aimass-caller: admin\r\naimass-project: bank\r\naimass-anything: x\r\nx_request_id: a\r\nx_forwarded_for: 1.2.3.4\r\n\
        cookie: session=1\r\nproxy-authorization: Basic x\r\nte: trailers\r\nconnection: x-hop, keep-alive\r\nx-hop: a\r\nx-own: kept\r\n";
    assert_eq!(Client::ask(gateway.address, spoofed).await.status, 200);
    let asked = pod.last();
    let mut names: Vec<&str> = asked.headers().into_keys().collect();
    names.sort_unstable();
    let expect = [
        "aimass-project",
        "content-length",
        "host",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-own",
        "x-request-id",
        "x-request-timeout-ms",
    ];
    assert_eq!(names, expect);
    assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(asked.header("x-forwarded-host"), Some("gateway"));
    assert_eq!(asked.header("x-forwarded-proto"), Some("http"));
    assert_eq!(asked.header("aimass-project"), Some("shop"));
    assert_eq!(asked.header("host"), Some(pod.address.to_string().as_str()));
}

#[tokio::test]
async fn request_ids_are_kept_if_they_are_plain_and_made_otherwise() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let answer = Client::ask(gateway.address, "x-request-id: a.b-9_z\r\n").await;
    assert_eq!(answer.header("x-request-id"), "a.b-9_z");
    for bad in ["a b", "a\"b", &"a".repeat(300), ""] {
        let answer = Client::ask(gateway.address, &format!("x-request-id: {bad}\r\n")).await;
        let id = answer.header("x-request-id");
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(pod.last().header("x-request-id"), Some(id.as_str()));
    }
    let large = format!("x-request-id: {}\r\n", "a".repeat(64 << 10));
    let answer = Client::ask(gateway.address, &large).await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn trusted_proxies_say_who_calls() {
    let pod = Pod::answering(OK).await;
    let mut model = model(&[pod.address]);
    model.access.allowed = vec![Network {
        address: "203.0.113.0".parse().unwrap(),
        prefix: 24,
    }];
    let mut setup = Setup::of(table(vec![model], None));
    setup.settings = Settings {
        trusted_proxies: vec![Network {
            address: "127.0.0.0".parse().unwrap(),
            prefix: 8,
        }],
        ..setup.settings
    };
    let gateway = setup.start().await;
    let from = "x-forwarded-for: 1.1.1.1, 203.0.113.9\r\nx-forwarded-proto: https\r\n";
    assert_eq!(Client::ask(gateway.address, from).await.status, 200);
    assert_eq!(pod.last().header("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(pod.last().header("x-forwarded-proto"), Some("https"));
    assert_eq!(gateway.lines(1).await[0]["client.address"], "203.0.113.9");
    let elsewhere = "x-forwarded-for: 203.0.113.9, 198.51.100.1\r\n";
    assert_eq!(Client::ask(gateway.address, elsewhere).await.status, 401);
}

#[tokio::test]
async fn who_guesses_keys_is_not_told_any_more_and_right_ones_still_pass() {
    let pod = Pod::answering(OK).await;
    let mut model = model(&[pod.address]);
    model.access.public = false;
    let mut setup = Setup::of(table(vec![model], None));
    setup.bounds = Bounds {
        failures: 3,
        ..Bounds::default()
    };
    let gateway = setup.start().await;
    let wrong = format!("authorization: Bearer aim_{KEY_ID}_{}\r\n", "t".repeat(43));
    for _ in 0..3 {
        assert_eq!(Client::ask(gateway.address, &wrong).await.status, 401);
    }
    let answer = Client::ask(gateway.address, &wrong).await;
    assert_eq!(answer.verdict(), (429, "rate_limited".to_owned()));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(Client::ask(gateway.address, &bearer()).await.status, 200);
    // Without a credential it is no attempt.
    assert_eq!(Client::ask(gateway.address, "").await.status, 401);
    assert_eq!(
        gateway.metric("aimass_gateway_auth_total{method=\"key\",result=\"refused\"}"),
        4.0
    );
}

#[tokio::test]
async fn an_address_has_its_share_of_requests() {
    let pod = Pod::answering(OK).await;
    let mut setup = Setup::of(table(vec![model(&[pod.address])], None));
    setup.bounds = Bounds {
        requests: 1,
        burst: 5,
        ..Bounds::default()
    };
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        client.predict("").await;
        statuses.push(client.answer().await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
}

#[tokio::test]
async fn a_revoked_key_fails_with_the_next_table() {
    let (gateway, pod) = closed().await;
    let mut client = gateway.connect().await;
    client.predict(&bearer()).await;
    assert_eq!(client.answer().await.status, 200);
    let mut model = model(&[pod.address]);
    model.access.public = false;
    let mut revoked = table(vec![model], None);
    revoked.keys.clear();
    gateway.state.swap(revoked);
    client.predict(&bearer()).await;
    assert_eq!(client.answer().await.status, 401);
}

#[tokio::test]
async fn why_a_model_does_not_answer_is_said() {
    let mut asleep = model(&[]);
    asleep.unready = Some(Unready {
        reason: "ModelLoadFailed".into(),
        decided: false,
    });
    let mut suspended = model(&["127.0.0.1:1".parse().unwrap()]);
    (suspended.uid, suspended.name, suspended.served_name) =
        ("2".into(), "off".into(), "off".into());
    suspended.unready = Some(Unready {
        reason: "Suspended".into(),
        decided: true,
    });
    let gateway = Setup::of(table(vec![asleep, suspended], None))
        .start()
        .await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.verdict(), (503, "not_ready".to_owned()));
    assert_eq!(answer.error(), "Model iris is not ready: ModelLoadFailed");
    assert_eq!(
        (
            answer.header("retry-after"),
            answer.header("retry-after-ms")
        ),
        ("1".to_owned(), "1000".to_owned())
    );
    let request = "POST /v1/models/off:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let answer = Client::talk(gateway.address, request).await;
    assert_eq!(answer.error(), "Model off is suspended");
}

#[tokio::test]
async fn a_version_is_a_pin_and_the_pods_path_is_our_own() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    for (path, line) in [
        (
            "/v1/models/iris/versions/7:predict?key=secret",
            "post /v1/models/iris/versions/7:predict http/1.1",
        ),
        (
            "/projects/shop/v1/models/iris:predict",
            "post /v1/models/iris:predict http/1.1",
        ),
        (
            "/projects/shop/v2/models/%69ris/infer",
            "post /v2/models/iris/infer http/1.1",
        ),
        (
            "/v1/models/iris/labels/stable:predict",
            "post /v1/models/iris/versions/7:predict http/1.1",
        ),
    ] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(
            Client::talk(gateway.address, request).await.status,
            200,
            "{path}"
        );
        assert_eq!(pod.last().line(), line);
    }
    let request =
        "POST /v1/models/iris/versions/8:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let answer = Client::talk(gateway.address, request).await;
    assert_eq!(answer.verdict(), (404, "unknown_version".to_owned()));
}
