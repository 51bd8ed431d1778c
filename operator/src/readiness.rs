//! Whether this instance could do its work: caches filled, API server reachable.
//!
//! `judge` is pure; the task around it looks once a second and asks the API server how it is only
//! when streams are silent. Started by `run`. A follower is ready too.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::Store;
use tokio::time::sleep;

use crate::context::Context;
use crate::liveness;

/// Streams are opened anew each 25 s, so an API server that is well is heard more often.
const REACHABLE: Duration = Duration::from_secs(30);
/// A stream that fails for less long is about to recover by itself.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(1);
/// At least every minute, which is what `liveness` asks for.
const PROBE_EVERY: u32 = 20;

/// What is wrong with one kind's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    plural: &'static str,
    filled: bool,
    trouble: Option<(String, Duration)>,
}

/// Keeps the context's readiness true, for ever.
pub(crate) async fn watch(ctx: Arc<Context>) {
    let readiness = ctx.readiness();
    let mut turn = 0_u32;
    loop {
        match judge(&kinds(&ctx), ctx.pulse.answered_ago()) {
            Ok(()) => readiness.ready(),
            Err((reason, message)) => readiness.not_ready(reason, message),
        }
        if turn.is_multiple_of(PROBE_EVERY)
            && liveness::wants_probe(ctx.pulse.most_silent().as_ref())
        {
            ctx.probe().await;
        }
        turn = turn.wrapping_add(1);
        sleep(LOOK).await;
    }
}

fn kinds(ctx: &Context) -> Vec<Kind> {
    let kind = |(plural, filled)| Kind {
        plural,
        filled,
        trouble: ctx.pulse.trouble(plural),
    };
    ctx.caches.kinds().into_iter().map(kind).collect()
}

/// Ready, or the reason and message why not.
fn judge(kinds: &[Kind], answered: Option<Duration>) -> Result<(), (&'static str, String)> {
    let said = |kind: &Kind| match &kind.trouble {
        Some((trouble, _)) => format!("{}: {trouble}", kind.plural),
        None => kind.plural.to_owned(),
    };
    let unfilled: Vec<String> = kinds.iter().filter(|kind| !kind.filled).map(said).collect();
    if !unfilled.is_empty() {
        let unfilled = unfilled.join("; ");
        return Err((
            "CachesNotFilled",
            format!("waiting for the first list of {unfilled}"),
        ));
    }
    if answered.is_none_or(|ago| ago > REACHABLE) {
        let since = answered.map_or("never".to_owned(), |ago| format!("{} s ago", ago.as_secs()));
        return Err((
            "ApiUnavailable",
            format!("the API server last answered {since}"),
        ));
    }
    let lasting = |kind: &&Kind| {
        kind.trouble
            .as_ref()
            .is_some_and(|(_, since)| *since > PATIENCE)
    };
    match kinds.iter().find(lasting) {
        Some(kind) => Err(("WatchFailing", said(kind))),
        None => Ok(()),
    }
}

/// Whether a store of kube's was filled once.
pub(crate) fn is_filled<K>(store: &Store<K>) -> bool
where
    K: kube::Resource + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    use futures_util::FutureExt;
    store.wait_until_ready().now_or_never().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(filled: bool, trouble: Option<u64>) -> Kind {
        let trouble = trouble.map(|s| ("may not list pods".to_owned(), Duration::from_secs(s)));
        Kind {
            plural: "pods",
            filled,
            trouble,
        }
    }

    #[track_caller]
    fn check(kind: Kind, answered: Option<u64>, expect: Option<&str>) {
        let verdict = judge(&[kind], answered.map(Duration::from_secs));
        assert_eq!(verdict.err().map(|(reason, _)| reason), expect);
    }

    #[test]
    fn the_verdict() {
        check(kind(true, None), Some(3), None);
        check(kind(false, None), Some(3), Some("CachesNotFilled"));
        check(kind(true, None), Some(31), Some("ApiUnavailable"));
        check(kind(true, None), None, Some("ApiUnavailable"));
        check(kind(true, Some(5)), Some(3), None);
        check(kind(true, Some(31)), Some(3), Some("WatchFailing"));
    }

    #[test]
    fn the_missing_kind_and_its_cure_are_named() {
        let (_, message) = judge(&[kind(false, Some(1))], None).unwrap_err();
        assert_eq!(
            message,
            "waiting for the first list of pods: may not list pods"
        );
    }
}
