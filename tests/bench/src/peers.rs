//! The race: other model servers with the same model, request and core, one at a time beside ours.
//!
//! Each is what its package registry has, one worker, onnxruntime with one thread. A peer that does
//! not start is a row that says so.

mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::closed_loop::{self, Until};
use crate::connection::{Connection, post};
use crate::process::{Process, free_port};
use crate::server::running::{Programs, Running, SERVER_CORE, digits_v1, digits_v2};
use crate::{Row, median};

/// Rounds of alternation.
const ROUNDS: usize = 3;
/// Before anything counts.
const WARM_UP: Duration = Duration::from_secs(2);
/// Python servers import for a while.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the race needs.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Ours.
    pub programs: Programs,
    /// The folder `tools/`.
    pub tools: PathBuf,
    /// Each peer's Python with its packages, or why there is none.
    pub pythons: Vec<(String, Result<PathBuf, String>)>,
    /// How long each run takes.
    pub run: Duration,
}

/// How a peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    V1,
    V2,
}

/// Another model server.
#[derive(Clone, Copy, Debug)]
struct Peer {
    /// What it is called on the command line, and its version.
    name: &'static str,
    version: &'static str,
    protocol: Protocol,
    /// How much faster ours should be with eight connections.
    goal: f64,
    start: start::Start,
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "triton",
        version: "Triton 2.51",
        protocol: Protocol::V2,
        goal: 4.0,
        start: start::triton,
    },
    Peer {
        name: "kserve",
        version: "KServe SDK 0.21.0",
        protocol: Protocol::V1,
        goal: 20.0,
        start: start::kserve,
    },
    Peer {
        name: "mlserver",
        version: "MLServer 1.7.1",
        protocol: Protocol::V2,
        goal: 20.0,
        start: start::mlserver,
    },
];

/// All figures.
///
/// # Errors
/// Our own server does not start or refuses.
pub fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for peer in PEERS {
        match race(setting, &peer) {
            Ok(more) => rows.extend(more),
            Err(Lost::Peer(reason)) => rows.push(absent(&peer, &reason)),
            Err(Lost::Ours(error)) => return Err(error),
        }
    }
    Ok(rows)
}

/// Why a race did not end.
enum Lost {
    /// The other one cannot run here.
    Peer(String),
    /// Ours failed.
    Ours(anyhow::Error),
}

fn race(setting: &Setting, peer: &Peer) -> Result<Vec<Row>, Lost> {
    let named = |(name, _): &&(String, Result<PathBuf, String>)| name == peer.name;
    let python = match setting.pythons.iter().find(named) {
        Some((_, Ok(python))) => python,
        Some((_, Err(reason))) => return Err(Lost::Peer(reason.clone())),
        None => return Err(Lost::Peer("no Python was given for it".to_owned())),
    };
    let model = setting.programs.example("digits");
    let lost = |error: anyhow::Error| Lost::Peer(format!("{error:#}"));
    let theirs = Other::start(setting, peer, python).map_err(lost)?;
    let ours = Running::start(&setting.programs, &model, &[]).map_err(Lost::Ours)?;
    let (path, request) = match peer.protocol {
        Protocol::V1 => ("/v1/models/digits:predict", digits_v1()),
        Protocol::V2 => ("/v2/models/digits/infer", digits_v2()),
    };
    let their_request = post(path, body_of(&request));
    let mut rows = Vec::new();
    for connections in [1, 8] {
        let (mut our_rates, mut their_rates) = (vec![], vec![]);
        let (mut p50, mut p99, mut refused) = (vec![], vec![], 0);
        let run = |address, request: &[u8], duration| {
            closed_loop::run_counting(address, request, connections, Until::Elapsed(duration))
        };
        run(theirs.data, &their_request, WARM_UP).map_err(lost)?;
        run(ours.data, &request, WARM_UP).map_err(Lost::Ours)?;
        for _ in 0..ROUNDS {
            let load = run(theirs.data, &their_request, setting.run).map_err(lost)?;
            their_rates.push(load.requests_per_second);
            p50.push(load.p50_ms);
            p99.push(load.p99_ms);
            refused += load.refused;
            let load = run(ours.data, &request, setting.run).map_err(Lost::Ours)?;
            our_rates.push(load.requests_per_second);
        }
        let (our_rate, their_rate) = (median(our_rates), median(their_rates));
        let name = format!("peers/digits/{}-{connections}", peer.name);
        let row = if connections == 8 {
            Row::at_least(&name, our_rate / their_rate, "ratio", peer.goal)
        } else {
            Row::plain(&name, our_rate / their_rate, "ratio")
        };
        let memory = theirs.process.resident_mib().map_err(lost)?;
        rows.push(row.against(format!(
            "{}: {their_rate:.0} 1/s, p50 {:.2} ms, p99 {:.2} ms, {refused} refused, {memory:.0} MiB, first answer after {:.1} s; ours {our_rate:.0} 1/s",
            peer.version,
            median(p50),
            median(p99),
            theirs.first_answer.as_secs_f64()
        )));
    }
    Ok(rows)
}

/// The body of a ready-made request.
fn body_of(request: &[u8]) -> &str {
    let text = std::str::from_utf8(request).unwrap_or_default();
    text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn absent(peer: &Peer, reason: &str) -> Row {
    let reason: String = reason.chars().take(300).collect();
    let name = format!("peers/digits/{}-8", peer.name);
    let row = Row::at_least(&name, 0.0, "ratio", peer.goal);
    row.against(format!(
        "{}: not measured: {}",
        peer.version,
        reason.replace('\n', " ")
    ))
}

/// A peer that answers.
struct Other {
    process: Process,
    data: SocketAddr,
    first_answer: Duration,
    _folder: tempfile::TempDir,
}

impl Other {
    fn start(setting: &Setting, peer: &Peer, python: &std::path::Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = free_port()?;
        let site = start::Site {
            python,
            tools: &setting.tools.join("peers"),
            model: &setting.programs.example("digits"),
            folder: folder.path(),
            port: data.port(),
        };
        let command = (peer.start)(&site)?;
        let log = folder.path().join("log");
        let began = Instant::now();
        let mut process = Process::logged(SERVER_CORE, &command, &log)?;
        let request = match peer.protocol {
            Protocol::V1 => post("/v1/models/digits:predict", body_of(&digits_v1())),
            Protocol::V2 => post("/v2/models/digits/infer", body_of(&digits_v2())),
        };
        while began.elapsed() < PATIENCE {
            if is_answered(data, &request) {
                return Ok(Self {
                    process,
                    data,
                    first_answer: began.elapsed(),
                    _folder: folder,
                });
            }
            if let Some(status) = process.ended()? {
                bail!("it ended with {status}: {}", last_lines(&log));
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        bail!("no answer within {PATIENCE:?}: {}", last_lines(&log))
    }
}

fn is_answered(address: SocketAddr, request: &[u8]) -> bool {
    let answer = Connection::open(address)
        .context("nobody listens")
        .and_then(|mut connection| connection.exchange(request));
    answer.is_ok_and(|status| status == 200)
}

/// The end of a log, in one line.
pub(crate) fn last_lines(log: &std::path::Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_cannot_run_is_a_row_that_says_why() {
        let row = absent(&PEERS[0], "libpython3.11\nis missing");
        assert_eq!(row.met, Some(false));
        assert!(
            row.against
                .contains("not measured: libpython3.11 is missing")
        );
    }

    #[test]
    fn both_are_sent_the_same_body() {
        assert!(body_of(&digits_v1()).starts_with("{\"instances\""));
        assert_eq!(body_of(b"no request"), "");
    }
}
