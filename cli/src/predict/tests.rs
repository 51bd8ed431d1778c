//! `aimass predict` against a small server in this process: over HTTP and over TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aimass_chassis::tasks::spawn_detached;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::args::{ClusterArgs, Secret};
use crate::client::tests::{cluster, refused};
use crate::outcome::Exit;
use crate::token::RANDOM_BYTES;

/// What the server was asked.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    headers: HeaderMap,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// What the server answers; nothing: it never does.
type Answer = Option<fn() -> Response<Full<Bytes>>>;

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    async fn start(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        let record = Arc::clone(&asked);
        spawn_detached("server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                match &tls {
                    None => serve(stream, answer, &record).await,
                    // A client that does not trust us ends here.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, answer, &record).await;
                        }
                    }
                }
            }
        });
        Self { address, asked }
    }

    fn url(&self, scheme: &str) -> Option<String> {
        Some(format!("{scheme}://localhost:{}", self.address.port()))
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answer,
    record: &Mutex<Vec<Asked>>,
) {
    let service = service_fn(move |request: Request<Incoming>| async move {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        record.lock().unwrap().push(Asked {
            line: format!("{} {}", parts.method, parts.uri),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        match answer {
            Some(answer) => Ok::<_, hyper::Error>(answer()),
            None => std::future::pending().await,
        }
    });
    // Ends when the client closes, which is none of our business.
    let _ended = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn predictions() -> Response<Full<Bytes>> {
    Response::new(Full::from(r#"{"predictions":[[2.5],[3.0]]}"#))
}

fn unauthenticated() -> Response<Full<Bytes>> {
    let answer = Response::builder()
        .status(401)
        .header("aimass-error", "unauthenticated")
        .header("x-request-id", "of-the-server");
    answer
        .body(Full::from(r#"{"error":"Missing or unknown API key"}"#))
        .unwrap()
}

fn elsewhere() -> Response<Full<Bytes>> {
    let answer = Response::builder()
        .status(308)
        .header("location", "https://h/x");
    answer.body(Full::default()).unwrap()
}

fn token() -> Token {
    Token::make(&[7; RANDOM_BYTES])
}

fn args(url: Option<String>) -> PredictArgs {
    PredictArgs {
        name: "iris".to_owned(),
        instances: "[[1],[2]]".to_owned(),
        url,
        key: None,
        ca_file: None,
        insecure: false,
        timeout: "30s".to_owned(),
        cluster: ClusterArgs::default(),
    }
}

fn with_key(url: Option<String>) -> PredictArgs {
    PredictArgs {
        key: Some(token().expose().parse::<Secret>().unwrap()),
        ..args(url)
    }
}

async fn outcome(args: PredictArgs) -> Outcome {
    aimass_chassis::tls::install();
    run(args).await.unwrap_or_else(Outcome::from)
}

#[tokio::test]
async fn instances_are_posted_with_the_key_and_predictions_printed() {
    let server = Server::start(Some(predictions), None).await;
    let mut args = with_key(server.url("http"));
    args.cluster.namespace = Some("shop".to_owned());
    let outcome = outcome(args).await;
    assert_eq!(
        outcome,
        Outcome::done("[[2.5],[3.0]]\n".to_owned(), String::new())
    );
    let asked = server.asked();
    let [asked] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert_eq!(asked.line, "POST /projects/shop/v1/models/iris:predict");
    assert_eq!(asked.body, r#"{"instances":[[1],[2]]}"#);
    let bearer = format!("Bearer {}", token().expose());
    assert_eq!(asked.header("authorization"), bearer);
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.header("x-request-timeout-ms"), "30000");
    assert_eq!(asked.header("aimass-json-nonfinite"), "string");
    assert_eq!(asked.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let server = Server::start(Some(unauthenticated), None).await;
    let outcome = outcome(args(server.url("http"))).await;
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (Exit::Refused, ""));
    assert_eq!(
        outcome.stderr,
        "aimass: Missing or unknown API key\n  status 401, kind unauthenticated, request of-the-server\n  \
         give a key by AIMASS_KEY; `aimass key create` makes one\n"
    );
    assert_eq!(server.asked()[0].header("authorization"), "");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start(Some(elsewhere), None).await;
    let outcome = outcome(with_key(server.url("http"))).await;
    assert_eq!(outcome.exit, Exit::Failed);
    assert!(outcome.stderr.contains("https://h/x"), "{}", outcome.stderr);
}

#[tokio::test]
async fn silence_ends_with_the_timeout_and_names_the_request() {
    let server = Server::start(None, None).await;
    let mut args = args(server.url("http"));
    args.timeout = "50ms".to_owned();
    let outcome = outcome(args).await;
    assert_eq!(outcome.exit, Exit::Unanswered, "{}", outcome.stderr);
    let asked = server.asked();
    let id = asked[0].header("x-request-id");
    let says = format!("aimass: no answer within 0.05 s, request {id}: raise --timeout");
    assert!(outcome.stderr.starts_with(&says), "{}", outcome.stderr);
}

#[tokio::test]
async fn an_address_where_nothing_listens_may_be_tried_again() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}", free.local_addr().unwrap().port());
    drop(free);
    let outcome = outcome(args(Some(url))).await;
    assert_eq!(outcome.exit, Exit::Unanswered, "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .contains("127.0.0.1 cannot be connected to: "),
        "{}",
        outcome.stderr
    );
}

/// A server with a certificate of its own for `localhost`, and that certificate in a file.
async fn over_tls() -> (Server, tempfile::TempDir) {
    aimass_chassis::tls::install();
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), cert.pem()).unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    (Server::start(Some(predictions), Some(tls)).await, folder)
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (server, _folder) = over_tls().await;
    let outcome = outcome(with_key(server.url("https"))).await;
    assert_eq!(outcome.exit, Exit::Failed, "{}", outcome.stderr);
    let says = "aimass: the certificate of localhost is not trusted: ";
    assert!(outcome.stderr.starts_with(says), "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .ends_with("Give its authority by --ca-file\n"),
        "{}",
        outcome.stderr
    );
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn a_given_authority_is_trusted() {
    let (server, folder) = over_tls().await;
    let mut args = with_key(server.url("https"));
    args.ca_file = Some(folder.path().join("ca.crt"));
    let outcome = outcome(args).await;
    assert_eq!(
        outcome,
        Outcome::done("[[2.5],[3.0]]\n".to_owned(), String::new())
    );
}

#[tokio::test]
async fn whoever_asks_for_it_trusts_anybody_and_is_warned() {
    let (server, _folder) = over_tls().await;
    let mut args = with_key(server.url("https"));
    args.insecure = true;
    let outcome = outcome(args).await;
    assert_eq!(outcome.stdout, "[[2.5],[3.0]]\n", "{}", outcome.stderr);
    assert!(
        outcome.stderr.starts_with("aimass: warning: --insecure: "),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_key_over_plain_http_is_warned_of() {
    let warned = |url: &str, key: Option<&Token>| {
        let url = Url::parse(url).unwrap();
        let call = Call {
            url: &url,
            key,
            trust: Trust::System(Vec::new()),
            timeout: MAX_TIMEOUT,
            request_id: "r1",
        };
        !warning(&call).is_empty()
    };
    let key = token();
    assert!(warned("http://h/", Some(&key)));
    assert!(!warned("http://h/", None));
    assert!(!warned("http://localhost/", Some(&key)));
    assert!(!warned("https://h/", Some(&key)));
}

#[test]
fn all_problems_are_found_in_one_pass() {
    let wrong = PredictArgs {
        name: "_".to_owned(),
        instances: "3".to_owned(),
        url: Some("https://h".to_owned()),
        key: Some("hunter2".parse().unwrap()),
        ca_file: Some("/nonexistent/ca.crt".into()),
        insecure: true,
        timeout: "2h".to_owned(),
        cluster: ClusterArgs {
            namespace: Some("A".to_owned()),
            ..ClusterArgs::default()
        },
    };
    let failure = wanted(wrong).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    for flag in [
        "NAME",
        "INSTANCES",
        "--key (AIMASS_KEY)",
        "--insecure",
        "--timeout",
        "--namespace",
    ] {
        assert!(
            failure.text.contains(&format!("\n  {flag}: must ")),
            "{flag}: {}",
            failure.text
        );
    }
    assert!(failure.text.contains("has 6 problems"), "{}", failure.text);
    assert!(!failure.text.contains("hunter2"), "{}", failure.text);
}

#[test]
fn an_empty_key_is_none_and_a_file_without_certificates_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    std::fs::write(&path, "nothing").unwrap();
    let mut args = args(Some("https://h".to_owned()));
    args.key = Some("".parse().unwrap());
    args.ca_file = Some(path);
    let text = wanted(args).unwrap_err().text;
    assert!(
        text.contains("has 1 problem\n  --ca-file: must be a file with certificates"),
        "{text}"
    );
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the value in place"
)]
fn model(status: Value) -> (u16, Value) {
    let model = json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": "iris"},
        "spec": {"model": {"source": {"configMap": {"name": "iris-model"}}}},
        "status": status,
    });
    (200, model)
}

#[tokio::test]
async fn the_address_is_that_of_the_status() {
    let url = "https://h/projects/shop/v1/models/iris";
    let (cluster, transcript) = cluster([model(json!({"url": url}))]);
    let found = of_cluster(&cluster, "iris").await.unwrap();
    assert_eq!(found.as_str(), format!("{url}:predict"));
    let path = "GET /apis/aimass.dev/v1alpha1/namespaces/shop/modeldeployments/iris";
    assert!(transcript.all()[0].line.starts_with(path));
}

#[tokio::test]
async fn without_an_address_it_is_said_where_to_look() {
    let absent = refused(
        404,
        "NotFound",
        r#"modeldeployments.aimass.dev "iris" not found"#,
    );
    for (answer, expect) in [
        (absent, "`kubectl get modeldeployments -n shop`"),
        (
            refused(403, "Forbidden", "may not"),
            "with --url no cluster is asked",
        ),
        (model(json!({})), "has no address yet"),
        (
            model(json!({"url": "nonsense"})),
            "give another address by --url",
        ),
    ] {
        let (cluster, _) = cluster([answer]);
        let text = of_cluster(&cluster, "iris").await.unwrap_err().text;
        assert!(text.contains(expect), "{text}");
    }
}
