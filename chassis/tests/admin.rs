//! The admin port over a real socket. The client blocks the runtime of the test all the while: that
//! the port answers shows that it needs none of the process's own threads.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aimass_chassis::admin::{self, Admin, Handle, Heartbeat};
use aimass_chassis::metrics::Registry;
use aimass_chassis::readiness::Readiness;
use axum::Router;
use axum::routing::get;
use prometheus_client::metrics::counter::Counter;

struct Process {
    admin: Handle,
    readiness: Readiness,
    alive: Arc<AtomicBool>,
}

fn process() -> Process {
    let readiness = Readiness::new("Loading", "the model is being loaded");
    let alive = Arc::new(AtomicBool::new(true));
    let counter: Counter = Counter::default();
    counter.inc_by(7);
    let mut registry = Registry::default();
    registry.register("aimass_test_things", "Things", counter);
    let told = Arc::clone(&alive);
    let admin = Admin {
        registry: Arc::new(registry),
        readiness: readiness.clone(),
        live: Arc::new(move || match told.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("the main loop has not run for 11 s".to_owned()),
        }),
        extra: Router::new().route("/extra", get(|| async { "more" })),
    };
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let admin = admin::start(loopback, admin).expect("a free port exists");
    Process {
        admin,
        readiness,
        alive,
    }
}

fn ask(process: &Process, path: &str) -> String {
    let mut stream = TcpStream::connect(process.admin.address).expect("the port listens");
    let wait = Some(Duration::from_secs(5));
    stream
        .set_read_timeout(wait)
        .expect("five seconds are a timeout");
    let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the port listens");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the port answers");
    answer
}

#[tokio::test]
async fn readiness_is_told_with_its_reason() {
    let process = process();
    let answer = ask(&process, "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let body = r#"{"message":"the model is being loaded","ready":false,"reason":"Loading"}"#;
    assert!(answer.ends_with(body), "{answer}");
    process.readiness.ready();
    let answer = ask(&process, "/readyz");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"ready":true}"#));
    process.readiness.not_ready("Draining", "told to stop");
    assert!(ask(&process, "/readyz").contains("Draining"));
}

#[tokio::test]
async fn a_dead_process_says_why() {
    let process = process();
    assert!(ask(&process, "/livez").starts_with("HTTP/1.1 200"));
    process.alive.store(false, Ordering::Relaxed);
    let answer = ask(&process, "/livez");
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("for 11 s"),
        "{answer}"
    );
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let answer = ask(&process(), "/metrics");
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(
        answer.contains("\naimass_test_things_total 7\n"),
        "{answer}"
    );
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn a_process_adds_its_own_pages() {
    let process = process();
    assert!(ask(&process, "/extra").ends_with("more"));
    assert!(ask(&process, "/other").starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_taken_port_is_refused_and_a_dropped_handle_frees_it() {
    let process = process();
    let address = process.admin.address;
    let again = || {
        let (registry, readiness) = (Arc::default(), process.readiness.clone());
        let live = Arc::new(|| Ok(()));
        admin::start(
            address,
            Admin {
                registry,
                readiness,
                live,
                extra: Router::new(),
            },
        )
    };
    let error = again().expect_err("the port is taken").to_string();
    assert_eq!(
        error,
        format!("failed to listen on the admin port {address}")
    );
    drop(process.admin);
    for attempt in 0.. {
        match again() {
            Ok(_) => break,
            Err(error) if attempt == 100 => panic!("the port is still taken: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[tokio::test]
async fn a_heart_beats() {
    let heartbeat = Heartbeat::start();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(heartbeat.check(), Ok(()));
}
