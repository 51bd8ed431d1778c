//! The loop: how one ModelDeployment is reconciled. Everything else hangs below it.
//!
//! observe (reads only) → plan (pure) → apply (writes only) → status (pure) → report. Called by
//! `run` for each model that was announced; takes no reason, derives everything anew.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aimass_crds::ModelDeployment;
use aimass_plan::model::{Applied, Plan, Write, next, plan, status};
use aimass_plan::next::Next;
use futures_util::FutureExt;
use kube::runtime::controller::Action;
use tokio::time::timeout;

use crate::apply::apply;
use crate::context::Context;
use crate::error::Error;
use crate::model::observe::{is_wanted, observe};
use crate::report::{report, report_undecodable};
use crate::watch::Guarded;

pub(crate) mod memory;
pub(crate) mod observe;

/// No attempt takes longer: a dozen calls that answer in time.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// How often a plan that met a newer state is made anew at once; then the back-off takes over.
const ANEW: usize = 5;

/// Brings about what the object asks for, and says how far it got.
pub(crate) async fn reconcile(
    object: Arc<Guarded<ModelDeployment>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    let model = match &object.0 {
        // Our own last report may be newer than what the watch has brought.
        Ok(model) => ctx.caches.models.overlay.newest(model),
        Err(invalid) => return report_undecodable::<ModelDeployment>(&ctx, invalid).await,
    };
    let outcome = guard(DEADLINE, Box::pin(converge(&model, &ctx))).await;
    if let Ok(applied) = &outcome {
        ctx.wakes.applied(&model, applied, ctx.boottime());
    }
    let status = status(&model, outcome.as_ref().map_err(Error::failure), ctx.now());
    let reported = report(&ctx, &*model, status).await;
    // A report that failed is tried again even where the outcome would await a change.
    reported?;
    let applied = outcome?;
    Ok(action(next(&applied, ctx.now())))
}

/// What kube is to wait for.
pub(crate) fn action(next: Next) -> Action {
    match next {
        Next::AwaitChange => Action::await_change(),
        Next::Requeue(pause) => Action::requeue(pause),
    }
}

/// One turn, or a few: a write that met a newer state than the plan knew corrects the caches.
async fn converge(model: &ModelDeployment, ctx: &Context) -> Result<Applied, Error> {
    let mut turns = 1;
    loop {
        match turn(model, ctx).await {
            Err(Error::Stale { .. }) if turns < ANEW => turns += 1,
            outcome => return outcome,
        }
    }
}

async fn turn(model: &ModelDeployment, ctx: &Context) -> Result<Applied, Error> {
    let observed = observe(ctx, model).await?;
    let plan = plan(model, &observed).map_err(|rejection| Error::Rejected(rejection.into()))?;
    // A child that is missing may have been collected with its owner. A model that was never planned
    // to its end has no target yet, nor children that could miss: it is spared the look.
    let had_children = model
        .status
        .as_ref()
        .is_some_and(|status| status.target.is_some());
    if creates(&plan) && had_children && !is_wanted(ctx, model).await? {
        return Err(Error::Gone);
    }
    apply(ctx, model, observed, plan).await
}

fn creates(plan: &Plan) -> bool {
    plan.objects
        .iter()
        .any(|desired| desired.write == Write::Create)
}

/// Makes a failure of a panic and of a missed deadline, so that they are reported like any other.
pub(crate) async fn guard<T>(
    limit: Duration,
    task: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let task = AssertUnwindSafe(timeout(limit, task)).catch_unwind();
    match task.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_elapsed)) => Err(Error::Late(limit)),
        Err(panic) => Err(Error::Panicked(text_of(&*panic))),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panic without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_failure() {
        let task = async { panic!("index 3 of 2") };
        let error = guard::<()>(DEADLINE, task).await.unwrap_err();
        assert!(error.failure().message.contains("index 3 of 2"), "{error}");
        assert!(!error.failure().terminal);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_becomes_a_failure() {
        let error = guard::<()>(DEADLINE, std::future::pending())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Late(DEADLINE)));
    }
}
