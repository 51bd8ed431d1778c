//! `cargo xtask demo`: from a clone to predictions, on a Kubernetes of its own or one that is there.

mod ask;
mod certificate;
mod entrance;
mod install;
mod key;
mod models;
mod site;

use anyhow::Result;
use clap::Args as ClapArgs;

use crate::places::Places;
use crate::{clock, step};
use entrance::Entrance;
use key::Tool;
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
    let tool = Tool::build(places, &site)?;
    certificate::ensure(places, &site)?;
    install::run(places, &site, &images)?;
    models::apply(places, &site)?;
    let entrance = Entrance::open(&site)?;
    ask::run(places, &entrance, &tool)?;
    step::say("");
    step::say(
        site.kubectl_output(&["get", "modeldeployments"])?
            .trim_end(),
    );
    step::say(&format!(
        "\nThat took {:.0} s.",
        began.elapsed().as_secs_f64()
    ));
    step::say(&how_to_go_on(places, &site, &tool));
    Ok(())
}

fn how_to_go_on(places: &Places, site: &Site, tool: &Tool<'_>) -> String {
    let enter = site.how_to_enter();
    let leave = site.how_to_leave();
    let (plain, secure) = (entrance::PLAIN, entrance::SECURE);
    let authority = certificate::authority(places);
    let (authority, aimass) = (authority.display(), tool.path.display());
    format!(
        r#"
To go on:
{enter}  curl --data '{{"signature_name": "serving_default", "instances": [[1],[2],[3]]}}' http://localhost:{plain}/v1/models/my_model:predict
  curl --cacert {authority} -H "Authorization: Bearer TOKEN" --data @examples/digits/seven.json https://localhost:{secure}/v1/models/digits:predict
  {aimass} key list
  kubectl get aimd
  kubectl describe modeldeployment my-model
  kubectl explain modeldeployment.spec --recursive
  kubectl scale modeldeployment my-model --replicas=2
  kubectl delete modeldeployment my-model
To stop:
{leave}"#
    )
}
