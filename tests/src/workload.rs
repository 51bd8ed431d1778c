//! Runs the same actions on a cluster with and without faults, and judges the difference.
//!
//! Three undisturbed runs are the reference; what differs between them must be in the workload's
//! mask. Oracle 1: the end state equals the reference's. Oracle 2: each object was created and
//! deleted as often. Oracle 3: silence after the end, and no panic.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::cluster::{Cluster, Namespace};
use crate::faults::plan::{Action, Fault, Plan};
use crate::faults::record::Record;
use crate::normal::{Mask, Normal, differences};
use crate::operator::Settings;

mod run;

pub use run::Run;

/// Silence of the operator that counts as rest.
pub const SILENCE: Duration = Duration::from_secs(2);
/// A run without faults must be at rest by then.
const REST: Duration = Duration::from_secs(40);
/// With a fault the end state must be reached so long after it (R1).
pub const RECOVERY: Duration = Duration::from_secs(10);

/// A storm of faults lasts so long at most.
pub const STORM: Duration = Duration::from_secs(20);

/// What is done to the cluster, with the harness's rights.
pub type Step = for<'a> fn(&'a Namespace) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One of the workloads of the lane.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Its name, in plans and in the mask's file name.
    pub name: &'static str,
    /// Done before the faults are armed, and rested after.
    pub before: Step,
    /// Complains until that has had its effect.
    pub prepared: fn(&Normal) -> Result<(), String>,
    /// What the faults happen in.
    pub act: Step,
    /// Complains until the actions have had their effect.
    pub done: fn(&Normal) -> Result<(), String>,
}

/// What an undisturbed run was like.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The end state.
    pub end: Normal,
    /// How often each object was created and deleted since the faults were armed.
    pub counts: BTreeMap<String, u32>,
    /// The writes since then: the points.
    pub writes: Vec<Record>,
    /// How long it took.
    pub took: Duration,
    mask: Mask,
}

/// Runs a workload three times without faults.
///
/// # Panics
/// If a run does not come to its end, or they differ where the mask does not say so.
pub async fn record(cluster: &Cluster, workload: &Workload) -> Reference {
    let runs = futures_util::future::join_all((0..3).map(|_| undisturbed(cluster, workload))).await;
    let mut runs = runs.into_iter();
    let mut first = runs.next().expect("three runs were made");
    for other in runs {
        // How many status writes fall together is chance: a point is what every run has.
        let points: BTreeSet<String> = other.writes.into_iter().map(|w| w.point).collect();
        first.writes.retain(|w| points.contains(&w.point));
        let differences = differences(&first.end, &other.end, &first.mask);
        assert!(
            differences.is_empty(),
            "undisturbed runs of {name} differ: make it deterministic, or add to \
             tests/masks/{name}.txt\n{}",
            differences.join("\n"),
            name = workload.name,
        );
        assert_eq!(
            first.counts, other.counts,
            "creates and deletes of {}",
            workload.name
        );
    }
    first
}

async fn undisturbed(cluster: &Cluster, workload: &Workload) -> Reference {
    let mut run = Run::start(cluster, workload.name, Settings::default()).await;
    let failed = |run: &Run, what: &str, complaint: String| -> ! {
        panic!(
            "{}, undisturbed, in {}: {what}: {complaint}",
            workload.name, run.ns.name
        )
    };
    if let Err(complaint) = run.prepare(workload).await {
        failed(&run, "before", complaint);
    }
    run.faults.arm(Plan::default());
    let begun = tokio::time::Instant::now();
    let before = run.faults.records().len();
    (workload.act)(&run.ns).await;
    if let Err(complaint) = run.reach(REST, workload.done).await {
        failed(&run, "not done", complaint);
    }
    let took = begun.elapsed();
    if let Err(complaint) = run.silence(REST).await.and_then(|()| run.no_panic()) {
        failed(&run, "no rest", complaint);
    }
    let (end, hashes) = match run.state().await {
        Ok(state) => state,
        Err(complaint) => failed(&run, "not seen", complaint),
    };
    let counts = run.counts(&hashes).await;
    let mut writes = run.faults.records();
    drop(writes.drain(..before));
    writes.retain(|r| r.verb.writes() && r.kind != "leases");
    Reference {
        end,
        counts,
        writes,
        took,
        mask: Mask::of(workload.name),
    }
}

/// How a run with a fault ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Same,
    /// The fault's point was never reached.
    NotMet,
}

/// Runs a workload with a plan and compares it with the reference.
///
/// # Errors
/// Where it differs, with the line that replays it and the objects of the namespace.
pub async fn judge(
    cluster: &Cluster,
    workload: &Workload,
    reference: &Reference,
    plan: Plan,
) -> Result<Verdict, String> {
    let plan_text: Vec<String> = plan.faults.iter().map(ToString::to_string).collect();
    let plan_text = plan_text.join(", ");
    let mut run = Run::start(cluster, workload.name, Settings::default()).await;
    match disturbed(&mut run, workload, reference, plan).await {
        Ok(verdict) => Ok(verdict),
        Err(complaint) => {
            run.ns.keep();
            Err(format!(
                "cargo xtask test api --plan '{}: {plan_text}'\n{complaint}\n{}\n{}",
                workload.name,
                history(&run),
                run.ns.dump().await,
            ))
        }
    }
}

