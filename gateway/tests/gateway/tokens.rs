//! Callers with tokens of Kubernetes: who they are and what they may, as the API server says; and what it is not asked.

use std::sync::Arc;
use std::time::Duration;

use aimass_gateway::limit::Bounds;
use aimass_gateway::table::{Deployment, Plan, Rate};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::api_server::{ACCESS, ApiServer, Mood, TOKENS, jwt, reviewer};
use crate::client::{Answer, Client};
use crate::pod::{OK, Pod};
use crate::world::{Gateway, KEY_ID, Setup, eventually, model, spawn, table, token};

const TILL: &str = "system:serviceaccount:shop:till";

/// A model that only those may call who are allowed to.
fn closed(pod: &Pod) -> Deployment {
    let mut model = model(&[pod.address]);
    model.access.public = false;
    model
}

/// An API server where ServiceAccount `till` may call `iris`, one of its tokens, a gateway and a pod.
async fn shop(change: impl FnOnce(&mut Setup)) -> (ApiServer, String, Gateway, Pod) {
    let (api, pod) = (ApiServer::start().await, Pod::answering(OK).await);
    let till = jwt("till", "aimass", 600);
    api.admit(&till, TILL);
    api.allow(TILL, "shop", "iris");
    let mut setup = Setup::of(table(vec![closed(&pod)], None));
    setup.reviewer = Some(api.reviewer());
    change(&mut setup);
    (api, till, setup.start().await, pod)
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\nx-request-id: r\r\n")
}

async fn ask(gateway: &Gateway, token: &str) -> Answer {
    Client::ask(gateway.address, &bearer(token)).await
}

/// The same for another path.
async fn ask_at(gateway: &Gateway, path: &str, token: &str) -> Answer {
    let headers = bearer(token);
    let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}content-length: 0\r\n\r\n");
    Client::talk(gateway.address, request).await
}

