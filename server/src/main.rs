//! Parse, build, run, exit code.

use std::process::ExitCode;

use aimass_chassis::args::{EXIT_USAGE, LogArgs, Problems};
use aimass_server::args::{Command, parse};
use aimass_server::config::{Config, FetchConfig};
use aimass_server::{cpu, fetch, run};

fn main() -> ExitCode {
    if let Some(problem) = cpu::problem() {
        return refuse(problem, 1);
    }
    aimass_chassis::tls::install();
    let line = match parse(std::env::args_os()) {
        Ok(line) => line,
        Err(help) if !help.use_stderr() => return help.print().map_or(1.into(), |()| 0.into()),
        Err(error) => return refuse(&error.to_string(), EXIT_USAGE),
    };
    match line.command {
        None => start(
            &line.serve.log.clone(),
            Config::try_from(line.serve),
            run::run,
        ),
        Some(Command::Fetch(args)) => {
            start(&args.log.clone(), FetchConfig::try_from(args), fetch::run)
        }
    }
}

fn start<C>(
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

#[expect(
    clippy::print_stderr,
    reason = "what stops the start is for the person who started it"
)]
fn refuse(text: &str, code: u8) -> ExitCode {
    eprintln!("{text}");
    code.into()
}
