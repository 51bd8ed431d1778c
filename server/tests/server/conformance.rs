//! The conformance tables against the app in process, each model loaded as it would be.

use std::collections::BTreeMap;

use aimass_protocol::Checks;
use axum::body::Body;
use axum::http::Request;

use super::cases::{self, Case, VERSION};
use super::serving::{Server, settings};
use super::twins::twin;

#[tokio::test]
async fn every_case_is_answered_as_its_table_says() {
    let mut servers: BTreeMap<(String, bool), Server> = BTreeMap::new();
    let mut failures = Vec::new();
    for case in cases::all() {
        if case.only == "codec" {
            continue;
        }
        let key = (case.model.clone(), case.strict);
        let server = servers
            .entry(key)
            .or_insert_with(|| serve(&case.model, case.strict));
        let answer = server.send(request(&case)).await;
        if let Err(difference) = case.judge(answer.status, &answer.body) {
            failures.push(format!("{}: {difference}", case.name));
        }
        if answer.status >= 400 && answer.header("aimass-error").is_empty() {
            failures.push(format!("{}: the error has no kind", case.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn serve(model: &str, strict: bool) -> Server {
    let mut settings = settings();
    settings.model_name = model.to_owned();
    settings.model_version = Some(VERSION);
    settings.labels = BTreeMap::from([("canary".to_owned(), VERSION)]);
    settings.max_body = 16 << 20;
    if strict {
        settings.checks = Checks::Strict;
    }
    Server::with_file(&twin(model), settings)
}

fn request(case: &Case) -> Request<Body> {
    let mut request = Request::builder()
        .method(case.method.as_str())
        .uri(&case.path);
    for (name, value) in &case.headers {
        request = request.header(name, value);
    }
    request.body(Body::from(case.body.clone())).unwrap()
}
