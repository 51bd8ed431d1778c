//! The handshake of TLS, which comes before all that the listener watches: bounded by a time of its own.
//!
//! Called by `listener` in the connection's task. Which certificate a client gets is the business of the
//! configuration's resolver, which may change it at any time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::guard::Reset;
use crate::shutdown::Stop;

/// Bytes that wait encrypted. A client that reads as slowly as it may must still take them within the bound of a write.
const BUFFER_BYTES: usize = 16 << 10;

/// What was agreed in the handshake: an extension of every request that came over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    server_name: Option<Arc<str>>,
}

impl Secured {
    /// The host that the client asked for in the handshake (SNI), in lower case.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }
}

impl Reset for TlsStream<TcpStream> {
    fn reset(&self) -> io::Result<()> {
        self.get_ref().0.reset()
    }
}

/// Shakes hands; nothing if the client does not, or not in time.
pub(super) async fn accept(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    limit: Duration,
    kill: &Stop,
) -> Option<(TlsStream<TcpStream>, Secured)> {
    let accept = TlsAcceptor::from(config).accept_with(stream, |session| {
        session.set_buffer_limit(Some(BUFFER_BYTES));
    });
    let shaken = tokio::time::timeout(limit, accept);
    match kill.run_until_cancelled(shaken).await? {
        Ok(Ok(stream)) => {
            let server_name = stream.get_ref().1.server_name();
            let server_name = server_name.map(|name| name.to_ascii_lowercase().into());
            Some((stream, Secured { server_name }))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("a handshake did not end in time");
            None
        }
    }
}
