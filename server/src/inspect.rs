//! `aimass-server inspect MODEL`: what a model takes and gives, which engine serves it and why; with `--measure`, how fast
//! each engine is and whether they agree.
//!
//! Called by `start.rs`, which prints what comes back. The same check and the same choice as in the server; no port is
//! opened and nothing is written.

mod compare;
mod measure;
mod report;

use crate::config::InspectConfig;
use crate::engine::choose::{Because, choose};
use crate::engine::{Limits, Material, Name, Settings, Source, Wanted};
use crate::fatal::{Fatal, Reason};
use crate::load::{Checked, attempt, named};
use measure::Measured;
use report::{Measurements, Report, Row};

/// Stack of the thread: engines recurse over graphs.
const STACK_BYTES: usize = 64 << 20;
/// An engine is worth setting by hand if it is faster by more than this: less is noise.
const WORTH: f64 = 0.9;

/// The report as text, and whether an engine serves the model.
///
/// # Errors
/// The files cannot be had, or the check refuses the model.
pub fn inspect(config: InspectConfig) -> anyhow::Result<Result<(String, u8), Fatal>> {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let thread = thread.name("inspect".to_owned());
    let reported = thread.spawn(move || on_thread(&config))?.join();
    let panicked = |_| Fatal::new(Reason::ModelLoadFailed, "inspecting the model panicked");
    Ok(reported.map_err(panicked).flatten())
}

fn on_thread(config: &InspectConfig) -> Result<(String, u8), Fatal> {
    let checked = named::checked(&config.model)?;
    let bytes = checked.bytes.clone();
    let material = Material {
        source: Source::Bytes(&bytes),
        folder: &checked.folder,
        files: &checked.files,
        features: &checked.features,
        signature: &checked.signature,
        limits: Limits {
            max_plans: config.engines.max_plans,
            budget_bytes: checked.budget_bytes,
        },
    };
    let mut report = describe(config, &checked);
    let choice = choose(Wanted::Auto, &checked.features, &checked.signature);
    let digest = checked.digest.to_string();
    let code = match attempt::attempt(Wanted::Auto, choice, &material, &digest) {
        Ok(model) => {
            report.engine = Some(model.engine());
            model.because().sentence().clone_into(&mut report.because);
            0
        }
        Err(fatal) => {
            report.because.clone_from(&fatal.message);
            fatal.reason.exit_code()
        }
    };
    if config.measure {
        let is_quantised = matches!(choice.because, Because::Quantised);
        let measured = measure::measure(&available(&config.engines), &material, is_quantised);
        report.measured = Some(measurements(report.engine, &measured));
    }
    let text = if config.json {
        let document = serde_json::to_string_pretty(&report);
        let failed =
            |error: serde_json::Error| Fatal::new(Reason::ModelLoadFailed, error.to_string());
        document.map_err(failed)? + "\n"
    } else {
        report.text()
    };
    Ok((text, code))
}

fn describe(config: &InspectConfig, checked: &Checked) -> Report {
    let mut operators: Vec<(String, usize)> =
        checked.features.operators.clone().into_iter().collect();
    operators.sort_by(|(_, left), (_, right)| right.cmp(left));
    Report {
        model: config.model.display().to_string(),
        digest: checked.digest.to_string(),
        files: checked.files.len(),
        bytes: checked.total_bytes,
        inputs: checked.signature.inputs().iter().map(Into::into).collect(),
        outputs: checked.signature.outputs().iter().map(Into::into).collect(),
        operators,
        engine: None,
        because: String::new(),
        measured: None,
    }
}

/// The engines of this binary, the one that is believed first.
fn available(settings: &Settings) -> Vec<Name> {
    let wanted = |engine: &Name| {
        let only = Settings {
            wanted: Wanted::Only(*engine),
            ..settings.clone()
        };
        attempt::available(&only).is_ok()
    };
    Name::ALL.into_iter().rev().filter(wanted).collect()
}

fn measurements(auto: Option<&'static str>, measured: &[Measured]) -> Measurements {
    let row = |measured: &Measured| Row {
        engine: measured.engine.as_str(),
        refused: measured.refused.clone(),
        load_ms: measured.load.as_secs_f64() * 1e3,
        memory_bytes: measured.bytes,
        run_us: measured
            .times
            .iter()
            .map(|(rows, time)| (*rows, time.as_secs_f64() * 1e6))
            .collect(),
        agrees: measured.agreement.map(|agreement| agreement.agrees),
        difference: measured
            .agreement
            .map(|agreement| agreement.difference)
            .filter(|difference| difference.is_finite()),
    };
    Measurements {
        engines: measured.iter().map(row).collect(),
        advice: advice(auto, measured),
    }
}

/// Which engine to set: by the time of one row, among those that agree.
fn advice(auto: Option<&str>, measured: &[Measured]) -> String {
    let single = |measured: &Measured| {
        let time = measured.times.first()?.1.as_secs_f64();
        let agrees = measured.agreement.is_none_or(|agreement| agreement.agrees);
        (measured.refused.is_none() && agrees).then_some((measured.engine, time))
    };
    let candidates: Vec<(Name, f64)> = measured.iter().filter_map(single).collect();
    let fastest = candidates
        .iter()
        .min_by(|(_, left), (_, right)| left.total_cmp(right));
    let Some((fastest, time)) = fastest else {
        return "No engine of this binary runs the model.".to_owned();
    };
    let autos = candidates
        .iter()
        .find(|(engine, _)| Some(engine.as_str()) == auto);
    let disagreeing = measured
        .iter()
        .any(|m| m.agreement.is_some_and(|a| !a.agrees));
    let warning = if disagreeing {
        "\nThe engines do not agree: compare their answers with those of the framework that trained the model."
    } else {
        ""
    };
    match autos {
        Some((engine, own)) if *time >= WORTH * own => {
            format!(
                "Leave engine: Auto, which takes {engine}: no other one is faster by a tenth.{warning}"
            )
        }
        Some((engine, own)) => format!(
            "Set engine: {fastest}: {:.1} times as fast as {engine}, which Auto takes.{warning}",
            own / time
        ),
        None => format!("Set engine: {fastest}.{warning}"),
    }
}
