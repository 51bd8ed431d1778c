//! What callers cost who have asked once and keep their connection: resident memory with very many of them.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::pod::Pod;
use super::running::Gateway;
use super::site::{Caller, Limits, Site};
use super::{Setting, json_of};
use crate::Row;
use crate::connection::Connection;

/// As many as a gateway accepts.
const WANTED: u64 = 20_000;
/// Files of the gateway, and of this process, that are no such connection.
const RESERVED_FILES: u64 = 128;
const BODY_BYTES: usize = 64;
const LIMITS: Limits = Limits {
    per_second: 1_000_000,
    in_flight: 1_000,
};
const GOAL_MIB: f64 = 300.0;

/// The figure.
///
/// # Errors
/// The gateway does not start, or closes a connection.
pub(super) fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    // Before the gateway starts, which inherits it.
    let files = raise_limit_of_files()?;
    let count = connections(files);
    let pod = Pod::start(Duration::ZERO)?;
    let caller = Caller::limited("idle00000000", LIMITS);
    let request = caller.request("iris", &json_of(BODY_BYTES));
    let site = Site::of(pod.address, &[&caller]);
    let gateway = Gateway::start(&setting.binaries, &site, &request)?;
    let before = gateway.process.resident_mib()?;
    let idle = (0..count)
        .map(|_| ask_once(gateway.address, &request))
        .collect::<anyhow::Result<Vec<TcpStream>>>()?;
    let after = gateway.process.resident_mib()?;
    for stream in &idle {
        expect_open(stream)?;
    }
    let against = against(count, files, before);
    let row = Row::at_most("gateway/idle/resident", after, "MiB", GOAL_MIB);
    Ok(vec![row.against(against)])
}

/// As many files as the system lets this process open.
fn raise_limit_of_files() -> anyhow::Result<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).context("failed to allow as many files as there may be")?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// How many connections there can be with so many files in each of both processes.
fn connections(files: u64) -> u64 {
    WANTED.min(files.saturating_sub(RESERVED_FILES))
}

fn against(count: u64, files: u64, before: f64) -> String {
    let fewer = match count < WANTED {
        true => format!(", not {WANTED}: a process may open {files} files here"),
        false => String::new(),
    };
    format!("{count} connections, each after one request{fewer}; {before:.1} MiB without")
}

fn ask_once(address: SocketAddr, request: &[u8]) -> anyhow::Result<TcpStream> {
    let mut connection = Connection::open(address)?;
    let status = connection.exchange(request)?;
    anyhow::ensure!(status == 200, "an answer has status {status}");
    Ok(connection.into_stream())
}

/// A connection that the gateway has closed would cost nothing.
fn expect_open(stream: &TcpStream) -> anyhow::Result<()> {
    stream.set_nonblocking(true)?;
    match stream.peek(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Ok(_) | Err(_) => anyhow::bail!("the gateway has closed an idle connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_fewer_can_be_opened_the_row_says_so() {
        assert_eq!(connections(u64::MAX), WANTED);
        assert_eq!(connections(1_024), 896);
        let text = against(896, 1_024, 7.0);
        assert!(text.contains("896 connections") && text.contains("not 20000"));
        assert!(!against(WANTED, u64::MAX, 7.0).contains("not"));
    }
}
