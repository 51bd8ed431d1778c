//! `aimass key`: API keys. What becomes of an APIKey is decided by pure functions below; the requests are made here.
//!
//! The token never leaves this process but by standard output: the cluster gets its hash.

mod create;
mod list;
mod revoke;
mod rotate;

use aimass_crds::APIKey;
use aimass_crds::api_key::Credential;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::args::KeyCommand;
use crate::client::Cluster;
use crate::edit::{self, Change};
use crate::outcome::{Failure, Outcome};
use crate::random;
use crate::token::Token;
use crate::when;

/// Within which time gateways obey a change of a key.
const PROMISE: &str = "within 2 seconds";

/// Runs the command.
pub(crate) async fn run(command: KeyCommand) -> Result<Outcome, Failure> {
    match command {
        KeyCommand::Create(args) => create::run(args).await,
        KeyCommand::Rotate(args) => rotate::run(args).await,
        KeyCommand::Revoke(args) => revoke::run(args).await,
        KeyCommand::List(args) => list::run(args).await,
    }
}

/// A new token.
fn draw() -> Result<Token, Failure> {
    Ok(Token::make(&random::bytes()?))
}

/// What the cluster gets of `token`.
fn credential(token: &Token) -> Credential {
    Credential {
        id: token.id().to_owned(),
        sha256: token.sha256(),
        not_after: None,
    }
}

/// A key as it is called in texts.
fn full_name(cluster: &Cluster, name: &str) -> String {
    format!("APIKey {}/{name}", cluster.namespace)
}

/// A key as commands name it: `ana -n shop`.
fn arguments(key: &APIKey) -> String {
    let name = key.metadata.name.as_deref().unwrap_or("NAME");
    match &key.metadata.namespace {
        Some(namespace) => format!("{name} -n {namespace}"),
        None => name.to_owned(),
    }
}

/// `ID (until TIME)`
fn shown(credential: &Credential) -> String {
    let Credential {
        id,
        sha256: _,
        not_after,
    } = credential;
    match not_after {
        Some(Time(end)) => format!("{id} (until {})", when::show(*end)),
        None => id.clone(),
    }
}

fn ids(credentials: &[Credential]) -> String {
    let shown: Vec<_> = credentials.iter().map(shown).collect();
    shown.join(", ")
}

/// Changes the key `name` as `decide` says of what it is then; what `decide` had to say. `lost` is what to do where nobody
/// knows whether the change was made.
async fn edit<T>(
    cluster: &Cluster,
    name: &str,
    lost: &str,
    decide: impl Fn(&APIKey) -> Result<Change<T>, Failure>,
) -> Result<T, Failure> {
    let full = full_name(cluster, name);
    edit::edit(&cluster.keys(), (name, &full), lost, decide).await
}

/// Whether `credential` has ended by itself.
fn has_ended(credential: &Credential, now: Timestamp) -> bool {
    let end = credential.not_after.as_ref();
    end.is_some_and(|Time(end)| *end <= now)
}

#[cfg(test)]
mod tests;
