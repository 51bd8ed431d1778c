//! The gateway under measurement, on core 0.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::site::Site;
use crate::connection::Connection;
use crate::process::{Process, free_port};
use crate::server::running::SERVER_CORE;

/// A process that is not ready by then never will be.
const PATIENCE: Duration = Duration::from_secs(30);

/// `bench-gateway`, answering.
#[derive(Debug)]
pub(super) struct Gateway {
    /// The process.
    pub(super) process: Process,
    /// Where it is asked.
    pub(super) address: SocketAddr,
}

impl Gateway {
    /// Starts it with the table of `site`, and waits until it answers `request` with 200.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(binaries: &Path, site: &Site, request: &[u8]) -> anyhow::Result<Self> {
        let address = free_port()?;
        let arguments = [address.to_string(), serde_json::to_string(site)?];
        let program = binaries.join("bench-gateway");
        let mut process = Process::pinned(SERVER_CORE, &program, &arguments)?;
        wait_for_answer(&mut process, address, request)?;
        Ok(Self { process, address })
    }
}

/// Waits until `process` answers `request` with 200.
///
/// # Errors
/// It ended, or did not within 30 s.
pub(super) fn wait_for_answer(
    process: &mut Process,
    address: SocketAddr,
    request: &[u8],
) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut last = "nobody listens".to_owned();
    while start.elapsed() < PATIENCE {
        if let Ok(mut connection) = Connection::open(address) {
            match connection.exchange(request) {
                Ok(200) => return Ok(()),
                Ok(_other) => last = connection.last_answer(),
                Err(error) => last = format!("{error:#}"),
            }
        }
        if let Some(status) = process.ended()? {
            bail!("it ended with {status} before it answered");
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    bail!("no answer with 200 within {PATIENCE:?}: {last}")
}
