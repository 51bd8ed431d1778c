//! What a graph consists of: the features by which an engine is chosen, and what an engine has to be given.
//!
//! Pure. Called by `load.rs` after `check`, so that sizes and depth are bounded already. The same file gives the same
//! features everywhere: replicas agree.

use std::collections::BTreeMap;

use super::graph::{Graph, Node};
use super::wire::{Fields, Malformed, Value, bytes, varints};
use super::{Counts, Refusal, graph, main_graph, shown, tensor};

/// ONNX's numbers of element types.
const INT64: i64 = 7;
const DOUBLE: i64 = 11;
/// From here on an integer means "to the end", as slices write it: narrowing it to the largest 32-bit one is the same.
const TO_THE_END: u64 = 1 << 62;

/// What a graph consists of, subgraphs included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// How many nodes each operator has.
    pub operators: BTreeMap<String, usize>,
    /// Convolutions whose channels are split into groups: depthwise ones, mostly.
    pub grouped_convolutions: usize,
    /// The largest hidden size of a recurrent layer.
    pub hidden_size: usize,
    /// Files with external data, each with a tensor that is in it.
    pub external: BTreeMap<String, String>,
    /// A tensor with integers that need more than 32 bits.
    pub wide_integers: Option<String>,
    /// Whether something is stored with 64-bit floats.
    pub doubles: bool,
}

impl Features {
    /// Nodes of one of `operators`.
    pub fn count(&self, operators: &[&str]) -> usize {
        operators
            .iter()
            .filter_map(|operator| self.operators.get(*operator))
            .sum()
    }

    /// All nodes.
    pub fn nodes(&self) -> usize {
        self.operators.values().sum()
    }
}

/// The features of the model file `bytes`, which `check` has passed.
///
/// # Errors
/// The file is malformed, which `check` would have found.
pub fn features(bytes: &[u8]) -> Result<Features, Refusal> {
    let mut features = Features::default();
    let mut counts = Counts::default();
    let mut waiting = vec![main_graph(bytes)?];
    while let Some(bytes) = waiting.pop() {
        let graph = graph::read(bytes, &mut counts)?;
        add(&graph, &mut features)?;
        waiting.extend(graph.nodes.iter().flat_map(|node| &node.graphs));
    }
    Ok(features)
}

fn add(graph: &Graph<'_>, features: &mut Features) -> Result<(), Malformed> {
    for initializer in &graph.initializers {
        add_tensor(initializer, None, features)?;
    }
    for node in &graph.nodes {
        let count = features.operators.entry(node.operator.to_owned());
        *count.or_default() += 1;
        for tensor in &node.tensors {
            add_tensor(tensor, Some(node), features)?;
        }
        match node.operator {
            "Conv" | "ConvInteger" | "QLinearConv" => {
                let group = attribute(node, "group").and_then(|group| group.first());
                features.grouped_convolutions += usize::from(group.is_some_and(|group| *group > 1));
            }
            "LSTM" | "GRU" | "RNN" => {
                let hidden = attribute(node, "hidden_size").and_then(|size| size.first());
                let hidden = hidden.and_then(|size| usize::try_from(*size).ok());
                features.hidden_size = features.hidden_size.max(hidden.unwrap_or_default());
            }
            "Constant" => {
                let wide = node.integers.iter().flat_map(|(_, values)| values);
                if wide.copied().any(is_wide) && features.wide_integers.is_none() {
                    features.wide_integers = Some(node.label().to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn attribute<'a>(node: &'a Node<'_>, name: &str) -> Option<&'a [i64]> {
    let found = node.integers.iter().find(|(key, _)| *key == name);
    found.map(|(_, values)| values.as_slice())
}

/// A stored tensor; one in an attribute is called by its node.
fn add_tensor(
    message: &[u8],
    node: Option<&Node<'_>>,
    features: &mut Features,
) -> Result<(), Malformed> {
    let stored = tensor::read(message)?;
    let name = || shown(node.map_or(stored.name, Node::label)).to_owned();
    if let Some(location) = stored.location() {
        let file = features.external.entry(location.to_owned());
        file.or_insert_with(name);
    }
    features.doubles |= stored.element_type == DOUBLE;
    if features.wide_integers.is_none() && stored.element_type == INT64 && any_wide(message)? {
        features.wide_integers = Some(name());
    }
    Ok(())
}

fn any_wide(message: &[u8]) -> Result<bool, Malformed> {
    for field in Fields::new(message) {
        let wide = match field? {
            (7, value @ (Value::Bytes(_) | Value::Varint(_))) => varints(value)?
                .into_iter()
                .any(|value| is_wide(value.cast_signed())),
            (9, value) => {
                let (values, _) = bytes(value)?.as_chunks::<8>();
                values
                    .iter()
                    .any(|bytes| is_wide(i64::from_le_bytes(*bytes)))
            }
            _ => false,
        };
        if wide {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_wide(value: i64) -> bool {
    i32::try_from(value).is_err() && value.unsigned_abs() < TO_THE_END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_wide_between_32_bits_and_what_means_to_the_end() {
        for value in [0, -1, i64::from(i32::MAX), i64::MAX, i64::MIN, i64::MAX - 1] {
            assert!(!is_wide(value), "{value}");
        }
        for value in [1 << 31, -(1 << 31) - 1, 1 << 40] {
            assert!(is_wide(value), "{value}");
        }
    }
}
