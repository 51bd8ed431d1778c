//! A client as a process: run to its end, with a deadline, its output in the message of a failure.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aimass_tests::args::{Args, repository};

/// The slowest one takes a fifth of it on two free cores.
const PATIENCE: Duration = Duration::from_secs(300);

/// A client to run.
pub(crate) struct Program {
    command: Command,
    output: tempfile::NamedTempFile,
}

impl Program {
    /// A script of `tools/clients`.
    pub(crate) fn script(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(folder().join(name)).args(arguments);
        Self::new(command)
    }

    /// A command that one of the installed packages brings.
    pub(crate) fn tool(name: &str) -> Self {
        Self::new(Command::new(python().with_file_name(name)))
    }

    fn new(mut command: Command) -> Self {
        let output = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        // What a client keeps between runs would make one run depend on another.
        let scratch = std::env::temp_dir();
        command.current_dir(scratch).env_remove("PYTHONPATH");
        Self { command, output }
    }

    /// With a configuration file of `tools/clients`.
    pub(crate) fn with_config(self, name: &str) -> Self {
        let file = folder().join(name);
        self.arguments(&["--config-file", &file.to_string_lossy()])
    }

    /// More arguments.
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Panics, with what it printed, unless it ends well and in time.
    #[track_caller]
    pub(crate) fn succeeds(mut self) {
        let file = |output: &tempfile::NamedTempFile| output.reopen().expect("it is still there");
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(file(&self.output))
            .stderr(file(&self.output))
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", self.command));
        let status = wait(&mut child);
        let mut said = Vec::new();
        file(&self.output)
            .read_to_end(&mut said)
            .expect("what it printed can be read");
        assert!(
            status.is_some_and(|status| status.success()),
            "{:?} ended with {status:?} (none: too late):\n{}",
            self.command,
            String::from_utf8_lossy(&said)
        );
    }
}

fn wait(child: &mut Child) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("the process can be asked") {
            return Some(status);
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // Over already is as good as ended now.
    let _already_over = child.kill();
    let _status = child.wait();
    None
}

fn folder() -> PathBuf {
    repository().join("tools/clients")
}

fn python() -> PathBuf {
    let python = Args::read().python;
    python.expect("no Python with the clients: run `cargo xtask test clients`, which installs them")
}
