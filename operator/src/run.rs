//! One running operator: streams, health, election, and the controller while this instance leads.
//!
//! No decision about a model is made here. Called by `main`, and by tests that run several in one
//! process: nothing is global, and everything ends with `stop`.

use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use futures_util::StreamExt;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::{Config, applier};
use tokio::select;
use tokio::sync::watch as channel;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::context::Context;
use crate::error::Error;
use crate::model::{guard, reconcile};
use crate::watch::{Guarded, announced};
use crate::{lease, readiness, watch};

/// Reconciles at a time. Each sends one request at a time.
const CONCURRENCY: u16 = 16;
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
    // Streams and the lease outlast the controller: it needs both until its last write.
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
        control(&ctx, leading, &stop).await;
    }
    info!("the controller has ended");
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

/// Runs the controller whenever this instance leads. Losing leadership drops its tasks where they
/// are, like a crash would; nothing but the caches is kept.
async fn control(ctx: &Arc<Context>, mut leading: channel::Receiver<bool>, stop: &Stop) {
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
            () = controller(Arc::clone(ctx), stop.clone()) => return,
            () = async { stop.cancelled().await; sleep(GRACE).await } => {
                warn!("reconciles did not end in time; the next leader finishes them");
                return;
            }
            () = lost => {}
        }
        ctx.metrics.leads(false);
        warn!(
            instance = ctx.identity,
            "leadership is lost; the controller has been dropped"
        );
    }
}

/// Reconciles what is announced, until `stop`; then ends what has begun.
async fn controller(ctx: Arc<Context>, stop: Stop) {
    let Some(models) = ctx.caches.models.get().cloned() else {
        return;
    };
    let queue = announced(Arc::clone(&ctx)).take_until(stop.cancelled_owned());
    let config = Config::default().concurrency(CONCURRENCY);
    let reconciler = |object, ctx| Box::pin(counted(object, ctx));
    let results = applier(
        reconciler,
        error_policy,
        ctx,
        models,
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
async fn counted(object: Arc<Guarded>, ctx: Arc<Context>) -> Result<Action, Error> {
    let begun = ctx.boottime();
    let result = guard(
        WHOLE,
        Box::pin(reconcile(Arc::clone(&object), Arc::clone(&ctx))),
    )
    .await;
    let took = ctx.boottime().saturating_sub(begun);
    match &result {
        Ok(_) => {
            ctx.attempts.forget(&object.uid().unwrap_or_default());
            ctx.metrics.reconciled("Applied", took);
        }
        Err(error) => ctx
            .metrics
            .reconciled(error.failure().reason.as_str(), took),
    }
    result
}

/// When to try again: never by time where only a change helps.
#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn error_policy(object: Arc<Guarded>, error: &Error, ctx: Arc<Context>) -> Action {
    let uid = object.uid().unwrap_or_default();
    if error.is_not_leader() {
        // Either the controller is about to be dropped, or a renewal was late and has come.
        return Action::requeue(FENCED);
    }
    let failure = error.failure();
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    if failure.terminal {
        ctx.attempts.forget(&uid);
        info!(
            model.name = name,
            model.namespace = namespace,
            reason = failure.reason.as_str(),
            message = failure.message,
            "waits for a change"
        );
        return Action::await_change();
    }
    let pause = ctx.attempts.failed(&uid, error.retry_after());
    warn!(
        model.name = name,
        model.namespace = namespace,
        reason = failure.reason.as_str(),
        message = failure.message,
        retry.seconds = pause.as_secs_f64(),
        "failed to reconcile"
    );
    Action::requeue(pause)
}
