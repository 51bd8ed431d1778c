//! A caller that writes bytes and reads what comes.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::PATIENCE;

/// A connection to a gateway, in the clear.
pub(crate) struct Client(pub(crate) TcpStream);

/// An answer of HTTP/1.1, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case, as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether its end came, and not just the connection's.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The values of a header, joined.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self.head.lines().filter_map(|line| {
            let (key, value) = line.split_once(": ")?;
            (key == name).then_some(value)
        });
        values.collect::<Vec<_>>().join(", ")
    }

    /// The text of the error.
    pub(crate) fn error(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {self:?} {}", self.text()));
        json["error"].as_str().unwrap().to_owned()
    }

    /// All that tells one answer from another, but when it was given: a second may end between two.
    pub(crate) fn said(&self) -> (String, Vec<u8>) {
        let lines = self.head.lines();
        let head: Vec<&str> = lines.filter(|line| !line.starts_with("date: ")).collect();
        (head.join("\n"), self.body.clone())
    }

    /// Status and kind of error.
    pub(crate) fn verdict(&self) -> (u16, String) {
        (self.status, self.header("aimass-error"))
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A gateway that has closed already is what some tests want.
        let _closed = self.0.write_all(bytes.as_ref()).await;
    }

    /// Sends a prediction with a small body and these further header lines.
    pub(crate) async fn predict(&mut self, headers: &str) {
        self.post(headers, b"{\"instances\":[1]}").await;
    }

    pub(crate) async fn post(&mut self, headers: &str, body: &[u8]) {
        let length = body.len();
        let head = format!(
            "POST /v1/models/iris:predict HTTP/1.1\r\nhost: gateway\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        self.send([head.as_bytes(), body].concat()).await;
    }

    /// A prediction and its answer, on a connection of its own.
    pub(crate) async fn ask(address: SocketAddr, headers: &str) -> Answer {
        let mut client = Self::connect(address).await;
        client.predict(headers).await;
        client.answer().await
    }

    /// What is answered to these bytes, on a connection of its own.
    pub(crate) async fn talk(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = Self::connect(address).await;
        client.send(bytes).await;
        client.answer().await
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to(false).await
    }

    /// The next answer, which has no body if it is one to HEAD.
    pub(crate) async fn answer_to(&mut self, is_head: bool) -> Answer {
        let read = tokio::time::timeout(PATIENCE, self.read(is_head)).await;
        read.expect("an answer comes in time")
    }

    async fn read(&mut self, is_head: bool) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut answer = Answer {
            status: status.unwrap_or(0),
            head,
            body: Vec::new(),
            whole: false,
        };
        if answer.status == 100 {
            return Box::pin(self.read(is_head)).await;
        }
        answer.whole = match answer.header("content-length").parse::<usize>() {
            _ if is_head || answer.status == 0 => answer.status != 0,
            Ok(length) => {
                answer.body.resize(length, 0);
                let read = self.fill(&mut answer.body).await;
                answer.body.truncate(read);
                read == length
            }
            Err(_) => self.chunks(&mut answer.body).await,
        };
        answer
    }

    /// Reads as much as there is of so many bytes.
    async fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]).await {
                Ok(0) | Err(_) => break,
                Ok(read) => filled += read,
            }
        }
        filled
    }

    /// Reads chunks; `false` if the last one does not come.
    async fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        while let Some(chunk) = self.chunk().await {
            if chunk.is_empty() {
                return true;
            }
            body.extend(chunk);
        }
        false
    }

    /// The next chunk; nothing if the connection ends first.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.0.read_u8().await.ok()?);
        }
        let line = String::from_utf8_lossy(&line);
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        (self.fill(&mut chunk).await == length + 2).then_some(())?;
        chunk.truncate(length);
        Some(chunk)
    }

    /// Reads until `end` has come.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            let byte = tokio::time::timeout(PATIENCE, self.0.read_u8()).await;
            let so_far = || String::from_utf8_lossy(&answer).into_owned();
            let byte = byte.unwrap_or_else(|_| panic!("{end} comes in time, after {}", so_far()));
            let byte = byte.unwrap_or_else(|e| panic!("{e} before {end}: {}", so_far()));
            answer.push(byte);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// All that comes until the gateway closes, which it must.
    pub(crate) async fn rest(&mut self) -> String {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut answer));
        // A reset is an end as well.
        let _end = read.await.expect("the gateway closes in time");
        String::from_utf8_lossy(&answer).into_owned()
    }
}
