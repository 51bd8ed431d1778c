//! Writes the children as the plan says, one by one, and deletes what it prunes.
//!
//! Writes only; what it reads is the very object that a write has met. Called by
//! `model::reconcile` after `plan`; no choice about the model is made here. Every answer goes into
//! the caches, so that the next observation knows it before the watch does.

use std::fmt::Debug;

use aimass_crds::ModelDeployment;
use aimass_plan::model::{
    Applied, ChildKind, Children, Desired, Object, Observed, Plan, Prune, Write,
};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::{Cache, Item, Key, key_of};
use crate::context::{Context, kind_of, resource_of};
use crate::error::{Cause, Error, cause};
use crate::model::observe::{correct, look};
use crate::watch::item::{self, Owner};

/// The field manager of everything that the operator writes.
pub(crate) const MANAGER: &str = "aimass-operator";

/// A kind of child: how it is cached.
trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
    /// What the cache keeps of it.
    type Kept;
    /// Its cache.
    fn cache(ctx: &Context) -> &Cache<Self::Kept>;
    /// What the cache keeps of an object as the API server returned it.
    fn item(self) -> Item<Self::Kept>;
}

macro_rules! whole {
    ($kind:ty, $cache:ident) => {
        impl Child for $kind {
            type Kept = Self;
            fn cache(ctx: &Context) -> &Cache<Self> {
                &ctx.caches.$cache
            }
            fn item(self) -> Item<Self> {
                item::child(self)
            }
        }
    };
}

whole!(ControllerRevision, controller_revisions);
whole!(Deployment, deployments);
whole!(Service, services);
whole!(PodDisruptionBudget, disruption_budgets);
whole!(NetworkPolicy, network_policies);

impl Child for ConfigMap {
    type Kept = kube::core::ObjectMeta;
    fn cache(ctx: &Context) -> &Cache<Self::Kept> {
        &ctx.caches.config_maps
    }
    fn item(self) -> Item<Self::Kept> {
        item::config_map(self)
    }
}

/// Brings about what the plan says. The plan's order is the order of the writes: what pods mount
/// before pods, Services before what they lead to; deletes come last, when nothing needs what they
/// remove. The first failure ends it: what follows may rely on what failed.
pub(crate) async fn apply(
    ctx: &Context,
    model: &ModelDeployment,
    observed: Observed,
    plan: Plan,
) -> Result<Applied, Error> {
    let Observed {
        children,
        pods,
        now: _,
        platform: _,
        reference: _,
        signals: _,
        quotas: _,
    } = observed;
    let Plan {
        objects,
        prune,
        outlook,
    } = plan;
    let mut children = children;
    for desired in objects {
        write(ctx, model, desired, &mut children).await?;
    }
    for child in prune {
        delete(ctx, model, child, &mut children).await?;
    }
    Ok(Applied {
        outlook,
        children,
        pods,
    })
}

async fn write(
    ctx: &Context,
    model: &ModelDeployment,
    desired: Desired,
    children: &mut Children,
) -> Result<(), Error> {
    let Desired { object, write } = desired;
    match object {
        Object::ConfigMap(object) => {
            if let Some((name, applied)) = apply_one(ctx, model, *object, write).await? {
                children.config_maps.insert(name, applied.metadata);
            }
        }
        Object::ControllerRevision(object) => {
            children
                .controller_revisions
                .extend(apply_one(ctx, model, *object, write).await?);
        }
        Object::Service(object) => {
            children
                .services
                .extend(apply_one(ctx, model, *object, write).await?);
        }
        Object::Deployment(object) => {
            children
                .deployments
                .extend(apply_one(ctx, model, *object, write).await?);
        }
        Object::PodDisruptionBudget(object) => {
            children
                .disruption_budgets
                .extend(apply_one(ctx, model, *object, write).await?);
        }
        Object::NetworkPolicy(object) => {
            children
                .network_policies
                .extend(apply_one(ctx, model, *object, write).await?);
        }
    }
    Ok(())
}

async fn delete(
    ctx: &Context,
    model: &ModelDeployment,
    child: Prune,
    children: &mut Children,
) -> Result<(), Error> {
    let name = &child.name;
    match child.kind {
        ChildKind::ConfigMap => {
            delete_one::<ConfigMap>(ctx, model, &child).await?;
            children.config_maps.remove(name);
        }
        ChildKind::ControllerRevision => {
            delete_one::<ControllerRevision>(ctx, model, &child).await?;
            children.controller_revisions.remove(name);
        }
        ChildKind::Service => {
            delete_one::<Service>(ctx, model, &child).await?;
            children.services.remove(name);
        }
        ChildKind::Deployment => {
            delete_one::<Deployment>(ctx, model, &child).await?;
            children.deployments.remove(name);
        }
        ChildKind::PodDisruptionBudget => {
            delete_one::<PodDisruptionBudget>(ctx, model, &child).await?;
            children.disruption_budgets.remove(name);
        }
        ChildKind::NetworkPolicy => {
            delete_one::<NetworkPolicy>(ctx, model, &child).await?;
            children.network_policies.remove(name);
        }
    }
    Ok(())
}

