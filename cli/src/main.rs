//! `aimass`, and `kubectl aimass`: the process. Reads the command line, runs it, prints what came of it.

use std::process::ExitCode;

use aimass_chassis::{runtime, tls};
use aimass_cli::{Outcome, args, run};

fn main() -> ExitCode {
    tls::install();
    let line = match args::parse(std::env::args_os()) {
        Ok(line) => line,
        Err(error) => return args::usage(&error),
    };
    // One worker: the work is waiting for one answer after the other.
    let outcome = match runtime::build("aimass", 1) {
        Ok(runtime) => runtime.block_on(run(line.command)),
        Err(error) => Outcome::failed(&format!("failed to start: {error}")),
    };
    outcome.print()
}
