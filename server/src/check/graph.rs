//! One graph of a model: its nodes, initializers, inputs and outputs, as slices of the file.
//!
//! Pure. Called by `check`. Counts over all graphs are bounded here, before anything is stored.

use super::wire::{Fields, Malformed, Value, bytes, integer, text, varints};
use super::{Counts, MAX_ITEMS, MAX_NAME, Refusal, shown};

/// Operator domains that an engine may know. An import alone is no use: exporters list domains that no node is in.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// A graph, not yet judged.
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) initializers: Vec<&'a [u8]>,
    pub(super) inputs: Vec<&'a [u8]>,
    pub(super) outputs: Vec<&'a [u8]>,
}

/// A node, its attributes taken apart as far as they hold tensors, graphs or shapes.
#[derive(Default)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) operator: &'a str,
    pub(super) domain: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) tensors: Vec<&'a [u8]>,
    pub(super) graphs: Vec<&'a [u8]>,
    /// Attributes that are lists of integers: `shape`, `value_ints`.
    pub(super) integers: Vec<(&'a str, Vec<i64>)>,
}

impl Node<'_> {
    /// What to call it in a text.
    pub(super) fn label(&self) -> &str {
        let name = if self.name.is_empty() {
            self.outputs.first()
        } else {
            Some(&self.name)
        };
        shown(
            name.filter(|name| !name.is_empty())
                .unwrap_or(&self.operator),
        )
    }
}

pub(super) fn read<'a>(message: &'a [u8], counts: &mut Counts) -> Result<Graph<'a>, Refusal> {
    let mut graph = Graph {
        nodes: Vec::new(),
        initializers: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    for field in Fields::new(message) {
        match field? {
            (1, value) => {
                counts.nodes += 1;
                if counts.nodes > MAX_ITEMS {
                    return Err(Refusal::new(format!(
                        "the model has more than {MAX_ITEMS} nodes"
                    )));
                }
                graph.nodes.push(node(bytes(value)?)?);
            }
            (5, value) => {
                counts.initializers += 1;
                if counts.initializers > MAX_ITEMS {
                    let text = format!("the model has more than {MAX_ITEMS} initializers");
                    return Err(Refusal::new(text));
                }
                graph.initializers.push(bytes(value)?);
            }
            (11, value) => graph.inputs.push(bytes(value)?),
            (12, value) => graph.outputs.push(bytes(value)?),
            (15, _) => return Err(Refusal::new("sparse initializers are not supported")),
            _ => {}
        }
    }
    Ok(graph)
}

/// Names and domain of a node.
pub(super) fn check_node(node: &Node<'_>) -> Result<(), Refusal> {
    let names = [node.name, node.operator, node.domain].into_iter();
    let names = names
        .chain(node.inputs.iter().copied())
        .chain(node.outputs.iter().copied());
    for name in names {
        check_name(name)?;
    }
    if !DOMAINS.contains(&node.domain) {
        return Err(Refusal::new(format!(
            "node {}: operator {} is of the unknown domain \"{}\"",
            node.label(),
            shown(node.operator),
            shown(node.domain)
        )));
    }
    Ok(())
}

/// Refuses names that are unreasonably long.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    if name.len() > MAX_NAME {
        let text = format!(
            "the name {}… has {} bytes, at most {MAX_NAME} are allowed",
            shown(name),
            name.len()
        );
        return Err(Refusal::new(text));
    }
    Ok(())
}

fn node(message: &[u8]) -> Result<Node<'_>, Malformed> {
    let mut node = Node::default();
    for field in Fields::new(message) {
        match field? {
            (1, value) => node.inputs.push(text(value)?),
            (2, value) => node.outputs.push(text(value)?),
            (3, value) => node.name = text(value)?,
            (4, value) => node.operator = text(value)?,
            (5, value) => attribute(bytes(value)?, &mut node)?,
            (7, value) => node.domain = text(value)?,
            _ => {}
        }
    }
    Ok(node)
}

fn attribute<'a>(message: &'a [u8], node: &mut Node<'a>) -> Result<(), Malformed> {
    let (mut name, mut integers) = ("", Vec::new());
    let (mut tensor, mut graph) = (None, None);
    for field in Fields::new(message) {
        match field? {
            (1, value) => name = text(value)?,
            (3, value) => integers.push(integer(value)?),
            (5, value) => super::wire::once(&mut tensor, value)?,
            (6, value) => super::wire::once(&mut graph, value)?,
            (8, value @ (Value::Bytes(_) | Value::Varint(_))) => {
                integers.extend(varints(value)?.into_iter().map(u64::cast_signed));
            }
            (10, value) => node.tensors.push(bytes(value)?),
            (11, value) => node.graphs.push(bytes(value)?),
            _ => {}
        }
    }
    node.tensors.extend(tensor);
    node.graphs.extend(graph);
    if !integers.is_empty() {
        node.integers.push((name, integers));
    }
    Ok(())
}
