//! The nouns of these tests: a server on a stream in memory, a well-behaved client, and one that writes bytes.

use std::time::Duration;

use aimass_chassis::shutdown::Stop;
use aimass_chassis::ws::{Endpoint, Limits, Seat, Service, run};
use futures_util::{SinkExt as _, StreamExt as _};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::words::{Load, Words, app};

/// Longer than anything waits here; nothing is really waited for.
const PATIENCE: Duration = Duration::from_secs(7200);

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn limits() -> Limits {
    Limits::new(64 << 10, 1 << 20, 1 << 20)
}

pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
    pub(crate) open: Gauge,
    pub(crate) drain: Stop,
    pub(crate) load: Load,
}

impl Server {
    pub(crate) fn new(limits: Limits) -> Self {
        let open = Gauge::default();
        Self {
            endpoint: Endpoint::new(limits, "words.v1", open.clone()),
            open,
            drain: Stop::new(),
            load: Load::default(),
        }
    }

    /// A WebSocket whose pipe holds so many bytes; the task says whether the caller was lost.
    pub(crate) fn pipe(&self, bytes: usize) -> (DuplexStream, JoinHandle<bool>) {
        let (ours, theirs) = tokio::io::duplex(bytes);
        let seat: Seat = self.endpoint.seat().expect("there is a seat");
        let service = Service {
            app: app(&self.load),
            language: std::sync::Arc::new(Words),
        };
        let running = run(theirs, seat, service, self.drain.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "the test awaits this task itself"
        )]
        let task = tokio::spawn(async move { running.await.is_some() });
        (ours, task)
    }

    pub(crate) async fn connect(&self) -> Client {
        let (ours, task) = self.pipe(64 << 10);
        let socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        Client { socket, task }
    }

    /// All that a server with these limits sends, to the end, to a client that writes `bytes` and never closes.
    pub(crate) async fn talk(&self, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let (mut ours, _task) = self.pipe(4 << 20);
        ours.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = ours.read_to_end(&mut answer);
        let _end = tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the server ends");
        frames(&answer)
    }
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<DuplexStream>,
    pub(crate) task: JoinHandle<bool>,
}

impl Client {
    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        let text: String = text.into();
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message or close; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("something comes") {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(message) => return message.expect("the frames are right"),
                None => panic!("the WebSocket is over"),
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("{other:?} is no text"),
        }
    }

    /// The code with which the server closes next.
    pub(crate) async fn code(&mut self) -> u16 {
        match self.next().await {
            Message::Close(Some(close)) => close.code.into(),
            other => panic!("{other:?} is no close"),
        }
    }
}

/// A masked frame of a client.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = head(first, 0x80, payload.len() as u64);
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The beginning of a frame up to its length.
pub(crate) fn head(first: u8, masked: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..126 => head.push(masked | u8::try_from(length).unwrap()),
        126..65536 => {
            head.push(masked | 126);
            head.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            head.push(masked | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head
}

/// The frames of a server: first byte and payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second {
            126 => (
                usize::from(u16::from_be_bytes([rest[0], rest[1]])),
                &rest[2..],
            ),
            127 => panic!("no such frame is sent"),
            length => (usize::from(*length), rest),
        };
        frames.push((*first, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    frames
}

/// The code of the close frame with which `frames` end, which must be.
#[track_caller]
pub(crate) fn close_code(frames: &[(u8, Vec<u8>)]) -> u16 {
    let (first, payload) = frames.last().expect("something is sent");
    assert_eq!(*first, 0x88, "{frames:?}");
    u16::from_be_bytes([payload[0], payload[1]])
}
