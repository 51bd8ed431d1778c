//! Frames that break a rule of RFC 6455 or a bound of ours: each has its close code.

use crate::peer::{Server, close_code, frame, head, limits};

const TEXT: u8 = 0x81;

fn row(name: &'static str, frames: &[Vec<u8>], code: u16) -> (&'static str, Vec<u8>, u16) {
    (name, frames.concat(), code)
}

#[tokio::test(start_paused = true)]
async fn each_violation_has_its_code() {
    let invalid = b"a /wait/0 \xff";
    let unmasked = [&head(TEXT, 0, 9)[..], b"a /wait/0"].concat();
    let many = |fragments: usize| {
        let mut frames = vec![frame(0x01, b"a /")];
        frames.extend((2..fragments).map(|_| frame(0x00, b"")));
        frames.push(frame(0x80, b"wait/0"));
        frames
    };
    let parts = [frame(0x01, &[b' '; 40_000]), frame(0x80, &[b' '; 40_000])];
    let rows = [
        row("an unmasked frame", &[unmasked], 1002),
        row("a reserved bit", &[frame(0xc1, b"a /wait/0")], 1002),
        row("an unknown data frame", &[frame(0x83, b"")], 1002),
        row("an unknown control frame", &[frame(0x8b, b"")], 1002),
        row("a ping in fragments", &[frame(0x09, b"")], 1002),
        row("a ping of 126 bytes", &[frame(0x89, &[0; 126])], 1002),
        row("a continuation of nothing", &[frame(0x80, b"a")], 1002),
        row(
            "a message inside a message",
            &[frame(0x01, b"a"), frame(TEXT, b"b")],
            1002,
        ),
        row("a close of one byte", &[frame(0x88, &[3])], 1002),
        row("text that is not UTF-8", &[frame(TEXT, invalid)], 1007),
        row(
            "a fragment that is not UTF-8",
            &[frame(0x01, invalid)],
            1007,
        ),
        row(
            "half a character at the end",
            &[frame(0x01, b"\xc3"), frame(0x80, b"")],
            1007,
        ),
        row(
            "a frame beyond the bound",
            &[head(TEXT, 0x80, (64 << 10) + 1), vec![0; 4]],
            1009,
        ),
        row(
            "an endless frame",
            &[head(TEXT, 0x80, u64::MAX), vec![0; 4]],
            1009,
        ),
        row("a message beyond the bound", &parts, 1009),
        row(
            "a bytes message beyond the bound",
            &[frame(0x02, &[0; 40_000]), frame(0x80, &[0; 40_000])],
            1009,
        ),
        row("1025 fragments", &many(1025), 1009),
        row(
            "empty fragments without end",
            &(0..5000).map(|_| frame(0x01, b"")).collect::<Vec<_>>(),
            1009,
        ),
        row(
            "empty continuations without end",
            &[vec![frame(0x01, b"")], vec![frame(0x00, b""); 5000]].concat(),
            1009,
        ),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, code) in rows {
        let server = Server::new(limits());
        let sent = server.talk(&bytes).await;
        let found = close_code(&sent);
        if found != code {
            wrong.push(format!("{name}: {found}, expected {code}"));
        }
        assert_eq!(server.open.get(), 0, "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn fragments_pings_and_an_own_close_are_allowed() {
    let server = Server::new(limits());
    let mut frames = vec![frame(0x01, b"a /")];
    frames.extend((0..1022).map(|_| frame(0x00, b"")));
    frames.push(frame(0x89, b"still there?"));
    frames.push(frame(0x80, b"wait/0"));
    let mut sent = server.talk(&frames.concat()).await;
    // The answer to the ping, then to the message; then pings until the silent client is dropped.
    assert_eq!(sent.remove(0), (0x8a, b"still there?".to_vec()));
    assert_eq!(sent.remove(0), (0x81, b"a 200 done".to_vec()));
    assert_eq!(sent, [(0x89, Vec::new())]);

    let close = frame(0x88, &[0x03, 0xe8, b'b', b'y', b'e']);
    let sent = server.talk(&close).await;
    assert_eq!(sent, [(0x88, b"\x03\xe8bye".to_vec())]);
}
