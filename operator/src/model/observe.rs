//! Reads what a plan is made from: children, pods and what the model refers to. Facts, no judgement.
//!
//! Reads only, from the caches where they can be trusted, live where they are in doubt. Called by
//! `model::reconcile` first. At rest, and while nothing is in doubt, it does no request.

use std::collections::BTreeMap;
use std::sync::Arc;

use aimass_crds::ModelDeployment;
use aimass_plan::model::quota::Quota;
use aimass_plan::model::{Children, Observed, Pod, Reference, Signals, waits_for_volumes};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;

use crate::cache::{Cache, Item, Key, Known, key_of, version_of};
use crate::context::{Context, resource_of};
use crate::error::{Cause, Error, cause, said};
use crate::model::memory::Files;
use crate::watch::references::Kind;
use crate::watch::{item, pod};

/// Events read of one pod.
const EVENTS: u32 = 50;

/// Sees everything that concerns `model`.
pub(crate) async fn observe(ctx: &Context, model: &ModelDeployment) -> Result<Observed, Error> {
    let namespace = model.metadata.namespace.as_deref().unwrap_or_default();
    let children = children(ctx, model).await?;
    let reference = reference(ctx, namespace, model).await?;
    let pods = pods(ctx, namespace, model).await?;
    let platform = ctx.config.platform.clone();
    Ok(Observed {
        now: ctx.now(),
        platform,
        reference,
        children,
        pods,
        signals: signals(ctx, model),
        quotas: quotas(ctx, namespace),
    })
}

/// What the quotas of its namespace allow. Those that may not be read are none.
fn quotas(ctx: &Context, namespace: &str) -> Vec<Quota> {
    let value = |(_, known)| {
        let (Known::Present(quota) | Known::Doubtful(quota)) = known;
        Quota::clone(&quota)
    };
    let quotas = ctx.caches.quotas.group(namespace);
    quotas.into_iter().map(value).collect()
}

/// What the gateways tell, if there are any.
fn signals(ctx: &Context, model: &ModelDeployment) -> Signals {
    match ctx.config.gateways {
        Some(_) => ctx.signals.observed(model, ctx.tick()),
        None => Signals::default(),
    }
}

/// Whether the API server still has exactly this model, and nobody has deleted it.
pub(crate) async fn is_wanted(ctx: &Context, model: &ModelDeployment) -> Result<bool, Error> {
    let key = key_of(model);
    let live = look::<PartialObjectMeta<ModelDeployment>>(ctx, &key).await?;
    Ok(live.is_some_and(|live| {
        live.metadata.uid == model.metadata.uid && live.metadata.deletion_timestamp.is_none()
    }))
}

async fn children(ctx: &Context, model: &ModelDeployment) -> Result<Children, Error> {
    let uid = model.metadata.uid.as_deref().unwrap_or_default();
    let caches = &ctx.caches;
    let copy = item::config_map::<PartialObjectMeta<ConfigMap>>;
    Ok(Children {
        controller_revisions: settled(ctx, &caches.controller_revisions, uid, item::child).await?,
        deployments: settled(ctx, &caches.deployments, uid, item::child).await?,
        services: settled(ctx, &caches.services, uid, item::child).await?,
        config_maps: settled(ctx, &caches.config_maps, uid, copy).await?,
        disruption_budgets: settled(ctx, &caches.disruption_budgets, uid, item::child).await?,
        network_policies: settled(ctx, &caches.network_policies, uid, item::child).await?,
    })
}

/// The children of one kind, by name. Those that are missing from a relist are asked for, since a
/// list may be older than what we know.
async fn settled<K, V: Clone>(
    ctx: &Context,
    cache: &Cache<V>,
    uid: &str,
    item: fn(K) -> Item<V>,
) -> Result<BTreeMap<String, V>, Error>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    for (key, known) in cache.group(uid) {
        if let Known::Doubtful(_) = known {
            let live = look(ctx, &key).await?;
            let doubted = cache.uid(&key);
            correct(cache, &key, doubted.as_deref(), live.map(item));
        }
    }
    let value = |(key, known): (Key, Known<V>)| match known {
        Known::Present(value) | Known::Doubtful(value) => (key.name, (*value).clone()),
    };
    Ok(cache.group(uid).into_iter().map(value).collect())
}

