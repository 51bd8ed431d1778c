//! Images, operator and gateway: built, brought to the cluster, installed with the chart.

use anyhow::{Context as _, Result};

use crate::demo::entrance::SECURE;
use crate::demo::site::Site;
use crate::demo::{certificate, models};
use crate::image::{self, Built};
use crate::places::Places;
use crate::step;

/// Where the operator runs.
pub(super) const NAMESPACE: &str = "aimass-system";
/// What helm calls the installation.
pub(super) const RELEASE: &str = "aimass";

/// The images as the cluster knows them.
pub(super) struct Images {
    operator: String,
    server: String,
    gateway: String,
}

/// Builds the images and brings them to the cluster.
///
/// # Errors
/// If a build, an import or a push fails.
pub(super) fn images(places: &Places, site: &Site, registry: Option<&str>) -> Result<Images> {
    let built = image::build(places)?;
    let names = if site.is_own() {
        image::import_unique(places, &built)?
    } else if let Some(registry) = registry {
        image::push(places, &built, registry)?
    } else {
        step::say("Without --registry the cluster must have the images; load these archives:");
        for Built { image, archive, .. } in &built {
            step::say(&format!("  {}  {}", image.name, archive.display()));
        }
        built.iter().map(|one| one.image.name.to_owned()).collect()
    };
    let named = |part: &str| {
        let name = names.iter().find(|name| name.contains(part)).cloned();
        name.with_context(|| format!("no image is called {part}"))
    };
    Ok(Images {
        operator: named("aimass-operator")?,
        server: named("aimass-server")?,
        gateway: named("aimass-gateway")?,
    })
}

/// Installs or upgrades aimass, and waits until it runs.
///
/// # Errors
/// If the cluster refuses it, or it does not start.
pub(super) fn run(places: &Places, site: &Site, images: &Images) -> Result<()> {
    let chart = places.repository().join("charts/aimass");
    let log = |name: &str| places.target().join("demo").join(format!("{name}.log"));
    // Helm installs definitions once and never changes them again; a later version needs that.
    let mut definitions = site.kubectl();
    definitions.args(["apply", "--server-side", "--force-conflicts", "--filename"]);
    definitions.arg(chart.join("crds"));
    step::run(
        "define ModelDeployment, APIKey and UsagePlan",
        &mut definitions,
        &log("definitions"),
    )
    .context(
        "the cluster refuses the definition: is it older than Kubernetes 1.33, or are you not its \
         administrator?",
    )?;
    let mut helm = site.helm();
    helm.args(["upgrade", RELEASE])
        .arg(&chart)
        .args(["--install", "--create-namespace"]);
    helm.args(["--namespace", NAMESPACE, "--skip-crds"]);
    helm.arg(format!("--set-string=image={}", images.operator));
    helm.arg(format!("--set-string=serverImage={}", images.server));
    helm.arg(format!("--set-string=gateway.image={}", images.gateway));
    helm.arg(format!(
        "--set-string=gateway.tlsSecret={}",
        certificate::SECRET
    ));
    helm.arg(format!(
        "--set-string=gatewayUrl=https://localhost:{SECURE}"
    ));
    helm.arg(format!(
        "--set-string=gateway.defaultProject={}",
        models::NAMESPACE
    ));
    // The reference client knows neither HTTPS nor keys.
    helm.arg("--set-string=gateway.plain=serve");
    step::run("install aimass with its chart", &mut helm, &log("helm")).context(
        "an installation that was cut off is removed by `helm uninstall aimass --namespace \
         aimass-system`",
    )?;
    wait(places, site, "operator")?;
    wait(places, site, "gateway")
}

/// Waits until a part runs.
fn wait(places: &Places, site: &Site, part: &str) -> Result<()> {
    let log = places.target().join("demo").join(format!("{part}.log"));
    let mut rollout = site.kubectl();
    rollout.args([
        "--namespace",
        NAMESPACE,
        "rollout",
        "status",
        "--timeout=120s",
    ]);
    let deployment = format!("deployment/aimass-{part}");
    rollout.arg(&deployment);
    step::run(&format!("wait for the {part}"), &mut rollout, &log).with_context(|| {
        let of = |arguments: &[&str]| {
            let mut command = site.kubectl();
            let said = step::output(command.args(["--namespace", NAMESPACE]).args(arguments));
            said.unwrap_or_else(|error| format!("{error:#}"))
        };
        let pods = of(&["get", "pods"]);
        let log = of(&["logs", &deployment, "--tail=10"]);
        format!("the {part} does not run; an image that cannot be pulled shows here:\n{pods}{log}")
    })
}
