//! The nouns of these tests: a port of a server, a client, and answers as they stand on the wire.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use aimass_chassis::listener::{self, Limits};
use aimass_chassis::shutdown::Stop;
use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tonic::codec::CompressionEncoding;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;

use crate::serving::Server;

/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A data port, in this process.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) drain: Stop,
    pub(crate) stop: Stop,
    serving: JoinHandle<()>,
}

impl Port {
    pub(crate) async fn open(server: &Server) -> Self {
        Self::with(server, Limits::default()).await
    }

    pub(crate) async fn with(server: &Server, limits: Limits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, stop) = (Stop::new(), Stop::new());
        let settings = listener::Settings {
            limits,
            drain: drain.clone(),
            stop: stop.clone(),
            grace: Duration::from_secs(10),
            open: server.state.metrics().connections.clone(),
        };
        let app = aimass_server::app(server.state.clone());
        let serving = spawn(listener::serve_with(listener, app, settings));
        Self {
            address,
            drain,
            stop,
            serving,
        }
    }

    pub(crate) async fn closed(self) {
        timeout(PATIENCE, self.serving).await.unwrap().unwrap();
    }

    /// A connection of its own.
    pub(crate) async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        Client {
            sender,
            connection: spawn(connection),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests await these tasks themselves"
)]
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task)
}

/// A caller with one connection.
pub(crate) struct Client {
    sender: SendRequest<tonic::body::Body>,
    pub(crate) connection: JoinHandle<hyper::Result<()>>,
}

impl Client {
    /// One unary call: `service/method`.
    pub(crate) async fn call<A: Message + Default + Send + Sync + 'static>(
        &self,
        path: &str,
        message: impl Message + 'static,
    ) -> Result<Response<A>, Status> {
        self.ask(path, tonic::Request::new(message), None).await
    }

    /// A unary call with metadata, or whose message is compressed.
    pub(crate) async fn ask<A: Message + Default + Send + Sync + 'static>(
        &self,
        path: &str,
        request: tonic::Request<impl Message + 'static>,
        encoding: Option<CompressionEncoding>,
    ) -> Result<Response<A>, Status> {
        let sender = self.sender.clone();
        let service = tower::service_fn(move |request: Request<tonic::body::Body>| {
            sender.clone().send_request(request)
        });
        let origin = Uri::from_static("http://a");
        let mut client = tonic::client::Grpc::with_origin(service, origin);
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        client.ready().await.unwrap();
        let path = PathAndQuery::try_from(format!("/{path}")).unwrap();
        let call = client.unary(request, path, ProstCodec::default());
        timeout(PATIENCE, call).await.unwrap()
    }

    /// Exactly these headers and this body.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Raw {
        self.send(
            method,
            path,
            headers,
            Body::new(Full::new(Bytes::from(body))),
        )
        .await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Raw {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://a/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(tonic::body::Body::new(body)).unwrap();
        let answer = self.sender.clone().send_request(request);
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        let (head, body) = answer.into_parts();
        let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
        Raw {
            status: head.status.as_u16(),
            headers: head.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        }
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) body: Bytes,
}

impl Raw {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Panics unless this is trailers alone with that status.
    #[track_caller]
    pub(crate) fn refuses(&self, code: &str, kind: &str, message: &str) {
        let seen = ["grpc-status", "aimass-error", "grpc-message"].map(|name| self.header(name));
        assert_eq!(seen, [code, kind, message], "{self:?}");
        assert_eq!(
            (self.status, self.header("content-type")),
            (200, "application/grpc")
        );
        assert!(self.body.is_empty() && self.trailers.is_none(), "{self:?}");
    }
}

/// A message with its prefix.
pub(crate) fn framed(message: &impl Message) -> Vec<u8> {
    aimass_protocol::grpc::frame(message).unwrap()
}

/// Waits until `holds`, which another task brings about.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