/// Writes one object; its name and how the API server returned it, or nothing if it was kept.
async fn apply_one<K: Child>(
    ctx: &Context,
    model: &ModelDeployment,
    mut object: K,
    write: Write,
) -> Result<Option<(String, K)>, Error> {
    let metadata = object.meta_mut();
    match write {
        Write::Keep => return Ok(None),
        // A version that no object has: an apply onto an existing object is refused with 409, and
        // on an absent one it creates, because there the version is ignored.
        Write::Create => metadata.resource_version = Some("1".to_owned()),
        Write::Update {
            uid,
            resource_version,
        } => {
            metadata.uid = Some(uid);
            metadata.resource_version = resource_version;
        }
    }
    let key = key_of(&object);
    match send(ctx, &key, &object).await {
        Ok(applied) => Ok(Some(keep(ctx, model, &key, applied))),
        Err(error) if cause(&error) == Cause::Conflict => {
            // Rare, and large: not to be part of every reconcile's state.
            let met = Box::pin(met_another(ctx, model, &key, object));
            met.await.map(Some)
        }
        Err(error) => Err(call::<K>("patch", &key, error)),
    }
}

/// The write met another object, or another state of it, than was planned for: whose it is decides.
/// What is ours goes into the cache, to be observed and planned anew.
async fn met_another<K: Child>(
    ctx: &Context,
    model: &ModelDeployment,
    key: &Key,
    mut object: K,
) -> Result<(String, K), Error> {
    let cache = K::cache(ctx);
    let known = cache.uid(key);
    let Some(live) = look::<K>(ctx, key).await? else {
        correct(cache, key, known.as_deref(), None);
        return Err(stale::<K>(key));
    };
    let (kind, name) = (kind_of::<K>().into_owned(), key.name.clone());
    let creates = object.meta().uid.is_none();
    match item::owner(live.meta(), &model.metadata) {
        Owner::Stranger => Err(Error::NameConflict { kind, name }),
        Owner::Predecessor => Err(Error::BeingDeleted { kind, name }),
        Owner::Ours | Owner::Stripped if live.meta().deletion_timestamp.is_some() => {
            Err(Error::BeingDeleted { kind, name })
        }
        // Applied onto exactly this object, the owner reference is there again.
        Owner::Stripped if creates => {
            object.meta_mut().resource_version = None;
            object.meta_mut().uid.clone_from(&live.meta().uid);
            match send(ctx, key, &object).await {
                Ok(applied) => Ok(keep(ctx, model, key, applied)),
                Err(error) if cause(&error) == Cause::Conflict => Err(stale::<K>(key)),
                Err(error) => Err(call::<K>("patch", key, error)),
            }
        }
        Owner::Ours | Owner::Stripped => {
            correct(cache, key, known.as_deref(), Some(live.item()));
            Err(stale::<K>(key))
        }
    }
}

async fn send<K: Child>(ctx: &Context, key: &Key, object: &K) -> Result<K, kube::Error> {
    let params = PatchParams::apply(MANAGER).force();
    ctx.api::<K>(&key.namespace)
        .patch(&key.name, &params, &Patch::Apply(object))
        .await
}

/// Keeps what the API server returned, before the watch brings it.
fn keep<K: Child>(
    ctx: &Context,
    model: &ModelDeployment,
    key: &Key,
    mut applied: K,
) -> (String, K) {
    got_on(ctx, model);
    applied.meta_mut().managed_fields = None;
    K::cache(ctx).saw(applied.clone().item());
    (key.name.clone(), applied)
}

/// A write was taken: what fails after it is tried again soon, and not as if nothing had moved.
fn got_on(ctx: &Context, model: &ModelDeployment) {
    let uid = model.metadata.uid.as_deref();
    ctx.attempts.forget(uid.unwrap_or_default());
}

