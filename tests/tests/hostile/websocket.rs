//! WebSockets that mean no good: each is closed with the code that says why, the others are served.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::process::Server;
use crate::wire;

const TEXT: u8 = 0x81;

/// Becomes a WebSocket.
fn open(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = wire::connect(address);
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: t\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: aimass.v1\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer comes");
        answer.extend(byte);
    }
    assert!(
        answer.starts_with(b"HTTP/1.1 101 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    stream
}

/// A frame masked with zeros, which leave its payload as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// The head of a masked frame, in its longest form.
fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first, 0x80 | 127];
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    head
}

/// The code of the close frame with which the server ends; 0 without one.
fn close_code(stream: &mut TcpStream) -> u16 {
    let mut rest = Vec::new();
    // A reset is an end as well; what came before counts.
    let _end = stream.read_to_end(&mut rest);
    let mut code = 0;
    let mut bytes = rest.as_slice();
    while let [first, second, after @ ..] = bytes {
        let (length, after) = match (second, after) {
            (126, [high, low, after @ ..]) => {
                (usize::from(u16::from_be_bytes([*high, *low])), after)
            }
            (length, after) => (usize::from(*length), after),
        };
        let Some((payload, after)) = after.split_at_checked(length) else {
            panic!("half a frame: {rest:?}");
        };
        if let (0x88, [high, low, ..]) = (first, payload) {
            code = u16::from_be_bytes([*high, *low]);
        }
        bytes = after;
    }
    code
}

#[test]
fn each_violation_is_closed_with_its_code() {
    let server = Server::ready("linear");
    let (v1, v2) = ("/v1/models/my_model/ws", "/v2/models/my_model/ws");
    let rows: [(&str, &str, Vec<u8>, u16); 9] = [
        ("an unmasked frame", v1, vec![TEXT, 2, b'{', b'}'], 1002),
        ("a reserved bit", v1, frame(0xc1, b"{}"), 1002),
        ("a continuation of nothing", v2, frame(0x80, b"{}"), 1002),
        ("bytes on /v1", v1, frame(0x82, b"{}"), 1003),
        ("no UTF-8", v2, frame(TEXT, b"{\"id\":\"\xff\"}"), 1007),
        (
            "malformed messages",
            v2,
            frame(TEXT, b"{oops").repeat(12),
            1008,
        ),
        ("a frame of 2^62 bytes", v1, head(TEXT, 1 << 62), 1009),
        (
            "a fragment bomb",
            v1,
            [frame(0x01, b"{"), frame(0x00, b"").repeat(100_000)].concat(),
            1009,
        ),
        (
            "a message of 17 MiB",
            v2,
            frame(0x82, &vec![0; 17 << 20]),
            1009,
        ),
    ];
    let mut wrong = Vec::new();
    for (name, path, bytes, expect) in rows {
        let mut stream = open(server.data, path);
        // The server may close before it has read everything.
        let _closed_early = stream.write_all(&bytes);
        let code = close_code(&mut stream);
        if code != expect {
            wrong.push(format!("{name}: {code}, expected {expect}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.assert_serves();
}

#[test]
fn messages_without_end_and_answers_that_nobody_takes_harm_nobody() {
    let server = Server::ready("linear");
    let message = br#"{"id":"a","instances":[[1.0]]}"#;
    let many = frame(TEXT, message).repeat(2000);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = open(server.data, "/v1/models/my_model/ws");
            stream
                .write_all(&many)
                .expect("the server or the system takes a few messages");
            // And a large one that never ends.
            let part = [head(TEXT, 10 << 20), vec![b' '; 100_000]].concat();
            stream
                .write_all(&part)
                .expect("the server or the system takes a part");
            stream
        })
        .collect();
    for _ in 0..20 {
        server.assert_serves();
    }
    let page = wire::get(server.admin, "/metrics").body;
    assert!(page.contains("aimass_server_websockets 50"), "{page}");
    drop(callers);
    let mut again = open(server.data, "/v1/models/my_model/ws");
    again
        .write_all(&frame(TEXT, message))
        .expect("the server reads");
    let mut answer = [0; 2];
    again.read_exact(&mut answer).expect("an answer comes");
    assert_eq!(answer.first(), Some(&TEXT));
}
