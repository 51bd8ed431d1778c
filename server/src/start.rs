//! From a command line to an exit code: what `main.rs` does after the first checks.
//!
//! The only file that writes to stderr and stdout: what stops a start, and what `inspect` says, is for the person who
//! started it. Everything else is logged.

use std::ffi::OsString;
use std::process::ExitCode;

use aimass_chassis::args::{EXIT_USAGE, LogArgs, Problems};

use crate::args::{Command, parse};
use crate::config::{Config, FetchConfig};
use crate::{fetch, inspect, run};

/// Runs what `words` say.
pub fn start(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match parse(words) {
        Ok(line) => line,
        Err(help) if !help.use_stderr() => return help.print().map_or(1.into(), |()| 0.into()),
        Err(error) => return refuse(&error.to_string(), EXIT_USAGE),
    };
    match line.command {
        None => {
            let log = line.serve.log.clone();
            logged(&log, Config::try_from(line.serve), run::run)
        }
        Some(Command::Fetch(args)) => {
            let log = args.log.clone();
            logged(&log, FetchConfig::try_from(args), |config| {
                fetch::run(&config)
            })
        }
        Some(Command::Inspect(args)) => match inspect::inspect(args.into()) {
            Ok(Ok((report, code))) => say(&report, code),
            Ok(Err(fatal)) => refuse(&fatal.to_string(), fatal.reason.exit_code()),
            Err(error) => refuse(&format!("aimass-server: {error:#}"), 1),
        },
    }
}

fn logged<C>(
    log: &LogArgs,
    config: Result<C, Problems>,
    run: impl FnOnce(C) -> anyhow::Result<u8>,
) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(problems) => return refuse(&problems.describe("aimass-server"), EXIT_USAGE),
    };
    if let Err(error) = aimass_chassis::logs::init(log) {
        return refuse(&format!("aimass-server: {error:#}"), EXIT_USAGE);
    }
    match run(config) {
        Ok(code) => code.into(),
        Err(error) => refuse(&format!("aimass-server: {error:#}"), 1),
    }
}

/// Answers the person who asked.
#[expect(clippy::print_stdout, reason = "see the top of the file")]
fn say(text: &str, code: u8) -> ExitCode {
    print!("{text}");
    code.into()
}

/// Tells why nothing was started.
#[expect(clippy::print_stderr, reason = "see the top of the file")]
pub fn refuse(text: &str, code: u8) -> ExitCode {
    eprintln!("{text}");
    code.into()
}
