//! Calls that are refused: by trailers alone, with the status, the kind and the text of the one table of errors.

use std::time::Duration;

use aimass_gateway::table::{Plan, Rate};
use axum::body::Body;
use futures_util::stream;
use hyper::body::Bytes;
use tonic::Code;

use super::caller::{CALL, Caller, INFER, framed};
use super::speaker::Speaker;
use crate::world::{Gateway, Setup, model, ms, table, token};

const NOT_A_KEY: &str = "aim_abcDEF123456_wrong";

#[tokio::test]
async fn what_is_not_for_a_model_is_not_implemented_here() {
    let pod = Speaker::named("iris").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let path = "/grpc.health.v1.Health/Check";
    let text = format!(
        "{path} is about a server, and the gateway answers for models only: ask ModelReady, ModelMetadata or ModelInfer"
    );
    let answer = caller.raw(path, &CALL, vec![0; 5]).await;
    answer.refuses("12", "bad_route", &text);
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let answer = caller.raw(path, &CALL, vec![0; 5]).await;
    answer.refuses("12", "bad_route", &format!("Not found: POST {path}"));
    let plain = [("content-type", "application/grpc")];
    let answer = caller.raw(INFER, &plain, framed("iris")).await;
    answer.refuses("3", "bad_request", "gRPC needs the header te: trailers");
    assert_eq!(pod.count(), 0);
    let lines = gateway.lines(3).await;
    let seen = |line: &serde_json::Value| (line["protocol"].clone(), line["http.status"].clone());
    assert_eq!(seen(&lines[0]), ("grpc".into(), 404.into()));
}

#[tokio::test]
async fn a_message_without_a_model_is_refused_and_one_about_nothing_not_found() {
    let pod = Speaker::named("iris").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let answer = caller.raw(INFER, &CALL, vec![0; 5]).await;
    answer.refuses(
        "3",
        "bad_request",
        "The message must begin with the model's name (field 1) and version (field 2, if any), within 4096 bytes",
    );
    let answer = caller.raw(INFER, &CALL, Vec::new()).await;
    answer.refuses("3", "bad_request", "Missing message");
    let key = token();
    let headers = [CALL[0], CALL[1], ("x-api-key", key.as_str())];
    let answer = caller.raw(INFER, &headers, framed("rose")).await;
    answer.refuses("5", "unknown_model", "Model rose not found");
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn who_may_not_call_learns_as_much_as_over_rest() {
    let pod = Speaker::named("iris").await;
    let mut private = model(&[pod.address]);
    private.access.public = false;
    let mut other = model(&[pod.address]);
    other.access.public = false;
    (other.name, other.served_name) = ("rose".into(), "rose".into());
    let gateway = Setup::of(table(vec![private, other], None)).start().await;
    let caller = Caller::connect(gateway.address).await;
    let unknown = "Missing or unknown API key";
    let answer = caller.raw(INFER, &CALL, framed("iris")).await;
    answer.refuses("16", "unauthenticated", unknown);
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    let headers = [CALL[0], CALL[1], ("x-api-key", NOT_A_KEY)];
    let answer = caller.raw(INFER, &headers, framed("iris")).await;
    answer.refuses("16", "unauthenticated", unknown);
    let key = token();
    let headers = [CALL[0], CALL[1], ("x-api-key", key.as_str())];
    let answer = caller.raw(INFER, &headers, framed("rose")).await;
    answer.refuses("7", "forbidden", "This key may not call model rose");
    assert_eq!(pod.count(), 0);
    let lines = gateway.lines(3).await;
    assert_eq!(lines[0]["error.kind"], "unauthenticated");
    assert_eq!(lines[0]["http.status"], 401);
}

#[tokio::test]
async fn limits_of_callers_hold_and_are_told() {
    let pod = Speaker::named("iris").await;
    let rate = Rate {
        name: "per-hour".into(),
        requests: 1,
        window: Duration::from_secs(3600),
        burst: 1,
    };
    let plan = Plan {
        rates: vec![rate],
        concurrency: None,
        shadow: false,
    };
    let gateway = Setup::of(table(vec![model(&[pod.address])], Some(plan)))
        .start()
        .await;
    let caller = Caller::connect(gateway.address).await;
    let key = token();
    let headers = [CALL[0], CALL[1], ("x-api-key", key.as_str())];
    let answer = caller.raw(INFER, &headers, framed("iris")).await;
    assert_eq!(answer.header("ratelimit"), "\"per-hour\";r=0;t=3600");
    let answer = caller.raw(INFER, &headers, framed("iris")).await;
    answer.refuses("8", "rate_limited", "Rate limit \"per-hour\" exceeded");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 3500);
    assert_eq!(answer.header("x-should-retry"), "false");
    assert_eq!(pod.count(), 1);
}

