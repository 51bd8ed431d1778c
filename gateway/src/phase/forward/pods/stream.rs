//! A connection to a pod that does not wait for ever for the pod to take what it is sent.
//!
//! While a request has no answer, its own deadline ends the wait. But a pod may answer before it has read all, and then read no
//! more: nobody is left who would end that. Made by [`Connector`], used by hyper.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tower::Service;

/// Without a byte taken.
const STALL: Duration = Duration::from_secs(300);

/// Makes such connections.
#[derive(Clone, Debug)]
pub(super) struct Connector(pub(super) HttpConnector);

impl Service<Uri> for Connector {
    type Response = Stream<TokioIo<TcpStream>>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connect = self.0.call(uri);
        Box::pin(async move { connect.await.map(Stream::new) })
    }
}

/// The connection.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    /// Runs while the pod takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Stream<S> {
    fn new(inner: S) -> Self {
        Self {
            inner,
            stalled: None,
        }
    }

    fn wrote<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timer = || Box::pin(tokio::time::sleep(STALL));
        let stalled = self.stalled.get_or_insert_with(timer);
        stalled
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Connection for Stream<TokioIo<TcpStream>> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

impl<S: Read + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.wrote(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.wrote(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (pod, ours) = duplex(10);
        let mut stream = Stream::new(TokioIo::new(ours));
        let begun = tokio::time::Instant::now();
        let write = async {
            let mut taken = 0;
            loop {
                let piece = [0; 4];
                let write =
                    |context: &mut Context<'_>| Pin::new(&mut stream).poll_write(context, &piece);
                match std::future::poll_fn(write).await {
                    Ok(bytes) => taken += bytes,
                    Err(error) => return (taken, error.kind()),
                }
            }
        };
        let read = async {
            let mut pod = pod;
            let mut byte = [0; 1];
            for _ in 0..5 {
                tokio::time::sleep(STALL / 2).await;
                tokio::io::AsyncReadExt::read_exact(&mut pod, &mut byte)
                    .await
                    .unwrap();
            }
            // Open, but silent.
            std::future::pending::<()>().await;
        };
        let (taken, kind) = tokio::select! {
            written = write => written,
            () = read => unreachable!("it never ends"),
        };
        assert_eq!((taken, kind), (15, io::ErrorKind::TimedOut));
        assert_eq!(begun.elapsed(), STALL / 2 * 5 + STALL);
    }
}
