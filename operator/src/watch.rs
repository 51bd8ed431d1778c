//! The streams: one task for each kind keeps its cache and announces the objects that a change
//! concerns.
//!
//! Reads only, on behalf of no particular object. Started by `run`, before and independent of
//! leadership: a follower's caches are warm.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use aimass_crds::{APIKey, ModelDeployment, UsagePlan, labels};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;

use crate::cache::{Cache, Changed, Item, Key, key_of, version_of};
use crate::context::{Context, Events};
use crate::signals::endpoints;

mod caches;
mod follow;
pub(crate) mod holders;
pub(crate) mod item;
pub(crate) mod pod;
pub(crate) mod quota;
pub(crate) mod references;
mod subjects;

pub(crate) use caches::{Caches, Scope};
pub(crate) use follow::follow;
use holders::Concerned;
pub(crate) use subjects::{Guarded, Subject, announced};
use subjects::{keys_of, uid_of};

/// A page of pods: they are the largest objects, and one page of them is in memory at a time.
const POD_PAGE: u32 = 100;

/// Starts all streams; they end with `stop`.
pub(crate) fn start(ctx: &Arc<Context>, tasks: &Tasks, stop: &Stop) {
    let selector = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_VALUE);
    let ours = || watcher::Config::default().labels(&selector);
    let all = watcher::Config::default;
    let context = || Arc::clone(ctx);
    let spawn = |name, task: BoxFuture<'static, ()>| {
        let stop = stop.clone();
        tasks.spawn(name, async move {
            stop.run_until_cancelled(task).await;
        });
    };
    let open = |ctx: &Context| ctx.stream(watcher::Config::default());
    spawn("watch-models", Box::pin(subjects(context(), open, models)));
    let open = |ctx: &Context| ctx.stream(watcher::Config::default());
    spawn("watch-keys", Box::pin(subjects(context(), open, keys)));
    if let Some(gateways) = &ctx.config.gateways {
        let keep = endpoints::keep(context(), gateways.namespace.clone());
        spawn("watch-gateways", Box::pin(keep));
    }
    if ctx.caches.has_plans() {
        let open = Context::stream_of_cluster;
        spawn("watch-plans", Box::pin(subjects(context(), open, plans)));
    }
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
    spawn("watch-pods", Box::pin(timed_pods(context(), pods)));
    spawn("watch-quotas", Box::pin(quota::keep(context())));
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
    let open = |ctx: &Context| ctx.stream::<K>(config.clone());
    filled(ctx, open, select, item).await;
}

/// The same for pods: how far those have come that wake a model is timed by when the stream brought it,
/// since the API server's own times have whole seconds.
async fn timed_pods(ctx: Arc<Context>, config: watcher::Config) {
    let timer = Arc::clone(&ctx);
    let open = move |ctx: &Context| -> Events<Pod> {
        let timer = Arc::clone(&timer);
        let time = move |event: &Event<Pod>| timer.wakes.pods(event, timer.boottime());
        ctx.stream(config.clone()).inspect_ok(time).boxed()
    };
    filled(ctx, open, |caches| &caches.pods, pod::item).await;
}

/// Fills the cache of one kind from its stream, for ever.
async fn filled<K, V>(
    ctx: Arc<Context>,
    open: impl Fn(&Context) -> Events<K>,
    select: fn(&Caches) -> &Cache<V>,
    item: fn(K) -> Item<V>,
) where
    K: Resource,
    K::DynamicType: Default,
{
    let plural = K::plural(&K::DynamicType::default()).into_owned();
    let refers = references::Kind::of_plural(&plural);
    let cache = select(&ctx.caches);
    follow(&ctx, open, |event| {
        for Changed { key, model } in cache.apply(event, item) {
            let referring = refers.map(|kind| ctx.caches.references.of(kind, &key));
            for model in model.into_iter().chain(referring.into_iter().flatten()) {
                ctx.caches.models.announce(&Key {
                    namespace: key.namespace.clone(),
                    name: model,
                });
            }
        }
        ctx.metrics.cached(&plural, cache.len());
    })
    .await;
}

