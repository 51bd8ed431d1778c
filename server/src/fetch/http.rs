//! Downloads over HTTP(S) into a file, hashing on the way.
//!
//! Called by `fetch`. Redirects are followed here, not by the client: each target is judged, and credentials stay with the
//! source's host. Proxy variables are ignored. Texts carry status and host, never what the far side said.

use std::fs::File;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use aimass_chassis::logs::chain;
use reqwest::header::LOCATION;
use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode, Url, redirect};
use tokio::time::{Instant, timeout_at};

use super::credentials::{Credentials, Login};
use super::resolver::{Refused, Rules};
use crate::config::FetchConfig;
use crate::fatal::{Fatal, Reason};
use crate::files::{Digest, Hashing};

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Over each such window the rate must be reached.
const WINDOW: Duration = Duration::from_secs(60);
/// For name, connection and handshake.
const CONNECT: Duration = Duration::from_secs(15);

/// Why a try ended.
pub(super) struct Failure {
    pub(super) fatal: Fatal,
    /// Whether another try may succeed.
    pub(super) may_pass: bool,
}

impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Self {
        Self {
            fatal,
            may_pass: false,
        }
    }
}

/// Everything that a try needs.
pub(super) struct Download<'a> {
    config: &'a FetchConfig,
    client: Client,
    login: Option<Login>,
    rules: Rules,
}

impl<'a> Download<'a> {
    pub(super) fn new(config: &'a FetchConfig) -> Result<Self, Fatal> {
        let credentials = Credentials::read(config.credentials.as_deref())?;
        let rules = Rules::new(&config.allow_hosts, &config.forbidden);
        let mut authorities = certificates(credentials.authority.as_deref().unwrap_or_default())?;
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path)
                .map_err(|error| Fatal::io("failed to read --ca-file", &error))?;
            authorities.extend(certificates(&pem)?);
        }
        let builder = || {
            Client::builder()
                .dns_resolver(rules.clone())
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .connect_timeout(CONNECT)
                .user_agent(concat!("aimass/", env!("CARGO_PKG_VERSION")))
        };
        let client = build(builder, authorities)?;
        Ok(Self {
            config,
            client,
            login: credentials.login,
            rules,
        })
    }

    /// One try: the file is written anew.
    pub(super) async fn to_file(&self, path: &Path) -> Result<Digest, Failure> {
        let response = self.open().await?;
        let max = self.config.limits.max_bytes;
        if response.content_length().is_some_and(|length| length > max) {
            return Err(too_large(max).into());
        }
        self.save(response, path, max).await
    }

    /// The answer at the end of the redirects.
    async fn open(&self) -> Result<Response, Failure> {
        let mut url = self.config.source.clone();
        for _ in 0..=MAX_REDIRECTS {
            self.judge(&url)?;
            let response = self.request(&url).send().await;
            let response = response.map_err(|error| broken(&url, &error))?;
            if !response.status().is_redirection() {
                return judge_status(response, &url);
            }
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let Some(next) = next else {
                return Err(unavailable(&url, "redirects to nowhere", false));
            };
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(
                    denied("a redirect from https to another scheme is not followed").into(),
                );
            }
            url = next;
        }
        Err(unavailable(
            &url,
            &format!("is reached only after {MAX_REDIRECTS} redirects"),
            false,
        ))
    }

    fn request(&self, url: &Url) -> reqwest::RequestBuilder {
        let request = self.client.get(url.clone());
        if url.origin() != self.config.source.origin() {
            return request;
        }
        match &self.login {
            None => request,
            Some(Login::Token(token)) => request.bearer_auth(token),
            Some(Login::Password { username, password }) => {
                request.basic_auth(username, Some(password))
            }
        }
    }

    /// Scheme and literal address; a name is judged when it is resolved.
    fn judge(&self, url: &Url) -> Result<(), Failure> {
        match url.scheme() {
            "https" => {}
            "http" if self.config.allow_http => {}
            _ => return Err(denied("only https is allowed").into()),
        }
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) => self
                .rules
                .judge(host, address)
                .map_err(|refused| denied(&refused.to_string()).into()),
            Err(_) => Ok(()),
        }
    }

    async fn save(&self, mut response: Response, path: &Path, max: u64) -> Result<Digest, Failure> {
        let unwritable = |error| Fatal::io("failed to write the download", &error);
        let mut file = File::create(path).map_err(unwritable)?;
        let mut hash = Hashing::new();
        let mut total = 0_u64;
        let mut window = Window::new(self.config.min_rate);
        let url = response.url().clone();
        loop {
            let chunk = match timeout_at(window.end, response.chunk()).await {
                Ok(chunk) => chunk.map_err(|error| broken(&url, &error))?,
                Err(_) if window.turn() => continue,
                Err(_) => return Err(too_slow(self.config.min_rate)),
            };
            let Some(chunk) = chunk else { break };
            total = total.saturating_add(chunk.len() as u64);
            if total > max {
                return Err(too_large(max).into());
            }
            window.bytes += chunk.len() as u64;
            hash.update(&chunk);
            file.write_all(&chunk).map_err(unwritable)?;
        }
        file.sync_all().map_err(unwritable)?;
        Ok(Digest::of_hex(&hash.finish()))
    }
}

