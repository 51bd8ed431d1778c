//! Quotas: kept as far as they concern pods; a change concerns the models of its namespace.
//!
//! Reads only. Started by `watch`. A quota is written whenever somebody makes or ends a pod in its
//! namespace, so nothing is reconciled for that: it is decided anew about models that it limits, and
//! who decides has reconciled what changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use aimass_plan::model::quota::Quota;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::runtime::watcher;

use super::caches::QUOTAS;
use super::follow;
use crate::cache::{Item, key_of, version_of};
use crate::context::Context;
use crate::signals;

/// Keeps them, for ever.
pub(super) async fn keep(ctx: Arc<Context>) {
    let open = |ctx: &Context| ctx.stream::<ResourceQuota>(watcher::Config::default());
    follow(&ctx, open, |event| {
        let changed = ctx.caches.quotas.apply(event, item);
        let namespaces = changed.into_iter().map(|changed| changed.key.namespace);
        let namespaces: BTreeSet<String> = namespaces.collect();
        for namespace in &namespaces {
            signals::quota_changed(&ctx, namespace);
        }
        ctx.metrics.cached(QUOTAS, ctx.caches.quotas.len());
    })
    .await;
}

/// The quota as the cache keeps it, found by its namespace.
#[expect(
    clippy::needless_pass_by_value,
    reason = "all kinds' items are made from what they keep"
)]
pub(crate) fn item(quota: ResourceQuota) -> Item<Quota> {
    let key = key_of(&quota);
    Item {
        uid: quota.metadata.uid.clone().unwrap_or_default(),
        version: version_of(&quota),
        group: Some(key.namespace.clone()),
        model: None,
        value: Quota::of(&quota),
        key,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use kube::core::Status;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::context::Events;
    use crate::watch::Caches;

    fn quota() -> ResourceQuota {
        serde_json::from_value(json!({
            "metadata": {"name": "small", "namespace": "a", "uid": "q", "resourceVersion": "7"},
            "status": {"hard": {"pods": "2"}, "used": {"pods": "2"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_quota_is_found_by_its_namespace() {
        let item = item(quota());
        assert_eq!((item.version, item.group.as_deref()), (7, Some("a")));
        assert_eq!(item.model, None, "it concerns all models there");
    }

    #[tokio::test]
    async fn what_may_not_be_read_any_more_limits_nothing_and_hurts_nobody() {
        let (ctx, _) = crate::transcript::context([]);
        ctx.caches.quotas.saw(item(quota()));
        let status = Status::failure("", "").with_code(403).boxed();
        let refused = watcher::Error::InitialListFailed(kube::Error::Api(status));
        let open = std::sync::Mutex::new(Some(vec![Err(refused)]));
        let open = move |_: &Context| -> Events<ResourceQuota> {
            let events = open.lock().unwrap().take().unwrap_or_default();
            let events = futures_util::stream::iter(events);
            events.chain(futures_util::stream::pending()).boxed()
        };
        let mut seen = 0;
        let taking = follow(&ctx, open, |event: Event<ResourceQuota>| {
            ctx.caches.quotas.apply(event, item);
            seen += 1;
        });
        let soon = tokio::time::timeout(std::time::Duration::from_millis(100), taking);
        assert!(soon.await.is_err(), "it goes on");
        assert_eq!((seen, ctx.caches.quotas.len()), (2, 0));
        assert!(
            !ctx.caches
                .kinds()
                .iter()
                .any(|(plural, _)| *plural == QUOTAS)
        );
        assert!(Caches::is_spared(QUOTAS) && !Caches::is_spared("pods"));
    }
}
