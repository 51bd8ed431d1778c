//! From a command line to an exit code: what `main.rs` does after the first statement.
//!
//! The only file that writes to stderr: what stops a start is for the person who started it. Everything else is logged.

use std::ffi::OsString;
use std::process::ExitCode;

use aimass_chassis::args::EXIT_USAGE;

use crate::args::parse;
use crate::config::Config;
use crate::run;

const NAME: &str = "aimass-gateway";

/// Runs what `words` say.
pub fn start(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match parse(words) {
        Ok(line) => line,
        Err(help) if !help.use_stderr() => return help.print().map_or(1.into(), |()| 0.into()),
        Err(error) => return refuse(&error.to_string(), EXIT_USAGE),
    };
    let log = line.log.clone();
    let config = match Config::try_from(line) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems.describe(NAME), EXIT_USAGE),
    };
    if let Err(error) = aimass_chassis::logs::init(&log) {
        return refuse(&format!("{NAME}: {error:#}"), EXIT_USAGE);
    }
    match run::run(config) {
        Ok(code) => code.into(),
        Err(error) => refuse(&format!("{NAME}: {error:#}"), 1),
    }
}

/// Tells why nothing was started.
#[expect(clippy::print_stderr, reason = "see the top of the file")]
fn refuse(text: &str, code: u8) -> ExitCode {
    eprintln!("{text}");
    code.into()
}
