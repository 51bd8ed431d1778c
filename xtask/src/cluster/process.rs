//! Processes of the cluster: started so that they outlive the tool, recorded so that they are
//! found again, and stopped without ever hitting another process that got the same number.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::cluster::files::{self, Files};
use crate::cluster::network;

/// What identifies a process for good: its number alone is used again.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Record {
    /// Its number.
    pub(super) pid: i32,
    /// When it started, in clock ticks since the machine did.
    started: u64,
    /// Which start of the machine.
    boot: String,
}

/// Whose addresses a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// Those of the cluster's namespace.
    Cluster,
    /// Those of this machine.
    Machine,
}

/// Starts a program in the cluster's control group, its output in its log.
///
/// # Errors
/// If it cannot be started or recorded.
pub(super) fn start(
    files: &Files,
    join: &Path,
    name: &str,
    program: &Command,
    whose: Network,
) -> Result<()> {
    let log = files.log(name);
    let file = std::fs::File::create(&log)
        .with_context(|| format!("failed to write the log {}", log.display()))?;
    let other = file
        .try_clone()
        .context("failed to share the log between two outputs")?;
    let enter = match whose {
        Network::Cluster => vec![
            "nsenter".to_owned(),
            format!("--net={}", network::namespace_file()),
            "--".to_owned(),
        ],
        Network::Machine => Vec::new(),
    };
    let mut command = Command::new("sh");
    // The control group before anything else, so that no child is born outside of it. A session of
    // its own: neither Ctrl-C nor the end of the terminal reaches it. `exec`, thrice: one number.
    command
        .args(["-c", r#"echo $$ > "$0" && exec setsid "$@""#])
        .arg(join)
        .args(enter)
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(files.root())
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(other);
    let child = command
        .spawn()
        .with_context(|| format!("failed to start {name}"))?;
    let pid = i32::try_from(child.id()).context("a process' number fits")?;
    let record = Record {
        pid,
        started: started(pid).unwrap_or_default(),
        boot: boot(),
    };
    let text = serde_json::to_string(&record).context("failed to write a record")?;
    files::write(&files.record(name), &text)
}

/// What is recorded of the process `name`.
pub(super) fn record(files: &Files, name: &str) -> Option<Record> {
    let text = std::fs::read_to_string(files.record(name)).ok()?;
    serde_json::from_str(&text).ok()
}

impl Record {
    /// Whether this very process runs.
    pub(super) fn is_alive(&self) -> bool {
        self.boot == boot() && started(self.pid) == Some(self.started)
    }

    /// Asks it to end, waits, then kills it.
    pub(super) fn stop(&self, grace: Duration) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        // The descriptor is taken before the check: from here on the number cannot be used again
        // for what the descriptor means.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        for (signal, patience) in [
            (Signal::TERM, grace),
            (Signal::KILL, Duration::from_secs(5)),
        ] {
            if !self.is_alive() || pidfd_send_signal(&process, signal).is_err() {
                return;
            }
            let gone = clock::wait_for(patience, || (!self.is_alive()).then_some(()));
            if gone.is_some() {
                return;
            }
        }
    }
}

/// When a process started; `None` if there is none, or it is dead and only not yet collected.
fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything, also those.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // Field 22 of proc_pid_stat(5); the state is field 3.
    fields.nth(18)?.parse().ok()
}

fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Record {
        let pid = i32::try_from(std::process::id()).unwrap();
        Record {
            pid,
            started: started(pid).unwrap(),
            boot: boot(),
        }
    }

    #[test]
    fn this_process_is_alive() {
        assert!(own().is_alive());
    }

    #[test]
    fn another_process_with_the_same_number_is_not_it() {
        let mut record = own();
        record.started += 1;
        assert!(!record.is_alive());
        // Would end this test if it were taken for the recorded one.
        record.stop(Duration::ZERO);
    }

    #[test]
    fn another_start_of_the_machine_is_noticed() {
        let mut record = own();
        "another".clone_into(&mut record.boot);
        assert!(!record.is_alive());
    }
}
