//! Nodes that make a value of a size written in the file: a few bytes can ask for terabytes.
//!
//! Pure. Called by `check`. Engines compute such nodes while optimising, before any memory estimate of theirs.

use std::collections::BTreeMap;

use super::graph::{Graph, Node};
use super::{MAX_RANK, Refusal, shown, tensor};

/// Bytes of an element where the node does not say: that of most types.
const ELEMENT: u128 = 4;

/// Refuses nodes whose constant output size is above `budget` bytes.
pub(super) fn check(graph: &Graph<'_>, budget: u64) -> Result<(), Refusal> {
    let constants = constants(graph)?;
    for node in &graph.nodes {
        let Some(elements) = elements(node, &constants) else {
            continue;
        };
        let bytes = elements.saturating_mul(ELEMENT);
        if bytes > u128::from(budget) {
            return Err(Refusal::new(format!(
                "node {}: {} makes about {bytes} bytes, more than the memory budget of {budget}",
                node.label(),
                shown(node.operator),
            )));
        }
    }
    Ok(())
}

/// Short lists of integers that are written in the graph, by name.
fn constants<'a>(graph: &Graph<'a>) -> Result<BTreeMap<&'a str, Vec<i64>>, Refusal> {
    let mut constants = BTreeMap::new();
    for initializer in &graph.initializers {
        let (name, values) = integers(initializer)?;
        constants.insert(name, values);
    }
    for node in graph
        .nodes
        .iter()
        .filter(|node| node.operator == "Constant")
    {
        let Some(output) = node.outputs.first() else {
            continue;
        };
        let values = match (node.tensors.first(), node.integers.first()) {
            (Some(stored), _) => integers(stored)?.1,
            (None, Some((_, values))) => values.clone(),
            (None, None) => continue,
        };
        constants.insert(*output, values);
    }
    constants.retain(|_, values| !values.is_empty());
    Ok(constants)
}

/// Name and values of a stored tensor of at most [`MAX_RANK`] integers; no values for any other.
fn integers(message: &[u8]) -> Result<(&str, Vec<i64>), Refusal> {
    let stored = tensor::read(message)?;
    let mut values = match stored.element_type {
        7 if stored.raw.is_empty() => stored.int64,
        7 => stored
            .raw
            .as_chunks::<8>()
            .0
            .iter()
            .take(MAX_RANK + 1)
            .map(|b| i64::from_le_bytes(*b))
            .collect(),
        6 => {
            let chunks = stored.raw.as_chunks::<4>().0.iter().take(MAX_RANK + 1);
            chunks
                .map(|bytes| i64::from(i32::from_le_bytes(*bytes)))
                .collect()
        }
        _ => Vec::new(),
    };
    if values.len() > MAX_RANK {
        values.clear();
    }
    Ok((stored.name, values))
}

/// How many elements the node makes at least, if that is written in the file.
fn elements(node: &Node<'_>, constants: &BTreeMap<&str, Vec<i64>>) -> Option<u128> {
    let input = |index: usize| constants.get(node.inputs.get(index)?);
    let attribute = |name| {
        node.integers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, list)| list)
    };
    match node.operator {
        "ConstantOfShape" => product(input(0)?),
        "Expand" | "Tile" | "OneHot" => product(input(1)?),
        "Resize" => product(input(3)?),
        "RandomNormal" | "RandomUniform" => product(attribute("shape")?),
        "Pad" => Some(
            input(1)?
                .iter()
                .fold(0, |sum: u128, pad| sum.saturating_add(size(*pad))),
        ),
        "Range" => {
            let (start, limit, step) = (input(0)?.first()?, input(1)?.first()?, input(2)?.first()?);
            Some(size(limit.saturating_sub(*start).checked_div(*step)?))
        }
        _ => None,
    }
}

fn product(dims: &[i64]) -> Option<u128> {
    Some(dims.iter().fold(1_u128, |product, dim| {
        product.saturating_mul(size(*dim).max(1))
    }))
}

/// A size that is negative means "as the input is".
fn size(value: i64) -> u128 {
    u128::try_from(value).unwrap_or(0)
}
