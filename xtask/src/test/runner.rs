//! Runs a test command to its end: passes the tests' lines on, keeps everything in a log.
//!
//! Called by [`super::run_lane`] and `ci`. What the command prints on its error output (what is
//! compiled) goes to the log only.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::counts::Counts;
use crate::places::Places;
use crate::{clock, step};

/// How long nothing may be shown.
const SILENCE: Duration = Duration::from_secs(30);

/// How a run ended.
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    /// The command ended well and in time.
    pub(crate) is_good: bool,
    pub(crate) elapsed: Duration,
    pub(crate) log: PathBuf,
}

/// What the user sees of a run beside its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Each test's line.
    Tests,
    /// Only that it still runs.
    Progress,
}

/// A line, and where it goes.
enum Line {
    /// To the log and to the terminal.
    Out(String),
    /// To the log.
    Err(String),
}

/// The log of the run called `name`.
pub(crate) fn log(places: &Places, name: &str) -> PathBuf {
    places
        .target()
        .join("test-logs")
        .join(format!("{name}.log"))
}

/// Runs `command` for at most `limit`; its tests' failures are an outcome, not an error.
///
/// # Errors
/// If it cannot be started or its log cannot be written.
pub(crate) fn run(
    name: &str,
    command: &mut Command,
    places: &Places,
    (show, limit): (Show, Duration),
) -> Result<Outcome> {
    let path = log(places, name);
    let folder = path.parent().context("a log lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let file =
        File::create(&path).with_context(|| format!("failed to write {}", path.display()))?;
    step::say(&format!("\n== {name} (log: {})", path.display()));
    let began = clock::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {}", command.get_program().display()))?;
    let lines = lines(&mut child);
    let in_time = follow((name, show), &lines, file, began + limit)?;
    let mut counts = in_time.counts;
    if !in_time.ended {
        end(&child);
        counts.failed = counts.failed.saturating_add(1);
        step::say(&format!(
            "{name}: ended, because it took more than {} min",
            limit.as_secs() / 60
        ));
    }
    let status = child.wait().with_context(|| format!("lost {name}"))?;
    let is_good = status.success() && in_time.ended;
    if !is_good && counts.failed == 0 {
        // It did not compile, or a process died: the log's end says what.
        counts.failed = 1;
        step::say(&format!(
            "{name}: ended with {status}\n{}",
            step::tail(&path)
        ));
    }
    Ok(Outcome {
        counts,
        is_good,
        elapsed: began.elapsed(),
        log: path,
    })
}

/// What was seen until the command ended or its time was over.
struct Followed {
    counts: Counts,
    ended: bool,
}

fn follow(
    (name, show): (&str, Show),
    lines: &Receiver<Line>,
    mut log: File,
    end: std::time::Instant,
) -> Result<Followed> {
    let (mut counts, mut shown) = (Counts::default(), clock::now());
    let began = shown;
    while clock::now() < end {
        let line = match lines.recv_timeout(Duration::from_millis(500)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Followed {
                    counts,
                    ended: true,
                });
            }
            Err(RecvTimeoutError::Timeout) => {
                if shown.elapsed() >= SILENCE {
                    shown = clock::now();
                    step::say(&format!("  … {name} ({} s)", began.elapsed().as_secs()));
                }
                continue;
            }
        };
        let (Line::Out(text) | Line::Err(text)) = &line;
        writeln!(log, "{text}").context("failed to write the log")?;
        if let Line::Out(text) = &line {
            match Counts::of_line(text) {
                Some(more) => counts += more,
                None if show == Show::Progress || is_noise(text) => {}
                None => {
                    shown = clock::now();
                    step::say(text);
                }
            }
        }
    }
    Ok(Followed {
        counts,
        ended: false,
    })
}

/// What libtest prints around the tests of each binary; the sum comes at the end.
fn is_noise(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("running ") && (line.ends_with(" test") || line.ends_with(" tests"))
}

/// Both outputs of the child, line by line; the channel ends when both have ended.
fn lines(child: &mut Child) -> Receiver<Line> {
    // Whoever prints faster than the log is written waits.
    let (sender, receiver) = sync_channel(1024);
    read(child.stdout.take(), sender.clone(), Line::Out);
    read(child.stderr.take(), sender, Line::Err);
    receiver
}

