//! The loop of an APIKey: whether it opens anything, said in its status. Its model is `model.rs`.
//!
//! observe (reads only) → plan (pure) → status (pure) → report. There are no children to apply.
//! Called by `run` for each key that was announced; takes no reason, derives everything anew.

use std::sync::Arc;

use aimass_crds::APIKey;
use aimass_plan::key::{Outlook, next, plan, status};
use aimass_plan::model::Failure;
use kube::runtime::controller::Action;

use crate::context::Context;
use crate::error::Error;
use crate::key::observe::observe;
use crate::model::{DEADLINE, action, guard};
use crate::report::{report, report_undecodable};
use crate::watch::Guarded;

mod observe;

/// Judges the key, and says so.
pub(crate) async fn reconcile(
    object: Arc<Guarded<APIKey>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    let key = match &object.0 {
        // Our own last report may be newer than what the watch has brought.
        Ok(key) => ctx.caches.keys.overlay.newest(key),
        Err(invalid) => return report_undecodable::<APIKey>(&ctx, invalid).await,
    };
    let outcome = guard(DEADLINE, judge(&key, &ctx)).await;
    let status = status(&key, outcome.as_ref().map_err(Error::failure), ctx.now());
    report(&ctx, &*key, status).await?;
    Ok(action(next(&outcome?, ctx.now())))
}

async fn judge(key: &APIKey, ctx: &Context) -> Result<Outlook, Error> {
    let observed = observe(ctx, key);
    plan(key, &observed).map_err(|rejection| Error::Rejected(Failure::from(rejection)))
}
