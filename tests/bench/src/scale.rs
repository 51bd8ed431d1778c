//! Scaling and rollout on a real node: how long models take from zero and to it, how soon pods are wanted that a load calls
//! for, and what a bad canary costs.
//!
//! An operator in this process and two gateways in pods, as lane `node` has them (`aimass_tests::gated`); models are small and
//! their files are in the cluster, images on the node. The load shares the machine with all of it, and stays below 500 requests
//! a second.

mod canary;
mod histogram;
mod step;
mod zero;

use std::time::Duration;

use aimass_tests::args::Args;
use aimass_tests::cluster::Cluster;
use aimass_tests::gated::Gated;
use anyhow::{Context as _, anyhow, bail};
use tokio::time::timeout;

use crate::Row;

/// Where the cluster is, and how much is measured.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Where the cluster is, and the program that renders the chart.
    pub cluster: Args,
    /// Wakes of one model at a time.
    pub wakes: usize,
}

/// Wakes that may be asked for: an hour of them.
const WAKES: usize = 600;
/// For all but the wakes.
const OTHERS: Duration = Duration::from_secs(220);
/// For each wake: models wake and fall asleep in turns.
const WAKE: Duration = Duration::from_secs(7);

/// All of these figures.
///
/// # Errors
/// A model does not do what it should, or not in time.
///
/// # Panics
/// The cluster refuses something, or has not what is needed.
pub async fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let Setting { cluster, wakes } = setting.clone();
    if !(1..=WAKES).contains(&wakes) {
        bail!("--wakes must be between 1 and {WAKES}, is {wakes}");
    }
    let world = Gated::start(&Cluster::of(cluster).await, "bench-scale").await;
    let most = limit(wakes);
    let measured = timeout(most, measure(&world, wakes)).await;
    let panics = world.run.no_panic();
    world.end().await;
    panics.map_err(|panics| anyhow!(panics))?;
    measured.map_err(|_late| anyhow!("not all was measured within {most:?}"))?
}

async fn measure(world: &Gated, wakes: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = zero::figures(world, wakes).await.context("from zero")?;
    rows.extend(step::figures(world).await.context("a step of the load")?);
    rows.extend(canary::figures(world).await.context("a bad canary")?);
    Ok(rows)
}

/// How long all may take: six minutes with twenty wakes.
fn limit(wakes: usize) -> Duration {
    let wakes = u32::try_from(wakes).unwrap_or(u32::MAX);
    OTHERS.saturating_add(WAKE.saturating_mul(wakes))
}

/// The figures of the operator in this process, as its admin port would say.
fn metrics(world: &Gated) -> String {
    let operator = world.run.operator.as_ref();
    operator.map(|one| one.metrics()).unwrap_or_default()
}

/// Deletes a model, so that its pods do not disturb what is measured next.
async fn delete(world: &Gated, name: &str) -> anyhow::Result<()> {
    let models = aimass_tests::models::api(&world.run.ns);
    models.delete(name, &Default::default()).await?;
    Ok(())
}

/// Milliseconds of some times, as `percentile` takes them in microseconds.
fn percentile_ms(times: &[Duration], percent: f64) -> f64 {
    let micros = |time: &Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let mut micros: Vec<u32> = times.iter().map(micros).collect();
    micros.sort_unstable();
    crate::percentile(&micros, percent) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_all_is_over_in_six_minutes() {
        assert_eq!(limit(20), Duration::from_secs(360));
    }

    #[test]
    fn a_percentile_of_times_is_in_milliseconds() {
        let times = [3, 1, 2].map(Duration::from_millis);
        assert!((percentile_ms(&times, 50.0) - 2.0).abs() < 1e-9);
        assert!(percentile_ms(&[], 95.0).abs() < 1e-9);
    }
}
