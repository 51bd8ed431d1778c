//! The `fetch` role: brings a model's files from a remote source, checks them and puts them into place.
//!
//! Called by `start.rs`. A process of its own in the model's pod, the only one with credentials and a way out. It ends with
//! a reason in the termination log, or stays asleep so that it counts as running.

mod credentials;
mod http;
mod resolver;

use std::time::Duration;

use aimass_chassis::shutdown::on_signals;

use crate::config::FetchConfig;
use crate::fatal::{Fatal, Reason};
use crate::files::{self, Kind, Manifest, Staging};
use http::{Download, Failure};

/// Tries before the process ends and says why; whoever started it then tries anew, more slowly. Few,
/// because nobody learns the reason before.
const ATTEMPTS: u32 = 3;

/// Fetches, and sleeps afterwards if asked to.
///
/// # Errors
/// The system refuses a runtime or signals.
pub fn run(config: &FetchConfig) -> anyhow::Result<u8> {
    let runtime = aimass_chassis::runtime::build("fetch", 1)?;
    runtime.block_on(async {
        let stop = on_signals()?;
        let fetched = tokio::select! {
            fetched = fetch(config) => fetched,
            () = stop.cancelled() => return Ok(0),
        };
        match fetched {
            Ok(manifest) => {
                let digest = manifest.digest.as_str();
                tracing::info!(
                    digest,
                    files = manifest.files.len(),
                    "the files are in place"
                );
            }
            Err(fatal) => {
                tracing::error!(reason = fatal.reason.name(), error = %fatal, "failed to fetch");
                fatal.write_termination_log(&config.termination_log);
                return Ok(fatal.reason.exit_code());
            }
        }
        if config.stay {
            stop.cancelled().await;
        }
        Ok(0)
    })
}

/// Makes the destination folder, unless it is there with the right digest.
///
/// # Errors
/// What a user must know; see [`Reason`].
pub async fn fetch(config: &FetchConfig) -> Result<Manifest, Fatal> {
    if let (Some(expected), Ok(Some(manifest))) =
        (&config.digest, files::manifest(&config.destination))
        && *expected == manifest.digest
        && manifest
            .files
            .iter()
            .all(|entry| files::verify(&config.destination, entry).is_ok())
    {
        return Ok(manifest);
    }
    let mut staging = Staging::begin(&config.destination, config.limits)?;
    let download = Download::new(config)?;
    let whole = tokio::time::timeout(config.timeout, retried(&download, &staging)).await;
    let digest = whole.map_err(|_elapsed| {
        let text = format!(
            "the download took longer than {} s",
            config.timeout.as_secs()
        );
        Fatal::new(Reason::FetchTimeout, text)
    })??;
    files::matches(&digest, config.digest.as_ref())?;
    let path = config.source.path();
    staging.add_scratch(Kind::of_name(path), file_name(path))?;
    staging.finish(digest)
}

async fn retried(download: &Download<'_>, staging: &Staging) -> Result<files::Digest, Fatal> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let Failure { fatal, may_pass } = match download.to_file(&staging.scratch()).await {
            Ok(digest) => return Ok(digest),
            Err(failure) => failure,
        };
        if !may_pass || attempt >= ATTEMPTS {
            return Err(fatal);
        }
        let pause = Duration::from_secs(1 << (attempt - 1));
        tracing::warn!(error = %fatal, attempt, pause_s = pause.as_secs(), "trying again");
        tokio::time::sleep(pause).await;
    }
}

/// The name for a file that is no archive: the URL's if it says that it is a model.
fn file_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.ends_with(".onnx") && name.len() <= 128 && name.bytes().all(plain) {
        name
    } else {
        "model.onnx"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_as_in_the_url_if_that_is_a_models_name() {
        assert_eq!(file_name("/a/iris.onnx"), "iris.onnx");
        for path in ["/a/iris", "/a/", "/a/%2e%2e.onnx", "/download"] {
            assert_eq!(file_name(path), "model.onnx", "{path}");
        }
    }
}
