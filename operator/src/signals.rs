//! What the gateways tell: read while this instance leads, and turned into how many pods the load calls
//! for.
//!
//! A task for each live gateway reads its stream ([`reader`]), one decides each second ([`decide`]);
//! what both know lies on the [`desk`], from which `model::observe` takes the facts of a plan. Started
//! by `run` with the controllers and dropped with them: what was read is lost then, on purpose.

mod broken;
mod check;
mod decide;
pub(crate) mod decisions;
pub(crate) mod desk;
pub(crate) mod endpoints;
pub(crate) mod figures;
mod known;
mod lines;
mod reader;
mod review;
mod room;
#[cfg(test)]
mod tests;
mod token;
pub(crate) mod used;
pub(crate) mod wakes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use tokio::time::{sleep, timeout};
use tokio_util::sync::DropGuard;
use tracing::info;

pub(crate) use desk::Desk;
pub(crate) use endpoints::Endpoints;
use reader::Reader;
pub(crate) use used::Used;
pub(crate) use wakes::Wakes;

use crate::config::Gateways;
use crate::context::Context;

/// How long nothing is decided for want of gateways that have told what they do: as long as one may be
/// silent.
const TOLD: Duration = Duration::from_secs(3);
/// How long the controllers wait for the first decisions, whatever happens.
const DECIDED: Duration = Duration::from_secs(5);
/// How often is looked whether there is something to wait for.
const LOOK: Duration = Duration::from_millis(50);

/// Reads until it is dropped.
#[must_use = "dropped, it ends"]
pub(crate) struct Reading {
    ctx: Arc<Context>,
    _stop: DropGuard,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.ctx.signals.end();
        self.ctx.wakes.end();
    }
}

/// Begins to read the gateways, if there are any.
pub(crate) fn start(ctx: &Arc<Context>, tasks: &Tasks) -> Reading {
    let stop = Stop::new();
    if let Some(Gateways { token_file, .. }) = &ctx.config.gateways {
        let now = ctx.tick();
        ctx.signals.begin(now);
        let live = ctx.endpoints.live();
        ctx.signals.live(&live, now);
        let reading = supervise(Arc::clone(ctx), tasks.clone(), token_file.clone());
        let until = stop.clone();
        tasks.spawn("signals", async move {
            until.run_until_cancelled(reading).await;
        });
        let (deciding, until) = (decide::each_second(Arc::clone(ctx)), stop.clone());
        tasks.spawn("scaling", async move {
            until.run_until_cancelled(deciding).await;
        });
    }
    Reading {
        ctx: Arc::clone(ctx),
        _stop: stop.drop_guard(),
    }
}

/// Returns when all models were decided once, but soon: a plan must not take the moment in which nobody
/// has been asked yet for silence.
pub(crate) async fn decided(ctx: &Context) {
    if ctx.config.gateways.is_some() {
        wait(DECIDED, || ctx.signals.is_decided()).await;
    }
}

/// A quota of the namespace has changed: models whose number one limits are decided at once.
pub(crate) fn quota_changed(ctx: &Context, namespace: &str) {
    for model in ctx.signals.held(namespace) {
        decide::one(ctx, &model);
    }
}

/// Returns when every live gateway has said what it does, but soon.
async fn told(ctx: &Context) {
    let is_told = || ctx.endpoints.is_filled() && ctx.signals.is_told();
    if !wait(TOLD, is_told).await {
        info!("not all gateways have told what they do: models are looked at without it");
    }
}

/// Waits until it is so, but no longer; whether it is.
async fn wait(longest: Duration, is: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !is() {
            sleep(LOOK).await;
        }
    };
    timeout(longest, waiting).await.is_ok()
}

/// Has every live gateway read, for ever.
async fn supervise(ctx: Arc<Context>, tasks: Tasks, token_file: std::path::PathBuf) {
    let mut endpoints = ctx.endpoints.subscribe();
    let mut readers: BTreeMap<Arc<str>, (SocketAddr, DropGuard)> = BTreeMap::new();
    loop {
        let live = endpoints.borrow_and_update().clone().unwrap_or_default();
        ctx.signals.live(&live, ctx.tick());
        readers.retain(|gateway, (address, _)| live.get(gateway) == Some(address));
        for (gateway, address) in live {
            let gateway_of = Arc::clone(&gateway);
            readers.entry(gateway).or_insert_with(|| {
                (
                    address,
                    read(&ctx, &tasks, (gateway_of, address), &token_file),
                )
            });
        }
        // The sender is the context's own.
        if endpoints.changed().await.is_err() {
            return;
        }
    }
}

/// Has one gateway read until what is returned is dropped.
fn read(
    ctx: &Arc<Context>,
    tasks: &Tasks,
    (gateway, address): (Arc<str>, SocketAddr),
    token_file: &Path,
) -> DropGuard {
    let reader = Reader {
        ctx: Arc::clone(ctx),
        gateway,
        address,
        token_file: token_file.to_owned(),
    };
    let stop = Stop::new();
    let until = stop.clone();
    tasks.spawn("gateway", async move {
        until.run_until_cancelled(reader.keep()).await;
    });
    stop.drop_guard()
}
