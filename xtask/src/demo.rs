//! `cargo xtask demo`: from a clone to predictions, on a Kubernetes of its own or one that is there.

mod ask;
mod install;
mod models;
mod site;

use anyhow::Result;
use clap::Args as ClapArgs;

use crate::places::Places;
use crate::{clock, step};
use site::Site;

/// Options of `cargo xtask demo`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Use the cluster of this kubeconfig context instead of starting one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Push the images to this registry, which that cluster pulls from (such as registry.example/me)
    #[arg(long, value_name = "REGISTRY", requires = "context")]
    registry: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// If a step fails; the error says what is likely wrong, and where to look.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    let began = clock::now();
    let site = Site::choose(places, args.context.as_deref())?;
    let images = install::images(places, &site, args.registry.as_deref())?;
    install::run(places, &site, &images)?;
    models::apply(places, &site)?;
    ask::run(places, &site)?;
    step::say("");
    step::say(
        site.kubectl_output(&["get", "modeldeployments"])?
            .trim_end(),
    );
    step::say(&format!(
        "\nThat took {:.0} s.",
        began.elapsed().as_secs_f64()
    ));
    step::say(&how_to_go_on(&site)?);
    Ok(())
}

fn how_to_go_on(site: &Site) -> Result<String> {
    let address = ask::address_for_people(site)?;
    let enter = site.how_to_enter();
    let leave = site.how_to_leave();
    Ok(format!(
        r#"
To go on:
{enter}  curl --data '{{"signature_name": "serving_default", "instances": [[1],[2],[3]]}}' {address}/v1/models/my_model:predict
  kubectl get aimd
  kubectl describe modeldeployment my-model
  kubectl explain modeldeployment.spec --recursive
  kubectl scale modeldeployment my-model --replicas=2
  kubectl delete modeldeployment my-model
To stop:
{leave}"#
    ))
}
