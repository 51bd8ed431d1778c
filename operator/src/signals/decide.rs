//! The decisions: each second about every model that is not at rest, at once about one that wakes.
//!
//! Reads the caches; the decision itself is pure, in `aimass_plan::model::scale`. What it changes
//! enters a reconcile, which is announced here. A task of `signals`; wakes come from `reader`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use aimass_crds::ModelDeployment;
use aimass_plan::model::Pod;
use aimass_plan::model::scale::Blocked;
use kube::runtime::reflector::ObjectRef;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};

use super::desk::{Pods, Second};
use super::room;
use crate::cache::{Key, Known};
use crate::context::Context;
use crate::watch::pod;

const SECOND: Duration = Duration::from_secs(1);
/// Models that are decided before others get their turn.
const AT_ONCE: usize = 64;

/// Decides each second, for ever; at first once the gateways have told what they do.
pub(super) async fn each_second(ctx: Arc<Context>) {
    super::told(&ctx).await;
    let mut seconds = interval(SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let Second { due, concerned } = ctx.signals.second(ctx.tick());
        for model in &concerned {
            ctx.caches.models.announce(model);
        }
        for some in due.chunks(AT_ONCE) {
            some.iter().for_each(|model| one(&ctx, model));
            yield_now().await;
        }
        ctx.signals.decided();
    }
}

/// Decides about a model for which somebody waits. If it has no pod, it is timed from here until one serves.
pub(super) fn woken(ctx: &Context, key: &Key, uid: &str) {
    if there(ctx, key).iter().all(|pod| pod.deleting) {
        ctx.wakes.woken(key, uid, ctx.boottime());
    }
    one(ctx, key);
}

/// Decides about one model. A defect that shows with one does not keep others from being decided.
pub(super) fn one(ctx: &Context, key: &Key) {
    let decided = catch_unwind(AssertUnwindSafe(|| is_news(ctx, key)));
    if decided.unwrap_or(false) {
        ctx.caches.models.announce(key);
    }
}

fn is_news(ctx: &Context, key: &Key) -> bool {
    let Some(store) = ctx.caches.models.store() else {
        return false;
    };
    let Some(object) = store.get(&ObjectRef::new(&key.name).within(&key.namespace)) else {
        return false;
    };
    let Ok(model) = &object.0 else { return false };
    // Our own last report may be newer than what the watch has brought.
    let model = ctx.caches.models.overlay.newest(model);
    let pods = pods(ctx, key, &model);
    let at = (ctx.tick(), ctx.now());
    ctx.signals.decide(&model, &ctx.config.platform, &pods, at)
}

/// Its pods, over all revisions.
fn pods(ctx: &Context, key: &Key, model: &ModelDeployment) -> Pods {
    let mut pods = Pods::default();
    for pod in there(ctx, key) {
        pods.existing = pods.existing.saturating_add(1);
        if pod.ready && !pod.deleting {
            pods.usable = pods.usable.saturating_add(1);
        }
        if pod.unschedulable.is_some() && !pod.deleting {
            pods.blocked = Some(Blocked::Unschedulable);
        }
    }
    if is_refused(ctx, model) {
        pods.blocked = Some(Blocked::Refused);
    }
    pods.room = room::room(&ctx.caches, &key.namespace, model);
    pods
}

/// Pods of a model that have not ended: those that have are no longer counted by quotas, and serve nobody.
fn there(ctx: &Context, key: &Key) -> Vec<Arc<Pod>> {
    let group = pod::group(&key.namespace, &key.name);
    let known = ctx.caches.pods.group(&group).into_iter();
    let pods = known.map(|(_, Known::Present(pod) | Known::Doubtful(pod))| pod);
    pods.filter(|pod| !pod::has_ended(&pod.phase)).collect()
}

/// Whether the API server refuses further pods, by a quota or by another rule.
fn is_refused(ctx: &Context, model: &ModelDeployment) -> bool {
    let uid = model.metadata.uid.as_deref().unwrap_or_default();
    let deployments = ctx.caches.deployments.group(uid);
    deployments.into_iter().any(|(_, known)| {
        let (Known::Present(deployment) | Known::Doubtful(deployment)) = known;
        let status = deployment.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        conditions
            .any(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")
    })
}
