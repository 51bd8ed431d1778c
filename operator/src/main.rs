//! The process: reads the settings, builds the context, runs it, says how it ended.

use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use aimass_chassis::args::EXIT_USAGE;
use aimass_chassis::{admin, logs, runtime, shutdown, tls};
use aimass_operator::args::{Command, CommandLine, RunArgs};
use aimass_operator::{Config, Context, client, render, run};
use clap::Parser;

const NAME: &str = "aimass-operator";

fn main() -> ExitCode {
    tls::install();
    let CommandLine { command, run: args } = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return render::usage(&error),
    };
    match command {
        Some(Command::Render(args)) => render::main(&args),
        None => match Config::try_from(&args) {
            Ok(config) => serve(&args, config),
            Err(problems) => render::fail(&problems.describe(NAME), EXIT_USAGE),
        },
    }
}

fn serve(args: &RunArgs, config: Config) -> ExitCode {
    let served = logs::init(&args.log).and_then(|()| {
        tracing::info!(?config, "starting");
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, args.admin.admin_port));
        // One worker: the work is waiting, and one thread's stacks and caches are enough.
        runtime::build("operator", 1)?.block_on(async {
            let stop = shutdown::on_signals()?;
            let context = Context::new(client().await?, config);
            let _admin = admin::start(address, context.admin())?;
            run(context, stop).await
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => render::fail(&format!("{NAME}: {error:#}"), 1),
    }
}
