//! The examples: applied, and waited for.

use anyhow::{Context as _, Result};

use crate::demo::site::Site;
use crate::places::Places;
use crate::step;

/// Where the examples are applied.
pub(super) const NAMESPACE: &str = "default";

/// File below `examples/` and the object in it.
const EXAMPLES: [(&str, &str); 2] = [("linear.yaml", "my-model"), ("digits.yaml", "digits")];

/// Applies the examples and waits until they are Ready.
///
/// # Errors
/// If they are refused, or not Ready in two minutes; then with their conditions.
pub(super) fn apply(places: &Places, site: &Site) -> Result<()> {
    let logs = places.target().join("demo");
    for file in ["plan.yaml"]
        .into_iter()
        .chain(EXAMPLES.map(|(file, _)| file))
    {
        let mut command = site.kubectl();
        command.args(["--namespace", NAMESPACE, "apply", "--filename"]);
        command.arg(places.repository().join("examples").join(file));
        step::run(
            &format!("apply examples/{file}"),
            &mut command,
            &logs.join("apply.log"),
        )?;
    }
    for (_, name) in EXAMPLES {
        let mut command = site.kubectl();
        command.args(["--namespace", NAMESPACE, "wait", "--for=condition=Ready"]);
        command
            .arg("--timeout=120s")
            .arg(format!("modeldeployment/{name}"));
        let title = format!("wait until {name} is Ready");
        step::run(&title, &mut command, &logs.join("wait.log"))
            .with_context(|| format!("what {name} says of itself:\n{}", conditions(site, name)))?;
    }
    Ok(())
}

/// The end of `kubectl describe`: conditions and events are made for this.
fn conditions(site: &Site, name: &str) -> String {
    let said = site.kubectl_output(&["describe", "modeldeployment", name]);
    let text = said.unwrap_or_else(|error| format!("{error:#}"));
    let status = text.lines().skip_while(|line| !line.starts_with("Status:"));
    status.map(|line| format!("    {line}\n")).collect()
}
