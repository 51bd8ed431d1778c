//! The command line and the environment, as typed by people. `key`, `predict` and `rollout` give them meaning.
//!
//! The only file of the crate that reads the environment; KUBECONFIG is read by the Kubernetes client itself. Called by
//! `main`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use aimass_chassis::args::EXIT_USAGE;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

/// The file name under which kubectl finds the program.
const PLUGIN: &str = "kubectl-aimass";

/// Makes API keys for models of aimass, asks models, and says how a rollout goes on
#[derive(Debug, Parser)]
#[command(name = "aimass", version, max_term_width = 100)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make, renew, revoke and list API keys
    Key(KeyArgs),
    /// Ask a model for predictions
    Predict(PredictArgs),
    /// See how far a rollout is, and say how it goes on
    Rollout(RolloutArgs),
}

/// What to do with keys.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What is done with keys. They are deleted by `kubectl delete apikey NAME`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key: stores the hash of a new token in the cluster and prints the token, once
    Create(CreateArgs),
    /// Give a key a second token and print it; the old one still works for a while
    Rotate(RotateArgs),
    /// Switch a key off, or take one of its tokens away
    Revoke(RevokeArgs),
    /// Show the keys of a namespace
    List(ListArgs),
}

/// The key to make.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Name of the key
    pub name: String,
    /// ModelDeployment of the same namespace that the key may call, by its metadata.name; may be repeated. '*': all of
    /// them, also later ones
    #[arg(long)]
    pub model: Vec<String>,
    /// UsagePlan that says how much the key may do. Default: the gateway's plan for everybody, if it has one
    #[arg(long)]
    pub plan: Option<String>,
    /// Whose key it is, for people
    #[arg(long, value_name = "TEXT")]
    pub owner: Option<String>,
    /// What it is for, for people
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// From when on it is refused: a length from now on (90d, 24h) or a time (2027-06-30T00:00:00Z). Default: never
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    /// Range of addresses that callers may have, such as 10.0.0.0/8; may be repeated. Default: all addresses
    #[arg(long, value_name = "CIDR")]
    pub allow_cidr: Vec<String>,
    /// Send nothing to the cluster; needs -o yaml
    #[arg(long)]
    pub dry_run: bool,
    /// What is printed on standard output. yaml: the manifest, and the token on standard error
    #[arg(short, long, value_enum, default_value_t = Output::Token)]
    pub output: Output,
    /// Which cluster, which namespace.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// What `key create` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The token.
    Token,
    /// The manifest, which may lie in Git: it holds no secret.
    Yaml,
}

/// The key to renew.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// Name of the key
    pub name: String,
    /// How long the old token still works. 0s: it is taken away at once
    #[arg(long, value_name = "LENGTH", default_value = "24h")]
    pub overlap: String,
    /// Which cluster, which namespace.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The key to revoke.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// Name of the key
    pub name: String,
    /// Take only this token away: the part of it between aim_ and the next _. Default: the whole key is switched off
    #[arg(long)]
    pub id: Option<String>,
    /// Which cluster, which namespace.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The keys to show.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Which cluster, which namespace.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// What to do with a rollout.
#[derive(Args, Debug)]
pub struct RolloutArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RolloutCommand,
}

/// What is done with rollouts. Each word but `pause` and `resume` holds for the revision that is rolled out now, and for
/// no later one.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Show how far it is, which share of the requests each revision gets, and what was measured
    Status(RolloutOf),
    /// Give the approval that the present step waits for
    Continue(RolloutOf),
    /// Let no step wait and no check count any more; pods still come before requests
    Promote(RolloutOf),
    /// Go back to the old revision
    Abort(RolloutOf),
    /// Try a revision that failed once more
    Retry(RolloutOf),
    /// Let it stand still: no further share, no further step
    Pause(RolloutOf),
    /// Let it go on after a pause
    Resume(RolloutOf),
}

