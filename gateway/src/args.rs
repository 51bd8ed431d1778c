//! The command line, as it is written. The only file that reads the environment (through clap).
//!
//! Values are texts here: `config.rs` judges them, all together. Called by `start`.

use std::ffi::OsString;

use aimass_chassis::args::{AdminArgs, LogArgs};
use aimass_chassis::traces::TraceArgs;
use clap::Parser;

/// The gateway of aimass: the only door for callers.
#[derive(Debug, Parser)]
#[command(name = "aimass-gateway", version)]
pub struct CommandLine {
    /// Address of all ports.
    #[arg(long, env = "AIMASS_BIND", default_value = "[::]")]
    pub bind: String,
    /// Port of HTTPS; there is none without --tls-dir.
    #[arg(long, env = "AIMASS_HTTPS_PORT", default_value = "8443")]
    pub https_port: String,
    /// Port of plain HTTP; 0 = off.
    #[arg(long, env = "AIMASS_HTTP_PORT", default_value = "8080")]
    pub http_port: String,
    /// What plain HTTP is for: redirect (to HTTPS) or serve (behind something that ends TLS). Default: redirect with
    /// --tls-dir, serve without.
    #[arg(long, env = "AIMASS_PLAIN")]
    pub plain: Option<String>,
    /// Folder with tls.crt and tls.key, as a Secret is mounted; changes are taken over within 5 s.
    #[arg(long, env = "AIMASS_TLS_DIR")]
    pub tls_dir: Option<String>,

    /// Domain whose hosts NAME.NAMESPACE.DOMAIN name models.
    #[arg(long, env = "AIMASS_DOMAIN")]
    pub domain: Option<String>,
    /// Namespace that is meant where neither the address nor the key says one.
    #[arg(long, env = "AIMASS_DEFAULT_PROJECT")]
    pub default_project: Option<String>,
    /// Namespaces whose models are served, as in a,b; repeatable. Default: all.
    #[arg(long, env = "AIMASS_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// UsagePlan of callers whose key names none that exists. Default: no limits.
    #[arg(long, env = "AIMASS_DEFAULT_PLAN")]
    pub default_plan: Option<String>,
    /// Audience of the tokens of Kubernetes that callers may show instead of a key, as a pod asks for one of its ServiceAccount.
    /// Empty: only keys are accepted.
    #[arg(long, env = "AIMASS_TOKEN_AUDIENCE", default_value = "aimass")]
    pub token_audience: String,
    /// Ranges of addresses of proxies whose X-Forwarded-For is believed, as in 10.0.0.0/8,fd00::/8; repeatable.
    #[arg(long, env = "AIMASS_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
    /// Connections at once, on each port.
    #[arg(long, env = "AIMASS_MAX_CONNECTIONS", default_value = "20000")]
    pub max_connections: String,
    /// Share of the successful requests that the access log tells, from 0 to 1. Failed ones are always told.
    #[arg(long, env = "AIMASS_ACCESS_LOG_SAMPLE", default_value = "1")]
    pub access_log_sample: String,

    /// After a signal to stop: how long connections are still accepted.
    #[arg(long, env = "AIMASS_DRAIN_DELAY", default_value = "5s")]
    pub drain_delay: String,
    /// After that: how long requests in flight may take; as long as the longest requestTimeout and 5 s, if that is longer.
    #[arg(long, env = "AIMASS_SHUTDOWN_GRACE", default_value = "65s")]
    pub shutdown_grace: String,
    /// File with the address of a cluster and credentials for it. Default: the cluster that this runs in, else kubectl's.
    #[arg(long, env = "AIMASS_KUBECONFIG")]
    pub kubeconfig: Option<String>,
    /// The uid of this gateway's pod: with it limits are counted together with the gateways that the Service aimass-gateway-peers of
    /// --pod-namespace names. Default: this gateway counts for itself.
    #[arg(long, env = "AIMASS_POD_UID")]
    pub pod_uid: Option<String>,
    /// The namespace of this gateway's pod.
    #[arg(long, env = "AIMASS_POD_NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// File with a token of this gateway's ServiceAccount for audience aimass-gateway: what it shows to the others. They are of the
    /// same account, and let in nobody else. It is read anew for each connection.
    #[arg(long, env = "AIMASS_PEER_TOKEN_FILE")]
    pub peer_token_file: Option<String>,
    /// The user that may read what the gateways see of the load: the operator's ServiceAccount, as in
    /// system:serviceaccount:NAMESPACE:NAME. Default: nobody, and models are not scaled by their load.
    #[arg(long, env = "AIMASS_SIGNALS_READER")]
    pub signals_reader: Option<String>,
    /// File with a token of this gateway's ServiceAccount for audience aimass-operator: what it shows to whoever reads. It is read
    /// anew for each connection.
    #[arg(long, env = "AIMASS_OPERATOR_TOKEN_FILE")]
    pub operator_token_file: Option<String>,
    /// While the gateway that counts a caller cannot be asked: share (each gateway lets pass its part of the limit) or refuse (429).
    #[arg(long, env = "AIMASS_ON_OWNER_LOSS", default_value = "share")]
    pub on_owner_loss: String,
    /// The admin port.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceArgs,
}

/// Parses a command line, its first word being the program.
///
/// # Errors
/// Clap's own, which is also how `--help` and `--version` come.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<CommandLine, clap::Error> {
    CommandLine::try_parse_from(words)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn lists_are_separated_by_commas_or_repeated() {
        let words = ["g", "--namespaces=a,b", "--namespaces=c"];
        let line = parse(words.map(OsString::from)).unwrap();
        assert_eq!(line.namespaces, ["a", "b", "c"]);
    }
}