/// What a stream tells of a kind that is reconciled.
enum Told<'a, K: Subject> {
    /// The object is there, as before or not.
    There(&'a Guarded<K>),
    /// It is gone.
    Gone(&'a Guarded<K>),
    /// There are no others than these.
    Only(BTreeSet<Key>),
}

/// Keeps the objects of a kind that is reconciled, for ever; `notice` keeps what they refer to.
async fn subjects<K: Subject>(
    ctx: Arc<Context>,
    open: impl Fn(&Context) -> Events<Guarded<K>>,
    notice: fn(&Context, Told<'_, K>),
) {
    let subjects = K::subjects(&ctx.caches);
    let mut writer = Writer::<Guarded<K>>::new(());
    subjects.hold(writer.as_reader());
    let plural = K::plural(&()).into_owned();
    // The store has what a list brings at the list's end, all at once: whoever were told of an object
    // before would look, find it as it was or not at all, and rest.
    let mut listed: Vec<(Key, String, u64)> = Vec::new();
    follow(&ctx, open, |event| {
        let Some(event) = subjects.forward(event) else {
            return;
        };
        writer.apply_watcher_event(&event);
        let held = writer.as_reader();
        match &event {
            Event::Apply(object) => {
                notice(&ctx, Told::There(object));
                subjects.brought(&key_of(object), uid_of(object), version_of(object));
            }
            Event::InitApply(object) => {
                notice(&ctx, Told::There(object));
                let uid = uid_of(object).to_owned();
                listed.push((key_of(object), uid, version_of(object)));
            }
            Event::Delete(object) => {
                notice(&ctx, Told::Gone(object));
                subjects.overlay.forget(uid_of(object));
                ctx.attempts.forget(uid_of(object));
            }
            Event::Init => listed.clear(),
            Event::InitDone => {
                notice(&ctx, Told::Only(keys_of(&held)));
                for (key, uid, version) in std::mem::take(&mut listed) {
                    subjects.brought(&key, &uid, version);
                }
            }
        }
        ctx.metrics.cached(&plural, held.len());
    })
    .await;
}

fn models(ctx: &Context, told: Told<'_, ModelDeployment>) {
    let Caches {
        references,
        holders,
        ..
    } = &ctx.caches;
    let Context { signals, wakes, .. } = ctx;
    let concerned = match told {
        Told::There(model) => {
            let key = key_of(model);
            signals.model(&key, uid_of(model));
            wakes.model(&key, uid_of(model));
            references.set(&key, item::reference(model));
            holders.model(&key, true)
        }
        Told::Gone(model) => {
            let key = key_of(model);
            references.set(&key, None);
            signals.no_model(&key, uid_of(model));
            wakes.no_model(&key, uid_of(model));
            holders.model(&key, false)
        }
        Told::Only(models) => {
            references.retain(&models);
            signals.only_models(&models);
            wakes.only_models(&models);
            holders.only_models(&models)
        }
    };
    announce(ctx, &concerned);
}

fn keys(ctx: &Context, told: Told<'_, APIKey>) {
    let holders = &ctx.caches.holders;
    let concerned = match told {
        Told::There(key) => {
            ctx.used.key(&key_of(key), uid_of(key));
            match &key.0 {
                Ok(key) => holders.key(key),
                Err(_undecodable) => holders.no_key(&key_of(key)),
            }
        }
        Told::Gone(key) => {
            ctx.used.no_key(&key_of(key), uid_of(key));
            holders.no_key(&key_of(key))
        }
        Told::Only(keys) => {
            ctx.used.only_keys(&keys);
            holders.only_keys(&keys)
        }
    };
    announce(ctx, &concerned);
}

fn plans(ctx: &Context, told: Told<'_, UsagePlan>) {
    let holders = &ctx.caches.holders;
    let concerned = match told {
        Told::There(plan) => holders.plan(&key_of(plan).name, true),
        Told::Gone(plan) => holders.plan(&key_of(plan).name, false),
        Told::Only(plans) => holders.only_plans(&plans),
    };
    announce(ctx, &concerned);
}

fn announce(ctx: &Context, concerned: &Concerned) {
    let Concerned { keys, plans } = concerned;
    for key in keys {
        ctx.caches.keys.announce(key);
    }
    for plan in plans {
        ctx.caches.plans.announce(&Key {
            namespace: String::new(),
            name: plan.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
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
        let model: Guarded<ModelDeployment> = serde_json::from_str(&object.to_string()).unwrap();
        assert_eq!(model.0.unwrap().spec.replicas, Some(3));
    }

    fn key(name: &str, version: u32) -> Guarded<APIKey> {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey",
            "metadata": {
                "name": name, "namespace": "a", "uid": name, "resourceVersion": version.to_string(),
            },
            "spec": {"models": ["iris"], "credentials": []},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn who_is_told_of_an_object_finds_it_as_the_list_brought_it() {
        let (ctx, _) = crate::transcript::context([]);
        let ctx = Arc::new(ctx);
        let events = [
            Event::Init,
            Event::InitApply(key("ana", 1)),
            Event::InitDone,
            // The watch broke; meanwhile ana was changed and ben was made.
            Event::Init,
            Event::InitApply(key("ana", 5)),
            Event::InitApply(key("ben", 4)),
            Event::InitDone,
        ];
        let (told, mut tells) = tokio::sync::mpsc::channel(8);
        let listening = {
            let ctx = Arc::clone(&ctx);
            async move {
                let mut announced = std::pin::pin!(announced::<APIKey>(Arc::clone(&ctx)));
                while let Some(Ok(object)) = announced.next().await {
                    let store = ctx.caches.keys.store().unwrap();
                    let version = store.get(&object).map(|key| version_of(&*key));
                    told.send((object.name, version)).await.unwrap();
                }
            }
        };
        // Listeners have their turn after every event, as on threads of their own.
        let open = move |_: &Context| -> Events<Guarded<APIKey>> {
            let events = futures_util::stream::iter(events.clone().map(Ok));
            let paced = events.then(|event| async {
                tokio::task::yield_now().await;
                event
            });
            paced.chain(futures_util::stream::pending()).boxed()
        };
        let watching = subjects(Arc::clone(&ctx), open, keys);
        let wanted = async {
            let mut seen = BTreeSet::new();
            while seen.len() < 3 {
                seen.insert(tells.recv().await.unwrap());
            }
            seen
        };
        let seen = tokio::select! {
            () = watching => unreachable!("it never ends"),
            () = listening => unreachable!("it never ends"),
            seen = wanted => seen,
        };
        let expect = [("ana", 1), ("ana", 5), ("ben", 4)];
        let expect = expect.map(|(name, version)| (name.to_owned(), Some(version)));
        assert_eq!(seen, BTreeSet::from(expect));
    }

    #[test]
    fn a_key_with_everything_decodes_as_it_does_in_the_stream() {
        let object = serde_json::json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey",
            "metadata": {"name": "ana", "namespace": "a"},
            "spec": {
                "models": ["iris"], "plan": "free", "disabled": false,
                "credentials": [{
                    "id": "7GmYq2TbX0aZ", "sha256": "00", "notAfter": "2027-06-30T00:00:00Z",
                }],
                "expiresAt": "2027-06-30T00:00:00Z", "allowedCIDRs": ["10.0.0.0/8"],
            },
            "status": {"expiresAt": "2027-06-30T00:00:00Z"},
        });
        let key: Guarded<APIKey> = serde_json::from_str(&object.to_string()).unwrap();
        let spec = key.0.unwrap().spec;
        assert!(spec.expires_at.is_some() && spec.allowed_cidrs.is_some());
    }

    #[test]
    fn a_plan_with_everything_decodes_as_it_does_in_the_stream() {
        let object = serde_json::json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "UsagePlan", "metadata": {"name": "free"},
            "spec": {
                "rates": [{"name": "per-minute", "requests": 60, "window": "1m", "burst": 6}],
                "concurrency": 4, "mode": "Shadow",
            },
        });
        let plan: Guarded<UsagePlan> = serde_json::from_str(&object.to_string()).unwrap();
        assert_eq!(plan.0.unwrap().spec.concurrency, Some(4));
    }
}
