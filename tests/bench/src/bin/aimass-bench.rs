//! Measures and prints the project's figures; started by `cargo xtask bench`, which builds what is
//! measured and brings what a group needs.
//!
//! `aimass-bench GROUP… [--json | --markdown] --binaries DIR --examples DIR …`: the groups are those
//! of [`Group`].

#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

use std::path::PathBuf;
use std::time::Duration;

use aimass_bench::objects::{self, Setting};
use aimass_bench::process::pin_to;
use aimass_bench::server::running::Programs;
use aimass_bench::server::{binary, half_load, memory, overload, requests, start_up, swap};
use aimass_bench::{Row, markdown, table};
use aimass_bench::{engines, gateway, models, peers, scale};
use anyhow::Context as _;
use clap::{Parser, ValueEnum};

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// From the start of the process to ready.
    StartUp,
    /// Requests per second against a bare loop.
    Requests,
    /// Latency at half load.
    HalfLoad,
    /// Binary tensors against JSON.
    Binary,
    /// Memory after very many requests.
    Memory,
    /// Four times the peak.
    Overload,
    /// A new version under load.
    Swap,
    /// Engines against onnxruntime.
    Engines,
    /// What each model takes to load and to hold.
    Models,
    /// Other model servers.
    Peers,
    /// The gateway, beside Envoy.
    Gateway,
    /// The operator on a cluster.
    Operator,
    /// Scaling and rollout on a node.
    Scale,
}

/// Measures and prints the project's figures.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure.
    #[arg(required = true, value_enum)]
    groups: Vec<Group>,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Print a Markdown table.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// How long each run of a load takes, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How many requests `memory` sends.
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Only models whose cases are named like this.
    #[arg(long, default_value = "")]
    model: String,
    /// Folder of the release binaries.
    #[arg(long)]
    binaries: PathBuf,
    /// The folder `examples/`.
    #[arg(long)]
    examples: PathBuf,
    /// What `cargo xtask models fetch` has brought.
    #[arg(long)]
    models: Option<PathBuf>,
    /// A Python with onnxruntime; needed by `engines`.
    #[arg(long)]
    python: Option<PathBuf>,
    /// `NAME=PYTHON`: a peer's environment; needed by `peers`, and by `gateway` for Envoy.
    #[arg(long, value_name = "NAME=PYTHON")]
    peer: Vec<String>,
    /// `NAME=REASON`: why a peer has none.
    #[arg(long, value_name = "NAME=REASON")]
    absent_peer: Vec<String>,
    /// The folder `tools/`.
    #[arg(long)]
    tools: PathBuf,
    /// Kubeconfig of the cluster's administrator; needed by `operator` and `scale`.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Audit log of the API server; needed by `operator` and `scale`.
    #[arg(long)]
    audit: Option<PathBuf>,
    /// The program that renders the chart; needed by `scale`.
    #[arg(long)]
    helm: Option<PathBuf>,
    /// Image of the model server on the node.
    #[arg(long, default_value = "aimass.test/aimass-server:dev")]
    server_image: String,
    /// How many ModelDeployments at once.
    #[arg(long, default_value_t = 100)]
    objects: usize,
    /// How often a model is woken.
    #[arg(long, default_value_t = 20)]
    wakes: usize,
}

/// The core of whatever measures: the server has the other one.
const MEASURING_CORE: usize = 1;

fn main() -> anyhow::Result<()> {
    aimass_chassis::tls::install();
    let args = Args::parse();
    let mut rows = Vec::new();
    for group in &args.groups {
        let measured = measure(&args, *group).with_context(|| format!("{group:?}"))?;
        rows.extend(measured);
    }
    if args.json {
        for row in &rows {
            println!("{}", serde_json::to_string(row)?);
        }
    } else if args.markdown {
        print!("{}", markdown(&rows));
    } else {
        print!("{}", table(&rows));
    }
    Ok(())
}

