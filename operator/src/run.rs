//! One running operator: streams, health, election, and while this instance leads the controllers and
//! what they know from the gateways.
//!
//! No decision about an object is made here. Called by `main`, and by tests that run several in one
//! process: nothing is global, and everything ends with `stop`.

use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use futures_util::StreamExt;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::{Config, applier};
use tokio::sync::watch as channel;
use tokio::time::sleep;
use tokio::{join, select};
use tracing::{debug, info, warn};

use crate::context::Context;
use crate::error::Error;
use crate::watch::{Guarded, Subject, announced};
use crate::{key, lease, model, readiness, signals, usage_plan, watch};

/// Reconciles of models at a time. Each sends one request at a time.
///
/// What waits beyond them, a model that is woken too, waits in no order: kube keeps it in a set. Those that have nothing to write
/// are over in microseconds, so that a queue is there only while many models change at once.
const CONCURRENCY: u16 = 16;
/// Reconciles of another kind at a time: they have nothing to write but their status.
const FEW: u16 = 4;
/// How long reconciles may take to end when the process is stopped.
const GRACE: Duration = Duration::from_secs(3);
/// A reconcile with its report and Events; the attempt alone has 60 s, so that missing them is told.
const WHOLE: Duration = Duration::from_secs(120);
/// Pause after a write that the fence refused.
const FENCED: Duration = Duration::from_secs(1);
/// How long the rest may take: the lease is given back, streams end.
const DRAIN: Duration = Duration::from_millis(1500);

/// Runs the operator until `stop`, in at most 5 s from then on.
///
/// Waits for what is missing (the API server, the CRDs, rights, leadership) and says so in its
/// readiness; it does not fail for want of them.
///
/// # Errors
/// Never at present; callers must not rely on it.
pub async fn run(context: Context, stop: Stop) -> anyhow::Result<()> {
    let ctx = Arc::new(context);
    let tasks = Tasks::new();
    // Streams and the lease outlast the controllers: they need both until their last write.
    let end = Stop::new();
    watch::start(&ctx, &tasks, &end);
    let (health, until) = (readiness::watch(Arc::clone(&ctx)), end.clone());
    tasks.spawn("health", async move {
        until.run_until_cancelled(health).await;
    });
    if stop
        .run_until_cancelled(ctx.caches.filled())
        .await
        .is_some()
    {
        let leading = stand(&ctx, &tasks, &end);
        control(&ctx, leading, &tasks, &stop).await;
    }
    info!("the controllers have ended");
    end.cancel();
    if !tasks.drain(DRAIN).await {
        warn!("some tasks did not end in time");
    }
    Ok(())
}

/// Stands for election; what is returned says whether this instance leads.
fn stand(ctx: &Context, tasks: &Tasks, end: &Stop) -> channel::Receiver<bool> {
    let Some(candidate) = ctx.candidate() else {
        return channel::Sender::new(true).subscribe();
    };
    let (leading, leads) = channel::channel(false);
    tasks.spawn("lease", lease::run(candidate, leading, end.clone()));
    leads
}

