//! The server as a process on the linear example, on free loopback ports; ended by its own handle.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aimass_tests::args::repository;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running `aimass-server`; killed and reaped when dropped.
pub(crate) struct Server {
    child: Child,
    data: SocketAddr,
    _scratch: tempfile::TempDir,
}

impl Server {
    /// Starts it as the model `my_model` and waits until it is ready.
    pub(crate) fn ready() -> Self {
        let scratch = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = scratch.path().join("files");
        std::fs::create_dir(&folder).expect("a folder can be made");
        let example = repository().join("examples/linear/linear.onnx");
        std::fs::copy(example, folder.join("model.onnx")).expect("the model can be copied");
        let (data, admin) = (free_port(), free_port());
        let termination = scratch.path().join("termination");
        let child = Command::new(binary())
            .arg(format!("--model-dir={}", folder.display()))
            .arg(format!("--rest-api-port={}", data.port()))
            .arg(format!("--admin-port={}", admin.port()))
            .arg(format!("--termination-log={}", termination.display()))
            .args(["--model-name=my_model", "--model-version=7"])
            .args(["--revision=my-model-aaaaaaaa", "--bind=127.0.0.1"])
            .args(["--version-labels=stable=7", "--drain-delay=0s", "--port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the server starts: `cargo xtask test clients` builds it first");
        let mut server = Self {
            child,
            data,
            _scratch: scratch,
        };
        server.wait(admin);
        server
    }

    fn wait(&mut self, admin: SocketAddr) {
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(admin) {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended with {status} before it was ready");
            }
            assert!(
                Instant::now() < deadline,
                "the server was not ready within {PATIENCE:?}"
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.data)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already over is fine: then there is nothing to end.
        let _already_over = self.child.kill();
        let _status = self.child.wait();
    }
}

fn is_ready(admin: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&admin, Duration::from_millis(200)) else {
        return false;
    };
    let request = b"GET /readyz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n";
    let mut head = [0_u8; 12];
    stream.set_read_timeout(Some(PATIENCE)).is_ok()
        && stream.write_all(request).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head.ends_with(b"200")
}

/// The server binary lies beside the folder of the test binaries.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent);
    let binary = folder
        .expect("test binaries lie in target/*/deps")
        .join("aimass-server");
    assert!(
        binary.exists(),
        "no server binary beside the tests: run `cargo xtask test clients`, which builds it"
    );
    binary
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound listener has an address")
}
