//! A closed-loop load: each connection sends its next request when its answer is there.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::connection::Connection;
use crate::percentile;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so long.
    Elapsed(Duration),
    /// After so many requests over all connections.
    Requests(u64),
}

/// What one run of load showed.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Answers with a status of 2xx per second, over all connections.
    pub requests_per_second: f64,
    /// Median of the time from request to whole answer, in ms.
    pub p50_ms: f64,
    /// 99th percentile of it, in ms.
    pub p99_ms: f64,
    /// Answers with another status.
    pub refused: u64,
}

/// Sends `request` (a whole HTTP/1.1 request, kept alive) over `connections` for `duration`.
///
/// # Errors
/// A connection that breaks, or an answer other than 2xx: a figure with errors is no figure.
pub fn run(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Load> {
    run_until(address, request, connections, Until::Elapsed(duration))
}

/// As [`run`], until `until`.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    until: Until,
) -> anyhow::Result<Load> {
    let load = run_counting(address, request, connections, until)?;
    if load.refused > 0 {
        let mut connection = Connection::open(address)?;
        let status = connection.exchange(request)?;
        let last = connection.last_answer();
        let refused = load.refused;
        bail!("{refused} answers under load are not 200; one more gives {status}: {last}");
    }
    Ok(load)
}

/// As [`run_until`], but answers other than 2xx are counted instead of being an error.
///
/// # Errors
/// A connection that breaks.
pub fn run_counting(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    until: Until,
) -> anyhow::Result<Load> {
    let start = Instant::now();
    let sent = AtomicU64::new(0);
    let more = || match until {
        Until::Elapsed(duration) => start.elapsed() < duration,
        Until::Requests(count) => sent.fetch_add(1, Ordering::Relaxed) < count,
    };
    let each = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| one_connection(address, request, &more)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("the loop does not panic"))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let elapsed = start.elapsed();
    let refused = each.iter().map(|one| one.refused).sum();
    let mut latencies: Vec<u32> = each.into_iter().flat_map(|one| one.latencies_us).collect();
    latencies.sort_unstable();
    if latencies.is_empty() && refused == 0 {
        bail!("no request was answered");
    }
    let count = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
    Ok(Load {
        requests_per_second: f64::from(count) / elapsed.as_secs_f64(),
        p50_ms: percentile(&latencies, 50.0) / 1000.0,
        p99_ms: percentile(&latencies, 99.0) / 1000.0,
        refused,
    })
}

/// What one connection saw.
struct Seen {
    latencies_us: Vec<u32>,
    refused: u64,
}

fn one_connection(
    address: SocketAddr,
    request: &[u8],
    more: &(dyn Fn() -> bool + Sync),
) -> anyhow::Result<Seen> {
    let mut connection = Connection::open(address)?;
    let mut seen = Seen {
        latencies_us: Vec::with_capacity(1 << 16),
        refused: 0,
    };
    while more() {
        let sent = Instant::now();
        let status = connection.exchange(request)?;
        if (200..300).contains(&status) {
            let latency = sent.elapsed().as_micros();
            seen.latencies_us
                .push(u32::try_from(latency).unwrap_or(u32::MAX));
        } else {
            seen.refused += 1;
        }
    }
    Ok(seen)
}
