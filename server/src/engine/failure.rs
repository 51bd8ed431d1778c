//! Why an engine refuses a model or an input, and what that means for the next step.
//!
//! Pure. Made by the engines and by `model.rs`; judged by `load.rs` (is another engine worth a try?) and by the routes
//! (whose fault is it?).

use aimass_protocol::DataType;

/// Bytes of an engine's text that are kept.
pub(super) const MAX_TEXT: usize = 512;

/// The engine refuses a model or an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {node}: {reason}", kind.subject())]
pub struct Failure {
    /// What it is about.
    pub kind: Kind,
    /// The node, tensor or input, as the model names it.
    pub node: String,
    /// One sentence without paths.
    pub reason: String,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The model itself: no engine does better.
    Model,
    /// What this engine makes of a node: another one may do better.
    Engine,
    /// A tensor that this engine cannot hold: another one may.
    Tensor,
    /// The memory that is left. Another engine would need it as well.
    Memory,
    /// What a caller sent.
    Input,
}

impl Kind {
    /// What `node` is, in texts.
    const fn subject(self) -> &'static str {
        match self {
            Self::Model | Self::Engine | Self::Memory => "node",
            Self::Tensor => "tensor",
            Self::Input => "input",
        }
    }

    /// Whether another engine may do better.
    pub const fn is_of_the_engine(self) -> bool {
        match self {
            Self::Engine | Self::Tensor => true,
            Self::Model | Self::Memory | Self::Input => false,
        }
    }
}

impl Failure {
    /// A failure of the model at `node`.
    pub fn new(node: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            kind: Kind::Model,
            node: node.into(),
            reason: reason.into(),
        }
    }

    /// The same, about something else.
    #[must_use]
    pub fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The engine lacks the operator of `node`.
    pub fn operator(node: &str, operator: &str) -> Self {
        Self::new(node, format!("operator {operator} is not supported")).of(Kind::Engine)
    }

    /// The engine lacks the element type of an input or output.
    pub fn datatype(tensor: &str, datatype: DataType) -> Self {
        let reason = format!("type {} is not supported", datatype.oip_name());
        Self::new(tensor, reason).of(Kind::Tensor)
    }
}

/// A plan does not fit into what is left below the memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one run needs about {} MiB of memory, and {} MiB are left below the limit", needed.div_ceil(1 << 20), left >> 20)]
pub(super) struct OverBudget {
    /// In bytes.
    pub(super) needed: u64,
    /// In bytes.
    pub(super) left: u64,
}

/// An engine's text on one line, cut.
pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.get(..line.floor_char_boundary(MAX_TEXT))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_what_it_is_about() {
        let texts = [
            (Failure::new("conv1", "bad pads"), "node conv1: bad pads"),
            (
                Failure::operator("roi", "RoiAlign"),
                "node roi: operator RoiAlign is not supported",
            ),
            (
                Failure::datatype("x", DataType::Bf16),
                "tensor x: type BF16 is not supported",
            ),
        ];
        for (failure, text) in texts {
            assert_eq!(failure.to_string(), text);
        }
    }

    #[test]
    fn only_what_is_the_engines_own_makes_another_one_worth_a_try() {
        let worth = [Kind::Engine, Kind::Tensor];
        for kind in [
            Kind::Model,
            Kind::Engine,
            Kind::Tensor,
            Kind::Memory,
            Kind::Input,
        ] {
            assert_eq!(kind.is_of_the_engine(), worth.contains(&kind), "{kind:?}");
        }
    }

    #[test]
    fn an_engines_text_is_one_line_of_bounded_length() {
        assert_eq!(one_line("a\n  b"), "a b");
        assert_eq!(one_line(&"ü".repeat(900)).len(), MAX_TEXT);
    }
}
