//! Which engine a model gets: by its graph alone, so that all replicas of a revision answer alike.
//!
//! Pure. Called by `load.rs`. The rules are derived from measurements (docs/engines.md) and are tried in order; what no rule
//! speaks for runs on tract. Nothing is measured at run time: two pods would come to two results.

use std::collections::BTreeSet;

use aimass_protocol::{DataType, Dim, Signature};

use super::{Name, Wanted};
use crate::check::Features;

/// Nodes from which on a recurrent layer written out step by step costs tract more than rten: 1,040 did (×1.7).
const UNROLLED_NODES: usize = 500;
/// Activations of such a layer in them: three sigmoids and two tangents for each step.
const UNROLLED_ACTIVATIONS: usize = 100;
/// Hidden size up to which tract's cost of a step outweighs its faster product: 32 did (×2.7), 128 did not (×0.3).
const SMALL_HIDDEN_SIZE: usize = 64;

/// Which engine is tried first, why, and which one if that refuses the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The first.
    pub engine: Name,
    /// Why.
    pub because: Because,
    /// The second, if the user leaves the choice to us.
    pub otherwise: Option<Name>,
}

/// Why a model runs on its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The user says so.
    Configured,
    /// No rule speaks for another one.
    Default,
    /// The graph computes with quantised numbers.
    Quantised,
    /// Several dimensions besides the batch are free.
    OpenDimensions,
    /// The graph is a transformer over inputs of free length.
    Attention,
    /// The graph convolves embedded text of free length.
    TextConvolutions,
    /// The graph is a small recurrent network.
    SmallRecurrent,
    /// The graph is a recurrent network written out step by step.
    Unrolled,
    /// The engine that was to be first refuses the model.
    Refused,
}

impl Because {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Configured,
        Self::Default,
        Self::Quantised,
        Self::OpenDimensions,
        Self::Attention,
        Self::TextConvolutions,
        Self::SmallRecurrent,
        Self::Unrolled,
        Self::Refused,
    ];

    /// For metrics and metadata.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Default => "default",
            Self::Quantised => "quantised",
            Self::OpenDimensions => "open_dimensions",
            Self::Attention => "attention",
            Self::TextConvolutions => "text_convolutions",
            Self::SmallRecurrent => "small_recurrent",
            Self::Unrolled => "unrolled",
            Self::Refused => "refused",
        }
    }

    /// For people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Configured => "it is configured",
            Self::Default => "nothing in the graph speaks for another one",
            Self::Quantised => "the graph computes with quantised numbers",
            Self::OpenDimensions => "several dimensions besides the batch are free",
            Self::Attention => "the graph is a transformer over inputs of free length",
            Self::TextConvolutions => "the graph convolves embedded text of free length",
            Self::SmallRecurrent => "the graph is a small recurrent network",
            Self::Unrolled => "the graph is a recurrent network written out step by step",
            Self::Refused => "the engine that was to be first refuses the model",
        }
    }
}

/// Chooses among the engines that are in every binary. The same for the same graph and wish.
#[must_use]
pub fn choose(wanted: Wanted, features: &Features, signature: &Signature) -> Choice {
    if let Wanted::Only(engine) = wanted {
        return Choice {
            engine,
            because: Because::Configured,
            otherwise: None,
        };
    }
    match faster_under_rten(features, signature) {
        Some(because) => Choice {
            engine: Name::Rten,
            because,
            otherwise: Some(Name::Tract),
        },
        None => Choice {
            engine: Name::Tract,
            because: Because::Default,
            otherwise: Some(Name::Rten),
        },
    }
}

