//! Events about an object, published at most once per reason in five minutes.
//!
//! Called by `report` after a status was written. An Event is a courtesy: it is tried again where
//! the API server was only busy, but it holds nothing up, and failing to publish one is logged and
//! otherwise ignored.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aimass_plan::event::{EventKind, EventRecord};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Resource, ResourceExt};
use tokio::time::sleep;
use tracing::warn;

use crate::context::Context;
use crate::deadline::{Exceeded, Throttled};
use crate::error::{Cause, cause, said, shorten};

/// Who publishes, in the words of the Events API.
const CONTROLLER: &str = "aimass.dev/operator";
/// How long to wait before each further try.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// Of the object's name in that of an Event, so that the whole is a name: in bytes, names are ASCII.
const STEM: usize = 200;
/// Within it the same reason is not published again for the same object.
const PAUSE: Duration = Duration::from_secs(300);
/// Beyond it nothing is published until old entries have run out: a flood helps nobody.
const REMEMBERED: usize = 10_000;

/// What was published lately: when (time since boot), by uid and reason.
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<BTreeMap<(String, String), Duration>>);

impl Published {
    /// Whether an Event may be published at `now`; it counts as published from then on.
    pub(crate) fn may(&self, uid: &str, reason: &str, now: Duration) -> bool {
        let mut published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |last: Duration| now.saturating_sub(last) < PAUSE;
        let key = (uid.to_owned(), reason.to_owned());
        if published.get(&key).is_some_and(|last| recent(*last)) {
            return false;
        }
        if published.len() >= REMEMBERED {
            published.retain(|_, last| recent(*last));
        }
        if published.len() >= REMEMBERED {
            return false;
        }
        published.insert(key, now);
        true
    }
}

/// Publishes one Event, or logs why not.
pub(crate) async fn publish<K>(ctx: &Context, object: &K, record: EventRecord)
where
    K: Resource<DynamicType = ()>,
{
    let uid = object.uid().unwrap_or_default();
    let reason = record.reason;
    if !ctx.published.may(&uid, reason.as_str(), ctx.boottime()) {
        return;
    }
    let event = event(object, &record, ctx.now(), &ctx.identity);
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let api = ctx.api::<v1::Event>(&namespace);
    let mut pauses = PAUSES.into_iter();
    loop {
        let Err(error) = api.create(&PostParams::default(), &event).await else {
            return;
        };
        match pauses.next() {
            // the answer to an earlier try was lost
            _ if cause(&error) == Cause::Conflict => return,
            Some(pause) if is_passing(&error) => sleep(pause).await,
            _ => {
                warn!(
                    object.kind = &*K::kind(&()),
                    object.name = object.name_any(),
                    object.namespace = namespace,
                    event.reason = reason.as_str(),
                    error = said(&error),
                    "failed to publish an event"
                );
                return;
            }
        }
    }
}

/// Whether to try again at once: not where the API server is silent, or asks to be left alone.
fn is_passing(error: &kube::Error) -> bool {
    let stay_away = match error {
        kube::Error::Service(error) => error.is::<Exceeded>() || error.is::<Throttled>(),
        kube::Error::Api(status) => status.code == 429,
        _ => false,
    };
    cause(error) == Cause::Unavailable && !stay_away
}

/// The Event as it is written. Its name is the same at each try, so that none is there twice.
fn event<K>(object: &K, record: &EventRecord, now: Timestamp, instance: &str) -> v1::Event
where
    K: Resource<DynamicType = ()>,
{
    let mut hasher = DefaultHasher::new();
    (object.uid(), record.reason.as_str(), now.as_second()).hash(&mut hasher);
    let stem = object.name_any();
    let stem = stem.get(..STEM).unwrap_or(&stem);
    let kind = match record.kind {
        EventKind::Normal => "Normal",
        EventKind::Warning => "Warning",
    };
    v1::Event {
        metadata: ObjectMeta {
            name: Some(format!("{stem}.{:016x}", hasher.finish())),
            // The Events API wants those of objects without a namespace there.
            namespace: object.namespace().or_else(|| Some("default".to_owned())),
            ..ObjectMeta::default()
        },
        regarding: Some(ObjectReference {
            resource_version: None,
            ..object.object_ref(&())
        }),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        action: Some("Reconcile".to_owned()),
        type_: Some(kind.to_owned()),
        reason: Some(record.reason.as_str().to_owned()),
        note: Some(shorten(&record.note)),
        ..v1::Event::default()
    }
}

#[cfg(test)]
mod tests {
    use aimass_crds::ModelDeployment;
    use aimass_crds::reason::Reason;
    use serde_json::{Value, json};

    use super::*;
    use crate::transcript::{context, refused};

    fn model(name: &str) -> ModelDeployment {
        serde_json::from_value(json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": "a", "uid": "u"},
            "spec": {"model": {"source": {"configMap": {"name": "files"}}}},
        }))
        .unwrap()
    }

    fn record() -> EventRecord {
        EventRecord {
            reason: Reason::Degraded,
            kind: EventKind::Warning,
            note: "no pod is ready".to_owned(),
        }
    }

    /// The names of the Events that were sent.
    async fn sent(answers: Vec<(u16, Value)>) -> Vec<Value> {
        let (ctx, transcript) = context(answers);
        publish(&ctx, &model("mine"), record()).await;
        let all = transcript.all();
        all.iter()
            .map(|c| c.body["metadata"]["name"].clone())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_api_server_is_asked_again_for_the_same_event() {
        let done = (201, json!({"metadata": {}, "eventTime": null}));
        let names = sent(vec![refused(503, "busy"), refused(500, "no"), done]).await;
        assert_eq!(names.len(), 3);
        assert!(names.windows(2).all(|two| two[0] == two[1]), "{names:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_event_is_tried_for_ever_or_against_a_refusal() {
        let busy = || refused(503, "busy");
        assert_eq!(sent(vec![busy(), busy(), busy()]).await.len(), 3);
        assert_eq!(sent(vec![refused(403, "no")]).await.len(), 1);
        assert_eq!(sent(vec![refused(429, "later")]).await.len(), 1);
        assert_eq!(sent(vec![busy(), refused(409, "there")]).await.len(), 2);
    }

    #[test]
    fn the_name_of_an_event_is_a_name() {
        let long = event(
            &model(&"k".repeat(253)),
            &record(),
            Timestamp::UNIX_EPOCH,
            "i",
        );
        assert_eq!(long.metadata.name.unwrap().len(), STEM + 17);
    }

    #[test]
    fn a_reason_is_published_once_in_five_minutes() {
        let published = Published::default();
        let seconds = Duration::from_secs;
        assert!(published.may("u", "Serving", seconds(1000)));
        assert!(!published.may("u", "Serving", seconds(1299)));
        assert!(published.may("u", "Degraded", seconds(1001)));
        assert!(published.may("v", "Serving", seconds(1001)));
        assert!(published.may("u", "Serving", seconds(1300)));
    }

    #[test]
    fn a_flood_is_bounded_and_ends() {
        let published = Published::default();
        for uid in 0..REMEMBERED {
            assert!(published.may(&uid.to_string(), "Serving", Duration::ZERO));
        }
        assert!(!published.may("more", "Serving", Duration::from_secs(1)));
        assert!(published.may("more", "Serving", Duration::from_secs(300)));
    }
}