/// The rate's window.
struct Window {
    end: Instant,
    bytes: u64,
    needed: u64,
}

impl Window {
    fn new(min_rate: u64) -> Self {
        let needed = min_rate.saturating_mul(WINDOW.as_secs());
        Self {
            end: Instant::now() + WINDOW,
            bytes: 0,
            needed,
        }
    }

    /// Begins the next window, if enough came in.
    fn turn(&mut self) -> bool {
        let enough = self.bytes >= self.needed;
        self.bytes = 0;
        self.end += WINDOW;
        enough
    }
}

/// With the system's authorities, if it has any.
fn build(
    builder: impl Fn() -> ClientBuilder,
    authorities: Vec<Certificate>,
) -> Result<Client, Fatal> {
    if let Ok(client) = builder().tls_certs_merge(authorities.clone()).build() {
        return Ok(client);
    }
    builder()
        .tls_certs_only(authorities)
        .build()
        .map_err(|error| {
            tracing::error!(%error, "no TLS client");
            denied("no certificate authorities could be loaded; name them by --ca-file")
        })
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, Fatal> {
    Certificate::from_pem_bundle(pem).map_err(|error| {
        tracing::warn!(%error, "no certificates");
        denied("the file of certificate authorities is not PEM")
    })
}

fn judge_status(response: Response, url: &Url) -> Result<Response, Failure> {
    let status = response.status();
    let text = format!("answers with status {}", status.as_u16());
    match status {
        StatusCode::OK => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(denied(&format!("{} {text}", host(url))).into())
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(unavailable(url, &text, true))
        }
        _ => Err(unavailable(url, &text, status.is_server_error())),
    }
}

/// A try that ended below HTTP.
fn broken(url: &Url, error: &reqwest::Error) -> Failure {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return denied(&refused.to_string()).into();
        }
        cause = error.source();
    }
    // The log has the cause; a termination message must not quote the far side.
    tracing::warn!(host = host(url), error = chain(error), "a try failed");
    let text = if error.is_connect() {
        "cannot be connected to"
    } else {
        "broke the connection"
    };
    unavailable(url, text, true)
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn unavailable(url: &Url, text: &str, may_pass: bool) -> Failure {
    let fatal = Fatal::new(Reason::ArtifactUnavailable, format!("{} {text}", host(url)));
    Failure { fatal, may_pass }
}

fn denied(text: &str) -> Fatal {
    Fatal::new(Reason::AccessDenied, text)
}

fn too_large(max: u64) -> Fatal {
    Fatal::new(
        Reason::ArtifactInvalid,
        format!("the download has more than {max} bytes"),
    )
}

fn too_slow(min_rate: u64) -> Failure {
    let text = format!(
        "less than {min_rate} bytes a second came in over {} s",
        WINDOW.as_secs()
    );
    Failure {
        fatal: Fatal::new(Reason::FetchTimeout, text),
        may_pass: true,
    }
}
