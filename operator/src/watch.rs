//! The streams: one task for each kind keeps its cache and announces the models that a change
//! concerns.
//!
//! Reads only, on behalf of no particular model. Started by `run`, before and independent of
//! leadership: a follower's caches are warm. A listener that lags behind the announcements is told
//! to look at every model; nothing is missed.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use aimass_crds::{ModelDeployment, labels};
use futures_util::{Stream, StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, store::Writer};
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::cache::{Cache, Changed, Item, Key, key_of, version_of};
use crate::context::{Context, resource_of};
use crate::error::said;

mod caches;
pub(crate) mod item;
pub(crate) mod pod;
pub(crate) mod references;

pub(crate) use caches::Caches;

/// A model that decodes, or why it does not.
pub(crate) type Guarded = DeserializeGuard<ModelDeployment>;

/// A page of pods: they are the largest objects, and one page of them is in memory at a time.
const POD_PAGE: u32 = 100;
/// Pause before a stream begins anew that waits for its kind or for the API server.
const ANEW: Duration = Duration::from_secs(2);
/// Failures in a row after which a stream begins anew instead of waiting for up to 30 s.
const PATIENCE: u32 = 3;

/// Starts all streams; they end with `stop`.
pub(crate) fn start(ctx: &Arc<Context>, tasks: &Tasks, stop: &Stop) {
    let selector = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_VALUE);
    let ours = || watcher::Config::default().labels(&selector);
    let all = watcher::Config::default;
    let context = || Arc::clone(ctx);
    let spawn = |name, task: futures_util::future::BoxFuture<'static, ()>| {
        let stop = stop.clone();
        tasks.spawn(name, async move {
            stop.run_until_cancelled(task).await;
        });
    };
    spawn("watch-models", Box::pin(models(context(), all())));
    let select: fn(&Caches) -> &Cache<ControllerRevision> = |caches| &caches.controller_revisions;
    spawn(
        "watch-revisions",
        Box::pin(keep(context(), ours(), select, item::child)),
    );
    let select: fn(&Caches) -> &Cache<Deployment> = |caches| &caches.deployments;
    spawn(
        "watch-deployments",
        Box::pin(keep(context(), ours(), select, item::child)),
    );
    let select: fn(&Caches) -> &Cache<Service> = |caches| &caches.services;
    spawn(
        "watch-services",
        Box::pin(keep(context(), ours(), select, item::child)),
    );
    let select: fn(&Caches) -> &Cache<PodDisruptionBudget> = |caches| &caches.disruption_budgets;
    spawn(
        "watch-budgets",
        Box::pin(keep(context(), ours(), select, item::child)),
    );
    let select: fn(&Caches) -> &Cache<NetworkPolicy> = |caches| &caches.network_policies;
    spawn(
        "watch-policies",
        Box::pin(keep(context(), ours(), select, item::child)),
    );
    let pods = ours().page_size(POD_PAGE);
    spawn(
        "watch-pods",
        Box::pin(keep(context(), pods, |caches| &caches.pods, pod::item)),
    );
    // Copies and what models refer to are one kind, hence one watch.
    let item = item::config_map::<PartialObjectMeta<ConfigMap>>;
    spawn(
        "watch-config-maps",
        Box::pin(keep(context(), all(), |c| &c.config_maps, item)),
    );
    let item = item::claim::<PartialObjectMeta<PersistentVolumeClaim>>;
    spawn(
        "watch-claims",
        Box::pin(keep(context(), all(), |c| &c.claims, item)),
    );
}

/// Keeps the cache of one kind, for ever.
async fn keep<K, V>(
    ctx: Arc<Context>,
    config: watcher::Config,
    select: fn(&Caches) -> &Cache<V>,
    item: fn(K) -> Item<V>,
) where
    K: Resource<Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default + Send + Sync,
{
    let plural = K::plural(&K::DynamicType::default()).into_owned();
    let refers = references::Kind::of_plural(&plural);
    let cache = select(&ctx.caches);
    follow::<K>(&ctx, config, |event| {
        for Changed { key, model } in cache.apply(event, item) {
            let referring = refers.map(|kind| ctx.caches.references.of(kind, &key));
            for model in model.into_iter().chain(referring.into_iter().flatten()) {
                ctx.caches.announce(&key.namespace, &model);
            }
        }
        ctx.metrics.cached(&plural, cache.len());
    })
    .await;
}

