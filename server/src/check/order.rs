//! Names within one graph: each is made once, and nothing depends on itself.
//!
//! Pure. Called by `check`. Names that the graph does not make come from the graph around it or are an error of the engine's.

use std::collections::BTreeMap;

use super::graph::{Graph, check_name};
use super::{Refusal, declared, shown, tensor};

/// Refuses names made twice, and cycles.
pub(super) fn check(graph: &Graph<'_>) -> Result<(), Refusal> {
    let mut inputs = BTreeMap::new();
    for input in &graph.inputs {
        let name = declared::name(input)?;
        check_name(name)?;
        if inputs.insert(name, ()).is_some() {
            return Err(Refusal::new(format!(
                "input {} is declared twice",
                shown(name)
            )));
        }
    }
    let mut constants = BTreeMap::new();
    for initializer in &graph.initializers {
        let name = tensor::read(initializer)?.name;
        if constants.insert(name, ()).is_some() {
            return Err(Refusal::new(format!(
                "initializer {} is stored twice",
                shown(name)
            )));
        }
    }
    let mut makers = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            let taken = inputs.contains_key(output) || constants.contains_key(output);
            if taken || makers.insert(*output, index).is_some() {
                let text = format!(
                    "node {}: output {} is made twice",
                    node.label(),
                    shown(output)
                );
                return Err(Refusal::new(text));
            }
        }
    }
    acyclic(graph, &makers)
}

/// Takes away nodes whose inputs are all made, until none is left.
fn acyclic(graph: &Graph<'_>, makers: &BTreeMap<&str, usize>) -> Result<(), Refusal> {
    let mut missing = vec![0_usize; graph.nodes.len()];
    let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for ((index, node), missing) in graph.nodes.iter().enumerate().zip(&mut missing) {
        for maker in node.inputs.iter().filter_map(|input| makers.get(input)) {
            *missing += 1;
            users.entry(*maker).or_default().push(index);
        }
    }
    let free = missing
        .iter()
        .enumerate()
        .filter(|(_, missing)| **missing == 0);
    let mut free: Vec<usize> = free.map(|(index, _)| index).collect();
    while let Some(index) = free.pop() {
        for user in users.remove(&index).unwrap_or_default() {
            if let Some(missing) = missing.get_mut(user) {
                *missing -= 1;
                if *missing == 0 {
                    free.push(user);
                }
            }
        }
    }
    match graph
        .nodes
        .iter()
        .zip(&missing)
        .find(|(_, missing)| **missing > 0)
    {
        None => Ok(()),
        Some((node, _)) => Err(Refusal::new(format!(
            "node {} is part of a cycle or behind one",
            node.label()
        ))),
    }
}