/// Runs the controllers whenever this instance leads. Losing leadership drops its tasks where they
/// are, like a crash would; nothing but the caches is kept.
async fn control(
    ctx: &Arc<Context>,
    mut leading: channel::Receiver<bool>,
    tasks: &Tasks,
    stop: &Stop,
) {
    loop {
        // Without election the sender is gone and the value stays.
        let elected = leading.wait_for(|leads| *leads);
        let Some(Ok(_)) = stop
            .run_until_cancelled(elected)
            .await
            .map(|won| won.map(|_| ()))
        else {
            return;
        };
        ctx.metrics.leads(true);
        info!(instance = ctx.identity, "this instance reconciles");
        let lost = async {
            if leading.wait_for(|leads| !*leads).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        select! {
            () = controllers(Arc::clone(ctx), tasks, stop.clone()) => return,
            () = async { stop.cancelled().await; sleep(GRACE).await } => {
                warn!("reconciles did not end in time; the next leader finishes them");
                return;
            }
            () = lost => {}
        }
        ctx.metrics.leads(false);
        warn!(
            instance = ctx.identity,
            "leadership is lost; the controllers have been dropped"
        );
    }
}

/// Reconciles what is announced of all kinds, until `stop`; then ends what has begun.
async fn controllers(ctx: Arc<Context>, tasks: &Tasks, stop: Stop) {
    let _reading = signals::start(&ctx, tasks);
    stop.run_until_cancelled(signals::decided(&ctx)).await;
    let of = || (Arc::clone(&ctx), stop.clone());
    // Without UsagePlans that one ends at once: nothing holds their store.
    join!(
        Box::pin(controller(of(), CONCURRENCY, model::reconcile)),
        Box::pin(controller(of(), FEW, key::reconcile)),
        Box::pin(controller(of(), FEW, usage_plan::reconcile)),
    );
}

/// The same for one kind.
async fn controller<K, F>(
    (ctx, stop): (Arc<Context>, Stop),
    concurrency: u16,
    reconcile: fn(Arc<Guarded<K>>, Arc<Context>) -> F,
) where
    K: Subject,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let Some(store) = K::subjects(&ctx.caches).store() else {
        return;
    };
    let queue = announced::<K>(Arc::clone(&ctx)).take_until(stop.cancelled_owned());
    let config = Config::default().concurrency(concurrency);
    let reconciler = |object: Arc<Guarded<K>>, ctx: Arc<Context>| {
        let task = reconcile(Arc::clone(&object), Arc::clone(&ctx));
        Box::pin(counted(object, ctx, task))
    };
    let results = applier(
        reconciler,
        error_policy,
        ctx,
        store,
        Box::pin(queue),
        config,
    );
    results
        .for_each(|result| async {
            // Failures were logged by the error policy; what is left concerns objects that are gone.
            if let Err(error) = result {
                debug!(error = %error, "not reconciled");
            }
        })
        .await;
}

/// A reconcile, counted. The guard here is for what lies outside the one around the outcome.
async fn counted<K: Subject>(
    object: Arc<Guarded<K>>,
    ctx: Arc<Context>,
    task: impl Future<Output = Result<Action, Error>>,
) -> Result<Action, Error> {
    let begun = ctx.boottime();
    let result = model::guard(WHOLE, Box::pin(task)).await;
    let took = ctx.boottime().saturating_sub(begun);
    let kind = K::kind(&());
    match &result {
        Ok(_) => {
            ctx.attempts.forget(&object.uid().unwrap_or_default());
            ctx.metrics.reconciled(&kind, "Applied", took);
        }
        Err(error) => {
            let reason = error.failure().reason;
            ctx.metrics.reconciled(&kind, reason.as_str(), took);
        }
    }
    result
}

/// When to try again: never by time where only a change helps.
#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn error_policy<K: Subject>(object: Arc<Guarded<K>>, error: &Error, ctx: Arc<Context>) -> Action {
    let uid = object.uid().unwrap_or_default();
    if error.is_not_leader() {
        // Either the controllers are about to be dropped, or a renewal was late and has come.
        return Action::requeue(FENCED);
    }
    let failure = error.failure();
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let kind = K::kind(&());
    if failure.terminal {
        ctx.attempts.forget(&uid);
        info!(
            object.kind = &*kind,
            object.name = name,
            object.namespace = namespace,
            reason = failure.reason.as_str(),
            message = failure.message,
            "waits for a change"
        );
        return Action::await_change();
    }
    let pause = ctx.attempts.failed(&uid, error.retry_after());
    warn!(
        object.kind = &*kind,
        object.name = name,
        object.namespace = namespace,
        reason = failure.reason.as_str(),
        message = failure.message,
        retry.seconds = pause.as_secs_f64(),
        "failed to reconcile"
    );
    Action::requeue(pause)
}
