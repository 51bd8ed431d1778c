//! Engines against onnxruntime: the same models, inputs and core, one thread, one after another in the
//! same minute.
//!
//! Two accounts: time at batch 1, where the goal is the best of our engines; and time per row in
//! larger batches against time alone, which says where batching loses.

pub(crate) mod case;
mod ours;
mod reference;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aimass_protocol::Tensor;
use aimass_server::engine::{Engine, Name, Shapes};
use anyhow::Context as _;

use crate::{Row, median};
pub use case::Case;
use ours::ENGINES;
use reference::Reference;

/// Rounds of alternation; each engine's figure is the median of its medians.
const ROUNDS: usize = 3;
/// What the best of our engines may take of onnxruntime's time, on the median of the models.
const GOAL: f64 = 1.3;
/// The name under which onnxruntime stands beside ours.
const REFERENCE: &str = "onnxruntime";

/// What these figures need.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The folder of cases that `cargo xtask models cases` has made.
    pub cases: PathBuf,
    /// A Python with onnxruntime.
    pub python: PathBuf,
    /// `tools/models/time_onnxruntime.py`.
    pub script: PathBuf,
    /// How long each engine runs each case in each round.
    pub run: Duration,
    /// Only cases whose names contain this.
    pub filter: String,
}

/// Seconds per run: what each engine took of each case.
type Times = BTreeMap<(String, &'static str), f64>;

/// All figures.
///
/// # Errors
/// There are no cases, or onnxruntime fails. An engine that refuses a model is a row, not an error.
pub fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let cases = case::list(&setting.cases, &setting.filter)?;
    let mut reference = Reference::start(&setting.python, &setting.script)?;
    let (mut times, mut rows) = (Times::new(), Vec::new());
    for case in &cases {
        let taken = one(case, setting, &mut reference, &mut rows)
            .with_context(|| format!("case {}", case.id))?;
        times.extend(
            taken
                .into_iter()
                .map(|(engine, time)| ((case.id.clone(), engine), time)),
        );
    }
    rows.extend(alone(&cases, &times));
    rows.extend(batched(&cases, &times));
    Ok(rows)
}

/// The median time of each engine that runs the case.
fn one(
    case: &Case,
    setting: &Setting,
    reference: &mut Reference,
    rows: &mut Vec<Row>,
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let mut ready: Vec<(&'static str, Box<dyn Engine>, Vec<Tensor>)> = Vec::new();
    for engine in ENGINES {
        let name = engine.as_str();
        match prepared(case, engine) {
            Ok((engine, inputs, difference)) => {
                // A wrong answer is no faster for being early.
                if difference > 1.0 {
                    let name = format!("engines/{}/{name}-difference", case.id);
                    rows.push(Row::at_most(&name, difference, "tolerances", 1.0));
                }
                ready.push((name, engine, inputs));
            }
            Err(reason) => rows.push(refused(case, name, &reason)),
        }
    }
    let mut each: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (name, engine, inputs) in &ready {
            let time = repeat(setting.run, || engine.run(inputs).map(drop))?;
            each.entry(name).or_default().push(time);
        }
        let time = reference.time(&case.file, setting.run)?;
        each.entry(REFERENCE).or_default().push(time);
    }
    Ok(each
        .into_iter()
        .map(|(name, times)| (name, median(times)))
        .collect())
}

/// An engine with the case's model in it that has run once, what it runs on, and how far its answer
/// lies from the recorded one.
type Prepared = (Box<dyn Engine>, Vec<Tensor>, f64);

fn prepared(case: &Case, engine: Name) -> Result<Prepared, String> {
    let contained = std::panic::AssertUnwindSafe(|| {
        let engine = ours::load(engine, &case.model)?;
        let inputs = case.inputs(engine.signature())?;
        let shapes: Shapes = inputs.iter().map(|input| input.shape().to_vec()).collect();
        engine.prepare(&shapes)?;
        let outputs = engine.run(&inputs)?;
        let difference = case.difference(engine.signature(), &outputs)?;
        anyhow::Ok((engine, inputs, difference))
    });
    match std::panic::catch_unwind(contained) {
        Ok(prepared) => prepared.map_err(|error| format!("{error:#}")),
        Err(_panic) => Err("it panics".to_owned()),
    }
}

fn refused(case: &Case, engine: &str, reason: &str) -> Row {
    let reason: String = reason.chars().take(120).collect();
    let name = format!("engines/{}/{engine}-refuses", case.id);
    Row::plain(&name, 0.0, "runs").against(reason.replace('\n', " "))
}