/// The model whose rollout it is.
#[derive(Args, Debug)]
pub struct RolloutOf {
    /// Name of the ModelDeployment
    pub name: String,
    /// Which cluster, which namespace.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Which cluster, which namespace: as kubectl's flags of the same names.
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterArgs {
    /// Namespace. Default: that of the kubeconfig's context
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig. Default: its current one
    #[arg(long)]
    pub context: Option<String>,
    /// Kubeconfig file. Default: KUBECONFIG, else ~/.kube/config, else the pod's own service account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

const EXIT_CODES: &str = "Exit codes:
  0   answered; the predictions are on standard output
  1   not asked: the cluster, the address or its certificate is wrong, or what answered is no model
  2   refused (status 400 to 499, but not 408 and 429): the same request will be refused again
  3   no answer now (status 408, 429, 500 to 599, no connection, no time left): it may be answered later
  64  the command line is wrong";

/// The model to ask.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct PredictArgs {
    /// Name of the ModelDeployment; with --url, the model's name in addresses
    pub name: String,
    /// What is asked.
    #[arg(
        help = "Instances in JSON, such as '[[1],[2]]'; or a whole body with \"instances\" or \"inputs\", which is sent as it is; or @FILE; or - for standard input"
    )]
    pub instances: String,
    /// Address of the model (https://HOST/projects/NAMESPACE/v1/models/NAME), or of the gateway alone (https://HOST):
    /// then [/projects/NAMESPACE]/v1/models/NAME is added. Default: status.url of the ModelDeployment
    #[arg(long)]
    pub url: Option<String>,
    /// API key. Better by the variable: others see the command lines of this machine's processes
    #[arg(long, env = "AIMASS_KEY", hide_env_values = true, value_name = "TOKEN")]
    pub key: Option<Secret>,
    /// File with certificate authorities in PEM that are trusted besides the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Trust any certificate. Whoever is in between can read the key
    #[arg(long)]
    pub insecure: bool,
    /// How long the answer may take, at most 1h
    #[arg(long, value_name = "LENGTH", default_value = "30s")]
    pub timeout: String,
    /// Which cluster, which namespace.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<set>")
    }
}

/// Reads the words of a command line, the first of which is the program's own.
///
/// # Errors
/// What clap has to say: wrong usage, but also the texts of `--help` and `--version`.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<CommandLine, clap::Error> {
    let words: Vec<_> = words.into_iter().collect();
    let program = words.first().map(Path::new).and_then(Path::file_stem);
    let mut command = CommandLine::command();
    if program.is_some_and(|name| name == PLUGIN) {
        command = command.bin_name("kubectl aimass");
    }
    let matches = command.try_get_matches_from_mut(words)?;
    CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Prints what clap has to say: help and version are no failure, anything else is wrong usage.
#[must_use]
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told when even standard error is closed.
    let _closed = error.print();
    if error.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Command, clap::Error> {
        parse(words.iter().map(OsString::from)).map(|line| line.command)
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_key_is_made_with_flags_that_repeat() {
        let words = [
            "aimass",
            "key",
            "create",
            "ana",
            "--model",
            "iris",
            "--model=churn",
            "-n",
            "shop",
            "--allow-cidr",
            "10.0.0.0/8",
            "--dry-run",
            "-o",
            "yaml",
        ];
        let Ok(Command::Key(KeyArgs {
            command: KeyCommand::Create(args),
        })) = parsed(&words)
        else {
            panic!("no key create");
        };
        assert_eq!((args.name.as_str(), args.output), ("ana", Output::Yaml));
        assert_eq!(args.model, ["iris", "churn"]);
        assert_eq!(args.cluster.namespace.as_deref(), Some("shop"));
        assert!(args.dry_run);
    }

    #[test]
    fn flags_have_their_defaults() {
        let Ok(Command::Key(KeyArgs {
            command: KeyCommand::Rotate(rotate),
        })) = parsed(&["aimass", "key", "rotate", "ana"])
        else {
            panic!("no key rotate");
        };
        assert_eq!(rotate.overlap, "24h");
        let Ok(Command::Predict(predict)) = parsed(&["aimass", "predict", "iris", "-"]) else {
            panic!("no predict");
        };
        assert_eq!(
            (predict.timeout.as_str(), predict.instances.as_str()),
            ("30s", "-")
        );
    }

    #[test]
    fn a_key_on_the_command_line_is_not_shown() {
        let words = ["aimass", "predict", "iris", "[]", "--key", "aim_secret"];
        let command = parsed(&words).unwrap();
        let shown = format!("{command:?}");
        assert!(
            shown.contains("<set>") && !shown.contains("secret"),
            "{shown}"
        );
    }

    #[test]
    fn kubectl_s_plug_in_shows_itself_as_one() {
        let usage = |program: &str| parsed(&[program, "key", "list", "--oops"]).unwrap_err();
        let plugin = usage("/usr/local/bin/kubectl-aimass").to_string();
        assert!(
            plugin.contains("Usage: kubectl aimass key list"),
            "{plugin}"
        );
        let own = usage("aimass").to_string();
        assert!(own.contains("Usage: aimass key list"), "{own}");
    }

    #[test]
    fn instances_may_begin_with_a_sign() {
        let words = ["aimass", "predict", "iris", "--", "-1"];
        assert!(parsed(&words).is_ok());
    }
}
