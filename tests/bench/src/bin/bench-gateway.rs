//! The gateway under measurement: its real code, with a table made by hand instead of a cluster's.
//!
//! `bench-gateway ADDRESS SITE`: the site is JSON, as [`Site`] has it. It serves plain HTTP, and tells requests on stdout as
//! `aimass-gateway` does. Only `cargo xtask bench gateway` starts it.

use std::net::SocketAddr;

use aimass_bench::gateway::serve;
use aimass_bench::gateway::site::Site;
use aimass_chassis::args::{LogArgs, LogFormat};
use aimass_chassis::{logs, runtime};
use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bench-gateway ADDRESS SITE";
    let address: SocketAddr = arguments.next().context(usage)?.parse()?;
    let site = arguments.next().context(usage)?;
    let site: Site = serde_json::from_str(&site).context("the site is not as it should be")?;
    // As the gateway's: what is logged, or left out, is part of what a request costs.
    logs::init(&LogArgs {
        log_format: LogFormat::Json,
        log_level: "info".to_owned(),
    })?;
    let runtime = runtime::build("data", runtime::cpus().get())?;
    runtime.block_on(serve::run(address, &site))
}