/// Median seconds of one call, over `duration`.
fn repeat<E: std::error::Error + Send + Sync + 'static>(
    duration: Duration,
    mut call: impl FnMut() -> Result<(), E>,
) -> anyhow::Result<f64> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || start.elapsed() < duration {
        let before = Instant::now();
        call()?;
        times.push(before.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// Batch 1: each engine's ratio to onnxruntime, the best of ours, and the median of those.
fn alone(cases: &[Case], times: &Times) -> Vec<Row> {
    let (mut rows, mut best_of_all) = (Vec::new(), Vec::new());
    for case in cases.iter().filter(|case| case.batch == 1) {
        let time = |engine| times.get(&(case.id.clone(), engine)).copied();
        let Some(theirs) = time(REFERENCE) else {
            continue;
        };
        let against = format!("onnxruntime, {:.0} µs", theirs * 1e6);
        let mut best: Option<(f64, &str)> = None;
        for engine in ENGINES.map(Name::as_str) {
            let Some(ours) = time(engine) else { continue };
            let ratio = ours / theirs;
            let name = format!("engines/{}/{engine}", case.id);
            rows.push(Row::plain(&name, ratio, "ratio").against(against.clone()));
            if best.is_none_or(|(least, _)| ratio < least) {
                best = Some((ratio, engine));
            }
        }
        best_of_all.extend(best.map(|(ratio, engine)| (ratio, engine, case.id.as_str())));
    }
    if best_of_all.is_empty() {
        return rows;
    }
    best_of_all.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
    let ratios = best_of_all.iter().map(|(ratio, ..)| *ratio).collect();
    let worst = best_of_all.iter().rev().take(3);
    let worst: Vec<String> = worst
        .map(|(ratio, engine, id)| format!("{id} {ratio:.2} ({engine})"))
        .collect();
    let row = Row::at_most("engines/median-of-the-best", median(ratios), "ratio", GOAL);
    rows.push(row.against(format!("onnxruntime; worst: {}", worst.join(", "))));
    rows
}

/// Larger batches: time per row against the time of a row alone, per engine. Above 1, batching loses.
fn batched(cases: &[Case], times: &Times) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in cases.iter().filter(|case| case.batch > 1) {
        let single = format!("{}_b1", case.key);
        let engines = ENGINES.map(Name::as_str).into_iter();
        for engine in engines.chain([REFERENCE]) {
            let time = |id: &str| times.get(&(id.to_owned(), engine)).copied();
            let (Some(one), Some(all)) = (time(&single), time(&case.id)) else {
                continue;
            };
            let ratio = all / f64::from(case.batch) / one;
            let name = format!("engines/{}/{engine}-per-row", case.id);
            let word = if ratio > 1.0 { "batching loses; " } else { "" };
            let against = format!("{word}alone, {:.0} µs", one * 1e6);
            rows.push(Row::plain(&name, ratio, "ratio").against(against));
        }
    }
    rows
}

/// The only file of a folder that a model lies in, for engines.
fn folder_of(model: &Path) -> &Path {
    model.parent().unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(key: &str, batch: u32) -> Case {
        Case::without_tensors(key, batch)
    }

    #[test]
    fn the_best_engine_of_each_model_counts_and_the_median_of_the_models() {
        let cases = [case("a", 1), case("b", 1), case("c", 1)];
        let ours = ENGINES[0].as_str();
        let times: Times = [("a_b1", 1.0), ("b_b1", 1.2), ("c_b1", 9.0)]
            .into_iter()
            .flat_map(|(id, time)| {
                [
                    ((id.to_owned(), ours), time),
                    ((id.to_owned(), REFERENCE), 1.0),
                ]
            })
            .collect();
        let rows = alone(&cases, &times);
        let last = rows.last().unwrap();
        assert_eq!(last.name, "engines/median-of-the-best");
        assert!((last.value - 1.2).abs() < 1e-9 && last.met == Some(true));
        assert!(last.against.contains("c_b1 9.00"), "{}", last.against);
    }

    #[test]
    fn a_row_of_a_batch_is_compared_with_a_row_alone() {
        let cases = [case("a", 1), case("a", 8)];
        let ours = ENGINES[0].as_str();
        let times = [("a_b1", 1.0), ("a_b8", 16.0)].map(|(id, time)| ((id.to_owned(), ours), time));
        let rows = batched(&cases, &Times::from(times));
        assert_eq!(rows.len(), 1);
        assert!((rows[0].value - 2.0).abs() < 1e-9);
        assert!(rows[0].against.starts_with("batching loses"));
    }
}
