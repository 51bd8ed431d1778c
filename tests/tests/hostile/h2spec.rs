//! HTTP/2 on the data port, which gRPC needs, judged by h2spec: every case passes but those named here.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aimass_tests::args::Args;

use crate::process::Server;

/// For all of it; it takes two seconds, and few of the 146 cases could wait for ten.
const PATIENCE: Duration = Duration::from_secs(180);
/// Fewer cases than that are not h2spec.
const FEWEST_CASES: usize = 140;

/// A case has failed when it fails in each of so many runs. Some hang on who is first: h2spec resets a stream that we
/// may have answered and closed by then, and what comes on a stream that we closed is to be ignored, not refused (RFC
/// 9113, 5.1), for which it waits in vain.
const TRIES: usize = 3;

/// Cases that fail, and why that is right.
const ACCEPTED: [(&str, &str); 1] = [(
    "http2/3.5 Sends invalid connection preface",
    "the port speaks HTTP/1.1 too: what is no preface is a bad request there, and gets a 400 instead of a GOAWAY",
)];

#[test]
fn http2_is_what_h2spec_asks_for() {
    let program = Args::read()
        .h2spec
        .expect("no h2spec: run `cargo xtask test hostile`, which builds it");
    let server = Server::ready("linear");
    let accepted = ACCEPTED.map(|(name, _)| name);
    let mut failed = misses(&program, &server);
    for _ in 1..TRIES {
        if failed == accepted {
            break;
        }
        let again = misses(&program, &server);
        failed.retain(|name| again.contains(name));
    }
    assert_eq!(
        failed, accepted,
        "h2spec's misses against those that are accepted"
    );
    server.assert_serves();
}

/// The names of the cases that fail in one run.
fn misses(program: &Path, server: &Server) -> Vec<String> {
    let scratch = tempfile::tempdir().expect("a temporary folder can be made");
    let report = scratch.path().join("report.xml");
    let port = server.data.port().to_string();
    let child = Command::new(program)
        .args(["--host", "127.0.0.1", "--port", &port, "--path", "/v2"])
        // For busy machines: only an answer that does not come waits that long.
        .args(["--strict", "--timeout", "10"])
        .arg("--junit-report")
        .arg(&report)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("h2spec starts");
    wait(child);
    let cases = read(&report);
    let ran = cases.len();
    assert!(ran >= FEWEST_CASES, "only {ran} cases ran");
    let failed = cases.into_iter().filter(|case| case.failed);
    failed.map(|case| case.name).collect()
}

/// Until h2spec ends; its exit code only says whether some case failed.
fn wait(mut child: Child) {
    let deadline = Instant::now() + PATIENCE;
    while child
        .try_wait()
        .expect("the process can be asked")
        .is_none()
    {
        if Instant::now() >= deadline {
            let _ended_meanwhile = child.kill();
            let _status = child.wait();
            panic!("h2spec did not end within {PATIENCE:?}: a hang");
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A case of the report.
struct Case {
    /// `http2/6.9.1 2. Sends multiple …`
    name: String,
    failed: bool,
}

/// The report's cases; its XML is flat and machine-made.
fn read(report: &Path) -> Vec<Case> {
    let report = std::fs::read_to_string(report).expect("h2spec writes its report");
    let cases = report.split("<testcase ").skip(1);
    let case = |text: &str| {
        let attribute = |name: &str| {
            let value = text.split_once(&format!("{name}=\""))?.1;
            Some(value.split_once('"')?.0.to_owned())
        };
        let package = attribute("package").unwrap_or_default();
        let title = attribute("classname").unwrap_or_default();
        Case {
            name: format!("{package} {title}"),
            failed: text.contains("<failure") || text.contains("<error"),
        }
    };
    cases.map(case).collect()
}
