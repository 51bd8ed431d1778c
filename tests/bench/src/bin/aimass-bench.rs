//! Measures and prints the project's figures; started by `cargo xtask bench`, which builds what is
//! measured and brings up the cluster.
//!
//! `aimass-bench [NAME…] [--json] --binaries DIR --examples DIR [--kubeconfig FILE --audit FILE]`.
//! NAME selects groups: `server/start-up`, `server/requests`, `operator`; none selects all.

#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

use std::path::PathBuf;

use aimass_bench::objects::{self, Setting};
use aimass_bench::server::{self, Programs};
use aimass_bench::{Row, table};
use anyhow::Context as _;
use clap::Parser;

/// Measures and prints the project's figures.
#[derive(Debug, Parser)]
struct Args {
    /// Groups to measure: `server/start-up`, `server/requests`, `operator`; all if none is named.
    names: Vec<String>,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Folder of the release binaries.
    #[arg(long)]
    binaries: PathBuf,
    /// The folder `examples/`.
    #[arg(long)]
    examples: PathBuf,
    /// Kubeconfig of the cluster's administrator; needed by `operator`.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Audit log of the API server; needed by `operator`.
    #[arg(long)]
    audit: Option<PathBuf>,
    /// Image of the model server on the node.
    #[arg(long, default_value = "aimass.test/aimass-server:dev")]
    server_image: String,
    /// How many ModelDeployments at once.
    #[arg(long, default_value_t = 100)]
    objects: usize,
}

fn main() -> anyhow::Result<()> {
    aimass_chassis::tls::install();
    let args = Args::parse();
    let rows = measure(&args)?;
    if args.json {
        for row in &rows {
            println!("{}", serde_json::to_string(row)?);
        }
    } else {
        print!("{}", table(&rows));
    }
    Ok(())
}

fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    let wanted =
        |name: &str| args.names.is_empty() || args.names.iter().any(|n| name.starts_with(n));
    let programs = Programs {
        binaries: args.binaries.clone(),
        examples: args.examples.clone(),
    };
    let mut rows = Vec::new();
    if wanted("server/start-up") {
        rows.extend(server::start_up(&programs)?);
    }
    if wanted("server/requests") {
        rows.extend(server::requests(&programs)?);
    }
    if wanted("operator") {
        rows.extend(operator(args)?);
    }
    Ok(rows)
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
