//! Looks at a model file before any engine does: a small file must not make an engine allocate, loop or open things.
//!
//! Pure but for its inputs: bytes, the list of the model's files, the memory budget. An own protobuf walker, iterative,
//! with allocations bounded by the file's size. Called by `load.rs`; also the source of the model's signature.

mod declared;
mod features;
mod graph;
mod order;
mod producers;
mod tensor;
mod wire;

use std::collections::BTreeMap;

use aimass_protocol::Signature;

use wire::{Fields, Malformed, once};

pub use features::{Features, features};

/// Nodes and initializers, each, over all graphs of a file.
const MAX_ITEMS: usize = 100_000;
/// Graphs inside nodes inside graphs.
const MAX_DEPTH: usize = 16;
/// Bytes of a name.
const MAX_NAME: usize = 4096;
/// Dimensions of a tensor.
const MAX_RANK: usize = 16;

/// Where a model may find further data, and how much it may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The files that belong to the model: path relative to the model file's folder, size in bytes.
    pub files: &'a BTreeMap<String, u64>,
    /// Bytes that one value may have.
    pub budget_bytes: u64,
}

/// The file is refused. The text names tensor or node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<Malformed> for Refusal {
    fn from(Malformed: Malformed) -> Self {
        Self::new("the file is not an ONNX model: its protobuf structure is damaged")
    }
}

/// Checks the model file `bytes` and returns what it declares to take and give.
///
/// O(n log n) in the file's size.
pub fn check(bytes: &[u8], surroundings: &Surroundings<'_>) -> Result<Signature, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::new("the file is empty"));
    }
    let main = main_graph(bytes)?;
    let mut counts = Counts::default();
    let mut signature = None;
    // Graphs still to be looked at, with their depth. A graph is read when it is taken off.
    let mut waiting = vec![(main, 0)];
    while let Some((bytes, depth)) = waiting.pop() {
        if depth > MAX_DEPTH {
            return Err(Refusal::new(format!(
                "graphs are nested more than {MAX_DEPTH} deep"
            )));
        }
        let graph = graph::read(bytes, &mut counts)?;
        for tensor in &graph.initializers {
            tensor::check(tensor, surroundings)?;
        }
        for node in &graph.nodes {
            graph::check_node(node)?;
            for tensor in &node.tensors {
                tensor::check(tensor, surroundings)?;
            }
            waiting.extend(node.graphs.iter().map(|graph| (*graph, depth + 1)));
        }
        order::check(&graph)?;
        producers::check(&graph, surroundings.budget_bytes)?;
        if signature.is_none() {
            signature = Some(declared::signature(&graph)?);
        }
    }
    signature.ok_or_else(|| Malformed.into())
}

#[derive(Default)]
struct Counts {
    nodes: usize,
    initializers: usize,
}

fn main_graph(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let (mut graph, mut opsets) = (None, 0_usize);
    for field in Fields::new(bytes) {
        match field? {
            (7, value) => once(&mut graph, value)?,
            (8, _) => opsets += 1,
            _ => {}
        }
    }
    match graph {
        Some(graph) if opsets > 0 => Ok(graph),
        Some(_) => Err(Refusal::new(
            "the file is not an ONNX model: it names no operator set",
        )),
        None => Err(Refusal::new(
            "the file is not an ONNX model: it has no graph",
        )),
    }
}

/// A name for people, cut.
fn shown(name: &str) -> &str {
    name.get(..name.floor_char_boundary(128))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