fn unavailable(answer: &Answer) {
    assert_eq!(answer.verdict(), (503, "not_ready".to_owned()));
    let text = "Model iris is not ready: TokenReviewUnavailable";
    assert_eq!(answer.error(), text);
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_service_account_calls_what_its_role_allows_and_is_named() {
    let (api, till, gateway, pod) = shop(|_| ()).await;
    for headers in [bearer(&till), format!("x-api-key: {till}\r\n")] {
        let answer = Client::ask(gateway.address, &headers).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let asked = pod.last();
        assert_eq!(asked.header("aimass-caller"), Some(TILL));
        assert!(!asked.head.contains(&till.to_lowercase()), "{}", asked.head);
    }
    // Once for both: the answers are still good.
    assert_eq!((api.count(TOKENS), api.count(ACCESS)), (1, 1));
    let lines = gateway.lines(2).await;
    assert_eq!(lines[0]["caller.kind"], "serviceaccount");
    assert_eq!(lines[0]["caller.id"], TILL);
    assert!(!lines[0].to_string().contains(&till));
    for (series, expect) in [
        ("auth_total{method=\"token\",result=\"known\"}", 2.0),
        (
            "token_review_seconds_count{review=\"token\",result=\"yes\"}",
            1.0,
        ),
        (
            "token_review_seconds_count{review=\"access\",result=\"yes\"}",
            1.0,
        ),
    ] {
        let series = format!("aimass_gateway_{series}");
        assert_eq!(gateway.metric(&series), expect, "{}", gateway.metrics());
    }
    assert!(!gateway.metrics().contains("till"));
}

#[tokio::test]
async fn a_person_with_a_token_is_a_user() {
    let (api, _, gateway, _pod) = shop(|_| ()).await;
    let ana = jwt("ana", "aimass", 600);
    api.admit(&ana, "ana@example.com");
    api.allow("ana@example.com", "shop", "iris");
    assert_eq!(ask(&gateway, &ana).await.status, 200);
    let line = gateway.lines(1).await.remove(0);
    assert_eq!(line["caller.kind"], "user");
    assert_eq!(line["caller.id"], "ana@example.com");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_is_the_answer_to_a_wrong_key() {
    let (api, till, gateway, pod) = shop(|setup| setup.bounds.failures = 100).await;
    let unsigned = format!("{}.", till.rsplit_once('.').unwrap().0);
    let mut answers = Vec::new();
    for credential in [
        format!("aim_{KEY_ID}_{}", "t".repeat(43)),
        jwt("till", "https://kubernetes.default.svc", 600),
        jwt("till", "aimass", -1),
        jwt("till", "aimass", 0),
        "a.b.c".to_owned(),
        "eyJhbGciOiJub25lIn0.eyJhdWQiOiJhaW1hc3MiLCJleHAiOjk5OTk5OTk5OTl9.c2ln".to_owned(),
        unsigned,
        format!("a.{}.c", "a".repeat(10_000)),
    ] {
        let answer = ask(&gateway, &credential).await;
        assert_eq!(answer.verdict(), (401, "unauthenticated".to_owned()));
        answers.push(answer.said());
    }
    assert_eq!(api.count(TOKENS), 0, "nobody is asked about these");
    for credential in [jwt("somebody", "aimass", 600), format!("{till}A")] {
        let answer = ask(&gateway, &credential).await;
        answers.push(answer.said());
    }
    assert_eq!(api.count(TOKENS), 2);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!((pod.count(), api.count(ACCESS)), (0, 0));
}

#[tokio::test]
async fn a_token_that_is_refused_is_asked_about_once_and_counts_as_a_failure() {
    let (api, till, gateway, _pod) = shop(|setup| setup.bounds.failures = 3).await;
    let wrong = jwt("wrong", "aimass", 600);
    for _ in 0..3 {
        assert_eq!(ask(&gateway, &wrong).await.status, 401);
    }
    let answer = ask(&gateway, &wrong).await;
    assert_eq!(answer.verdict(), (429, "rate_limited".to_owned()));
    assert_eq!(answer.error(), "Rate limit \"authentication\" exceeded");
    assert_eq!(api.count(TOKENS), 1);
    assert_eq!(ask(&gateway, &till).await.status, 200);
    let refused = "aimass_gateway_auth_total{method=\"token\",result=\"refused\"}";
    assert_eq!(gateway.metric(refused), 4.0);
}

#[tokio::test]
async fn an_api_server_that_does_not_look_at_audiences_proves_nothing() {
    let (api, till, gateway, pod) = shop(|_| ()).await;
    api.known().audiences.clear();
    let answer = ask(&gateway, &till).await;
    assert_eq!(answer.verdict(), (401, "unauthenticated".to_owned()));
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn what_a_role_does_not_allow_does_not_exist() {
    let (api, till, gateway, pod) = shop(|setup| {
        let mut bank = model(&["127.0.0.1:1".parse().unwrap()]);
        (bank.uid, bank.namespace) = ("u2".into(), "bank".into());
        bank.access.public = false;
        let mut rose = model(&["127.0.0.1:1".parse().unwrap()]);
        (rose.uid, rose.name, rose.served_name) = ("u3".into(), "rose".into(), "rose".into());
        rose.access.public = false;
        for model in [bank, rose] {
            let models = setup
                .table
                .models
                .entry(model.namespace.clone())
                .or_default();
            models.insert(model.served_name.clone(), Arc::new(model));
        }
    })
    .await;
    let theirs = ask_at(&gateway, "/projects/bank/v1/models/iris:predict", &till).await;
    let nobodys = ask_at(&gateway, "/projects/none/v1/models/iris:predict", &till).await;
    assert_eq!(theirs.verdict(), (404, "unknown_model".to_owned()));
    assert_eq!(theirs.said(), nobodys.said());
    // Of its own namespace as of others: a Role says what there is.
    let unnamed = ask_at(&gateway, "/v1/models/rose:predict", &till).await;
    let absent = ask_at(&gateway, "/v1/models/rise:predict", &till).await;
    assert_eq!(unnamed.said().0, absent.said().0);
    assert_eq!(unnamed.error(), absent.error().replace("rise", "rose"));
    // The API server was asked about each, so that time does not tell either.
    assert_eq!((api.count(TOKENS), api.count(ACCESS)), (1, 4));
    // While it is away, too.
    api.is(Mood::Refuses(500));
    let later = ask_at(&gateway, "/v1/models/later:predict", &till).await;
    assert_eq!(later.verdict(), (503, "not_ready".to_owned()));
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn a_public_model_needs_a_right_token_and_no_role() {
    let (api, _, gateway, pod) = shop(|setup| {
        setup.table = table(vec![model(&["127.0.0.1:1".parse().unwrap()])], None);
    })
    .await;
    gateway.state.swap(table(vec![model(&[pod.address])], None));
    let other = jwt("other", "aimass", 600);
    api.admit(&other, "system:serviceaccount:bank:teller");
    assert_eq!(ask(&gateway, &other).await.status, 200);
    assert_eq!((api.count(TOKENS), api.count(ACCESS)), (1, 0));
    let wrong = jwt("wrong", "aimass", 600);
    assert_eq!(ask(&gateway, &wrong).await.status, 401);
}

#[tokio::test]
async fn without_the_api_server_tokens_wait_and_keys_do_not() {
    let pod = Pod::answering(OK).await;
    let mut setup = Setup::of(table(vec![closed(&pod)], None));
    setup.reviewer = Some(reviewer(Pod::refusing()));
    let gateway = setup.start().await;
    let till = jwt("till", "aimass", 600);
    unavailable(&ask(&gateway, &till).await);
    assert_eq!(ask(&gateway, &token()).await.status, 200);
    let series = "aimass_gateway_auth_total{method=\"token\",result=\"unavailable\"}";
    assert_eq!(gateway.metric(series), 1.0);
    // It was nobody's failure.
    for _ in 0..3 {
        unavailable(&ask(&gateway, &till).await);
    }
}

#[tokio::test]
async fn what_is_known_goes_on_without_the_api_server_and_failures_are_forgotten() {
    let (api, till, gateway, _pod) = shop(|_| ()).await;
    for status in [403, 429, 500, 503] {
        api.is(Mood::Refuses(status));
        unavailable(&ask(&gateway, &till).await);
    }
    api.is(Mood::Answers);
    assert_eq!(ask(&gateway, &till).await.status, 200);
    let asked = (api.count(TOKENS), api.count(ACCESS));
    assert_eq!(asked, (5, 1));
    api.is(Mood::Refuses(500));
    for _ in 0..5 {
        assert_eq!(ask(&gateway, &till).await.status, 200);
    }
    assert_eq!((api.count(TOKENS), api.count(ACCESS)), asked);
}

#[tokio::test]
async fn an_api_server_that_is_silent_is_not_waited_for_long() {
    let (api, till, gateway, _pod) = shop(|_| ()).await;
    api.is(Mood::Silent);
    let begun = Instant::now();
    unavailable(&ask(&gateway, &till).await);
    let took = begun.elapsed();
    let expect = Duration::from_millis(1900)..Duration::from_secs(6);
    assert!(expect.contains(&took), "{took:?}");
    api.is(Mood::Answers);
    assert_eq!(ask(&gateway, &till).await.status, 200);
}

#[tokio::test]
async fn many_with_one_token_ask_once() {
    let (api, till, gateway, pod) = shop(|_| ()).await;
    let go = Arc::new(Semaphore::new(0));
    api.is(Mood::Waits(Arc::clone(&go)));
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.connect().await;
        client.predict(&bearer(&till)).await;
        clients.push(client);
    }
    eventually(|| async { (api.count(TOKENS) == 1).then_some(()).ok_or(()) }).await;
    go.add_permits(2);
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!((api.count(TOKENS), api.count(ACCESS)), (1, 1));
    assert_eq!(pod.count(), 20);
}

#[tokio::test]
async fn whoever_goes_away_takes_its_question_along_and_leaves_those_of_others() {
    let (api, till, gateway, _pod) = shop(|_| ()).await;
    let go = Arc::new(Semaphore::new(0));
    api.is(Mood::Waits(Arc::clone(&go)));
    let mut first = gateway.connect().await;
    first.predict(&bearer(&till)).await;
    eventually(|| async { (api.count(TOKENS) == 1).then_some(()).ok_or(()) }).await;
    let mut second = gateway.connect().await;
    second.predict(&bearer(&till)).await;
    drop(first);
    gateway.lines(1).await;
    go.add_permits(3);
    assert_eq!(second.answer().await.status, 200);
    // One alone, who goes: the next one asks anew.
    let other = jwt("other", "aimass", 600);
    api.admit(&other, TILL);
    let mut alone = gateway.connect().await;
    let go = Arc::new(Semaphore::new(0));
    api.is(Mood::Waits(Arc::clone(&go)));
    let before = api.count(TOKENS);
    alone.predict(&bearer(&other)).await;
    eventually(|| async { (api.count(TOKENS) > before).then_some(()).ok_or(()) }).await;
    drop(alone);
    gateway.lines(3).await;
    api.is(Mood::Answers);
    assert_eq!(ask(&gateway, &other).await.status, 200);
    assert_eq!(api.count(TOKENS), before + 2);
}

#[tokio::test]
async fn the_api_server_has_eight_questions_at_once() {
    let (api, _, gateway, _pod) = shop(|setup| {
        setup.bounds = Bounds {
            token_reviews: 1000,
            ..Bounds::default()
        };
    })
    .await;
    let go = Arc::new(Semaphore::new(0));
    api.is(Mood::Waits(Arc::clone(&go)));
    let mut clients = Vec::new();
    for number in 0..20 {
        let token = jwt(&number.to_string(), "aimass", 600);
        api.admit(&token, TILL);
        let mut client = gateway.connect().await;
        client.predict(&bearer(&token)).await;
        clients.push(client);
    }
    eventually(|| async {
        (api.count(TOKENS) == 8)
            .then_some(())
            .ok_or(api.count(TOKENS))
    })
    .await;
    go.add_permits(100);
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!((api.count(TOKENS), api.most(TOKENS)), (20, 8));
    // All are one user: what it may is asked once for all.
    assert_eq!(api.count(ACCESS), 1);
}

#[tokio::test]
async fn one_address_cannot_make_us_ask_without_end() {
    let (api, _, gateway, _pod) = shop(|setup| {
        setup.bounds = Bounds {
            failures: 1000,
            token_reviews: 1,
            ..Bounds::default()
        };
    })
    .await;
    let mut client = gateway.connect().await;
    let mut limited = 0;
    for number in 0..20 {
        let token = jwt(&number.to_string(), "aimass", 600);
        client.predict(&bearer(&token)).await;
        let answer = client.answer().await;
        match answer.status {
            401 => {}
            status => {
                assert_eq!(status, 429);
                assert_eq!(answer.error(), "Rate limit \"token-reviews\" exceeded");
                assert!(!answer.header("retry-after-ms").is_empty());
                limited += 1;
            }
        }
    }
    assert!(limited > 0);
    assert_eq!(api.count(TOKENS), 20 - limited);
    let series = "aimass_gateway_auth_total{method=\"token\",result=\"limited\"}";
    assert_eq!(gateway.metric(series), limited as f64);
}

#[tokio::test]
async fn whoever_waited_is_answered_by_the_table_of_then() {
    let (api, till, gateway, old) = shop(|_| ()).await;
    let new = Pod::answering(OK).await;
    let go = Arc::new(Semaphore::new(0));
    api.is(Mood::Waits(Arc::clone(&go)));
    let before = Arc::downgrade(&gateway.state.table());
    let mut client = gateway.connect().await;
    client.predict(&bearer(&till)).await;
    eventually(|| async { (api.count(TOKENS) == 1).then_some(()).ok_or(()) }).await;
    go.add_permits(1);
    eventually(|| async { (api.count(ACCESS) == 1).then_some(()).ok_or(()) }).await;
    gateway.state.swap(table(vec![closed(&new)], None));
    // Nobody waits with a table.
    eventually(|| async { before.upgrade().is_none().then_some(()).ok_or(()) }).await;
    go.add_permits(1);
    assert_eq!(client.answer().await.status, 200);
    assert_eq!((old.count(), new.count()), (0, 1));
}

#[tokio::test]
async fn a_yes_is_not_one_for_the_model_that_took_the_address_meanwhile() {
    let (api, till, gateway, pod) = shop(|_| ()).await;
    let go = Arc::new(Semaphore::new(0));
    api.is(Mood::Waits(Arc::clone(&go)));
    let mut client = gateway.connect().await;
    client.predict(&bearer(&till)).await;
    go.add_permits(1);
    eventually(|| async { (api.count(ACCESS) == 1).then_some(()).ok_or(()) }).await;
    let mut secret = closed(&pod);
    (secret.uid, secret.name) = ("u2".into(), "secret".into());
    gateway.state.swap(table(vec![secret], None));
    go.add_permits(2);
    let answer = client.answer().await;
    assert_eq!(answer.verdict(), (404, "unknown_model".to_owned()));
    assert_eq!((api.count(ACCESS), pod.count()), (2, 0));
}

#[tokio::test]
async fn tokens_of_one_user_share_the_limits_of_the_default_plan() {
    let plan = Plan {
        rates: vec![Rate {
            name: "per-hour".into(),
            requests: 1,
            window: Duration::from_secs(3600),
            burst: 2,
        }],
        concurrency: None,
        shadow: false,
    };
    let (api, till, gateway, _pod) = shop(|setup| {
        setup.table.plans.insert("free".into(), Arc::new(plan));
        setup.settings.default_plan = Some("free".into());
    })
    .await;
    let again = jwt("again", "aimass", 600);
    api.admit(&again, TILL);
    let other = jwt("other", "aimass", 600);
    api.admit(&other, "system:serviceaccount:shop:other");
    api.allow("system:serviceaccount:shop:other", "shop", "iris");
    assert_eq!(ask(&gateway, &till).await.status, 200);
    let answer = ask(&gateway, &again).await;
    assert_eq!(answer.header("ratelimit"), "\"per-hour\";r=0;t=7200");
    let answer = ask(&gateway, &till).await;
    assert_eq!(answer.verdict(), (429, "rate_limited".to_owned()));
    assert_eq!(ask(&gateway, &other).await.status, 200);
}

#[tokio::test]
async fn a_gateway_that_ends_lets_nobody_wait_for_an_answer() {
    let (api, till, gateway, _pod) = shop(|_| ()).await;
    api.is(Mood::Silent);
    let address = gateway.address;
    let waiting = spawn(async move { Client::ask(address, &bearer(&till)).await });
    eventually(|| async { (api.count(TOKENS) == 1).then_some(()).ok_or(()) }).await;
    gateway.state.abort();
    let answer = waiting.await.unwrap();
    assert_eq!(answer.verdict(), (503, "draining".to_owned()));
}
