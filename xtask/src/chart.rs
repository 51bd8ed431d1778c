//! `cargo xtask chart`: lints, renders and packages the Helm chart with real helm.
//!
//! Touches the cache (helm) and, for `package`, the folder that it is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::places::Places;
use crate::{helm, step};

/// Options of `cargo xtask chart`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What to do with the chart.
#[derive(clap::Subcommand)]
enum Action {
    /// Lint it with several sets of values, and see that wrong values are refused
    Lint,
    /// Print what it renders to
    Template {
        /// Further arguments of `helm template`, such as --set replicas=1
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the archive that `helm install` takes
    Package {
        /// The folder to write it to
        #[arg(long, default_value = "target/chart")]
        out: PathBuf,
    },
}

/// Sets of values that must render.
const GOOD: &[&[&str]] = &[
    &[],
    &[
        "watchNamespace=team-a",
        "leaseNamespace=team-a",
        "serverImage=r.example/s:1",
    ],
    &["replicas=1", "leaderElect=false", "userRoles=false"],
    &[
        "allowHttp=true",
        "allowHost={a.example,b.example}",
        "logFormat=text",
        "otlpEndpoint=http://collector:4318",
        "traceRatio=0.5",
        "imagePullSecrets={pull}",
    ],
    &["gateway.enabled=false", "admissionPolicies=false"],
    &[
        "gateway.tokenAudience=",
        "gateway.adminFrom[0].namespaceSelector.matchLabels.monitoring=yes",
    ],
    &[
        "gateway.ingress.enabled=true",
        "gateway.ingress.className=nginx",
        "gateway.ingress.hosts={models.example,*.models.example}",
        "gateway.ingress.tlsSecret=tls",
        "gateway.httpRoute.enabled=true",
        "gateway.httpRoute.parentRefs[0].name=shared",
        "gateway.httpRoute.hostnames={models.example}",
    ],
    &[
        "watchNamespace=team-a",
        "gateway.tlsSecret=tls",
        "gateway.plain=serve",
        "gateway.isolateModels=false",
        "gateway.isolateAdmin=false",
        "gateway.onOwnerLoss=refuse",
        "gateway.domain=models.example",
        "gateway.defaultProject=shop",
        "gateway.tokenAudience=https://models.example/",
        "gateway.accessLogSample=0.1",
        "gateway.trustedProxies={10.0.0.0/8,fd00::/8}",
        "gateway.service.type=LoadBalancer",
    ],
];

/// Sets of values that must be refused, each with what the refusal names.
const BAD: &[(&str, &str)] = &[
    ("replica=1", "replica"),
    ("adminPort=80", "adminPort"),
    ("logFormat=xml", "logFormat"),
    ("otlpEndpoint=collector:4317", "otlpEndpoint"),
    ("watchNamespace=Team_A", "watchNamespace"),
    ("gateway.plain=maybe", "plain"),
    ("gateway.ingress.enabled=true", "gateway.ingress.hosts"),
    (
        "gateway.tlsSecret=tls,gateway.ingress.enabled=true",
        "gateway.plain",
    ),
    ("gateway.tokenAudience=two words", "tokenAudience"),
    ("gateway.onOwnerLoss=wait", "onOwnerLoss"),
];

/// Runs the command.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    match &args.action {
        Action::Lint => lint(places),
        Action::Template { arguments } => {
            let mut helm = helm(places)?;
            helm.args([
                "template",
                "aimass",
                "charts/aimass",
                "--namespace=aimass-system",
            ]);
            step::say(step::output(helm.args(arguments))?.trim_end());
            Ok(())
        }
        Action::Package { out } => package(places, out),
    }
}

/// Lints with each set of values; called by `cargo xtask ci` too.
pub(crate) fn lint(places: &Places) -> Result<()> {
    for &values in GOOD {
        step::output(
            helm_with(places, &["lint", "charts/aimass", "--strict"], values)?.arg("--quiet"),
        )?;
        step::output(&mut helm_with(
            places,
            &["template", "aimass", "charts/aimass"],
            values,
        )?)?;
    }
    for &(value, named) in BAD {
        let refused = step::output(&mut helm_with(
            places,
            &["template", "aimass", "charts/aimass"],
            &[value],
        )?);
        let message = refused
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        ensure!(
            message.contains(named),
            "the chart takes {value}: bound it in charts/aimass/values.schema.json"
        );
    }
    step::say(&format!(
        "chart: {} sets of values render, {} are refused",
        GOOD.len(),
        BAD.len()
    ));
    Ok(())
}

fn package(places: &Places, out: &Path) -> Result<()> {
    let out = places.repository().join(out);
    std::fs::create_dir_all(&out).with_context(|| format!("failed to make {}", out.display()))?;
    let mut helm = helm(places)?;
    helm.args(["package", "charts/aimass", "--destination"])
        .arg(&out);
    step::say(step::output(&mut helm)?.trim());
    Ok(())
}

fn helm(places: &Places) -> Result<Command> {
    let mut helm = Command::new(helm::binary(places)?);
    helm.current_dir(places.repository());
    Ok(helm)
}

fn helm_with(places: &Places, arguments: &[&str], values: &[&str]) -> Result<Command> {
    let mut helm = helm(places)?;
    helm.args(arguments)
        .args(values.iter().map(|value| format!("--set={value}")));
    Ok(helm)
}