/// The first rule that speaks for rten.
fn faster_under_rten(features: &Features, signature: &Signature) -> Option<Because> {
    // Numbers that rten would narrow; where they fit, that is the user's to say.
    if features.doubles || features.wide_integers.is_some() {
        return None;
    }
    let graph = Graph {
        features,
        signature,
    };
    let rules: [(Because, Rule); 6] = [
        (Because::Quantised, |graph| graph.is_quantised()),
        // Under tract each size of a picture is a plan; but depthwise convolutions cost rten twice as much.
        (Because::OpenDimensions, |graph| {
            graph.open_dimensions() > 1 && graph.features.grouped_convolutions == 0
        }),
        // Of one length tract is faster at both; under it each further length is a plan, built while a caller waits.
        (Because::Attention, |graph| {
            graph.open_dimensions() > 0 && graph.is_transformer()
        }),
        (Because::TextConvolutions, |graph| {
            graph.open_dimensions() > 0 && graph.convolves_text()
        }),
        (Because::SmallRecurrent, |graph| graph.is_small_recurrent()),
        (Because::Unrolled, |graph| graph.is_unrolled()),
    ];
    let found = rules.into_iter().find(|(_, holds)| holds(&graph));
    found.map(|(because, _)| because)
}

type Rule = fn(&Graph<'_>) -> bool;

/// What the rules ask.
struct Graph<'a> {
    features: &'a Features,
    signature: &'a Signature,
}

impl Graph<'_> {
    fn is_quantised(&self) -> bool {
        const QUANTISED: [&str; 6] = [
            "ConvInteger",
            "DequantizeLinear",
            "DynamicQuantizeLinear",
            "MatMulInteger",
            "MatMulNBits",
            "QuantizeLinear",
        ];
        let prefixed = |operator: &String| {
            operator.starts_with("QLinear") || operator.starts_with("DynamicQuantize")
        };
        self.features.count(&QUANTISED) > 0 || self.features.operators.keys().any(prefixed)
    }

    /// Names of free dimensions besides the first; one without a name is one of its own.
    fn open_dimensions(&self) -> usize {
        let shapes = self
            .signature
            .inputs()
            .iter()
            .filter_map(|spec| spec.shape.as_ref());
        let (mut names, mut unnamed) = (BTreeSet::new(), 0);
        for dim in shapes.flat_map(|shape| shape.iter().skip(1)) {
            match dim {
                Dim::Fixed(_) => {}
                Dim::Symbol(name) => {
                    names.insert(name);
                }
                Dim::Unknown => unnamed += 1,
            }
        }
        names.len() + unnamed
    }

    fn is_transformer(&self) -> bool {
        let written = ["Attention", "GroupQueryAttention", "MultiHeadAttention"];
        let attends = self.features.count(&written) > 0
            || self.features.count(&["Softmax"]) > 0 && self.features.count(&["MatMul"]) > 2;
        // Without layers that are normalised the softmax is that of a classifier.
        let normalises = self.features.count(&["LayerNormalization", "ReduceMean"]) > 0;
        attends && normalises && !self.convolves() && !self.recurs()
    }

    fn convolves_text(&self) -> bool {
        let text = self.features.count(&["Gather", "OneHot"]) > 0;
        self.convolves() && text && self.takes_integers() && self.features.grouped_convolutions == 0
    }

    fn is_small_recurrent(&self) -> bool {
        self.recurs() && !self.convolves() && self.features.hidden_size <= SMALL_HIDDEN_SIZE
    }

    fn is_unrolled(&self) -> bool {
        let activations = self.features.count(&["Sigmoid", "Tanh"]);
        self.features.nodes() >= UNROLLED_NODES
            && activations >= UNROLLED_ACTIVATIONS
            && self.features.grouped_convolutions == 0
    }

    fn takes_integers(&self) -> bool {
        let first = self.signature.inputs().first();
        first.is_some_and(|spec| {
            matches!(
                spec.datatype,
                DataType::Int32 | DataType::Int64 | DataType::Uint8
            )
        })
    }

    fn convolves(&self) -> bool {
        self.features.count(&["Conv", "ConvTranspose"]) > 0
    }

    fn recurs(&self) -> bool {
        self.features.count(&["GRU", "LSTM", "RNN"]) > 0
    }
}

#[cfg(test)]
mod tests;
