//! Pods of these tests that speak HTTP/2 in the clear, as model servers do.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aimass_protocol::grpc::{ModelInferRequest, ModelInferResponse, PREFIX_BYTES, decode, frame};
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::world::spawn;

/// What a pod has read of a call.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub(crate) struct Speaker {
    pub(crate) address: SocketAddr,
    /// The heads of all calls.
    pub(crate) heard: Arc<Mutex<Vec<Heard>>>,
    /// Connections that it has accepted.
    pub(crate) connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Speaker {
    /// Answers calls by `answer`.
    pub(crate) async fn new<F>(
        answer: impl Fn(request::Parts, Incoming) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, connections) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::default());
        let (notes, count) = (Arc::clone(&heard), Arc::clone(&connections));
        let task = spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                AtomicUsize::fetch_add(&count, 1, Ordering::Relaxed);
                let (answer, notes) = (answer.clone(), Arc::clone(&notes));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (head, body) = request.into_parts();
                    notes.lock().unwrap().push(Heard {
                        path: head.uri.path().to_owned(),
                        headers: head.headers.clone(),
                    });
                    let answered = answer(head, body);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.max_concurrent_streams(100);
                running.spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self {
            address,
            heard,
            connections,
            task,
        }
    }

    /// Answers every inference with its id, in the name of `name`.
    pub(crate) async fn named(name: &'static str) -> Self {
        Self::new(move |_, body| async move {
            let bytes = body.collect().await.unwrap().to_bytes();
            let asked = match bytes.first() {
                Some(0) => decode::<ModelInferRequest>(bytes.slice(PREFIX_BYTES..)).unwrap(),
                // Compressed: it is the gateway that is tested here.
                _ => ModelInferRequest::default(),
            };
            inferred(name, &asked.id)
        })
        .await
    }

    /// Answers every call with trailers alone.
    pub(crate) async fn refusing(code: &'static str, kind: &'static str) -> Self {
        Self::new(move |_, body| async move {
            let _read = body.collect().await;
            let mut response = head();
            let map = response.headers_mut();
            map.extend(pairs(&[("grpc-status", code), ("aimass-error", kind)]));
            response
        })
        .await
    }

    pub(crate) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> Heard {
        self.heard.lock().unwrap().last().cloned().unwrap()
    }
}

pub(crate) fn pairs(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

/// The head of an answer, without a body.
pub(crate) fn head() -> Response<Body> {
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(Body::empty()).unwrap()
}

/// An answer that ends with these trailers.
pub(crate) fn ending(body: Vec<u8>, trailers: &[(&'static str, &'static str)]) -> Response<Body> {
    let trailers = std::future::ready(Some(Ok(pairs(trailers))));
    let body = Full::new(Bytes::from(body)).with_trailers(trailers);
    head().map(|_| Body::new(body))
}

/// A success.
pub(crate) fn inferred(model: &str, id: &str) -> Response<Body> {
    let message = ModelInferResponse {
        model_name: model.to_owned(),
        model_version: "7".to_owned(),
        id: id.to_owned(),
        ..ModelInferResponse::default()
    };
    ending(frame(&message).unwrap(), &[("grpc-status", "0")])
}
