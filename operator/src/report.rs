//! Writes the status of an object, if it changed, and publishes Events about what changed.
//!
//! Writes only, and only `/status`; Events by [`crate::event`]. Called by each kind's `reconcile` at every exit.

use aimass_crds::{APIKey, ModelDeployment, ModelDeploymentStatus, UsagePlan};
use aimass_plan::event::EventRecord;
use aimass_plan::{key, model, usage_plan};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::object::HasStatus;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::debug;

use crate::apply::MANAGER;
use crate::context::{Context, resource_of};
use crate::error::{Cause, Error, cause, said, shorten};
use crate::event::publish;
use crate::watch::Subject;

/// A kind whose status is reported.
pub(crate) trait Reported: Subject + HasStatus {
    /// Access to the objects of the namespace; of a kind without one, to all.
    fn api(ctx: &Context, namespace: &str) -> Api<Self>;
    /// What changed, in the words of Events.
    fn events(before: &Self::Status, after: &Self::Status) -> Vec<EventRecord>;
    /// Whether others act upon what changes: then it must not be written over a newer object than the one it was decided by.
    fn commands(before: &Self::Status, after: &Self::Status) -> bool;
    /// The status of an object that does not decode.
    fn undecodable(
        metadata: &ObjectMeta,
        before: Option<&Self::Status>,
        message: &str,
        now: Timestamp,
    ) -> Self::Status;
}

macro_rules! reported {
    ($kind:ty, $plan:ident, $api:expr, $commands:expr) => {
        impl Reported for $kind {
            fn api(ctx: &Context, namespace: &str) -> Api<Self> {
                $api(ctx, namespace)
            }
            fn events(before: &Self::Status, after: &Self::Status) -> Vec<EventRecord> {
                $plan::events(before, after)
            }
            fn commands(before: &Self::Status, after: &Self::Status) -> bool {
                $commands(before, after)
            }
            fn undecodable(
                metadata: &ObjectMeta,
                before: Option<&Self::Status>,
                message: &str,
                now: Timestamp,
            ) -> Self::Status {
                $plan::undecodable(metadata, before, message, now)
            }
        }
    };
}

reported!(ModelDeployment, model, Context::api, is_other_traffic);
reported!(APIKey, key, Context::api, |_: &_, _: &_| false);
reported!(
    UsagePlan,
    usage_plan,
    |ctx: &Context, _namespace: &str| ctx.api_of_cluster(),
    |_: &_, _: &_| false
);

/// Gateways send requests by it.
fn is_other_traffic(before: &ModelDeploymentStatus, after: &ModelDeploymentStatus) -> bool {
    before.traffic_version != after.traffic_version
}

/// Writes `status` unless the object has it already.
pub(crate) async fn report<K>(ctx: &Context, object: &K, status: K::Status) -> Result<(), Error>
where
    K: Reported,
    K::Status: Clone + Default + PartialEq + Serialize,
{
    let before = object.status().cloned().unwrap_or_default();
    if before == status {
        return Ok(());
    }
    let decided_by = object.resource_version();
    let decided_by = decided_by.filter(|_| K::commands(&before, &status));
    let patch = patch::<K>(object.meta(), decided_by, &status);
    let name = object.name_any();
    let namespace = object.namespace().unwrap_or_default();
    let params = PatchParams::apply(MANAGER).force();
    let api = K::api(ctx, &namespace);
    match api.patch_status(&name, &params, &Patch::Apply(patch)).await {
        Ok(reported) => K::subjects(&ctx.caches).overlay.reported(reported),
        Err(error) => return tolerate::<K>(&name, error),
    }
    for event in K::events(&before, &status) {
        publish(ctx, object, event).await;
    }
    Ok(())
}

/// The status, for exactly the object that it was computed from: one of the same name that came
/// after it has another uid and refuses it; if `version` is given, so does a newer one.
fn patch<K: Reported>(
    metadata: &ObjectMeta,
    version: Option<String>,
    status: impl Serialize,
) -> Value {
    let metadata = ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: version,
        ..ObjectMeta::default()
    };
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": status,
    })
}

