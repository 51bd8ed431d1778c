//! Pods of these tests: sockets that do what a script says, well-behaved or not.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::world::spawn;

/// An answer that every caller understands.
pub(crate) const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// A request as a pod has read it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether its end came.
    pub(crate) whole: bool,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            (key == name).then_some(value)
        })
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn headers(&self) -> HashMap<&str, &str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect()
    }
}

/// A pod.
pub(crate) struct Pod {
    pub(crate) address: SocketAddr,
    /// All requests that it has read.
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection from the gateway.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Pod {
    /// Does `script` with each connection, which ends with it.
    pub(crate) async fn new<F>(script: impl Fn(Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let seen = Arc::clone(&asked);
        let task = spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let asked = Arc::clone(&seen);
                connections.spawn(script(Peer { stream, asked }));
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }

    /// Answers every request with these bytes.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::new(move |mut peer| {
            let answer = Arc::clone(&answer);
            async move {
                while peer.request().await.is_some_and(|asked| asked.whole) {
                    peer.send(&answer).await;
                }
            }
        })
        .await
    }

    /// An address that refuses connections.
    pub(crate) fn refusing() -> SocketAddr {
        // Bound and not listening: nobody else gets the port while the test runs.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        std::mem::forget(socket);
        address
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }
}

impl Peer {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A gateway that has closed already is what some tests want.
        let _closed = self.stream.write_all(bytes.as_ref()).await;
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        Some(String::from_utf8_lossy(&head).to_lowercase())
    }

    /// The next request with its body, noted before it is answered.
    pub(crate) async fn request(&mut self) -> Option<Asked> {
        let mut asked = Asked {
            head: self.head().await?,
            body: Vec::new(),
            whole: true,
        };
        if let Some(length) = asked.header("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            asked.whole = self.stream.read_exact(&mut body).await.is_ok();
            asked.body = body;
        } else if asked.header("transfer-encoding") == Some("chunked") {
            loop {
                match self.chunk().await {
                    None => {
                        asked.whole = false;
                        break;
                    }
                    Some(chunk) if chunk.is_empty() => break,
                    Some(chunk) => asked.body.extend(chunk),
                }
            }
        }
        self.asked.lock().unwrap().push(asked.clone());
        Some(asked)
    }

    /// The next chunk of a body; nothing if the connection ends first.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.stream.read_u8().await.ok()?);
        }
        let line = String::from_utf8_lossy(&line);
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).await.ok()?;
        chunk.truncate(length);
        Some(chunk)
    }

    /// Returns when the gateway has closed.
    pub(crate) async fn closed(&mut self) {
        let mut bytes = [0; 4096];
        while self
            .stream
            .read(&mut bytes)
            .await
            .is_ok_and(|read| read > 0)
        {}
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

/// Stays as it is until the test ends.
pub(crate) async fn forever() {
    std::future::pending::<()>().await;
}
