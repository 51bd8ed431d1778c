//! `cargo xtask relay`: hands connections on, from ports of this machine to addresses that only it reaches.
//!
//! For the cluster's own use, so that `localhost` leads into its network; started by [`crate::cluster`], ended with it. Bytes are
//! not looked at.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Connections at once, over all ports; further ones are closed.
const CONNECTIONS: usize = 512;
/// For a connection to the far side.
const CONNECT: Duration = Duration::from_secs(3);

/// Options of `cargo xtask relay`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// PORT=ADDRESS:PORT, a port of 127.0.0.1 and where its connections lead
    #[arg(required = true, value_parser = way)]
    ways: Vec<Way>,
}

/// From a port of this machine to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Of 127.0.0.1.
    pub(crate) port: u16,
    /// Where its connections lead.
    pub(crate) to: SocketAddr,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.port, self.to)
    }
}

fn way(text: &str) -> Result<Way, String> {
    let parsed = text
        .split_once('=')
        .and_then(|(port, to)| Some((port.parse().ok()?, to.parse().ok()?)));
    let (port, to) =
        parsed.ok_or_else(|| format!("must be as in 8501=10.96.0.9:8501, is {text:?}"))?;
    Ok(Way { port, to })
}

/// Runs until it is ended.
///
/// # Errors
/// If a port is taken.
pub(crate) fn run(args: &Args) -> Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    let mut ports = Vec::new();
    for &Way { port, to } in &args.ways {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("port {port} of 127.0.0.1 cannot be used"))?;
        let open = Arc::clone(&open);
        ports.push(thread::spawn(move || accept(&listener, to, &open)));
    }
    for port in ports {
        if port.join().is_err() {
            bail!("a port ended");
        }
    }
    Ok(())
}

fn accept(listener: &TcpListener, to: SocketAddr, open: &Arc<AtomicUsize>) {
    for near in listener.incoming().flatten() {
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let open = Arc::clone(open);
        thread::spawn(move || {
            // Either side may end at any time; there is nobody to tell.
            let _ended = carry(near, to);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Both ways at once, until both have ended.
fn carry(near: TcpStream, to: SocketAddr) -> io::Result<()> {
    let far = TcpStream::connect_timeout(&to, CONNECT)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (from_near, into_far) = (near.try_clone()?, far.try_clone()?);
    let there = thread::spawn(move || copy(from_near, into_far));
    copy(far, near);
    let _copied = there.join();
    Ok(())
}

/// Hands on the end, too.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let copied = io::copy(&mut from, &mut to);
    let how = match copied {
        Ok(_) => Shutdown::Write,
        Err(_) => Shutdown::Both,
    };
    let _closed_already = to.shutdown(how);
    if copied.is_err() {
        let _closed_already = from.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_way_reads_as_it_is_written() {
        let text = "8501=10.96.0.9:80";
        assert_eq!(way(text).unwrap().to_string(), text);
        assert!(way("8501:10.96.0.9:80").is_err());
        assert!(way("8501=example:80").is_err());
    }

    #[test]
    fn bytes_go_both_ways_and_so_does_their_end() {
        let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = far.local_addr().unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = far.accept().unwrap();
            let mut asked = String::new();
            stream.read_to_string(&mut asked).unwrap();
            stream.write_all(asked.to_uppercase().as_bytes()).unwrap();
        });
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = door.local_addr().unwrap();
        thread::spawn(move || {
            let (near, _) = door.accept().unwrap();
            carry(near, to).unwrap();
        });
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "HELLO");
        answering.join().unwrap();
    }
}