/// An object that is gone, or was replaced by one of the same name, needs no report; a newer one gets
/// its own, because the watch brings it.
fn tolerate<K: Reported>(name: &str, error: kube::Error) -> Result<(), Error> {
    let resource = resource_of::<K>(&());
    match cause(&error) {
        Cause::NotFound | Cause::Conflict => {
            debug!(
                object.resource = resource,
                object.name = name,
                error = said(&error),
                "gone or newer; nothing is reported"
            );
            Ok(())
        }
        _ => Err(Error::Call {
            verb: "patch",
            resource: format!("{resource}/status"),
            name: name.to_owned(),
            source: Box::new(error),
        }),
    }
}

/// Says of an object that it does not decode, and where. Whatever else its status says stays.
pub(crate) async fn report_undecodable<K>(
    ctx: &Context,
    invalid: &InvalidObject,
) -> Result<Action, Error>
where
    K: Reported,
    K::Status: PartialEq + Serialize + DeserializeOwned,
{
    let name = invalid.metadata.name.clone().unwrap_or_default();
    let namespace = invalid.metadata.namespace.clone().unwrap_or_default();
    let kind = ApiResource::erase::<K>(&());
    let api = ctx.api_with::<DynamicObject>(&namespace, &kind);
    let object = match api.get_opt(&name).await {
        Ok(Some(object)) if object.metadata.deletion_timestamp.is_none() => object,
        Ok(_) => return Ok(Action::await_change()),
        Err(error) => {
            return tolerate::<K>(&name, error).map(|()| Action::await_change());
        }
    };
    let message = where_it_fails::<K>(&object).unwrap_or_else(|| invalid.error.clone());
    let message = shorten(&format!(
        "the stored object does not decode: {message}: correct it"
    ));
    // Of a status that does not decode either nothing can be kept.
    let before = object.data.get("status").cloned();
    let before: Option<K::Status> = before.and_then(|status| serde_json::from_value(status).ok());
    let status = K::undecodable(&object.metadata, before.as_ref(), &message, ctx.now());
    if before.as_ref() == Some(&status) {
        return Ok(Action::await_change());
    }
    let patch = patch::<K>(&object.metadata, None, status);
    let params = PatchParams::apply(MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(patch)).await {
        Ok(_) => Ok(Action::await_change()),
        Err(error) => tolerate::<K>(&name, error).map(|()| Action::await_change()),
    }
}

