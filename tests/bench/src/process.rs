//! Processes under measurement: started, pinned to a core, watched for their memory, ended.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// A process that is ended and reaped when it is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `program` pinned to `core` (by `taskset`, of util-linux), its output thrown away.
    ///
    /// # Errors
    /// The program does not start.
    pub fn pinned(core: usize, program: &Path, arguments: &[String]) -> anyhow::Result<Self> {
        let child = Command::new("taskset")
            .arg("-c")
            .arg(core.to_string())
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        Ok(Self(child))
    }

    /// Starts `program` with `KUBECONFIG` set, unpinned, its output thrown away.
    ///
    /// # Errors
    /// The program does not start.
    pub fn with_kubeconfig(
        program: &Path,
        arguments: &[String],
        kubeconfig: &Path,
    ) -> anyhow::Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        Ok(Self(child))
    }

    /// Resident memory in MiB, from `/proc`.
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        resident_mib(self.0.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Over already is as good as ended now.
        let _already_over = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Resident memory of a process in MiB.
///
/// # Errors
/// There is no such process.
pub fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .context("/proc shows no VmRSS")?;
    Ok(kib / 1024.0)
}

/// A free port on loopback.
///
/// # Errors
/// Loopback has none.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Waits until `GET path` answers 200; returns the time it took.
///
/// # Errors
/// It did not within `within`.
pub fn wait_for(address: SocketAddr, path: &str, within: Duration) -> anyhow::Result<Duration> {
    let start = Instant::now();
    while start.elapsed() < within {
        if answers_200(address, path) {
            return Ok(start.elapsed());
        }
        std::thread::park_timeout(Duration::from_micros(500));
    }
    bail!("{path} was not 200 within {within:?}")
}

fn answers_200(address: SocketAddr, path: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100))
    else {
        return false;
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
    let mut head = [0_u8; 12];
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head.ends_with(b"200")
}
