//! The command line and the environment, as typed by the user. `config` gives them meaning.
//!
//! The only file of the operator that reads the environment. Called by `main`.

use std::path::PathBuf;

use aimass_chassis::args::{AdminArgs, LogArgs};
use aimass_chassis::traces::TraceArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Reconciles the custom resources of aimass.
#[derive(Debug, Parser)]
#[command(
    name = "aimass-operator",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct CommandLine {
    /// What to do instead of running the controller.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings of the controller.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What else the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print, offline, all objects that would be applied for the ModelDeployments of a file.
    Render(RenderArgs),
}

/// Settings of the controller.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Namespace to watch; empty: all.
    #[arg(long, env = "AIMASS_WATCH_NAMESPACE", default_value = "")]
    pub watch_namespace: String,
    /// Whether only the holder of the Lease writes; needed as soon as two instances run.
    #[arg(long, env = "AIMASS_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// Namespace of the Lease; empty: the one that the operator runs in.
    #[arg(long, env = "AIMASS_LEASE_NAMESPACE", default_value = "")]
    pub lease_namespace: String,
    /// Whether gateways say how much models have to do, and obey how requests are shared out among
    /// revisions: auto (if --gateway-namespace is given) or none (models have spec.replicas pods, else
    /// spec.scaling.min).
    #[arg(long, env = "AIMASS_GATEWAYS", value_enum, default_value_t = Gateways::Auto)]
    pub gateways: Gateways,
    /// File with a token of the operator's ServiceAccount for audience aimass-gateway: what it shows to
    /// gateways. It is read anew for each connection.
    #[arg(
        long,
        env = "AIMASS_GATEWAY_TOKEN_FILE",
        default_value = "/var/run/secrets/aimass-gateway/token"
    )]
    pub gateway_token_file: PathBuf,
    /// What the installation says about all models.
    #[command(flatten)]
    pub platform: PlatformArgs,
    /// Health and metrics.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Whether there are gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gateways {
    /// If their namespace is named.
    Auto,
    /// There are none.
    None,
}

/// What the installation says about all models.
#[derive(Debug, Args)]
pub struct PlatformArgs {
    /// Image of the model server. Another image makes new revisions, so change it deliberately.
    #[arg(long, env = "AIMASS_SERVER_IMAGE", default_value = concat!("aimass-server:", env!("CARGO_PKG_VERSION")))]
    pub server_image: String,
    /// Image of the model server with onnxruntime in it. Default: that of --server-image, its tag followed by -ort;
    /// none if that has no tag or a digest.
    #[arg(long, env = "AIMASS_ONNXRUNTIME_SERVER_IMAGE")]
    pub onnxruntime_server_image: Option<String>,
    /// Allow sources with http:// besides https://.
    #[arg(long, env = "AIMASS_ALLOW_HTTP")]
    pub allow_http: bool,
    /// Host that models may be fetched from although its addresses are private; may be repeated.
    #[arg(long, env = "AIMASS_ALLOW_HOST", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// Address of the gateway, as callers outside of the cluster write it: https://HOST:PORT. It is what status.url
    /// begins with; empty: status.url is the address within the cluster.
    #[arg(long, env = "AIMASS_GATEWAY_URL", default_value = "")]
    pub gateway_url: String,
    /// Namespace of the gateways, if there are any; empty: there are none.
    #[arg(long, env = "AIMASS_GATEWAY_NAMESPACE", default_value = "")]
    pub gateway_namespace: String,
    /// Whether a NetworkPolicy for each model lets nobody but the gateways reach its pods, if
    /// --gateway-namespace is given.
    #[arg(long, env = "AIMASS_ISOLATE_MODELS", default_value_t = true, action = clap::ArgAction::Set)]
    pub isolate_models: bool,
    /// Traces of model servers.
    #[command(flatten)]
    pub traces: TraceArgs,
}

/// What to render.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// File with YAML documents; `-`: standard input. ConfigMaps in it are the models' files.
    #[arg(short, long)]
    pub file: PathBuf,
    /// What the installation says about all models.
    #[command(flatten)]
    pub platform: PlatformArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn leader_election_can_be_turned_off() {
        let parse = |flags: &[&str]| {
            let command = ["aimass-operator"].iter().chain(flags);
            CommandLine::try_parse_from(command)
                .unwrap()
                .run
                .leader_elect
        };
        assert!(parse(&[]));
        assert!(!parse(&["--leader-elect=false"]));
    }

    #[test]
    fn render_takes_a_file() {
        let command = ["aimass-operator", "render", "-f", "-"];
        let command = CommandLine::try_parse_from(command).unwrap().command;
        assert!(matches!(command, Some(Command::Render(args)) if args.file.as_os_str() == "-"));
    }
}
