//! Callers of a model: plain HTTP/1.1 over TCP, one connection a request or a pool of them.
//!
//! Knows nothing of aimass: what a caller can see is all that it sees.

use std::net::SocketAddr;
use std::time::Duration;

use aimass_chassis::logs::chain;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// At most so much of an answer is read.
const MAX_ANSWER: usize = 64 << 20;

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A caller at one address, with a pool of connections.
#[derive(Clone)]
pub struct Caller {
    address: SocketAddr,
    pool: Pool<HttpConnector, Full<Bytes>>,
    deadline: Duration,
    bearer: Option<String>,
}

impl Caller {
    /// A caller of `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            address,
            pool,
            deadline: Duration::from_secs(30),
            bearer: None,
        }
    }

    /// The same one, who shows an API key.
    #[must_use]
    pub fn with_key(mut self, token: &str) -> Self {
        self.bearer = Some(format!("Bearer {token}"));
        self
    }

    /// Asks.
    ///
    /// # Errors
    /// What went wrong before there was an answer.
    pub async fn send(&self, method: Method, path: &str, body: &[u8]) -> Result<Reply, String> {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder()
            .method(method)
            .uri(&uri)
            .header(http::header::CONTENT_TYPE, "application/json");
        if let Some(bearer) = &self.bearer {
            request = request.header(http::header::AUTHORIZATION, bearer);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body)))
            .map_err(|e| format!("{uri}: {e}"))?;
        let answer = async {
            let response = self
                .pool
                .request(request)
                .await
                .map_err(|error| chain(&error))?;
            let (head, body) = response.into_parts();
            let body = http_body_util::Limited::new(body, MAX_ANSWER);
            let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
            Ok(Reply {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(answer) => answer.map_err(|e: String| format!("{uri}: {e}")),
            Err(_) => Err(format!("{uri}: no answer within {:?}", self.deadline)),
        }
    }

    /// `GET`.
    ///
    /// # Errors
    /// As [`Caller::send`].
    pub async fn get(&self, path: &str) -> Result<Reply, String> {
        self.send(Method::GET, path, b"").await
    }

    /// `POST` of JSON.
    ///
    /// # Errors
    /// As [`Caller::send`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply, String> {
        self.send(Method::POST, path, body.to_string().as_bytes())
            .await
    }
}

/// Sends bytes as they are on a connection of their own and reads until the far side closes it.
///
/// # Errors
/// What went wrong, or that nothing was closed within `deadline`.
pub async fn raw(address: SocketAddr, bytes: &[u8], deadline: Duration) -> Result<String, String> {
    let talk = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    match tokio::time::timeout(deadline, talk).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(format!("the connection was not closed within {deadline:?}")),
    }
}
