//! Turns tract's errors into a node and a sentence.
//!
//! Pure. tract's chain of contexts names the node in quotation marks somewhere on the way to the cause.

use tract_onnx::prelude::{InferenceModel, TractError};

use crate::engine::failure::{MAX_TEXT, OverBudget, one_line};
use crate::engine::{Failure, Kind};

/// The node and the cause in `error`.
pub(super) fn failure(error: &TractError) -> Failure {
    let node = error.chain().find_map(|link| quoted(&link.to_string()));
    let kind = match error.downcast_ref::<OverBudget>() {
        Some(_) => Kind::Memory,
        None => Kind::Engine,
    };
    let node = node.unwrap_or_else(|| "(graph)".to_owned());
    Failure::new(node, root_cause(error)).of(kind)
}

/// The innermost text, on one line.
pub(super) fn root_cause(error: &TractError) -> String {
    one_line(&error.root_cause().to_string())
}

/// Refuses a graph with operators that the engine does not have, naming the first.
pub(super) fn unsupported(model: &InferenceModel) -> Result<(), Failure> {
    for node in model.nodes() {
        let name = node.op.name();
        let missing = name
            .strip_prefix("Unimplemented(")
            .and_then(|name| name.strip_suffix(')'));
        if let Some(operator) = missing {
            return Err(Failure::operator(&node.name, operator));
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
        let expect = Failure::new("conv1", "cannot unify 3 with 4").of(Kind::Engine);
        assert_eq!(failure, expect);
        assert_eq!(failure.to_string(), "node conv1: cannot unify 3 with 4");
    }

    #[test]
    fn an_error_without_a_node_is_about_the_graph() {
        let expect = Failure::new("(graph)", "bad").of(Kind::Engine);
        assert_eq!(failure(&anyhow!("bad")), expect);
    }

    #[test]
    fn what_does_not_fit_is_told_from_what_is_not_understood() {
        let over = OverBudget {
            needed: 3 << 20,
            left: 1 << 20,
        };
        let failure = failure(&TractError::new(over).context("preparing"));
        assert_eq!(failure.kind, Kind::Memory);
        assert!(failure.reason.starts_with("one run needs about 3 MiB"));
    }
}