#[tokio::test]
async fn a_message_is_as_large_as_the_model_takes_and_no_larger() {
    let pod = Speaker::named("iris").await;
    let mut small = model(&[pod.address]);
    let exact = framed("iris").len() - 5;
    small.max_request_bytes = u64::try_from(exact).unwrap();
    let gateway = Gateway::with(small).await;
    let caller = Caller::connect(gateway.address).await;
    caller.infer("iris", &[]).await.unwrap();
    assert_eq!(pod.count(), 1);
    let text = format!("Request body exceeds {exact} bytes");
    // By what its prefix says, before anything is sent on.
    let mut larger = framed("iris");
    larger.push(0);
    larger[4] += 1;
    let answer = caller.raw(INFER, &CALL, larger.clone()).await;
    answer.refuses("11", "body_too_large", &text);
    assert_eq!(pod.count(), 1);
    // By what comes, whatever the prefix says.
    larger[4] -= 1;
    let answer = caller.raw(INFER, &CALL, larger).await;
    answer.refuses("11", "body_too_large", &text);
}

#[tokio::test]
async fn time_that_is_up_is_a_status_of_its_own() {
    let pod = Speaker::new(|_, _| std::future::pending()).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let begun = tokio::time::Instant::now();
    let headers = [CALL[0], CALL[1], ("grpc-timeout", "200m")];
    let answer = caller.raw(INFER, &headers, framed("iris")).await;
    answer.refuses("4", "deadline", "Deadline of 200 ms exceeded");
    assert!((ms(190)..ms(2000)).contains(&begun.elapsed()));
    let headers = [CALL[0], CALL[1], ("grpc-timeout", "soon")];
    let answer = caller.raw(INFER, &headers, framed("iris")).await;
    answer.refuses("3", "bad_request", "Invalid grpc-timeout: \"soon\"");
}

#[tokio::test]
async fn without_pods_callers_are_told_when_to_come_again() {
    let gateway = Gateway::to(&[]).await;
    let caller = Caller::connect(gateway.address).await;
    let answer = caller.raw(INFER, &CALL, framed("iris")).await;
    answer.refuses("14", "not_ready", "Model iris is not ready: Starting");
    assert_eq!(answer.header("retry-after-ms"), "1000");
}

#[tokio::test]
async fn a_pod_that_speaks_otherwise_does_not_answer() {
    let pod = crate::pod::Pod::answering(crate::pod::OK).await;
    let page = Speaker::new(|_, _| async {
        let response = http::Response::builder().header("content-type", "text/html");
        response.body(Body::from("<html>")).unwrap()
    })
    .await;
    for address in [pod.address, page.address] {
        let gateway = Gateway::to(&[address]).await;
        let caller = Caller::connect(gateway.address).await;
        let answer = caller.raw(INFER, &CALL, framed("iris")).await;
        answer.refuses(
            "14",
            "upstream_broken",
            "The model server broke the connection",
        );
    }
}

#[tokio::test]
async fn a_call_whose_body_breaks_off_is_none() {
    let pod = Speaker::named("iris").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let cut = Bytes::from(framed("iris")).slice(..20);
    let answer = caller.raw(INFER, &CALL, cut.to_vec()).await;
    assert!(pod.count() <= 1, "{answer:?}");
    let broken = stream::iter([Ok(cut), Err(std::io::Error::other("gone"))]);
    let sent = caller.send(INFER, &CALL, Body::from_stream(broken)).await;
    assert!(sent.is_err(), "{sent:?}");
    // The connection is as good as before.
    let refused = caller
        .infer("iris", &[("aimass-project", "Not a project")])
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    caller.infer("iris", &[]).await.unwrap();
}