fn measure(args: &Args, group: Group) -> anyhow::Result<Vec<Row>> {
    // These have a cluster beside them, which is not pinned either.
    if group == Group::Operator {
        return operator(args);
    }
    if group == Group::Scale {
        return scale(args);
    }
    pin_to(MEASURING_CORE)?;
    let programs = Programs {
        binaries: args.binaries.clone(),
        examples: args.examples.clone(),
        models: args.models.clone(),
    };
    let run = Duration::try_from_secs_f64(args.seconds).context("--seconds")?;
    match group {
        Group::StartUp => start_up::figures(&programs),
        Group::Requests => requests::figures(&programs, run),
        Group::HalfLoad => half_load::figures(&programs, run),
        Group::Binary => binary::figures(&programs, run),
        Group::Memory => memory::figures(&programs, args.requests),
        Group::Overload => overload::figures(&programs, run * 2),
        Group::Swap => swap::figures(&programs, run * 2),
        Group::Engines => engines(args, run),
        Group::Models => {
            let folder = args.models.clone().context("models needs --models")?;
            models::figures(&programs, &folder.join("cases"), &args.model)
        }
        Group::Peers => peers::figures(&peers::Setting {
            programs,
            tools: args.tools.clone(),
            pythons: pythons(args),
            run,
        }),
        Group::Gateway => gateway::figures(&gateway::Setting {
            binaries: args.binaries.clone(),
            envoy: python_of(args, "envoy"),
            run,
        }),
        Group::Operator => operator(args),
        Group::Scale => scale(args),
    }
}

/// The environment of one peer, or why there is none.
fn python_of(args: &Args, peer: &str) -> Result<PathBuf, String> {
    let mut pythons = pythons(args).into_iter();
    let found = pythons.find(|(name, _)| name == peer);
    found.map_or_else(
        || Err("no Python was given for it".to_owned()),
        |(_, python)| python,
    )
}

fn pythons(args: &Args) -> Vec<(String, Result<PathBuf, String>)> {
    let split = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    let there = args.peer.iter().map(split);
    let absent = args.absent_peer.iter().map(split);
    there
        .map(|(name, python)| (name, Ok(PathBuf::from(python))))
        .chain(absent.map(|(name, reason)| (name, Err(reason))))
        .collect()
}

fn engines(args: &Args, run: Duration) -> anyhow::Result<Vec<Row>> {
    let models = args.models.clone().context("engines needs --models")?;
    engines::figures(&engines::Setting {
        cases: models.join("cases"),
        python: args.python.clone().context("engines needs --python")?,
        script: args.tools.join("models/time_onnxruntime.py"),
        run: run / 10,
        filter: args.model.clone(),
    })
}

fn operator(args: &Args) -> anyhow::Result<Vec<Row>> {
    let kubeconfig = args
        .kubeconfig
        .clone()
        .context("operator needs --kubeconfig")?;
    let audit = args.audit.clone().context("operator needs --audit")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let file = kube::config::Kubeconfig::read_from(&kubeconfig)?;
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await?;
        let setting = Setting {
            client: kube::Client::try_from(config)?,
            kubeconfig,
            audit,
            operator: args.binaries.join("aimass-operator"),
            server_image: args.server_image.clone(),
        };
        objects::figures(&setting, args.objects).await
    })
}

fn scale(args: &Args) -> anyhow::Result<Vec<Row>> {
    let helm = args.helm.clone().context("scale needs --helm")?;
    let cluster = aimass_tests::args::Args {
        kubeconfig: Some(
            args.kubeconfig
                .clone()
                .context("scale needs --kubeconfig")?,
        ),
        audit: Some(args.audit.clone().context("scale needs --audit")?),
        helm: Some(helm),
        ..aimass_tests::args::Args::default()
    };
    // As in the lanes: the load, and the operator's answers to what is asked of it here.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let setting = scale::Setting {
        cluster,
        wakes: args.wakes,
    };
    runtime.block_on(scale::figures(&setting))
}
