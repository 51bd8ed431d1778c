//! One stream of the API server, followed for ever, and what its errors mean.
//!
//! Reads only. Called by `watch` for each kind. Waits where the kind is not there (yet), tells its
//! errors once, and leaves an API server in peace that answers with errors.

use std::time::Duration;

use futures_util::StreamExt;
use kube::Resource;
use kube::runtime::watcher::{self, Event};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::context::{Context, Events, resource_of};
use crate::error::said;
use crate::watch::Caches;

/// Pause before a stream begins anew that waits for its kind or for the API server.
const ANEW: Duration = Duration::from_secs(2);
/// Failures in a row after which a stream begins anew instead of waiting for up to 30 s.
const PATIENCE: u32 = 3;

/// Takes every event of one kind. Waits where its kind is not there (yet), never gives up.
pub(crate) async fn follow<K>(
    ctx: &Context,
    open: impl Fn(&Context) -> Events<K>,
    mut take: impl FnMut(Event<K>),
) where
    K: Resource,
    K::DynamicType: Default,
{
    let kind = K::DynamicType::default();
    let (plural, resource) = (K::plural(&kind).into_owned(), resource_of::<K>(&kind));
    ctx.pulse.expect(&plural);
    let mut failures = 0_u32;
    loop {
        let mut stream = open(ctx);
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    // `Init` comes before the list is even asked for.
                    failures = if matches!(event, Event::Init) {
                        failures
                    } else {
                        0
                    };
                    take(event);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let text = explain(&resource, &error);
                    // Told once, then only counted, until the stream lives again.
                    if failures == 1 {
                        warn!(watch.kind = resource, "{text}");
                    } else {
                        debug!(watch.kind = resource, failures, "{text}");
                    }
                    let is_gone = answer(&error) == Some(404) && ctx.caches.was_filled(&plural);
                    let is_hidden = answer(&error) == Some(403) && Caches::is_spared(&plural);
                    if is_gone || is_hidden {
                        // The kind is gone, and its objects with it. Nothing is deleted for that;
                        // but children of models that are gone must not be made anew, and what we
                        // may not see any more must not be taken for what is.
                        take(Event::Init);
                        take(Event::InitDone);
                    }
                    ctx.metrics.watch_failed(&plural);
                    ctx.pulse.failed(&plural, text);
                    if is_hidden {
                        ctx.pulse.answered(&plural);
                    }
                    if begins_anew(&error, failures) {
                        break;
                    }
                }
            }
        }
        sleep(ANEW).await;
    }
}

/// Whether to begin anew after a short pause, instead of the stream's own that doubles up to 30 s:
/// while the kind does not exist, and while nobody answers. An API server that answers with an
/// error is left in peace.
fn begins_anew(error: &watcher::Error, failures: u32) -> bool {
    match answer(error) {
        Some(404) => true,
        Some(_) => false,
        None => failures >= PATIENCE,
    }
}

/// The status that the API server answered with; `None`: no answer.
fn answer(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}

/// What the API server or the network said.
fn text_of(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => said(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

fn explain(resource: &str, error: &watcher::Error) -> String {
    match answer(error) {
        Some(404) => format!("{resource} does not exist: install the CustomResourceDefinitions"),
        Some(403) => format!(
            "may not list and watch {resource}: grant it to the operator's account ({})",
            text_of(error)
        ),
        _ => format!("failed to watch {resource}: {}", text_of(error)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16) -> watcher::Error {
        let status = Status::failure("", "").with_code(code).boxed();
        watcher::Error::InitialListFailed(kube::Error::Api(status))
    }

    #[test]
    fn a_missing_kind_is_looked_for_every_two_seconds() {
        assert!(begins_anew(&refused(404), 1));
        assert!(explain("modeldeployments.aimass.dev", &refused(404)).contains("does not exist"));
    }

    #[test]
    fn an_api_server_that_answers_is_left_in_peace() {
        for code in [403, 429, 500, 503] {
            assert!(!begins_anew(&refused(code), 99), "{code}");
        }
    }

    #[test]
    fn an_api_server_that_is_gone_is_awaited_after_some_tries() {
        let gone = watcher::Error::WatchFailed(kube::Error::Service("refused".into()));
        assert!(!begins_anew(&gone, 1));
        assert!(begins_anew(&gone, PATIENCE));
    }

    #[test]
    fn a_missing_right_is_named() {
        let text = explain("services", &refused(403));
        assert!(
            text.starts_with("may not list and watch services"),
            "{text}"
        );
    }
}