/// Tells the cache what a live GET has found in place of `uid`.
pub(crate) fn correct<V>(cache: &Cache<V>, key: &Key, uid: Option<&str>, live: Option<Item<V>>) {
    let replaced = live.as_ref().map(|item| item.uid.as_str()) != uid;
    if let Some(uid) = uid.filter(|_| replaced) {
        cache.gone(key, uid);
    }
    if let Some(item) = live {
        cache.saw(item);
    }
}

/// Reads one object live.
pub(crate) async fn look<K>(ctx: &Context, key: &Key) -> Result<Option<K>, Error>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let found = ctx.api::<K>(&key.namespace).get_opt(&key.name).await;
    found.map_err(|source| Error::Call {
        verb: "get",
        resource: resource_of::<K>(&K::DynamicType::default()),
        name: key.name.clone(),
        source: Box::new(source),
    })
}

/// What the source refers to. What must not be read is a fact like any other.
async fn reference(
    ctx: &Context,
    namespace: &str,
    model: &ModelDeployment,
) -> Result<Reference, Error> {
    let Some((kind, name)) = item::source_reference(&model.spec.model.source) else {
        return Ok(Reference::NotNeeded);
    };
    let key = Key {
        namespace: namespace.to_owned(),
        name,
    };
    let found = match kind {
        Kind::ConfigMap => config_map(ctx, &key).await,
        Kind::Claim => claim(ctx, &key).await,
    };
    match found {
        Err(Error::Call { source, .. }) if cause(&source) == Cause::Forbidden => {
            Ok(Reference::Forbidden(said(&source)))
        }
        found => found,
    }
}

/// The files of a ConfigMap: as read last, unless it has changed since.
async fn config_map(ctx: &Context, key: &Key) -> Result<Reference, Error> {
    if let Some(Known::Present(metadata) | Known::Doubtful(metadata)) =
        ctx.caches.config_maps.get(key)
        && let Some(files) = ctx.memory.files(key, &version(&metadata))
    {
        return Ok(Reference::ConfigMap((*files).clone()));
    }
    let Some(found) = look::<ConfigMap>(ctx, key).await? else {
        return Ok(Reference::Absent);
    };
    let version = version(&found.metadata);
    let files = Arc::new(files_of(found));
    ctx.memory.remember_files(key, &version, &files);
    Ok(Reference::ConfigMap((*files).clone()))
}

/// Uid and resourceVersion: the same pair is the same content.
fn version(metadata: &ObjectMeta) -> String {
    let uid = metadata.uid.as_deref().unwrap_or_default();
    format!(
        "{uid} {}",
        metadata.resource_version.as_deref().unwrap_or_default()
    )
}

/// `data` and `binaryData`, which never share a key.
pub(crate) fn files_of(config_map: ConfigMap) -> Files {
    let text = config_map.data.unwrap_or_default().into_iter();
    let text = text.map(|(name, text)| (name, k8s_openapi::ByteString(text.into_bytes())));
    text.chain(config_map.binary_data.unwrap_or_default())
        .collect()
}

async fn claim(ctx: &Context, key: &Key) -> Result<Reference, Error> {
    if ctx.caches.claims.get(key).is_some() {
        return Ok(Reference::Claim);
    }
    // A model and its claim often come in one breath: the cache may not have it yet. It is left to
    // the watch to put it there, which tells all models that wait for it.
    let found = look::<PartialObjectMeta<PersistentVolumeClaim>>(ctx, key).await?;
    Ok(found.map_or(Reference::Absent, |_| Reference::Claim))
}

/// The pods of all revisions, in order of their names.
async fn pods(ctx: &Context, namespace: &str, model: &ModelDeployment) -> Result<Vec<Pod>, Error> {
    let name = model.metadata.name.as_deref().unwrap_or_default();
    let mut pods = Vec::new();
    for (key, known) in ctx.caches.pods.group(&pod::group(namespace, name)) {
        let (Known::Present(pod) | Known::Doubtful(pod)) = known;
        let mut pod = (*pod).clone();
        if waits_for_volumes(&pod, ctx.now()) {
            pod.volume_failures = volume_failures(ctx, &key).await?;
        }
        pods.push(pod);
    }
    Ok(pods)
}

