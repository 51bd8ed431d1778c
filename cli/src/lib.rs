//! The command line for people: `aimass key …` makes and changes API keys, `aimass predict` asks a model,
//! `aimass rollout` says how a new revision goes on.
//!
//! Installed as `aimass`; under the name `kubectl-aimass` the same program is kubectl's plug-in. A token is made here and
//! shown once; the cluster gets its hash alone. Nothing is logged, and no error repeats a token.
//!
//! | file | what |
//! | --- | --- |
//! | `args.rs` | the command line; the only file that reads the environment |
//! | `key.rs`, `key/` | `aimass key`: what becomes of an APIKey (pure), and the few requests around it |
//! | `predict.rs`, `predict/` | `aimass predict`: address, body, call, answer |
//! | `rollout.rs`, `rollout/` | `aimass rollout`: a person's word on a rollout (pure), and how far it is (pure) |
//! | `token.rs`, `random.rs` | the form of a token; the system's random bytes |
//! | `client.rs`, `edit.rs` | the only file that builds a client for Kubernetes; a change of an object's fields |
//! | `names.rs`, `when.rs`, `problems.rs` | what may be typed, and all that is wrong with it at once |
//! | `outcome.rs`, `table.rs` | what is printed, and the exit code |

pub mod args;
pub mod token;

mod client;
mod edit;
mod key;
mod names;
mod outcome;
mod predict;
mod problems;
mod random;
mod rollout;
mod table;
mod when;

use args::Command;
pub use outcome::{Exit, Outcome};

/// Does what the command line says.
pub async fn run(command: Command) -> Outcome {
    let done = match command {
        Command::Key(key) => key::run(key.command).await,
        Command::Predict(args) => predict::run(args).await,
        Command::Rollout(rollout) => rollout::run(rollout.command).await,
    };
    done.unwrap_or_else(Outcome::from)
}
