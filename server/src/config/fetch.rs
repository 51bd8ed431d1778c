//! The values of `fetch`, judged like those of the server.
//!
//! Pure. Called by `start.rs`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use aimass_chassis::args::Problems;
use reqwest::Url;

use super::Checker;
use crate::args::FetchArgs;
use crate::files::{Digest, Limits};

/// What `fetch` does.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// Where the files are.
    pub source: Url,
    /// The folder to make.
    pub destination: PathBuf,
    /// What the download must hash to.
    pub digest: Option<Digest>,
    /// Whether to sleep when done.
    pub stay: bool,
    /// What the files may be at most.
    pub limits: Limits,
    /// For everything.
    pub timeout: Duration,
    /// Bytes per second, over a minute.
    pub min_rate: u64,
    /// Credentials.
    pub credentials: Option<PathBuf>,
    /// Further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Whether plain HTTP is allowed.
    pub allow_http: bool,
    /// Hosts that may have private addresses.
    pub allow_hosts: Vec<String>,
    /// Addresses that are never fetched from.
    pub forbidden: Vec<IpAddr>,
    /// Where the reason of a failure is written.
    pub termination_log: PathBuf,
}

impl TryFrom<FetchArgs> for FetchConfig {
    type Error = Problems;

    fn try_from(args: FetchArgs) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let FetchArgs {
            source,
            dest,
            digest,
            stay,
            max_size,
            max_files,
            max_ratio,
            timeout,
            min_rate,
            credentials_dir,
            ca_file,
            allow_http,
            allow_host,
            kubernetes_service_host,
            termination_log,
            log: _, // used by `start` before anything else
        } = args;
        let mut p = Checker(&mut problems);
        let source = source_url(source.as_deref().unwrap_or_default(), allow_http);
        let source = p.0.take("--source", source);
        let destination = PathBuf::from(dest);
        if destination.file_name().is_none() || destination.parent().is_none() {
            p.0.add("--dest", "must name a folder inside another one");
        }
        let config = (
            p.digest("--digest", digest.as_deref()),
            Limits {
                max_bytes: p.size("--max-size", &max_size) as u64,
                max_files: p.number("--max-files", &max_files, 1..=1_000_000),
                max_ratio: p.number("--max-ratio", &max_ratio, 1..=1_000_000) as u64,
            },
            p.duration("--timeout", &timeout),
            p.size("--min-rate", &min_rate) as u64,
        );
        let (digest, limits, timeout, min_rate) = config;
        let Some(source) = source.filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        Ok(Self {
            source,
            destination,
            digest,
            stay,
            limits,
            timeout,
            min_rate,
            credentials: credentials_dir.map(PathBuf::from),
            ca_file: ca_file.map(PathBuf::from),
            allow_http,
            allow_hosts: allow_host,
            forbidden: kubernetes_service_host
                .and_then(|host| host.parse().ok())
                .into_iter()
                .collect(),
            termination_log: termination_log.into(),
        })
    }
}

/// A URL that may be fetched from, as far as its text tells.
fn source_url(text: &str, allow_http: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("must be an https URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => return Err("must begin with https:// unless --allow-http is given".to_owned()),
        other => return Err(format!("must begin with https://, its scheme is {other:?}")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold credentials; use --credentials-dir".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};

    fn config(line: &str) -> Result<FetchConfig, String> {
        let words = line.split(' ').map(Into::into);
        let Some(Command::Fetch(args)) = parse(words).unwrap().command else {
            panic!("no fetch")
        };
        FetchConfig::try_from(args).map_err(|problems| problems.describe("s"))
    }

    #[test]
    fn the_operators_flags_are_understood() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let config = config(&format!(
            "s fetch --source=https://a.example/m.onnx --dest=/model/files --digest={digest} \
             --max-size=1Gi --stay --allow-host=store.local --credentials-dir=/credentials"
        ))
        .unwrap();
        assert_eq!(config.limits.max_bytes, 1 << 30);
        assert!(config.stay && !config.allow_http);
    }

    #[test]
    fn urls_that_are_not_https_are_refused() {
        for url in [
            "http://a/b",
            "ftp://a/b",
            "file:///etc/passwd",
            "",
            "https://u:p@a/b",
        ] {
            let text = config(&format!("s fetch --source={url}")).unwrap_err();
            assert!(
                text.contains("--source (AIMASS_SOURCE): must"),
                "{url}: {text}"
            );
        }
        assert!(config("s fetch --source=http://a/b --allow-http").is_ok());
    }
}
