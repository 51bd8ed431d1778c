//! The way from this machine's `localhost` to a Service of the cluster: a process that belongs to the cluster and ends with it.
//!
//! Called by the demo.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock;
use crate::cluster::process::{self, Network};
use crate::cluster::{Cluster, setup};
use crate::relay::Way;
use crate::step;

/// Its log and its record are called so.
pub(super) const NAME: &str = "door";

/// Opens the ways, in place of those that were open before.
///
/// # Errors
/// If a port of this machine is taken.
pub(crate) fn open(cluster: &Cluster, ways: &[Way]) -> Result<()> {
    let files = &cluster.files;
    if let Some(record) = process::record(files, NAME) {
        record.stop(Duration::from_secs(3));
    }
    let tool = std::env::current_exe().context("failed to find this program")?;
    let mut command = Command::new(tool);
    command.arg("relay").args(ways.iter().map(Way::to_string));
    let join = setup::join(files)?;
    process::start(files, &join, NAME, &command, Network::Machine)?;
    let record = process::record(files, NAME).context("the record was just written")?;
    let answers = |way: &Way| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, way.port));
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    };
    let opened = clock::wait_for(Duration::from_secs(10), || {
        (!record.is_alive() || ways.iter().all(answers)).then(|| record.is_alive())
    });
    if opened != Some(true) {
        let said = step::tail(&files.log(NAME));
        bail!(
            "localhost does not lead to the cluster: end what uses its port, then try again\n{said}"
        );
    }
    Ok(())
}
