//! The pod behind the gateway: answers every request with the request's own body, after a while.
//!
//! A thread of the process that measures, and so on its core: the gateway has the other one for itself.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::Builder;

/// No request under measurement is larger.
const MAX_BODY_BYTES: usize = 64 << 10;

/// A pod; ends when it is dropped.
#[derive(Debug)]
pub struct Pod {
    /// Where it is asked.
    pub address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Pod {
    /// Starts one that takes `delay` for each request, however many there are.
    ///
    /// # Errors
    /// The system has no port or no thread for it.
    pub fn start(delay: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Stop::new();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let ended = stop.clone();
        let thread = std::thread::Builder::new()
            .name("pod".to_owned())
            .spawn(move || runtime.block_on(serve(listener, delay, &ended)))
            .context("failed to start the pod")?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic was printed by its thread.
            let _ended = thread.join();
        }
    }
}

/// Serves until `stop`; the connections end with the runtime.
async fn serve(listener: TcpListener, delay: Duration, stop: &Stop) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime has its I/O");
    let connections = Tasks::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _peer)) = accepted else {
            continue;
        };
        // As servers of models do; without it only answers are slower.
        let _unchanged = stream.set_nodelay(true);
        let service = service_fn(move |request| answer(request, delay));
        let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn("connection", async move {
            // The gateway may close whenever it likes.
            let _closed = serving.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    delay: Duration,
) -> Result<Response<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES);
    let body = body.collect().await?.to_bytes();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut response = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Connection, post};

    #[test]
    fn a_pod_answers_with_what_it_was_asked() {
        let pod = Pod::start(Duration::from_millis(1)).unwrap();
        let mut connection = Connection::open(pod.address).unwrap();
        for _ in 0..2 {
            let status = connection.exchange(&post("/any", r#"{"a":1}"#)).unwrap();
            assert_eq!(status, 200);
            assert!(connection.last_answer().ends_with(r#"{"a":1}"#));
        }
    }
}
