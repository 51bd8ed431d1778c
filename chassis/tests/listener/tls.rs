//! The same bounds behind TLS, and one for the handshake before them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::{self, Connection, Limits, Secured, Settings};
use aimass_chassis::shutdown::Stop;
use axum::extract::Extension;
use axum::routing::get;
use prometheus_client::metrics::gauge::Gauge;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::{LARGE, app, limits, ms};

/// What must have happened by then.
const PATIENCE: Duration = Duration::from_secs(10);

const FAST: &str = "GET /fast HTTP/1.1\r\nhost: a\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: Stop,
    open: Gauge,
    trusted: CertificateDer<'static>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let key = KeyPair::generate().expect("there is chance");
        let params = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let trusted = certificate.der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![trusted.clone()], key.into())
            .expect("the key fits");
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback works");
        let address = listener.local_addr().expect("the socket is bound");
        let (stop, open) = (Stop::new(), Gauge::default());
        let settings = Settings {
            limits,
            drain: Stop::new(),
            stop: stop.clone(),
            grace: PATIENCE,
            open: open.clone(),
        };
        let app = app().route("/who", get(who));
        let serving = listener::serve_tls(listener, app, settings, Arc::new(config));
        #[expect(
            clippy::disallowed_methods,
            reason = "the test awaits this task itself"
        )]
        let task = tokio::spawn(serving);
        Self {
            address,
            stop,
            open,
            trusted,
            task,
        }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address)
            .await
            .expect("the server listens");
        let name = ServerName::try_from("a.example").expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        let connected = connector.connect(name, stream).await;
        connected.expect("hands are shaken")
    }

    async fn ended(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended
            .expect("the server ends in time")
            .expect("the server does not panic");
        assert_eq!(self.open.get(), 0, "connections are open after the end");
    }
}

/// What the application learns of a connection.
async fn who(
    Extension(connection): Extension<Connection>,
    secured: Option<Extension<Secured>>,
) -> String {
    let name = secured.as_ref().and_then(|secured| secured.server_name());
    format!("{} {name:?}", connection.peer().ip())
}

async fn send(stream: &mut TlsStream<TcpStream>, bytes: &str) {
    // A server that has closed already is what some tests want.
    let _closed = stream.write_all(bytes.as_bytes()).await;
}

async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    // A reset, or an end without a word of TLS, is an end as well.
    let _end = read.await.expect("the server closes in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_are_answered_and_know_where_they_come_from() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    send(
        &mut client,
        "GET /who HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    let answer = rest(&mut client).await;
    assert!(
        answer.ends_with("127.0.0.1 Some(\"a.example\")"),
        "{answer}"
    );
    server.ended().await;
}

#[tokio::test]
async fn who_does_not_shake_hands_is_closed() {
    let server = Server::start(Limits {
        handshake: ms(300),
        ..limits()
    })
    .await;
    for bytes in ["", "\u{16}\u{3}\u{1}", FAST] {
        let begin = Instant::now();
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer));
        let _end = read.await.expect("the server closes in time");
        assert!(begin.elapsed() < ms(3000), "{bytes:?}");
        assert!(!answer.starts_with(b"HTTP"), "{bytes:?}");
    }
    // Others are served meanwhile and afterwards.
    let mut client = server.connect().await;
    send(&mut client, FAST).await;
    server.ended().await;
}

#[tokio::test]
async fn the_bounds_of_heads_and_rests_hold() {
    let server = Server::start(Limits {
        idle: ms(600),
        ..limits()
    })
    .await;
    let begin = Instant::now();
    let (mut silent, mut half, mut idle) = (
        server.connect().await,
        server.connect().await,
        server.connect().await,
    );
    send(&mut half, "GET /fast HTTP/1.1\r\nhost: a\r\nx: ").await;
    send(&mut idle, FAST).await;
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut half).await, "");
    assert!(begin.elapsed() >= ms(290));
    assert!(rest(&mut idle).await.ends_with("fast"));
    assert!((ms(590)..ms(4000)).contains(&begin.elapsed()));
    server.ended().await;
}

#[tokio::test]
async fn a_reader_that_stops_is_reset() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    send(&mut client, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    tokio::time::sleep(ms(1500)).await;
    let mut answer = Vec::new();
    let read = client.read_to_end(&mut answer);
    let read = tokio::time::timeout(PATIENCE, read).await;
    read.expect("the connection ends")
        .expect_err("it was cut off");
    assert!(answer.len() < LARGE);
    server.ended().await;
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    send(
        &mut client,
        "GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await;
    read.expect("it comes in time").expect("a proper end");
    assert!(answer.len() > LARGE && answer.ends_with(b"xxxx"));
    server.ended().await;
}

#[tokio::test]
async fn a_body_left_unread_does_not_cost_the_answer() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    let head = "POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
    send(&mut client, head).await;
    send(&mut client, &"x".repeat(1_000_000)).await;
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    server.ended().await;
}
