//! One kept-alive HTTP/1.1 connection of a load generator: sends a ready-made request, reads the answer.
//!
//! Blocking and over a raw socket, because the generator shares two cores with what it measures and
//! has to cost as little as it can. Every wait is bounded.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// How long an answer may take: longer than any deadline of the servers under measurement.
const PATIENCE: Duration = Duration::from_secs(40);
/// No answer under measurement is larger.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A connection with its buffer.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).context("failed to connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            buffer: vec![0; MAX_ANSWER_BYTES],
        })
    }

    /// Sends `request` (whole, kept alive) and reads the answer to its end; gives its status.
    ///
    /// # Errors
    /// The connection breaks, or the answer is not HTTP with a content-length.
    pub fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).context("failed to send")?;
        let mut filled = 0;
        loop {
            let rest = self.buffer.get_mut(filled..).unwrap_or_default();
            if rest.is_empty() {
                bail!("the answer has more than {MAX_ANSWER_BYTES} bytes");
            }
            let count = self
                .stream
                .read(rest)
                .context("failed to read the answer")?;
            if count == 0 {
                bail!("the server closed the connection under load");
            }
            filled += count;
            let bytes = self.buffer.get(..filled).unwrap_or_default();
            if let Some(answer) = Answer::of(bytes)?
                && filled >= answer.length
            {
                return Ok(answer.status);
            }
        }
    }

    /// The connection alone, between two requests: without the buffer, of which many would need much memory.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The last answer as text, for messages: its head and what follows, cut.
    #[must_use]
    pub fn last_answer(&self) -> String {
        let end = self.buffer.iter().position(|byte| *byte == 0);
        let end = end.unwrap_or(self.buffer.len()).min(400);
        String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default()).into_owned()
    }
}

/// What the head of an answer says.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Of head and body.
    length: usize,
}

impl Answer {
    /// Of the bytes that have come; nothing until the head is whole.
    fn of(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default())
            .context("the head of an answer is not text")?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .context("an answer without a status")?;
        let body: usize = lines
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse().ok())?
            })
            .context("an answer without content-length")?;
        Ok(Some(Self {
            status,
            length: (end + 4).saturating_add(body),
        }))
    }
}

/// A whole `POST` of JSON, kept alive.
#[must_use]
pub fn post(path: &str, body: &str) -> Vec<u8> {
    post_bytes(path, &["content-type: application/json"], body.as_bytes())
}

/// A whole `POST` with these header lines, kept alive.
#[must_use]
pub fn post_bytes(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let (length, headers) = (body.len(), headers.join("\r\n"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\n{headers}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expect: Option<(u16, usize)>) {
        let expect = expect.map(|(status, length)| Answer { status, length });
        assert_eq!(Answer::of(bytes).unwrap(), expect);
    }

    #[test]
    fn an_answer_is_whole_when_its_body_is_there() {
        check(b"HTTP/1.1 200 OK\r\nconte", None);
        let refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nabc";
        check(refusal, Some((503, refusal.len())));
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        assert!(Answer::of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Answer::of(b"nonsense\r\ncontent-length: 1\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_says_how_long_it_is() {
        let request = String::from_utf8(post("/v1", "{}")).unwrap();
        assert!(request.starts_with("POST /v1 HTTP/1.1\r\n"));
        assert!(request.ends_with("content-length: 2\r\n\r\n{}"));
    }
}
