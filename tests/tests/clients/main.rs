//! Lane `clients`: published clients, unchanged, against the real server process on loopback.
//!
//! Promise: whoever talks to TensorFlow Serving, Triton or KServe with these talks to aimass. Each is
//! a script of `tools/clients` in a process of its own (two of them bring the same protocol buffers
//! and cannot live in one). Run by `cargo xtask test clients`, which builds the server and installs
//! the clients, pinned by hash, into the cache.

#![expect(
    clippy::disallowed_methods,
    reason = "what happens to real processes is measured in real time"
)]

mod program;
mod server;

use program::Program;
use server::Server;

#[test]
fn the_plain_client_of_the_linear_example_is_answered() {
    let server = Server::ready();
    Program::script("plain.py", &[&server.url()]).succeeds();
}

#[test]
fn tritons_http_client_is_answered_in_json_and_in_binary() {
    let server = Server::ready();
    Program::script("triton_http.py", &[&server.url()]).succeeds();
}

#[test]
fn tritons_grpc_client_is_answered() {
    let server = Server::ready();
    Program::script("triton_grpc.py", &[&server.url()]).succeeds();
}

#[test]
fn kserves_client_is_answered() {
    let server = Server::ready();
    Program::script("kserve_v2.py", &[&server.url()]).succeeds();
}

#[test]
fn no_request_that_the_contract_allows_or_forbids_is_a_server_error() {
    let server = Server::ready();
    let contract = aimass_tests::args::repository().join("protocol/openapi/aimass.json");
    Program::tool("schemathesis")
        .with_config("schemathesis.toml")
        .arguments(&["run", &contract.to_string_lossy()])
        .arguments(&["--url", &server.url()])
        .arguments(&["--checks=not_a_server_error", "--phases=coverage,fuzzing"])
        .arguments(&[
            "--mode=all",
            "--max-examples=20",
            "--max-time=60",
            "--seed=7",
        ])
        .arguments(&[
            "--no-color",
            "--max-failures=5",
            "--generation-database=none",
        ])
        .succeeds();
    Program::script("plain.py", &[&server.url()]).succeeds();
}
