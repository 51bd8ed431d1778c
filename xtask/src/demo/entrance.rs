//! The way from this machine to the gateway: `localhost`, by the cluster's door or by `kubectl port-forward`.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context as _, Result, bail};

use super::install::NAMESPACE;
use super::site::Site;
use crate::cluster::door;
use crate::relay::Way;

/// The gateway's Service.
pub(super) const SERVICE: &str = "aimass-gateway";
/// TensorFlow Serving's port, of the Service and of this machine.
pub(super) const PLAIN: u16 = 8501;
/// HTTPS on this machine, where 443 is for others.
pub(super) const SECURE: u16 = 8443;
/// HTTPS of the Service.
const HTTPS: u16 = 443;

/// Where the gateway is reached from here, as long as this value lives.
pub(super) struct Entrance {
    /// Plain HTTP.
    pub(super) plain: u16,
    /// HTTPS.
    pub(super) secure: u16,
    _forward: Option<Forward>,
}

impl Entrance {
    /// Opens it.
    ///
    /// # Errors
    /// If there is no gateway, or a port of this machine is taken.
    pub(super) fn open(site: &Site) -> Result<Self> {
        let Some(cluster) = site.own() else {
            let forward = Forward::start(site)?;
            let [plain, secure] = forward.ports;
            return Ok(Self {
                plain,
                secure,
                _forward: Some(forward),
            });
        };
        let service = address(site)?;
        let way = |port, to| Way {
            port,
            to: SocketAddr::new(service, to),
        };
        door::open(cluster, &[way(PLAIN, PLAIN), way(SECURE, HTTPS)])?;
        Ok(Self {
            plain: PLAIN,
            secure: SECURE,
            _forward: None,
        })
    }

    /// For plain HTTP.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.plain))
    }
}

fn address(site: &Site) -> Result<IpAddr> {
    let mut command = site.kubectl();
    command.args(["--namespace", NAMESPACE, "get", "service", SERVICE]);
    let text = crate::step::output(command.args(["--output", "jsonpath={.spec.clusterIP}"]))?;
    text.trim()
        .parse()
        .with_context(|| format!("service {SERVICE} has no address of its own: {text:?}"))
}

/// `kubectl port-forward`, for as long as this value lives.
struct Forward {
    child: Child,
    ports: [u16; 2],
    /// It prints a line per connection, and ends when nobody is there to read it.
    output: BufReader<ChildStdout>,
}

impl Forward {
    fn start(site: &Site) -> Result<Self> {
        let mut child = site
            .kubectl()
            .args(["--namespace", NAMESPACE, "port-forward"])
            .arg("--address=127.0.0.1")
            .arg(format!("service/{SERVICE}"))
            .args([PLAIN, HTTPS].map(|port| format!(":{port}")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start kubectl port-forward")?;
        let output = child.stdout.take().context("the output was asked for")?;
        let mut forward = Self {
            child,
            ports: [0; 2],
            output: BufReader::new(output),
        };
        for index in 0..forward.ports.len() {
            let mut line = String::new();
            // It prints a line for each port, in their order; or an error and ends.
            let read = forward.output.read_line(&mut line);
            match (
                read.ok().and_then(|_| port(&line)),
                forward.ports.get_mut(index),
            ) {
                (Some(port), Some(place)) => *place = port,
                _ => bail!("kubectl port-forward to service/{SERVICE} does not work: {line:?}"),
            }
        }
        Ok(forward)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `40123` of `Forwarding from 127.0.0.1:40123 -> 8501`.
fn port(line: &str) -> Option<u16> {
    let after = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    after.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forwarded_port_is_read() {
        assert_eq!(
            port("Forwarding from 127.0.0.1:40123 -> 8501\n"),
            Some(40123)
        );
        assert_eq!(port("error: service not found"), None);
    }
}
