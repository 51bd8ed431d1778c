//! What the main graph declares to take and give: the signature.
//!
//! Pure. Called by `check`. Inputs with an initializer are constants with a name, not inputs of the model.

use std::collections::BTreeSet;

use aimass_protocol::{DataType, Dim, Signature, TensorSpec};

use super::graph::{Graph, check_name};
use super::wire::{Fields, Malformed, bytes, integer, once, text};
use super::{MAX_RANK, Refusal, shown, tensor};

/// Inputs or outputs of one model.
const MAX_TENSORS: usize = 256;

/// The signature of the main graph.
pub(super) fn signature(graph: &Graph<'_>) -> Result<Signature, Refusal> {
    // Before anything is compared with all others. Inputs may be initializers too, so those are counted below.
    if graph.outputs.len() > MAX_TENSORS {
        return Err(count("outputs", graph.outputs.len()));
    }
    let mut constants = BTreeSet::new();
    for initializer in &graph.initializers {
        constants.insert(tensor::read(initializer)?.name);
    }
    let mut inputs = Vec::new();
    for input in &graph.inputs {
        if !constants.contains(name(input)?) {
            inputs.push(spec(input, "input")?);
        }
    }
    let mut outputs: Vec<TensorSpec> = Vec::new();
    for output in &graph.outputs {
        let spec = spec(output, "output")?;
        if outputs.iter().any(|other| other.name == spec.name) {
            return Err(Refusal::new(format!(
                "output {} is declared twice",
                shown(&spec.name)
            )));
        }
        outputs.push(spec);
    }
    for (what, specs) in [("inputs", &inputs), ("outputs", &outputs)] {
        if specs.is_empty() || specs.len() > MAX_TENSORS {
            return Err(count(what, specs.len()));
        }
    }
    Ok(Signature::new(inputs, outputs))
}

fn count(what: &str, count: usize) -> Refusal {
    Refusal::new(format!(
        "the model has {count} {what}, 1 to {MAX_TENSORS} are allowed"
    ))
}

/// The name of a declared value.
pub(super) fn name(message: &[u8]) -> Result<&str, Malformed> {
    let mut name = "";
    for field in Fields::new(message) {
        if let (1, value) = field? {
            name = text(value)?;
        }
    }
    Ok(name)
}

fn spec(message: &[u8], what: &str) -> Result<TensorSpec, Refusal> {
    let name = name(message)?;
    check_name(name)?;
    let refuse = |text: &str| Err(Refusal::new(format!("{what} {} {text}", shown(name))));
    let mut kind = None;
    for field in Fields::new(message) {
        if let (2, value) = field? {
            once(&mut kind, value)?;
        }
    }
    let mut tensor = None;
    for field in Fields::new(kind.unwrap_or_default()) {
        match field? {
            (1, value) => once(&mut tensor, value)?,
            (4 | 5 | 8 | 9, _) => {
                return refuse(
                    "is a sequence, map, optional or sparse tensor, which is not supported",
                );
            }
            _ => {}
        }
    }
    let Some(tensor) = tensor else {
        return refuse("has no declared type");
    };
    let (mut element, mut shape) = (0, None);
    for field in Fields::new(tensor) {
        match field? {
            (1, value) => element = integer(value)?,
            (2, value) => once(&mut shape, value)?,
            _ => {}
        }
    }
    let Some(datatype) = datatype(element) else {
        return refuse(&format!(
            "has element type {element}, which is not supported"
        ));
    };
    let shape = match shape {
        None => None,
        Some(shape) => match dims(shape)? {
            dims if dims.len() <= MAX_RANK => Some(dims),
            _ => return refuse("has more than 16 dimensions"),
        },
    };
    Ok(TensorSpec {
        name: name.to_owned(),
        datatype,
        shape,
    })
}

fn dims(message: &[u8]) -> Result<Vec<Dim>, Malformed> {
    let mut dims = Vec::new();
    for field in Fields::new(message) {
        if let (1, value) = field? {
            dims.push(dim(bytes(value)?)?);
        }
    }
    Ok(dims)
}

fn dim(message: &[u8]) -> Result<Dim, Malformed> {
    let mut dim = Dim::Unknown;
    for field in Fields::new(message) {
        match field? {
            // Exporters write 0 or −1 for a dimension that is free.
            (1, value) => {
                dim = usize::try_from(integer(value)?)
                    .ok()
                    .filter(|size| *size > 0)
                    .map_or(Dim::Unknown, Dim::Fixed)
            }
            (2, value) => {
                let symbol = text(value)?;
                let known = !symbol.is_empty() && symbol != "?";
                dim = if known {
                    Dim::Symbol(symbol.to_owned())
                } else {
                    Dim::Unknown
                };
            }
            _ => {}
        }
    }
    Ok(dim)
}

/// ONNX's number of an element type. Types without a counterpart in the protocols are missing.
const fn datatype(element: i64) -> Option<DataType> {
    Some(match element {
        1 => DataType::Fp32,
        2 => DataType::Uint8,
        3 => DataType::Int8,
        4 => DataType::Uint16,
        5 => DataType::Int16,
        6 => DataType::Int32,
        7 => DataType::Int64,
        8 => DataType::Bytes,
        9 => DataType::Bool,
        10 => DataType::Fp16,
        11 => DataType::Fp64,
        12 => DataType::Uint32,
        13 => DataType::Uint64,
        16 => DataType::Bf16,
        _ => return None,
    })
}
