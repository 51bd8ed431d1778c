//! The server as a process: started on free loopback ports, ended by its own handle.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aimass_tests::args::repository;

use crate::wire;

/// A running `aimass-server`; killed and reaped when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where callers are answered.
    pub(crate) data: SocketAddr,
    /// Probes and metrics.
    pub(crate) admin: SocketAddr,
    _scratch: tempfile::TempDir,
}

impl Server {
    /// Starts the server on the example model `name` and waits until it is ready.
    pub(crate) fn ready(name: &str) -> Self {
        Self::ready_with(&example(name), &[])
    }

    /// Starts the server on a model file, with more flags, and waits until it is ready.
    pub(crate) fn ready_with(model_file: &Path, flags: &[&str]) -> Self {
        let mut server = Self::spawn(model_file, flags);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(Some(status)) = server.child.try_wait() {
                panic!("the server ended with {status} before it was ready");
            }
            if is_listening(server.admin) && wire::get(server.admin, "/readyz").status == 200 {
                return server;
            }
            assert!(
                Instant::now() < deadline,
                "the server was not ready within 30 s"
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Starts the server on a folder with one model file, with more flags, and does not wait.
    pub(crate) fn spawn(model_file: &Path, flags: &[&str]) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = scratch.path().join("files");
        std::fs::create_dir(&folder).expect("a folder can be made");
        std::fs::copy(model_file, folder.join("model.onnx")).expect("the model can be copied");
        let labels = model_file.with_extension("labels.txt");
        if labels.exists() {
            std::fs::copy(labels, folder.join("labels.txt")).expect("its labels can be copied");
        }
        let (data, admin) = (free_port(), free_port());
        let unnamed = !flags.iter().any(|flag| flag.starts_with("--model-name="));
        let child = Command::new(binary())
            .arg(format!("--model-dir={}", folder.display()))
            .arg(format!("--rest-api-port={}", data.port()))
            .arg(format!("--admin-port={}", admin.port()))
            .arg(format!(
                "--termination-log={}",
                scratch.path().join("termination").display()
            ))
            .args(["--model-version=7", "--bind=127.0.0.1"])
            .args(unnamed.then_some("--model-name=my_model"))
            .args([
                "--revision=my-model-aaaaaaaa",
                "--drain-delay=0s",
                "--port=0",
            ])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the server starts: `cargo xtask test hostile` builds it first");
        Self {
            child,
            data,
            admin,
            _scratch: scratch,
        }
    }

    /// Waits until the process ends by itself: its exit code.
    pub(crate) fn exit_code(&mut self, within: Duration) -> i32 {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                return status
                    .code()
                    .expect("the process ends by itself, not by a signal");
            }
            assert!(
                Instant::now() < deadline,
                "the server did not end within {within:?}"
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// What the server wrote as its termination message.
    pub(crate) fn termination_message(&self) -> String {
        std::fs::read_to_string(self._scratch.path().join("termination")).unwrap_or_default()
    }

    /// Panics unless a correct request is answered correctly now.
    #[track_caller]
    pub(crate) fn assert_serves(&self) {
        let answer = wire::post(
            self.data,
            "/v1/models/my_model:predict",
            &[],
            br#"{"signature_name":"serving_default","instances":[[1.0],[2.0],[3.0]]}"#,
        );
        assert_eq!(answer.status, 200, "a good request is refused: {answer:?}");
        assert!(answer.body.starts_with("{\"predictions\":[["), "{answer:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already over is fine: then there is nothing to end.
        let _already_over = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A model of `examples/`, by the name of its folder.
pub(crate) fn example(name: &str) -> PathBuf {
    repository().join(format!("examples/{name}/{name}.onnx"))
}

/// The server binary lies beside the folder of the test binaries.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("test binaries lie in target/*/deps");
    let binary = folder.join("aimass-server");
    assert!(
        binary.exists(),
        "no server binary beside the tests: run `cargo xtask test hostile`, which builds it"
    );
    binary
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound listener has an address")
}

fn is_listening(address: SocketAddr) -> bool {
    std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}
