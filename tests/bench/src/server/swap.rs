//! A new version of the model while a thousand requests a second come in: nobody may notice.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::running::{Programs, Running, digits_v1};
use crate::open_loop::{self, Arrivals, Sample, latency_ms};
use crate::{Row, median};

const RUNS: usize = 3;
const PER_SECOND: f64 = 1000.0;
const CONNECTIONS: usize = 16;

/// The figures, each run for `duration`, alternately without and with a swap in its middle.
///
/// # Errors
/// The server does not start, or does not take the new version.
pub fn figures(programs: &Programs, duration: Duration) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("versions");
    let model = programs.example("digits");
    publish(&base, 1, &model)?;
    let flags = [
        format!("--model_base_path={}", base.display()),
        "--file_system_poll_wait_seconds=1".to_owned(),
    ];
    let server = Running::start_with(programs, tempfile::tempdir()?, &flags)?;
    let request = digits_v1();
    let arrivals = Arrivals {
        per_second: PER_SECOND,
        connections: CONNECTIONS,
        duration,
    };
    let (mut steady, mut swapping, mut failed) = (vec![], vec![], 0);
    for version in 2..2 + RUNS {
        let samples = open_loop::run(server.data, &request, arrivals)?;
        failed += failures(&samples);
        steady.push(latency_ms(&samples, 99.0));
        let samples = std::thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                open_loop::wait_until(Instant::now() + duration / 2);
                publish(&base, version, &model)
            });
            let samples = open_loop::run(server.data, &request, arrivals);
            publisher.join().expect("publishing does not panic")?;
            samples
        })?;
        failed += failures(&samples);
        swapping.push(latency_ms(&samples, 99.0));
        expect_version(server.data, version)?;
    }
    let (steady, swapping) = (median(steady), median(swapping));
    let failed = f64::from(u32::try_from(failed).unwrap_or(u32::MAX));
    Ok(vec![
        Row::at_most("swap/digits/errors", failed, "requests", 0.0),
        Row::at_most(
            "swap/digits/p99-against-steady",
            swapping / steady,
            "ratio",
            1.2,
        )
        .against(format!("{swapping:.3} ms; steady {steady:.3} ms")),
    ])
}

/// Puts a version into place as a careful writer does: beside it, then renamed.
fn publish(base: &Path, version: usize, model: &Path) -> anyhow::Result<()> {
    let unfinished = base.with_extension("unfinished");
    std::fs::create_dir_all(&unfinished)?;
    std::fs::create_dir_all(base)?;
    std::fs::copy(model, unfinished.join("model.onnx"))?;
    std::fs::rename(unfinished, base.join(version.to_string()))
        .context("failed to put the new version into place")
}

fn failures(samples: &[Sample]) -> usize {
    let bad = samples.iter().filter(|sample| !sample.is_answered());
    bad.count()
}

/// The swap must have happened, or nothing was measured.
fn expect_version(address: std::net::SocketAddr, version: usize) -> anyhow::Result<()> {
    let path = format!("/v1/models/my_model/versions/{version}");
    crate::process::wait_for(address, &path, Duration::from_secs(10))
        .with_context(|| format!("the server did not take version {version}"))
        .map(drop)
}
