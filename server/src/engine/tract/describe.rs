//! Turns tract's errors into a node and a sentence.
//!
//! Pure. tract's chain of contexts names the node in quotation marks somewhere on the way to the cause.

use tract_onnx::prelude::{InferenceModel, TractError};

use crate::engine::Failure;

/// Bytes of an engine's text that are kept.
const MAX_TEXT: usize = 512;

/// The node and the cause in `error`.
pub(super) fn failure(error: &TractError) -> Failure {
    let node = error.chain().find_map(|link| quoted(&link.to_string()));
    Failure::new(
        node.unwrap_or_else(|| "(graph)".to_owned()),
        root_cause(error),
    )
}

/// The innermost text, on one line.
pub(super) fn root_cause(error: &TractError) -> String {
    let text = error.root_cause().to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.get(..line.floor_char_boundary(MAX_TEXT))
        .unwrap_or_default()
        .to_owned()
}

/// Refuses a graph with operators that the engine does not have, naming the first.
pub(super) fn unsupported(model: &InferenceModel) -> Result<(), Failure> {
    for node in model.nodes() {
        let name = node.op.name();
        let missing = name
            .strip_prefix("Unimplemented(")
            .and_then(|name| name.strip_suffix(')'));
        if let Some(operator) = missing {
            let reason = format!("operator {operator} is not supported");
            return Err(Failure::new(&node.name, reason));
        }
    }
    Ok(())
}

fn quoted(text: &str) -> Option<String> {
    let (_, after) = text.split_once(['"', '`'])?;
    let (name, _) = after.split_once(['"', '`'])?;
    let end = name.floor_char_boundary(MAX_TEXT);
    name.get(..end)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::tract_hir::internal::anyhow;

    #[test]
    fn node_and_cause_come_out_of_the_chain() {
        let error = anyhow!("cannot unify 3\n with 4")
            .context("Infering facts")
            .context("Failed analyse for node #3 \"conv1\" Conv");
        let failure = failure(&error);
        assert_eq!(failure, Failure::new("conv1", "cannot unify 3 with 4"));
        assert_eq!(failure.to_string(), "node conv1: cannot unify 3 with 4");
    }

    #[test]
    fn an_error_without_a_node_is_about_the_graph() {
        assert_eq!(failure(&anyhow!("bad")), Failure::new("(graph)", "bad"));
    }
}