/// The path at which an object does not decode, and why.
fn where_it_fails<K: Reported>(object: &DynamicObject) -> Option<String> {
    let object = serde_json::to_value(object).ok()?;
    let error = serde_path_to_error::deserialize::<_, K>(object).err()?;
    Some(format!("{}: {}", error.path(), error.inner()))
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals are passed")]
mod tests {
    use kube::Resource;

    use super::*;
    use crate::transcript::{context, refused};

    fn object(spec: Value, status: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "aimass.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "iris", "namespace": "a", "uid": "u", "generation": 3},
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn the_path_is_named() {
        let object = object(
            json!({"model": {"source": {"configMap": {"name": 7}}}}),
            json!({}),
        );
        let text = where_it_fails::<ModelDeployment>(&object).unwrap();
        assert!(
            text.starts_with("spec.model.source.configMap.name: invalid type"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn an_undecodable_object_is_marked_once() {
        let broken = object(json!({"model": 7}), json!({"replicas": 2}));
        let broken = serde_json::to_value(broken).unwrap();
        let invalid = InvalidObject {
            error: "invalid type".to_owned(),
            metadata: model().metadata,
        };
        let (ctx, transcript) = context([(200, broken.clone()), (200, broken.clone())]);
        report_undecodable::<ModelDeployment>(&ctx, &invalid)
            .await
            .unwrap();
        let status = transcript.all()[1].body["status"].clone();
        assert_eq!(status["replicas"], 2, "what was known stays");
        let text = status["conditions"].to_string();
        assert!(
            text.contains("Undecodable") && text.contains("spec.model: invalid type"),
            "{text}"
        );
        let mut marked = broken;
        marked["status"] = status;
        let (ctx, transcript) = context([(200, marked)]);
        report_undecodable::<ModelDeployment>(&ctx, &invalid)
            .await
            .unwrap();
        assert_eq!(transcript.lines().len(), 1, "nothing is left to say");
    }

    fn model() -> ModelDeployment {
        serde_json::from_value(json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": "iris", "namespace": "a", "uid": "u", "resourceVersion": "7"},
            "spec": {"model": {"source": {"configMap": {"name": "files"}}}},
            "status": {"replicas": 2},
        }))
        .unwrap()
    }

    fn status(replicas: i32) -> ModelDeploymentStatus {
        let replicas = Some(replicas);
        ModelDeploymentStatus {
            replicas,
            ..ModelDeploymentStatus::default()
        }
    }

    #[tokio::test]
    async fn a_status_that_is_there_already_is_not_written() {
        let (ctx, transcript) = context([]);
        report(&ctx, &model(), status(2)).await.unwrap();
        assert_eq!(transcript.lines(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_status_is_applied_for_exactly_this_object_and_remembered() {
        let mut answer = serde_json::to_value(model()).unwrap();
        answer["metadata"]["resourceVersion"] = json!("9");
        let (ctx, transcript) = context([(200, answer)]);
        report(&ctx, &model(), status(3)).await.unwrap();
        let asked = transcript.all().remove(0);
        let path = "/apis/aimass.dev/v1alpha1/namespaces/a/modeldeployments/iris/status";
        assert_eq!(asked.line, format!("PATCH {path}"));
        assert_eq!(asked.body["metadata"]["uid"], "u");
        assert_eq!(asked.body["status"], json!({"replicas": 3}));
        assert_eq!(asked.body.get("spec"), None);
        assert_eq!(asked.body["metadata"].get("resourceVersion"), None);
        let newest = ctx.caches.models.overlay.newest(&model());
        assert_eq!(newest.metadata.resource_version.as_deref(), Some("9"));
    }

    #[tokio::test]
    async fn shares_are_written_for_exactly_the_version_that_they_were_decided_by() {
        let shares = ModelDeploymentStatus {
            traffic_version: Some(1),
            ..status(2)
        };
        let answer = serde_json::to_value(model()).unwrap();
        let (ctx, transcript) = context([(200, answer)]);
        report(&ctx, &model(), shares).await.unwrap();
        let metadata = &transcript.all()[0].body["metadata"];
        assert_eq!(metadata["resourceVersion"], "7");
    }

    #[tokio::test]
    async fn a_model_that_is_gone_or_replaced_needs_no_report() {
        for code in [404, 409] {
            let (ctx, _) = context([refused(code, "no")]);
            report(&ctx, &model(), status(3)).await.unwrap();
        }
        let (ctx, _) = context([refused(500, "no")]);
        assert!(report(&ctx, &model(), status(3)).await.is_err());
    }

    #[tokio::test]
    async fn of_an_object_without_a_namespace_the_status_is_written_and_the_event_told_in_default()
    {
        let plan = json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "UsagePlan",
            "metadata": {"name": "free", "uid": "u", "resourceVersion": "7"},
            "spec": {"concurrency": 4},
        });
        let plan: UsagePlan = serde_json::from_value(plan).unwrap();
        let status = UsagePlan::undecodable(plan.meta(), None, "why", Timestamp::UNIX_EPOCH);
        let answer = serde_json::to_value(&plan).unwrap();
        let (ctx, transcript) = context([(200, answer), refused(403, "no")]);
        report(&ctx, &plan, status).await.unwrap();
        assert_eq!(
            transcript.lines(),
            [
                "PATCH /apis/aimass.dev/v1alpha1/usageplans/free/status",
                "POST /apis/events.k8s.io/v1/namespaces/default/events",
            ]
        );
        let metadata = &transcript.all()[0].body["metadata"];
        assert_eq!(metadata, &json!({"name": "free", "uid": "u"}));
    }
}