/// What the kubelet and the attach controller say about a pod's volumes; read at most every 30 s.
async fn volume_failures(ctx: &Context, key: &Key) -> Result<Vec<String>, Error> {
    let now = ctx.boottime();
    if let Some(known) = ctx.memory.volume_failures(key, now) {
        return Ok(known);
    }
    let fields = format!("regarding.kind=Pod,regarding.name={}", key.name);
    let params = ListParams::default().fields(&fields).limit(EVENTS);
    let listed = ctx.api::<Event>(&key.namespace).list(&params).await;
    let events = listed.map_err(|source| Error::Call {
        verb: "list",
        resource: resource_of::<Event>(&()),
        name: key.name.clone(),
        source: Box::new(source),
    })?;
    let about_volumes = |event: &&Event| {
        matches!(
            event.reason.as_deref(),
            Some("FailedMount" | "FailedAttachVolume")
        )
    };
    let mut failures: Vec<&Event> = events.items.iter().filter(about_volumes).collect();
    failures.sort_by_key(|event| version_of(*event));
    let notes: Vec<String> = failures
        .into_iter()
        .filter_map(|event| event.note.clone())
        .collect();
    ctx.memory.remember_volume_failures(key, now, &notes);
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use kube::runtime::watcher::Event as Watched;
    use serde_json::{Value, json};

    use super::*;
    use crate::transcript::{context, key, refused};

    fn service(version: &str) -> Value {
        json!({"metadata": {
            "name": "iris", "namespace": "a", "uid": "s", "resourceVersion": version,
            "ownerReferences": [{
                "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment", "name": "iris",
                "uid": "m", "controller": true,
            }],
        }})
    }

    /// A context that wrote a Service which a relist then missed.
    fn doubting(answer: (u16, Value)) -> (Context, crate::transcript::Transcript) {
        let (ctx, transcript) = context([answer]);
        let written: Service = serde_json::from_value(service("7")).unwrap();
        ctx.caches.services.saw(item::child(written));
        ctx.caches
            .services
            .apply(Watched::Init, item::child::<Service>);
        ctx.caches
            .services
            .apply(Watched::InitDone, item::child::<Service>);
        (ctx, transcript)
    }

    async fn services(ctx: &Context) -> BTreeMap<String, Service> {
        settled(ctx, &ctx.caches.services, "m", item::child)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_child_that_a_relist_missed_is_asked_for_once() {
        let (ctx, transcript) = doubting((200, service("7")));
        assert_eq!(services(&ctx).await.len(), 1);
        assert_eq!(services(&ctx).await.len(), 1);
        assert_eq!(
            transcript.lines(),
            ["GET /api/v1/namespaces/a/services/iris"]
        );
    }

    #[tokio::test]
    async fn a_child_that_is_gone_indeed_is_forgotten() {
        let (ctx, _) = doubting(refused(404, "not found"));
        assert_eq!(services(&ctx).await.len(), 0);
        assert_eq!(ctx.caches.services.len(), 0);
    }

    fn files(version: &str) -> Value {
        json!({
            "metadata": {"name": "files", "namespace": "a", "uid": "f", "resourceVersion": version},
            "data": {"text": "x"}, "binaryData": {"bytes": "AAEC"},
        })
    }

    fn see(ctx: &Context, version: &str) {
        let seen: ConfigMap = serde_json::from_value(files(version)).unwrap();
        ctx.caches.config_maps.saw(item::config_map(seen));
    }

    #[tokio::test]
    async fn files_are_read_once_for_each_version() {
        let (ctx, transcript) = context([(200, files("7")), (200, files("8"))]);
        see(&ctx, "7");
        for _ in 0..3 {
            let Reference::ConfigMap(files) = config_map(&ctx, &key("files")).await.unwrap() else {
                panic!("no files");
            };
            assert_eq!(files.keys().collect::<Vec<_>>(), ["bytes", "text"]);
        }
        see(&ctx, "8");
        config_map(&ctx, &key("files")).await.unwrap();
        assert_eq!(transcript.lines().len(), 2);
    }

    #[tokio::test]
    async fn what_is_missing_and_what_is_forbidden_are_facts() {
        let (ctx, _) = context([refused(404, "not found")]);
        assert_eq!(
            config_map(&ctx, &key("files")).await.unwrap(),
            Reference::Absent
        );
        let message = "configmaps \"files\" is forbidden: User \"x\" cannot get resource \"c\"";
        let (ctx, _) = context([refused(403, message)]);
        let model = serde_json::from_value(json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": "iris"},
            "spec": {"model": {"source": {"configMap": {"name": "files"}}}},
        }));
        let seen = reference(&ctx, "a", &model.unwrap()).await.unwrap();
        assert_eq!(seen, Reference::Forbidden(message.to_owned()));
    }
}
