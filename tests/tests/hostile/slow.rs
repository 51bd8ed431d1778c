//! Callers that are slow on purpose: each is closed within its bound, the others are served.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::process::Server;
use crate::wire;

/// The bounds of the listener (10 s for a head, 10 s + 10 s for a body) and some slack.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn s22_slow_callers_are_closed_and_others_served() {
    let server = Server::ready("linear");
    let openings: [(&str, &[u8]); 4] = [
        ("silence", b""),
        (
            "half a head",
            b"POST /v1/models/my_model:predict HTTP/1.1\r\nhost: a\r\n",
        ),
        ("half an HTTP/2 preface", b"PRI * HTTP/2.0\r\n"),
        (
            "a body that never comes",
            b"POST /v1/models/my_model:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{",
        ),
    ];
    let start = Instant::now();
    let streams: Vec<_> = openings
        .iter()
        .map(|(name, bytes)| {
            let mut stream = wire::connect(server.data);
            stream
                .set_read_timeout(Some(CLOSED_WITHIN))
                .expect("a socket takes a timeout");
            stream.write_all(bytes).expect("the server reads");
            (*name, stream)
        })
        .collect();
    server.assert_serves();
    for (name, mut stream) in streams {
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            let timed_out = matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            );
            assert!(!timed_out, "{name} was kept open for {:?}", start.elapsed());
        }
        let answer = String::from_utf8_lossy(&rest);
        assert!(
            !answer.contains(" 200 ") && !answer.contains(" 500 "),
            "{name}: {answer}"
        );
    }
    server.assert_serves();
}

#[test]
fn five_hundred_idle_connections_harm_nobody() {
    let server = Server::ready("linear");
    let idle: Vec<_> = (0..500).map(|_| wire::connect(server.data)).collect();
    for _ in 0..50 {
        server.assert_serves();
    }
    assert_eq!(wire::get(server.admin, "/readyz").status, 200);
    drop(idle);
}
