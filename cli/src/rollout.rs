//! `aimass rollout`: how far a new revision is, and a person's word on it. What becomes of the spec (`word`) and what is
//! shown (`status`) are pure; the requests are made here.

mod status;
mod word;

use aimass_crds::ModelDeployment;
use serde_json::{Value, json};

use crate::args::{RolloutCommand, RolloutOf};
use crate::client::{Cluster, Target, answered};
use crate::edit::{Change, edit};
use crate::names;
use crate::outcome::{Failure, Outcome};
use crate::problems::Problems;
use word::Word;

const LOST: &str = "It may be said or not: say it again, that does no harm";

/// Runs the command.
pub(crate) async fn run(command: RolloutCommand) -> Result<Outcome, Failure> {
    match command {
        RolloutCommand::Status(of) => show(of).await,
        RolloutCommand::Continue(of) => say("rollout continue", of, Word::Continue).await,
        RolloutCommand::Promote(of) => say("rollout promote", of, Word::Promote).await,
        RolloutCommand::Abort(of) => say("rollout abort", of, Word::Abort).await,
        RolloutCommand::Retry(of) => say("rollout retry", of, Word::Retry).await,
        RolloutCommand::Pause(of) => pause("rollout pause", of, true).await,
        RolloutCommand::Resume(of) => pause("rollout resume", of, false).await,
    }
}

async fn show(of: RolloutOf) -> Result<Outcome, Failure> {
    let (name, cluster) = connect("rollout status", of).await?;
    let model = answered(cluster.model_deployments().get(&name)).await;
    let model = model.map_err(|trouble| {
        let full = full_name(&cluster, &name);
        Failure::new(format!("failed to read {full}: {trouble}"))
    })?;
    Ok(Outcome::done(status::text(&model), String::new()))
}

async fn say(command: &str, of: RolloutOf, word: Word) -> Result<Outcome, Failure> {
    change(command, of, |model, full| {
        let said = word::decision(model, word)
            .map_err(|why| Failure::new(format!("{full} was left as it is: {why}")))?;
        let decision = json!({"rollout": {"decision": said.decision}});
        Ok(Change::Write(decision, said.text))
    })
    .await
}

async fn pause(command: &str, of: RolloutOf, paused: bool) -> Result<Outcome, Failure> {
    change(command, of, |model, _| {
        let rollout = model.spec.rollout.as_ref();
        let is = rollout.and_then(|rollout| rollout.paused).unwrap_or(false);
        let text = if paused {
            "Rollouts of it stand still; scaling and a return to the old revision go on."
        } else {
            "Rollouts of it go on."
        };
        Ok(if is == paused {
            Change::Nothing(format!("{text} So it was already."))
        } else {
            Change::<String>::Write(paused_is(paused), text.to_owned())
        })
    })
    .await
}

fn paused_is(paused: bool) -> Value {
    json!({"rollout": {"paused": paused}})
}

async fn change(
    command: &str,
    of: RolloutOf,
    decide: impl Fn(&ModelDeployment, &str) -> Result<Change<String>, Failure>,
) -> Result<Outcome, Failure> {
    let (name, cluster) = connect(command, of).await?;
    let full = full_name(&cluster, &name);
    let models = cluster.model_deployments();
    let decide = |model: &ModelDeployment| decide(model, &full);
    let said = edit(&models, (&name, &full), LOST, decide).await?;
    let namespace = &cluster.namespace;
    let further = format!("How far it is: aimass rollout status {name} -n {namespace}");
    Ok(Outcome::done(String::new(), format!("{said}\n{further}\n")))
}

async fn connect(command: &str, of: RolloutOf) -> Result<(String, Cluster), Failure> {
    let RolloutOf { name, cluster } = of;
    let mut problems = Problems::default();
    let name = problems.take("NAME", names::object(&name));
    let target = Target::of(cluster, &mut problems);
    let (name, target) = problems.finish(command, name.map(|name| (name, target)))?;
    Ok((name, Cluster::connect(target).await?))
}

/// A model as it is called in texts.
fn full_name(cluster: &Cluster, name: &str) -> String {
    format!("ModelDeployment {}/{name}", cluster.namespace)
}

#[cfg(test)]
mod tests;
