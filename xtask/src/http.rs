//! A small HTTP/1.1 client: one request, one answer, one connection; everything bounded.
//!
//! For health checks and for the requests of the demo. No TLS: those addresses are on this machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 4 * 1024 * 1024;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How long each read and write may take.
const TRANSFER: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body, decoded from its transfer encoding.
    pub(crate) body: String,
}

/// `GET path`.
///
/// # Errors
/// If there is no answer, or none that is HTTP.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    send(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
    )
}

/// `POST path` with a JSON body.
///
/// # Errors
/// As [`get`].
pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> Result<Answer> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let fields = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    send(address, &format!("{head}{fields}{body}"))
}

fn send(address: SocketAddr, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)
        .with_context(|| format!("failed to connect to {address}"))?;
    stream.set_read_timeout(Some(TRANSFER))?;
    stream.set_write_timeout(Some(TRANSFER))?;
    stream
        .write_all(request.as_bytes())
        .context("failed to send the request")?;
    let mut bytes = Vec::new();
    // `Connection: close`: the end of the stream is the end of the answer.
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut bytes)
        .context("failed to read the answer")?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        bail!(
            "the answer is not HTTP: {:?}",
            text.chars().take(80).collect::<String>()
        );
    };
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status
        .and_then(|s| s.parse().ok())
        .context("the answer has no status")?;
    let is_chunked = lines.any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.ends_with("chunked")
    });
    let body = if is_chunked {
        unchunk(body)?
    } else {
        body.to_owned()
    };
    Ok(Answer { status, body })
}

/// Joins chunks: `<hexadecimal length>\r\n<bytes>\r\n` … `0\r\n\r\n`.
fn unchunk(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").context("a chunk has no length")?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .with_context(|| format!("a chunk's length is {size:?}"))?;
        if size == 0 {
            return Ok(body);
        }
        let chunk = after
            .get(..size)
            .context("a chunk is shorter than it says")?;
        body.push_str(chunk);
        rest = after
            .get(size..)
            .unwrap_or_default()
            .trim_start_matches("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, status: u16, body: &str) {
        let expect = Answer {
            status,
            body: body.to_owned(),
        };
        assert_eq!(parse(answer.as_bytes()).unwrap(), expect);
    }

    #[test]
    fn bodies_are_decoded() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok");
        check(
            "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            503,
            "abcd",
        );
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(parse(b"SSH-2.0").is_err());
        assert!(parse(b"HTTP/1.1 abc\r\n\r\n").is_err());
        assert!(unchunk("ff\r\nshort\r\n").is_err());
        assert!(unchunk("zz\r\n").is_err());
    }
}
