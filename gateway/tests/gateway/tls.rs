//! HTTPS: certificates that change under load, protocols, hosts, and clients that do not shake hands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aimass_gateway::tls::{Certificate, server_config};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pod::{OK, Pod};
use crate::world::{Gateway, PATIENCE, Setup, model, ms, spawn, table};

/// A certificate and its key.
pub(crate) struct Pair {
    chain: String,
    key: String,
    der: CertificateDer<'static>,
}

pub(crate) fn pair() -> Pair {
    let key = KeyPair::generate().unwrap();
    let hosts = ["gateway.example", "other.example"].map(str::to_owned);
    let params = CertificateParams::new(hosts).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Pair {
        chain: certificate.pem(),
        key: key.serialize_pem(),
        der: certificate.der().clone(),
    }
}

pub(crate) fn take(certificate: &Certificate, pair: &Pair) {
    let now = aimass_chassis::clock::now();
    let (chain, key) = (pair.chain.as_bytes(), pair.key.as_bytes());
    certificate.replace(chain, key, now).unwrap();
}

async fn secured(certificate: &Arc<Certificate>, pod: &Pod) -> Gateway {
    let mut setup = Setup::of(table(vec![model(&[pod.address])], None));
    setup.tls = Some(server_config(Arc::clone(certificate)).unwrap());
    setup.limits.handshake = ms(500);
    setup.start().await
}

