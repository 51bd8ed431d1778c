//! The TLS provider, then everything else.

use std::process::ExitCode;

use aimass_gateway::start;

fn main() -> ExitCode {
    aimass_chassis::tls::install();
    start::start(std::env::args_os())
}