/// Deletes exactly the object that was planned, once a live GET has confirmed that it is still so.
async fn delete_one<K: Child>(
    ctx: &Context,
    model: &ModelDeployment,
    child: &Prune,
) -> Result<(), Error> {
    let Prune {
        kind: _,
        name,
        uid,
        resource_version,
    } = child;
    let key = Key {
        namespace: model.metadata.namespace.clone().unwrap_or_default(),
        name: name.clone(),
    };
    let cache = K::cache(ctx);
    let live = look::<K>(ctx, &key).await?;
    let Some(live) = live.filter(|live| live.meta().uid.as_ref() == Some(uid)) else {
        cache.gone(&key, uid);
        return Ok(());
    };
    if live.meta().deletion_timestamp.is_some() {
        // Under way already; the watch tells when it is gone.
        return Ok(());
    }
    if live.meta().resource_version.as_ref() != Some(resource_version) {
        cache.saw(live.item());
        return Err(stale::<K>(&key));
    }
    let preconditions = Preconditions {
        uid: Some(uid.clone()),
        resource_version: Some(resource_version.clone()),
    };
    let params = DeleteParams::background().preconditions(preconditions);
    match ctx.api::<K>(&key.namespace).delete(name, &params).await {
        Ok(_) => {
            got_on(ctx, model);
            cache.gone(&key, uid);
            Ok(())
        }
        Err(error) if cause(&error) == Cause::NotFound => {
            cache.gone(&key, uid);
            Ok(())
        }
        // Changed between the two requests: the watch brings it; look again.
        Err(error) if cause(&error) == Cause::Conflict => Err(stale::<K>(&key)),
        Err(error) => Err(call::<K>("delete", &key, error)),
    }
}

fn call<K: Child>(verb: &'static str, key: &Key, source: kube::Error) -> Error {
    let resource = resource_of::<K>(&());
    Error::Call {
        verb,
        resource,
        name: key.name.clone(),
        source: Box::new(source),
    }
}

