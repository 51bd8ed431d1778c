//! The conformance tables over a socket: one process for each model, a connection for each case.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aimass_tests::args::repository;

use crate::cases::{self, Case};
use crate::process::Server;
use crate::wire;

#[test]
fn every_case_is_answered_over_a_socket_as_its_table_says() {
    let mut groups: BTreeMap<(String, bool), Vec<Case>> = BTreeMap::new();
    for case in cases::all() {
        if case.only != "codec" {
            groups
                .entry((case.model.clone(), case.strict))
                .or_default()
                .push(case);
        }
    }
    let mut failures = Vec::new();
    for ((model, strict), cases) in groups {
        let server = start(&model, strict);
        for case in cases {
            let headers: Vec<String> = case
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let request = wire::request(&case.method, &case.path, &headers, &case.body);
            let answer = wire::exchange(server.data, &request);
            if let Err(difference) = case.judge(answer.status, answer.body.as_bytes()) {
                failures.push(format!("{model}: {}: {difference}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn start(model: &str, strict: bool) -> Server {
    let checks = if strict { "strict" } else { "lenient" };
    Server::ready_with(
        &twin(model),
        &[
            &format!("--model-name={model}"),
            &format!("--input-checks={checks}"),
            &format!("--version-labels=canary={}", cases::VERSION),
        ],
    )
}

/// A model of the server's test data.
fn twin(name: &str) -> PathBuf {
    repository().join(format!("server/testdata/twins/{name}.onnx"))
}