/// Keeps the models and what they refer to, for ever.
async fn models(ctx: Arc<Context>, config: watcher::Config) {
    let mut writer = Writer::<Guarded>::new(());
    // Set once: this task runs once for each context.
    let _already_set = ctx.caches.models.set(writer.as_reader());
    let plural = Guarded::plural(&()).into_owned();
    follow::<Guarded>(&ctx, config, |event| {
        let Some(event) = forward(&ctx, event) else {
            return;
        };
        writer.apply_watcher_event(&event);
        let held = writer.as_reader();
        match &event {
            Event::Apply(model) | Event::InitApply(model) => {
                ctx.caches
                    .references
                    .set(&key_of(model), item::reference(model));
                let own = ctx.overlay.caught_up(uid_of(model), version_of(model));
                if !own {
                    let key = key_of(model);
                    ctx.caches.announce(&key.namespace, &key.name);
                }
            }
            Event::Delete(model) => {
                ctx.caches.references.set(&key_of(model), None);
                ctx.forget(uid_of(model));
            }
            Event::Init => {}
            Event::InitDone => {
                let keys: BTreeSet<Key> =
                    held.state().iter().map(|model| key_of(&**model)).collect();
                ctx.caches.references.retain(&keys);
            }
        }
        ctx.metrics.cached(&plural, held.len());
    })
    .await;
}

/// Lets no event through that would take a model back in time: an older version, or the deletion
/// of its predecessor. A relist gets what is held instead, since it replaces everything.
fn forward(ctx: &Context, event: Event<Guarded>) -> Option<Event<Guarded>> {
    let held = |model: &Guarded| {
        let held = ctx.caches.models.get()?.get(&ObjectRef::from_obj(model))?;
        (version_of(&*held) > version_of(model)).then_some(held)
    };
    match event {
        Event::Apply(model) if held(&model).is_some() => None,
        Event::Delete(model)
            if held(&model).is_some_and(|held| uid_of(&held) != uid_of(&model)) =>
        {
            None
        }
        Event::InitApply(mut model) => {
            clear(&mut model);
            let newer = held(&model).map(|held| (*held).clone());
            Some(Event::InitApply(newer.unwrap_or(model)))
        }
        event => Some(event.modify(clear)),
    }
}

fn clear(model: &mut Guarded) {
    model.meta_mut().managed_fields = None;
}

fn uid_of(model: &Guarded) -> &str {
    model.meta().uid.as_deref().unwrap_or_default()
}

/// Takes every event of one kind. Waits where its kind is not there (yet), never gives up.
async fn follow<K>(ctx: &Context, config: watcher::Config, mut take: impl FnMut(Event<K>))
where
    K: Resource<Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default,
{
    let kind = K::DynamicType::default();
    let (plural, resource) = (K::plural(&kind).into_owned(), resource_of::<K>(&kind));
    ctx.pulse.expect(&plural);
    let mut failures = 0_u32;
    loop {
        let mut stream = ctx.stream::<K>(config.clone());
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
                    if answer(&error) == Some(404) && ctx.caches.was_filled(&plural) {
                        // The kind is gone, and its objects with it. Nothing is deleted for that;
                        // but children of models that are gone must not be made anew.
                        take(Event::Init);
                        take(Event::InitDone);
                    }
                    ctx.metrics.watch_failed(&plural);
                    ctx.pulse.failed(&plural, text);
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

/// All models that are to be reconciled: every one at first and after a lag, then as announced.
pub(crate) fn announced(
    ctx: Arc<Context>,
) -> impl Stream<Item = Result<ObjectRef<Guarded>, Infallible>> + Send {
    let receiver = ctx.caches.subscribe();
    let all = ctx.caches.all_models();
    stream::unfold(
        (ctx, receiver, all),
        |(ctx, mut receiver, mut waiting)| async move {
            loop {
                if let Some(model) = waiting.pop() {
                    return Some((Ok(model), (ctx, receiver, waiting)));
                }
                match receiver.recv().await {
                    Ok(model) => return Some((Ok(model), (ctx, receiver, waiting))),
                    Err(RecvError::Lagged(_)) => waiting = ctx.caches.all_models(),
                    Err(RecvError::Closed) => return None,
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_model_with_everything_decodes_as_it_does_in_the_stream() {
        let time = "2026-01-01T00:00:00Z";
        let object = serde_json::json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": "iris", "namespace": "a", "creationTimestamp": time},
            "spec": {
                "model": {"source": {"pvc": {"claimName": "c", "path": "a"}}, "maxSize": "1Gi"},
                "runtime": {"resources": {"requests": {"cpu": 2, "memory": "1Gi"}}},
                "replicas": 3,
            },
            "status": {
                "observedGeneration": 3,
                "stable": {"revision": "abcdefgh", "number": 1},
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "Serving", "message": "",
                    "lastTransitionTime": time, "observedGeneration": 3,
                }],
            },
        });
        let model: Guarded = serde_json::from_str(&object.to_string()).unwrap();
        assert_eq!(model.0.unwrap().spec.replicas, Some(3));
    }

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