/// Trusts these certificates.
pub(crate) fn connector(pairs: &[&Pair], protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(pair.der.clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
    host: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(host).unwrap();
    connector.connect(name, stream).await
}

/// Sends a prediction and reads the answer, which has a length.
async fn ask(stream: &mut TlsStream<TcpStream>, host: &str) -> std::io::Result<String> {
    let request = format!(
        "POST /v1/models/iris:predict HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = async {
        while !answer.ends_with(b"}") {
            answer.push(stream.read_u8().await?);
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap()?;
    Ok(String::from_utf8_lossy(&answer).to_lowercase())
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    certificates[0].clone().into_owned()
}

#[tokio::test]
async fn requests_are_answered_over_tls_and_say_so() {
    let (pod, pair) = (Pod::answering(OK).await, pair());
    let certificate = Arc::new(Certificate::default());
    take(&certificate, &pair);
    let gateway = secured(&certificate, &pod).await;
    let connector = connector(&[&pair], &[b"http/1.1"]);
    let mut stream = connect(&connector, gateway.address, "gateway.example")
        .await
        .unwrap();
    assert_eq!(
        stream.get_ref().1.alpn_protocol(),
        Some(b"http/1.1".as_slice())
    );
    let answer = ask(&mut stream, "gateway.example").await.unwrap();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(
        answer.contains("strict-transport-security: max-age=31536000"),
        "{answer}"
    );
    assert_eq!(pod.last().header("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn http2_is_offered_and_preferred() {
    let (pod, pair) = (Pod::answering(OK).await, pair());
    let certificate = Arc::new(Certificate::default());
    take(&certificate, &pair);
    let gateway = secured(&certificate, &pod).await;
    let connector = connector(&[&pair], &[b"http/1.1", b"h2"]);
    let stream = connect(&connector, gateway.address, "gateway.example")
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    spawn(connection);
    let uri = "https://gateway.example/v1/models/iris:predict";
    let body = http_body_util::Full::<bytes::Bytes>::from("{}");
    let request = http::Request::post(uri).body(body).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_host_that_the_connection_was_not_made_for_is_misdirected() {
    let (pod, pair) = (Pod::answering(OK).await, pair());
    let certificate = Arc::new(Certificate::default());
    take(&certificate, &pair);
    let gateway = secured(&certificate, &pod).await;
    let connector = connector(&[&pair], &[b"http/1.1"]);
    let mut stream = connect(&connector, gateway.address, "gateway.example")
        .await
        .unwrap();
    let answer = ask(&mut stream, "other.example").await.unwrap();
    assert!(answer.starts_with("http/1.1 421"), "{answer}");
    assert_eq!(pod.count(), 0);
    let answer = ask(&mut stream, "GATEWAY.example:443").await.unwrap();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
}

#[tokio::test]
async fn certificates_change_under_load_without_a_failure() {
    let pod = Pod::answering(OK).await;
    let pairs = [pair(), pair(), pair()];
    let certificate = Arc::new(Certificate::default());
    take(&certificate, &pairs[0]);
    let gateway = secured(&certificate, &pod).await;
    let address = gateway.address;
    // Who resumes a session is not shown a certificate again.
    let anew = || connector(&[&pairs[0], &pairs[1], &pairs[2]], &[b"http/1.1"]);
    let connector = anew();
    let mut old = connect(&connector, address, "gateway.example")
        .await
        .unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU32::new(0));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (connector, over, answered) =
                (connector.clone(), Arc::clone(&over), Arc::clone(&answered));
            spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let mut stream = connect(&connector, address, "gateway.example")
                        .await
                        .unwrap();
                    for _ in 0..3 {
                        let answer = ask(&mut stream, "gateway.example").await.unwrap();
                        assert!(answer.starts_with("http/1.1 200"), "{answer}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for pair in [&pairs[1], &pairs[2], &pairs[0], &pairs[1]] {
        tokio::time::sleep(ms(100)).await;
        take(&certificate, pair);
        let stream = connect(&anew(), address, "gateway.example").await.unwrap();
        assert_eq!(shown(&stream), pair.der);
        // A pair that does not fit changes nothing.
        let now = aimass_chassis::clock::now();
        let bad = certificate.replace(pair.chain.as_bytes(), b"nothing", now);
        assert!(bad.is_err());
        let stream = connect(&anew(), address, "gateway.example").await.unwrap();
        assert_eq!(shown(&stream), pair.der);
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 20);
    // Who was connected before goes on with what was agreed.
    assert!(
        ask(&mut old, "gateway.example")
            .await
            .unwrap()
            .starts_with("http/1.1 200")
    );
    assert_eq!(shown(&old), pairs[0].der);
}

#[tokio::test]
async fn without_a_certificate_no_hands_are_shaken() {
    let (pod, pair) = (Pod::answering(OK).await, pair());
    let certificate = Arc::new(Certificate::default());
    let gateway = secured(&certificate, &pod).await;
    let connector = connector(&[&pair], &[]);
    assert!(
        connect(&connector, gateway.address, "gateway.example")
            .await
            .is_err()
    );
    take(&certificate, &pair);
    assert!(
        connect(&connector, gateway.address, "gateway.example")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn clients_that_do_not_shake_hands_are_let_go() {
    let (pod, pair) = (Pod::answering(OK).await, pair());
    let certificate = Arc::new(Certificate::default());
    take(&certificate, &pair);
    let gateway = secured(&certificate, &pod).await;
    let begun = tokio::time::Instant::now();
    let mut silent = gateway.connect().await;
    assert_eq!(silent.rest().await, "");
    assert!((ms(450)..ms(2000)).contains(&begun.elapsed()));
    let mut plain = gateway.connect().await;
    plain.predict("").await;
    plain.rest().await;
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_request_over_tls_too() {
    let pod = Pod::new(|mut peer| async move {
        peer.request().await;
        peer.closed().await;
    })
    .await;
    let pair = pair();
    let certificate = Arc::new(Certificate::default());
    take(&certificate, &pair);
    let gateway = secured(&certificate, &pod).await;
    let connector = connector(&[&pair], &[b"http/1.1"]);
    let mut stream = connect(&connector, gateway.address, "gateway.example")
        .await
        .unwrap();
    let asked = tokio::time::timeout(ms(100), ask(&mut stream, "gateway.example")).await;
    assert!(asked.is_err());
    drop(stream);
    assert_eq!(gateway.lines(1).await[0]["http.status"], 499);
}
