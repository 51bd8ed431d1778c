//! The real binary: exit codes, the termination log, and its end on a signal.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::serving::testdata;

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimass-server"));
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env_clear();
    command
}

/// Two ports that nobody has at the moment.
pub(crate) fn ports() -> [u16; 2] {
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    [listener(), listener()].map(|listener| listener.local_addr().unwrap().port())
}

/// Ends the process when the test does.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

pub(crate) async fn end(child: &mut Child) -> ExitStatus {
    for _ in 0..600 {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server did not end within 30 s");
}

/// Serves `folder` until it ends: exit code and termination log.
async fn refused(folder: &Path) -> (Option<i32>, serde_json::Value) {
    let [data, admin] = ports();
    let log = tempfile::NamedTempFile::new().unwrap();
    let child = binary()
        .arg("--bind=127.0.0.1")
        .arg("--port=0")
        .arg(format!("--rest-api-port={data}"))
        .arg(format!("--admin-port={admin}"))
        .arg(format!("--model-dir={}", folder.display()))
        .arg(format!("--termination-log={}", log.path().display()))
        .spawn();
    let mut running = Running(child.unwrap());
    let status = end(&mut running.0).await;
    (
        status.code(),
        serde_json::from_slice(&std::fs::read(log.path()).unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn a_refused_model_ends_with_3_and_a_missing_one_with_4() {
    let folder = tempfile::tempdir().unwrap();
    let (code, log) = refused(&folder.path().join("missing")).await;
    assert_eq!(
        (code, log["reason"].as_str()),
        (Some(4), Some("ArtifactUnavailable"))
    );
    std::fs::write(folder.path().join("model.onnx"), "no model").unwrap();
    let (code, log) = refused(folder.path()).await;
    assert_eq!(
        (code, log["reason"].as_str()),
        (Some(3), Some("ModelLoadFailed"))
    );
    assert!(
        log["message"]
            .as_str()
            .unwrap()
            .starts_with("the file is not an ONNX model")
    );
}

#[tokio::test]
async fn wrong_flags_end_with_64_and_all_problems() {
    let output = binary()
        .args(["--max_body=1M", "--engine=x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("has 2 problems"), "{text}");
    let output = binary().arg("--use_alts_credentials").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(
        binary().arg("--version").output().unwrap().status.code(),
        Some(0)
    );
}

#[tokio::test]
async fn a_port_that_is_taken_ends_with_5() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let [_, admin] = ports();
    let child = binary()
        .args(["--bind=127.0.0.1", "--port=0", "--model-dir=/nowhere"])
        .arg(format!("--rest-api-port={port}"))
        .arg(format!("--admin-port={admin}"))
        .spawn();
    let mut running = Running(child.unwrap());
    assert_eq!(end(&mut running.0).await.code(), Some(5));
}

pub(crate) async fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// A server of the linear model, ready, and its two ports.
async fn ready(folder: &Path) -> (Running, [u16; 2]) {
    ready_with(folder, &[]).await
}

/// As [`ready`], with further flags.
pub(crate) async fn ready_with(folder: &Path, flags: &[&str]) -> (Running, [u16; 2]) {
    ready_as(binary(), folder, flags).await
}

/// As [`ready_with`], by a command that says where its lines go.
pub(crate) async fn ready_as(
    mut binary: Command,
    folder: &Path,
    flags: &[&str],
) -> (Running, [u16; 2]) {
    std::fs::copy(testdata().join("linear.onnx"), folder.join("model.onnx")).unwrap();
    let [data, admin] = ports();
    let child = binary
        .args([
            "--bind=127.0.0.1",
            "--port=0",
            "--drain-delay=300ms",
            "--shutdown-grace=2s",
        ])
        .args(flags)
        .arg(format!("--rest-api-port={data}"))
        .arg(format!("--admin-port={admin}"))
        .arg(format!("--model-dir={}", folder.display()))
        .spawn();
    let running = Running(child.unwrap());
    for _ in 0..600 {
        let answer = get(admin, "/readyz").await;
        if answer.is_some_and(|answer| answer.contains("200 OK")) {
            return (running, [data, admin]);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server was not ready within 30 s");
}

pub(crate) fn terminate(running: &Running) {
    let pid = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

#[tokio::test]
async fn a_signal_ends_it_with_0_after_it_was_ready() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, [data, admin]) = ready(folder.path()).await;
    terminate(&running);
    // Not ready at once, but still serving during the delay.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = get(admin, "/readyz").await.unwrap();
    assert!(
        answer.contains("503") && answer.contains("Draining"),
        "{answer}"
    );
    assert!(
        get(data, "/v2/health/live")
            .await
            .unwrap()
            .contains("200 OK")
    );
    assert_eq!(end(&mut running.0).await.code(), Some(0));
}

#[tokio::test]
async fn who_reached_it_before_the_listeners_closed_is_still_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, [data, _]) = ready(folder.path()).await;
    let mut stream = TcpStream::connect(("127.0.0.1", data)).await.unwrap();
    let head = "POST /v1/models/default:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 21\r\n\r\n";
    let (begin, rest) = head.split_at(9);
    stream.write_all(begin.as_bytes()).await.unwrap();
    terminate(&running);
    while TcpStream::connect(("127.0.0.1", data)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let body = r#"{"instances":[[1.0]]}"#;
    let late = format!("{rest}{body}");
    stream.write_all(late.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"),
        "{answer}"
    );
    assert_eq!(end(&mut running.0).await.code(), Some(0));
}
