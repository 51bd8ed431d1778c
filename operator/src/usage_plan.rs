//! The loop of a UsagePlan: whether it can be used and by how many keys, said in its status. Its
//! model is `model.rs`.
//!
//! observe (reads only) → plan (pure) → status (pure) → report. There are no children to apply.
//! Called by `run` for each plan that was announced; takes no reason, derives everything anew.

use std::sync::Arc;

use aimass_crds::UsagePlan;
use aimass_plan::model::Failure;
use aimass_plan::usage_plan::{Observed, Outlook, plan, status};
use kube::ResourceExt;
use kube::runtime::controller::Action;

use crate::context::Context;
use crate::error::Error;
use crate::model::{DEADLINE, guard};
use crate::report::{report, report_undecodable};
use crate::watch::Guarded;

/// Judges the plan, and says so.
pub(crate) async fn reconcile(
    object: Arc<Guarded<UsagePlan>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    let usage_plan = match &object.0 {
        // Our own last report may be newer than what the watch has brought.
        Ok(usage_plan) => ctx.caches.plans.overlay.newest(usage_plan),
        Err(invalid) => return report_undecodable::<UsagePlan>(&ctx, invalid).await,
    };
    let outcome = guard(DEADLINE, judge(&usage_plan, &ctx)).await;
    let said = outcome.as_ref().copied().map_err(Error::failure);
    let status = status(&usage_plan, said, ctx.now());
    report(&ctx, &*usage_plan, status).await?;
    outcome.map(|_| Action::await_change())
}

async fn judge(usage_plan: &UsagePlan, ctx: &Context) -> Result<Outlook, Error> {
    // The one fact beside itself: how many keys name it. They announce it when that changes.
    let observed = Observed {
        keys: ctx.caches.holders.keys_of_plan(&usage_plan.name_any()),
    };
    plan(usage_plan, observed).map_err(|rejection| Error::Rejected(Failure::from(rejection)))
}
