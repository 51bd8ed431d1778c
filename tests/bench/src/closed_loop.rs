//! A closed-loop load: each connection sends its next request when its answer is there.
//!
//! Blocking threads over raw sockets, because the generator shares two cores with what it measures
//! and has to cost as little as it can.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// What one run of load showed.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Answers with status 200 per second, over all connections.
    pub requests_per_second: f64,
    /// 99th percentile of the time from request to whole answer, in ms.
    pub p99_ms: f64,
}

/// Sends `request` (a whole HTTP/1.1 request, kept alive) over `connections` for `duration`.
///
/// # Errors
/// A connection that breaks, or an answer other than 200: a figure with errors is no figure.
pub fn run(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Load> {
    let start = Instant::now();
    let until = start + duration;
    let latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(move || one_connection(address, request, until)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("the loop does not panic"))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let elapsed = start.elapsed();
    let mut latencies: Vec<u32> = latencies.into_iter().flatten().collect();
    latencies.sort_unstable();
    let index = (latencies.len() * 99 / 100).min(latencies.len().saturating_sub(1));
    let p99_us = *latencies.get(index).context("no request was answered")?;
    let count = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
    Ok(Load {
        requests_per_second: f64::from(count) / elapsed.as_secs_f64(),
        p99_ms: f64::from(p99_us) / 1000.0,
    })
}

/// Latencies in µs of one connection.
fn one_connection(address: SocketAddr, request: &[u8], until: Instant) -> anyhow::Result<Vec<u32>> {
    let mut stream = TcpStream::connect(address).context("failed to connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut latencies = Vec::with_capacity(1 << 16);
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let sent = Instant::now();
        if sent >= until {
            return Ok(latencies);
        }
        stream.write_all(request)?;
        read_answer(&mut stream, &mut buffer)?;
        latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let rest = buffer
            .get_mut(filled..)
            .context("the answer is too large")?;
        let count = stream.read(rest).context("failed to read the answer")?;
        if count == 0 {
            bail!("the server closed the connection under load");
        }
        filled += count;
        let bytes = buffer.get(..filled).unwrap_or_default();
        if let Some(length) = answer_length(bytes)?
            && filled >= length
        {
            return Ok(());
        }
    }
}

/// The length of head and body once the head is whole; an error unless the status is 200.
fn answer_length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = bytes.get(..end).unwrap_or_default();
    if head.get(9..12) != Some(b"200".as_slice()) {
        bail!(
            "an answer under load is not 200: {}",
            String::from_utf8_lossy(bytes)
        );
    }
    let length = head
        .split(|byte| *byte == b'\n')
        .find_map(|line| {
            let line = std::str::from_utf8(line).ok()?;
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        })
        .context("an answer without content-length")?;
    Ok(Some(end + 4 + length))
}
