//! The CPU, the TLS provider, then everything else.

use std::process::ExitCode;

use aimass_server::{cpu, start};

fn main() -> ExitCode {
    if let Some(problem) = cpu::problem() {
        return start::refuse(problem, 1);
    }
    aimass_chassis::tls::install();
    start::start(std::env::args_os())
}
