//! What is told of each request: once, whatever becomes of it, and nothing that is secret.

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, KEY_ID, Setup, model, table, token};

#[tokio::test]
async fn a_line_says_what_happened_and_nothing_secret() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = format!(
        "POST /projects/shop/v1/models/iris:predict?password=hidden HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         x-request-id: r-1\r\ntraceparent: {parent}\r\nx-own: hidden\r\ncontent-length: 6\r\n\r\nhidden",
        token()
    );
    let answer = Client::talk(gateway.address, request).await;
    assert_eq!(answer.status, 200);
    let timing = answer.header("server-timing");
    assert!(
        timing.contains("admit;dur=") && timing.contains("upstream;dur="),
        "{timing}"
    );
    let line = gateway.lines(1).await.remove(0);
    let text = line.to_string();
    assert!(
        !text.contains("hidden") && !text.contains(&token()),
        "{text}"
    );
    let endpoint = pod.address.to_string();
    for (field, value) in [
        ("request.id", "r-1"),
        ("trace.id", "0af7651916cd43dd8448eb211c80319c"),
        ("project", "shop"),
        ("model", "iris"),
        ("revision", "aaaaaaaa"),
        ("caller.kind", "key"),
        ("caller.id", KEY_ID),
        ("client.address", "127.0.0.1"),
        ("protocol", "tfs"),
        ("method", "POST"),
        ("path", "/projects/shop/v1/models/iris:predict"),
        ("endpoint", &endpoint),
        ("level", "info"),
    ] {
        assert_eq!(line[field], value, "{field} in {text}");
    }
    for (field, value) in [
        ("http.status", 200),
        ("request.bytes", 6),
        ("response.bytes", 2),
        ("attempts", 1),
    ] {
        assert_eq!(line[field], value, "{field} in {text}");
    }
    for field in ["admit_ms", "upstream_ms", "duration_ms", "timestamp"] {
        assert!(!line[field].is_null(), "{field} in {text}");
    }
    assert_eq!(pod.last().header("traceparent"), Some(parent));
}

#[tokio::test]
async fn requests_are_counted_once_by_model_and_outcome() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    for _ in 0..3 {
        Client::ask(gateway.address, "").await;
    }
    for path in [
        "/v1/models/rose:predict",
        "/v1/nothing",
        "/metrics",
        "/readyz",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = Client::talk(gateway.address, request).await;
        assert!(
            matches!(answer.status, 400 | 401 | 404),
            "{path}: {answer:?}"
        );
    }
    gateway.lines(7).await;
    let page = gateway.metrics();
    let count =
        |labels: &str| gateway.metric(&format!("aimass_gateway_requests_total{{{labels}}}"));
    let ok = "project=\"shop\",model=\"iris\",protocol=\"tfs\",code=\"200\",kind=\"ok\"";
    assert_eq!(count(ok), 3.0, "{page}");
    let series = page
        .lines()
        .filter(|line| line.starts_with("aimass_gateway_requests_total"));
    let sum: f64 = series
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(sum, 7.0, "{page}");
    let durations =
        "aimass_gateway_request_duration_seconds_count{project=\"shop\",model=\"iris\"}";
    assert_eq!(gateway.metric(durations), 3.0);
    assert_eq!(gateway.metric("aimass_gateway_overhead_seconds_count"), 3.0);
    let in_flight =
        "aimass_gateway_in_flight{project=\"shop\",model=\"iris\",revision=\"aaaaaaaa\"}";
    assert!(page.contains(in_flight), "{page}");
    assert_eq!(gateway.metric(in_flight), 0.0);
}

#[tokio::test]
async fn names_that_callers_make_up_make_no_series() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    for number in 0..500 {
        let path = format!("/projects/p{number}/v1/models/m{number}:predict");
        client
            .send(format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
            ))
            .await;
        assert_eq!(client.answer().await.status, 401);
    }
    let page = gateway.metrics();
    assert!(page.len() < 20_000, "{}", page.len());
    assert!(!page.contains("m499"));
}

#[tokio::test]
async fn of_successes_a_share_is_told_and_of_failures_all() {
    let pod = Pod::answering(OK).await;
    let mut setup = Setup::of(table(vec![model(&[pod.address])], None));
    setup.settings.access_log_sample = 0.0;
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    for _ in 0..5 {
        client.predict("").await;
        assert_eq!(client.answer().await.status, 200);
        client
            .send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 404);
    }
    let lines = gateway.lines(5).await;
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line["http.status"] == 404));
}