async fn disturbed(
    run: &mut Run,
    workload: &Workload,
    reference: &Reference,
    plan: Plan,
) -> Result<Verdict, String> {
    run.prepare(workload).await?;
    let storm = plan.storm.is_some();
    run.faults.arm(plan);
    (workload.act)(&run.ns).await;
    let same = |state: &Normal| {
        let differences = differences(&reference.end, state, &reference.mask);
        if differences.is_empty() {
            Ok(())
        } else {
            Err(differences.join("\n"))
        }
    };
    let deadline = reference.took + RECOVERY;
    if storm {
        run.outlast(deadline, same).await?;
    } else {
        run.reach(deadline, same).await?;
    }
    let not_met = run.faults.not_met();
    // Silence, then once more: reached is not stayed.
    while run.silence(RECOVERY).await.is_err_and(|e| e == DIED) {
        run.restart().await;
        run.reach(RECOVERY, same).await?;
    }
    run.silence(RECOVERY).await?;
    let (state, hashes) = run.state().await?;
    same(&state).map_err(|e| format!("the end state was left again:\n{e}"))?;
    let counts = run.counts(&hashes).await;
    if counts != reference.counts {
        return Err(format!(
            "creates and deletes differ\nundisturbed: {:?}\nhere:        {counts:?}",
            reference.counts
        ));
    }
    run.no_panic()?;
    Ok(if not_met.is_empty() {
        Verdict::Same
    } else {
        Verdict::NotMet
    })
}

/// What the operator did last, for a person.
#[must_use]
pub fn history(run: &Run) -> String {
    let records = run.faults.records();
    let writes: Vec<String> = records
        .iter()
        .filter(|r| r.verb.writes() || r.struck.is_some())
        .map(|r| {
            let struck = r.struck.as_deref().unwrap_or_default();
            let status = r.status.map(|s| s.to_string()).unwrap_or_default();
            format!("  {} {status} {struck}", r.point)
        })
        .collect();
    let from = writes.len().saturating_sub(60);
    let last = writes.get(from..).unwrap_or_default();
    format!("writes, {} restarts:\n{}", run.restarts, last.join("\n"))
}

/// Every plan that a crash-point run has: `Before` the first write, then `After`, `Lost` and
/// `Refused 503` at each (`Before` the next write leaves the same cluster as `After` this one).
#[must_use]
pub fn crash_plans(reference: &Reference) -> Vec<Fault> {
    let refused = Action::Refused {
        status: 503,
        retry_after: None,
    };
    let mut plans = Vec::new();
    for (number, write) in reference.writes.iter().enumerate() {
        let fault = |action| Fault {
            point: write.point.clone(),
            action,
        };
        if number == 0 {
            plans.push(fault(Action::CrashBefore));
        }
        plans.extend([Action::CrashAfter, Action::Lost, refused].map(fault));
    }
    plans
}

/// Judges plans, three side by side; a point that was not reached is tried twice more, a run that
/// differs once more by itself.
///
/// # Panics
/// If a run differs, or more than one point (and more than one in twenty) is not reached.
#[expect(
    clippy::print_stdout,
    reason = "the test's own output, shown when it fails"
)]
pub async fn expect_same(
    cluster: &Cluster,
    workload: &Workload,
    reference: &Reference,
    plans: Vec<Plan>,
) {
    use futures_util::StreamExt as _;
    let total = plans.len();
    let runs = plans.into_iter().map(|plan| async move {
        match judge(cluster, workload, reference, plan.clone()).await {
            Ok(Verdict::NotMet) => (
                judge(cluster, workload, reference, plan.clone()).await,
                plan,
            ),
            verdict => (verdict, plan),
        }
    });
    let verdicts: Vec<_> = futures_util::stream::iter(runs)
        .buffer_unordered(3)
        .collect()
        .await;
    let mut wrong = Vec::new();
    let (mut all, mut not_met) = (BTreeSet::new(), BTreeSet::new());
    for (verdict, plan) in verdicts {
        let points: Vec<String> = plan.faults.iter().map(|f| f.point.clone()).collect();
        all.extend(points.iter().cloned());
        match verdict {
            Ok(Verdict::Same) => {}
            Ok(Verdict::NotMet) => not_met.extend(points),
            Err(complaint) => {
                // A dozen control loops share two cores here: what differs is run again by itself,
                // and only what a plan brings about each time is a finding.
                println!("runs again by itself, because it differed:\n{complaint}");
                wrong.extend(judge(cluster, workload, reference, plan).await.err());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {total} runs of {} differ:\n{}",
        wrong.len(),
        workload.name,
        wrong.join("\n==========\n")
    );
    // An object's second write, or an Event, falls together with another one on a busy machine: such
    // a point is missed by chance, and a whole kind of them only by a harness that sees nothing.
    assert!(
        not_met.len().saturating_mul(4) <= all.len(),
        "{} of {} points of {} were not reached: {not_met:?}",
        not_met.len(),
        all.len(),
        workload.name
    );
}

/// What stands for the model file where no server reads it.
pub const MODEL: &[u8] = b"the bytes of a model";

const DIED: &str = "died at rest";
