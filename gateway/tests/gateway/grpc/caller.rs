//! A caller with one connection of HTTP/2, and answers as they stand on the wire.

use std::net::SocketAddr;

use aimass_protocol::grpc::{ModelInferRequest, ModelInferResponse, frame};
use axum::body::Body;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::codec::CompressionEncoding;
use tonic::{Response as Answered, Status};
use tonic_prost::ProstCodec;

use crate::world::{PATIENCE, spawn};

pub(crate) const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// A request about `model`, with some bytes of input.
pub(crate) fn asks(model: &str) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.to_owned(),
        id: "42".to_owned(),
        raw_input_contents: vec![vec![7; 64].into()],
        ..ModelInferRequest::default()
    }
}

/// [`asks`] with its prefix.
pub(crate) fn framed(model: &str) -> Vec<u8> {
    frame(&asks(model)).unwrap()
}

pub(crate) struct Caller {
    sender: SendRequest<tonic::body::Body>,
    origin: &'static str,
}

impl Caller {
    /// By prior knowledge.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::over(stream, "http://gateway").await
    }

    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        origin: &'static str,
    ) -> Self {
        let io = TokioIo::new(stream);
        let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
        spawn(connection);
        Self { sender, origin }
    }

    /// The same connection, asking for another host.
    pub(crate) fn at(&self, origin: &'static str) -> Self {
        let sender = self.sender.clone();
        Self { sender, origin }
    }

    /// One unary call.
    pub(crate) async fn call<A: Message + Default + Send + Sync + 'static>(
        &self,
        path: &'static str,
        request: tonic::Request<impl Message + 'static>,
        encoding: Option<CompressionEncoding>,
    ) -> Result<Answered<A>, Status> {
        let sender = self.sender.clone();
        let service = tower::service_fn(move |request: Request<tonic::body::Body>| {
            sender.clone().send_request(request)
        });
        let mut client = tonic::client::Grpc::with_origin(service, Uri::from_static(self.origin));
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static(path);
        let call = client.unary(request, path, ProstCodec::default());
        timeout(PATIENCE, call).await.unwrap()
    }

    /// `ModelInfer` with metadata.
    pub(crate) async fn infer(
        &self,
        model: &str,
        metadata: &[(&'static str, &str)],
    ) -> Result<Answered<ModelInferResponse>, Status> {
        let mut request = tonic::Request::new(asks(model));
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        self.call(INFER, request, None).await
    }

    /// The head of the answer to exactly these headers and this body.
    pub(crate) async fn send(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::post(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(tonic::body::Body::new(body)).unwrap();
        let answer = self.sender.clone().send_request(request);
        timeout(PATIENCE, answer).await.unwrap()
    }

    /// The whole answer.
    pub(crate) async fn raw(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Raw {
        let body = Body::new(Full::new(Bytes::from(body)));
        let answer = self.send(path, headers, body).await.unwrap();
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

/// The headers of every call.
pub(crate) const CALL: [(&str, &str); 2] =
    [("content-type", "application/grpc"), ("te", "trailers")];

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) body: Bytes,
}

pub(crate) fn text<'a>(map: &'a HeaderMap, name: &str) -> &'a str {
    map.get(name).map_or("", |value| value.to_str().unwrap())
}

impl Raw {
    pub(crate) fn header(&self, name: &str) -> &str {
        text(&self.headers, name)
    }

    /// Panics unless this is trailers alone with that status, kind and text.
    #[track_caller]
    pub(crate) fn refuses(&self, code: &str, kind: &str, message: &str) {
        let seen = ["grpc-status", "aimass-error", "grpc-message"].map(|name| self.header(name));
        assert_eq!(seen, [code, kind, message], "{self:?}");
        let head = (self.status, self.header("content-type"));
        assert_eq!(head, (200, "application/grpc"));
        assert!(self.body.is_empty() && self.trailers.is_none(), "{self:?}");
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
    }
}
