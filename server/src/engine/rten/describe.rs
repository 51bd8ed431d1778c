//! Turns rten's errors into a node and a sentence.
//!
//! Pure. rten names the node beside the text, and once more in it.

use std::error::Error as _;

use rten::{LoadError, RunError};

use crate::engine::failure::one_line;
use crate::engine::{Failure, Kind};

/// How rten says that it lacks an operator, after the operator's name.
const LACKS: &str = " operator not supported or not enabled";

/// Why a model is refused.
pub(super) fn of_load(error: &LoadError) -> Failure {
    let node = label(error.node());
    let text = match error.source() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    };
    match text.strip_suffix(LACKS) {
        Some(operator) => Failure::operator(node, operator),
        None => Failure::new(node, one_line(&text)).of(Kind::Engine),
    }
}

/// Why an input is refused.
pub(super) fn of_run(error: &RunError) -> Failure {
    // The innermost node is the one that failed; those around it are loops and branches.
    let node = error.node_path().into_iter().flatten().next_back();
    let node = node.map(str::to_owned);
    let text = error.to_string();
    let reason = text
        .rsplit_once(" failed: ")
        .map_or(&*text, |(_, reason)| reason);
    Failure::new(label(node.as_deref()), one_line(reason)).of(Kind::Engine)
}

fn label(node: Option<&str>) -> &str {
    node.filter(|name| !name.is_empty()).unwrap_or("(graph)")
}
