//! Progress: what is being done, for how long, and where its log is.
//!
//! On a terminal one line is rewritten each second; elsewhere a line is printed each 30 s, so that
//! the log of a build server stays short.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::clock;

/// How many lines of a log are shown when a step fails.
const TAIL_LINES: usize = 15;
/// How much of the log's end is read for that.
const TAIL_BYTES: usize = 8 * 1024;

/// One step: created when it begins, told when it is done.
pub(crate) struct Step {
    title: String,
    log: Option<PathBuf>,
    began: Instant,
    shown: Instant,
    live: bool,
}

impl Step {
    /// Begins a step and shows it.
    pub(crate) fn begin(title: impl Into<String>, log: Option<&Path>) -> Self {
        let began = clock::now();
        let step = Self {
            title: title.into(),
            log: log.map(Path::to_owned),
            began,
            shown: began,
            live: std::io::stdout().is_terminal(),
        };
        if step.log.is_some() || step.live {
            step.show("…");
        }
        step
    }

    /// Call it often while waiting: shows how long the step has taken, when it is time to.
    pub(crate) fn tick(&mut self) {
        let every = Duration::from_secs(if self.live { 1 } else { 30 });
        if self.shown.elapsed() >= every {
            self.shown = clock::now();
            self.show("…");
        }
    }

    /// Ends the step well; `outcome` says what came of it (may be empty).
    pub(crate) fn done(self, outcome: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let outcome = if outcome.is_empty() {
            String::new()
        } else {
            format!(": {outcome}")
        };
        self.line(
            &format!("  ✓ {}{outcome} ({seconds:.1} s)", self.title),
            "\n",
        );
    }

    fn show(&self, mark: &str) {
        let seconds = self.began.elapsed().as_secs();
        let log = self
            .log
            .as_ref()
            .map(|log| format!(", log: {}", log.display()));
        let text = format!(
            "  {mark} {} ({seconds} s{})",
            self.title,
            log.unwrap_or_default()
        );
        self.line(&text, if self.live { "" } else { "\n" });
    }

    /// Writes the line; on a terminal over the one before.
    fn line(&self, text: &str, end: &str) {
        let begin = if self.live { "\r\x1b[2K" } else { "" };
        print(&format!("{begin}{text}{end}"));
    }
}

/// Says something that is neither a step nor an error.
pub(crate) fn say(text: &str) {
    print(&format!("{text}\n"));
}

/// Progress that nobody reads any more (`… | head`) is no reason to stop half-way.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Runs a program to its end as a step, its output in `log`.
///
/// # Errors
/// If it cannot be started or fails; the error has the end of the log and where the rest is.
pub(crate) fn run(title: &str, command: &mut Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    }
    let file =
        File::create(log).with_context(|| format!("failed to write the log {}", log.display()))?;
    let other = file
        .try_clone()
        .context("failed to share the log between two outputs")?;
    let mut step = Step::begin(title, Some(log));
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(other)
        .spawn()
        .with_context(|| format!("failed to start {program}"))?;
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .with_context(|| format!("lost {program}"))?
        {
            break status;
        }
        clock::pause(Duration::from_millis(100));
        step.tick();
    };
    if status.success() {
        step.done("");
        return Ok(());
    }
    bail!(
        "{title}: {program} ended with {status}\n{}\nlog: {}",
        tail(log),
        log.display()
    )
}

/// Runs a program that ends soon, and gives what it printed.
///
/// # Errors
/// If it cannot be started or fails; the error has what it printed to its error output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {program}"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {} failed: {}", arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last lines of a log, indented.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let start = bytes.len().saturating_sub(TAIL_BYTES);
    let text = String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines
        .get(lines.len().saturating_sub(TAIL_LINES)..)
        .unwrap_or_default();
    let indented: Vec<String> = last.iter().map(|line| format!("    {line}")).collect();
    indented.join("\n")
}