fn read(
    stream: Option<impl Read + Send + 'static>,
    sender: SyncSender<Line>,
    line: fn(String) -> Line,
) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|length| length > 0)
        {
            let text = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            bytes.clear();
            if sender.send(line(text)).is_err() {
                return;
            }
        }
    });
}

/// Kills the child and everything that it started: cargo alone would leave the tests running.
/// Parents first, so that none of them sees its child end and goes on.
fn end(child: &Child) {
    let mut found = vec![child.id()];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(children(parent));
        at += 1;
    }
    for id in &found {
        if let Some(pid) = i32::try_from(*id).ok().and_then(Pid::from_raw) {
            // Over by now is fine.
            let _over = kill_process(pid, Signal::KILL);
        }
    }
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of_parent = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name, which may hold anything and ends in the last ')': state, parent.
        let after = stat.rsplit(')').next().unwrap_or_default();
        after.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    ids.filter(of_parent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_what_its_tests_print() {
        let (sender, receiver) = sync_channel(8);
        for line in [
            "running 2 tests",
            "test a ... ok",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s",
        ] {
            sender.send(Line::Out(line.to_owned())).unwrap();
        }
        drop(sender);
        let log = tempfile::tempfile().unwrap();
        let followed = follow(
            ("x", Show::Tests),
            &receiver,
            log,
            clock::now() + Duration::from_secs(60),
        )
        .unwrap();
        assert!(followed.ended);
        assert_eq!(
            followed.counts,
            Counts {
                passed: 2,
                filtered: 1,
                ..Counts::default()
            }
        );
    }

    /// Runs a shell script as tests, its log in a folder of its own.
    fn run_script(script: &str, limit: Duration) -> (Outcome, String) {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            places: Places,
        }
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().to_str().unwrap();
        let Cli { places } = clap::Parser::parse_from(["x", "--target", target]);
        let mut command = Command::new("sh");
        let outcome = run(
            "x",
            command.args(["-c", script]),
            &places,
            (Show::Progress, limit),
        );
        let outcome = outcome.unwrap();
        let log = fs::read_to_string(&outcome.log).unwrap();
        (outcome, log)
    }

    #[test]
    fn both_outputs_are_in_the_log() {
        let script = "echo compiling >&2; echo test a ... ok; echo 'test result: ok. 1 passed; 0 \
                      failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s'";
        let (outcome, log) = run_script(script, Duration::from_secs(60));
        assert!(outcome.is_good);
        assert_eq!(
            outcome.counts,
            Counts {
                passed: 1,
                ..Counts::default()
            }
        );
        assert!(
            log.contains("compiling\n") && log.contains("test a ... ok\n"),
            "{log}"
        );
    }

    #[test]
    fn what_does_not_compile_counts_as_one_failure() {
        let (outcome, _) = run_script("echo error: no >&2; exit 101", Duration::from_secs(60));
        assert!(!outcome.is_good);
        assert_eq!(
            outcome.counts,
            Counts {
                failed: 1,
                ..Counts::default()
            }
        );
    }

    #[test]
    fn what_takes_too_long_fails() {
        let (outcome, _) = run_script("sleep 1000; :", Duration::from_millis(700));
        assert!(!outcome.is_good && outcome.elapsed < Duration::from_secs(60));
        assert_eq!(outcome.counts.failed, 1);
    }

    #[test]
    fn what_hangs_is_ended_with_its_children() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & sleep 1000; :"])
            .spawn()
            .unwrap();
        let both = clock::wait_for(Duration::from_secs(10), || {
            let children = children(child.id());
            (children.len() == 2).then_some(children)
        });
        end(&child);
        assert!(!child.wait().unwrap().success());
        for id in both.unwrap() {
            let gone = || {
                let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
                (stat.is_empty() || stat.contains(") Z ")).then_some(())
            };
            assert!(
                clock::wait_for(Duration::from_secs(10), gone).is_some(),
                "{id} still runs"
            );
        }
    }
}
