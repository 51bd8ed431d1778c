//! An open-loop load: requests are due at a constant rate, whatever becomes of earlier ones.
//!
//! A latency counts from the moment at which its request was due, so that a stall is seen by all the
//! requests that it delays. Connections take turns; who is late sends at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::connection::Connection;
use crate::percentile;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    /// Requests that become due per second, over all connections.
    pub per_second: f64,
    /// More than are ever in flight, or requests wait for a connection (which counts).
    pub connections: usize,
    /// For how long requests become due.
    pub duration: Duration,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it was due, counted from the start of the run.
    pub due: Duration,
    /// The status of its answer; 0 where the connection broke.
    pub status: u16,
    /// From due to answered, in µs.
    pub latency_us: u32,
    /// From sent to answered, in µs: what the server alone took.
    pub served_us: u32,
}

impl Sample {
    /// Answered with 2xx.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Sends `request` as `arrivals` say; gives all samples in the order in which they were due.
///
/// # Errors
/// Nobody listens.
pub fn run(address: SocketAddr, request: &[u8], arrivals: Arrivals) -> anyhow::Result<Vec<Sample>> {
    // All are connected before the first request is due.
    let open = |_| Connection::open(address);
    let connections: Vec<Connection> = (0..arrivals.connections)
        .map(open)
        .collect::<anyhow::Result<_>>()?;
    let start = Instant::now() + Duration::from_millis(50);
    let mut samples = std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(index, connection)| {
                scope.spawn(move || {
                    let lane = Lane {
                        address,
                        request,
                        start,
                        index,
                    };
                    lane.run(connection, arrivals)
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("the loop does not panic"))
            .collect::<Vec<Sample>>()
    });
    samples.sort_by_key(|sample| sample.due);
    Ok(samples)
}

/// As [`run`], where every request must be answered.
///
/// # Errors
/// As [`run`], or an answer other than 2xx: a figure with errors is no figure.
pub fn run_answered(
    address: SocketAddr,
    request: &[u8],
    arrivals: Arrivals,
) -> anyhow::Result<Vec<Sample>> {
    let samples = run(address, request, arrivals)?;
    if let Some(bad) = samples.iter().find(|sample| !sample.is_answered()) {
        bail!("an answer under this load has the status {}", bad.status);
    }
    Ok(samples)
}

/// The `percent`th percentile of how long the server alone took for answers with `status`, in ms; 0 without any.
#[must_use]
pub fn served_ms(samples: &[Sample], status: u16, percent: f64) -> f64 {
    let with_status = samples.iter().filter(|sample| sample.status == status);
    let mut times: Vec<u32> = with_status.map(|sample| sample.served_us).collect();
    times.sort_unstable();
    percentile(&times, percent) / 1000.0
}

/// The `percent`th percentile of the latencies of what was answered, in ms; 0 without any.
#[must_use]
pub fn latency_ms(samples: &[Sample], percent: f64) -> f64 {
    let answered = samples.iter().filter(|sample| sample.is_answered());
    let mut latencies: Vec<u32> = answered.map(|sample| sample.latency_us).collect();
    latencies.sort_unstable();
    percentile(&latencies, percent) / 1000.0
}

/// The requests of one connection.
struct Lane<'a> {
    address: SocketAddr,
    request: &'a [u8],
    start: Instant,
    index: usize,
}

impl Lane<'_> {
    fn run(&self, mut connection: Connection, arrivals: Arrivals) -> Vec<Sample> {
        let mut samples = Vec::new();
        for turn in 0_usize.. {
            let number = turn
                .saturating_mul(arrivals.connections)
                .saturating_add(self.index);
            let due = due(number, arrivals.per_second);
            if due >= arrivals.duration {
                break;
            }
            wait_until(self.start + due);
            let sent = Instant::now();
            let answer = connection.exchange(self.request);
            let now = Instant::now();
            samples.push(Sample {
                due,
                status: answer.as_ref().copied().unwrap_or(0),
                latency_us: micros(now.saturating_duration_since(self.start + due)),
                served_us: micros(now - sent),
            });
            if answer.is_err() {
                let Ok(fresh) = Connection::open(self.address) else {
                    break;
                };
                connection = fresh;
            }
        }
        samples
    }
}

/// When the request of this number is due.
fn due(number: usize, per_second: f64) -> Duration {
    let number = f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    Duration::from_secs_f64(number / per_second)
}

/// Waits on this thread.
pub(crate) fn wait_until(moment: Instant) {
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // May return early: nobody unparks, but that is allowed to it.
        std::thread::park_timeout(left);
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_a_constant_rate() {
        assert_eq!(due(0, 100.0), Duration::ZERO);
        assert_eq!(due(250, 100.0), Duration::from_millis(2500));
    }

    #[test]
    fn only_what_was_answered_has_a_latency() {
        let sample = |status, latency_us| Sample {
            due: Duration::ZERO,
            status,
            latency_us,
            served_us: 1,
        };
        let samples = [sample(200, 1000), sample(503, 9000), sample(0, 9000)];
        assert!((latency_ms(&samples, 99.0) - 1.0).abs() < 1e-9);
        assert!((served_ms(&samples, 503, 99.0) - 0.001).abs() < 1e-9);
        assert!(served_ms(&samples, 429, 99.0).abs() < 1e-9);
    }
}