fn stale<K: Child>(key: &Key) -> Error {
    Error::Stale {
        resource: resource_of::<K>(&()),
        name: key.name.clone(),
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals are passed")]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::cache::Known;
    use crate::transcript::{context, refused};

    const PATH: &str = "/api/v1/namespaces/a/services/iris";

    fn model() -> ModelDeployment {
        let model = json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": "iris", "namespace": "a", "uid": "m"},
            "spec": {"model": {"source": {"configMap": {"name": "files"}}}},
        });
        serde_json::from_value(model).unwrap()
    }

    /// A Service as the API server has it.
    fn service(version: &str, owner: Value) -> Value {
        let mut metadata = json!({
            "name": "iris", "namespace": "a", "uid": "s", "resourceVersion": version,
        });
        metadata
            .as_object_mut()
            .unwrap()
            .append(owner.clone().as_object_mut().unwrap());
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata})
    }

    fn owned_by(uid: &str, name: &str) -> Value {
        json!({"ownerReferences": [{
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment", "name": name,
            "uid": uid, "controller": true,
        }]})
    }

    fn stripped() -> Value {
        json!({
            "labels": {"app.kubernetes.io/managed-by": "aimass-operator"},
            "annotations": {"aimass.dev/owner-uid": "m"},
        })
    }

    fn key() -> Key {
        Key {
            namespace: "a".to_owned(),
            name: "iris".to_owned(),
        }
    }

    async fn create(ctx: &Context) -> Result<Option<(String, Service)>, Error> {
        let object = json!({"metadata": {"name": "iris", "namespace": "a"}});
        let object: Service = serde_json::from_value(object).unwrap();
        apply_one(ctx, &model(), object, Write::Create).await
    }

    #[tokio::test]
    async fn a_create_is_an_apply_that_meets_no_object() {
        let (ctx, transcript) = context([(201, service("7", owned_by("m", "iris")))]);
        create(&ctx).await.unwrap();
        let asked = transcript.all().remove(0);
        assert_eq!(asked.line, format!("PATCH {PATH}"));
        assert!(asked.query.contains("force=true"), "{}", asked.query);
        assert!(
            asked.query.contains("fieldManager=aimass-operator"),
            "{}",
            asked.query
        );
        assert_eq!(asked.body["metadata"]["resourceVersion"], "1");
        assert_eq!(asked.body["apiVersion"], "v1");
        assert!(
            matches!(ctx.caches.services.get(&key()), Some(Known::Present(_))),
            "remembered"
        );
    }

    #[tokio::test]
    async fn a_create_whose_answer_was_lost_is_found_again() {
        let ours = (200, service("7", owned_by("m", "iris")));
        let (ctx, transcript) = context([refused(409, "conflict"), ours]);
        assert!(matches!(create(&ctx).await, Err(Error::Stale { .. })));
        assert_eq!(
            transcript.lines(),
            [format!("PATCH {PATH}"), format!("GET {PATH}")]
        );
        assert_eq!(
            ctx.caches.services.group("m").len(),
            1,
            "planned anew as a child"
        );
    }

    #[tokio::test]
    async fn a_stranger_is_left_alone() {
        for owner in [json!({}), owned_by("r", "rose"), stripped_of_another()] {
            let (ctx, transcript) = context([refused(409, "conflict"), (200, service("7", owner))]);
            let error = create(&ctx).await.unwrap_err();
            let text = error.failure().message;
            assert_eq!(
                text,
                "Service iris exists and is not ours: delete or rename it"
            );
            assert_eq!(transcript.lines().len(), 2);
            assert_eq!(ctx.caches.services.len(), 0);
        }
    }

    fn stripped_of_another() -> Value {
        let mut owner = stripped();
        owner["annotations"]["aimass.dev/owner-uid"] = json!("another");
        owner
    }

    #[tokio::test]
    async fn the_child_of_a_deleted_model_of_that_name_is_awaited() {
        let old = (200, service("7", owned_by("old", "iris")));
        let (ctx, _) = context([refused(409, "conflict"), old]);
        assert!(matches!(
            create(&ctx).await,
            Err(Error::BeingDeleted { .. })
        ));
    }

    #[tokio::test]
    async fn an_owner_that_was_stripped_comes_back() {
        let (ctx, transcript) = context([
            refused(409, "conflict"),
            (200, service("7", stripped())),
            (200, service("8", owned_by("m", "iris"))),
        ]);
        create(&ctx).await.unwrap();
        let asked = transcript.all().remove(2);
        assert_eq!(asked.body["metadata"]["uid"], "s");
        assert_eq!(asked.body["metadata"]["resourceVersion"], Value::Null);
    }

    #[tokio::test]
    async fn an_update_meets_exactly_the_object_that_was_seen() {
        let (ctx, transcript) = context([(200, service("8", owned_by("m", "iris")))]);
        let object = json!({"metadata": {"name": "iris", "namespace": "a"}});
        let object: Service = serde_json::from_value(object).unwrap();
        let write = Write::Update {
            uid: "s".to_owned(),
            resource_version: Some("7".to_owned()),
        };
        apply_one(&ctx, &model(), object, write).await.unwrap();
        let metadata = &transcript.all()[0].body["metadata"];
        assert_eq!(
            (&metadata["uid"], &metadata["resourceVersion"]),
            (&json!("s"), &json!("7"))
        );
    }

    #[tokio::test]
    async fn after_a_write_that_was_taken_the_back_off_starts_over() {
        const LONG: Duration = Duration::from_secs(4);
        let ours = || service("7", owned_by("m", "iris"));
        let fail_often = |ctx: &Context| (0..4).map(|_| ctx.attempts.failed("m", None)).max();

        let (ctx, _) = context([refused(503, "later")]);
        fail_often(&ctx);
        create(&ctx).await.unwrap_err();
        assert!(ctx.attempts.failed("m", None) > LONG, "nothing moved");

        let (ctx, _) = context([(201, ours())]);
        fail_often(&ctx);
        create(&ctx).await.unwrap();
        assert!(ctx.attempts.failed("m", None) < LONG, "created");

        let answers = [
            refused(409, "conflict"),
            (200, service("7", stripped())),
            (200, ours()),
        ];
        let (ctx, _) = context(answers);
        fail_often(&ctx);
        create(&ctx).await.unwrap();
        assert!(ctx.attempts.failed("m", None) < LONG, "its owner restored");

        let (ctx, _) = context([(200, ours()), (200, ours())]);
        fail_often(&ctx);
        prune(&ctx).await.unwrap();
        assert!(ctx.attempts.failed("m", None) < LONG, "deleted");
    }

    async fn prune(ctx: &Context) -> Result<(), Error> {
        let child = Prune {
            kind: ChildKind::Service,
            name: "iris".to_owned(),
            uid: "s".to_owned(),
            resource_version: "7".to_owned(),
        };
        delete_one::<Service>(ctx, &model(), &child).await
    }

    #[tokio::test]
    async fn a_delete_looks_first_and_names_what_it_saw() {
        let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Success"});
        let (ctx, transcript) = context([(200, service("7", owned_by("m", "iris"))), (200, gone)]);
        prune(&ctx).await.unwrap();
        assert_eq!(
            transcript.lines(),
            [format!("GET {PATH}"), format!("DELETE {PATH}")]
        );
        let body = &transcript.all()[1].body;
        assert_eq!(
            body["preconditions"],
            json!({"uid": "s", "resourceVersion": "7"})
        );
        assert_eq!(body["propagationPolicy"], "Background");
    }

    #[tokio::test]
    async fn what_changed_meanwhile_is_not_deleted() {
        let (ctx, transcript) = context([(200, service("9", owned_by("m", "iris")))]);
        assert!(matches!(prune(&ctx).await, Err(Error::Stale { .. })));
        assert_eq!(transcript.lines().len(), 1);
    }

    #[tokio::test]
    async fn what_is_gone_or_replaced_is_not_deleted() {
        let mut other = service("7", owned_by("m", "iris"));
        other["metadata"]["uid"] = json!("other");
        for answer in [refused(404, "not found"), (200, other)] {
            let (ctx, transcript) = context([answer]);
            prune(&ctx).await.unwrap();
            assert_eq!(transcript.lines().len(), 1);
        }
    }
}
