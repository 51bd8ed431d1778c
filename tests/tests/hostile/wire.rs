//! HTTP/1.1 by hand over a socket: says exactly what a test wants said, and bounds every wait.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long any single answer may take before a test calls it a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// No answer of these tests is larger.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// One answer as it came: status (0 where the connection closed without one), head and body.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code; 0: the peer closed without an answer.
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    /// What followed, as text.
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Connects with a read deadline of [`PATIENCE`].
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket takes a read timeout");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a socket takes a write timeout");
    stream
}

/// Sends raw bytes on a fresh connection and reads one answer.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(address);
    // A server may refuse and close before it has read everything: what it answered still counts.
    let _refused_early = stream.write_all(bytes);
    read_answer(&mut stream)
}

/// `POST path` with a body and extra header lines, on a fresh connection.
pub(crate) fn post(address: SocketAddr, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    exchange(address, &request("POST", path, headers, body))
}

/// `GET path` on a fresh connection.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").as_bytes(),
    )
}

/// The bytes of one well-formed request that closes its connection.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n");
    for header in headers {
        bytes.push_str(header);
        bytes.push_str("\r\n");
    }
    bytes.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads until the answer is whole, the peer closes, or [`PATIENCE`] is over (a panic: a hang).
pub(crate) fn read_answer(stream: &mut TcpStream) -> Answer {
    let start = Instant::now();
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 16 * 1024];
    loop {
        assert!(
            start.elapsed() < PATIENCE,
            "no whole answer in {PATIENCE:?}: a hang"
        );
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("no answer in {PATIENCE:?}: a hang")
            }
            // A reset after an early refusal: what came before it is the answer.
            Err(_reset) => break,
        }
        assert!(
            bytes.len() < MAX_ANSWER_BYTES,
            "the answer is larger than {MAX_ANSWER_BYTES} bytes"
        );
        if is_whole(&bytes) {
            break;
        }
    }
    parse(&bytes)
}

/// Whether the head is there and as much body as `content-length` promises.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let answer = Answer {
        status: 0,
        head: head.to_owned(),
        body: String::new(),
    };
    let length = answer
        .header("content-length")
        .and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= head.len() + 4 + length)
}

fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
