//! The engine on rten: one graph for all shapes, computed on a thread of its own for each thread that asks.
//!
//! The only file (with those below `rten/`) that names rten. Nothing is built per shape, so there are no plans. rten has
//! neither 64-bit integers nor 64-bit floats: integers are narrowed where they fit and refused where they do not.

mod convert;
mod describe;
mod threads;

use std::path::Path;

use aimass_protocol::{Signature, Tensor};
use rten::{Model, ModelOptions, NodeId, RunOptions};

use crate::engine::external::read;
use crate::engine::{Engine, Failure, Kind, Material, Memory, Shapes, Source};

/// A model loaded into rten.
pub struct Rten {
    signature: Signature,
    model: Model,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    /// Of weights, as they came and laid out for products.
    weight_bytes: u64,
}

impl Rten {
    /// Parses and optimises the model.
    ///
    /// # Errors
    /// rten cannot read the file, or lacks a type or an operator.
    pub fn load(material: &Material<'_>) -> Result<Self, Failure> {
        let signature = material.signature;
        for spec in signature.inputs().iter().chain(signature.outputs()) {
            if !convert::has(spec.datatype) {
                return Err(Failure::datatype(&spec.name, spec.datatype));
            }
        }
        if let Some(tensor) = &material.features.wide_integers {
            let reason = "holds integers that do not fit into 32 bits";
            return Err(Failure::new(tensor, reason).of(Kind::Tensor));
        }
        let weight_bytes = material.weight_bytes();
        // Laid out at each run, weights take much of a transformer's time; laid out once, they are held twice. The
        // other half of what this asks for is left to runs, whose memory is not known beforehand.
        let budget = material.limits.budget_bytes;
        let prepack = budget.is_none_or(|budget| weight_bytes.saturating_mul(2) <= budget);
        let model = parse(material, prepack)?;
        let node = |name: &String| {
            let found = model.find_node(name);
            found.ok_or_else(|| Failure::new(name, "is not in the graph").of(Kind::Engine))
        };
        let inputs = signature.inputs().iter().map(|spec| node(&spec.name));
        let inputs = inputs.collect::<Result<_, _>>()?;
        let outputs = signature.outputs().iter().map(|spec| node(&spec.name));
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok(Self {
            signature: signature.clone(),
            model,
            inputs,
            outputs,
            weight_bytes: if prepack {
                weight_bytes.saturating_mul(2)
            } else {
                weight_bytes
            },
        })
    }
}

/// A large file is read by rten, piece by piece, so that it is not held twice; but only if nothing in it leads rten to
/// other files, whose names it would judge by rules of its own.
fn parse(material: &Material<'_>, prepack: bool) -> Result<Model, Failure> {
    let mut options = ModelOptions::with_all_ops();
    options.prepack_weights(prepack);
    let external = &material.features.external;
    if let Some((file, tensor)) = external.iter().find(|(file, _)| !takes(file)) {
        let rule = "external data must be a file beside the model that ends in .data or .onnx_data";
        let reason = format!("{rule}, is \"{file}\"");
        return Err(Failure::new(tensor, reason).of(Kind::Tensor));
    }
    for (name, bytes) in read(material)? {
        options.external_data(&name, bytes);
    }
    let is_onnx = |path: &Path| {
        path.extension()
            .is_some_and(|extension| extension == "onnx")
    };
    let parsed = match &material.source {
        Source::Bytes(bytes) => options.load(bytes.to_vec()),
        Source::File(path) if external.is_empty() && is_onnx(path) => options.load_file(path),
        Source::File(path) => {
            let unreadable = |error: std::io::Error| {
                Failure::new("(graph)", format!("cannot be read: {}", error.kind()))
            };
            options.load(std::fs::read(path).map_err(unreadable)?)
        }
    };
    parsed.map_err(|error| describe::of_load(&error))
}

/// rten's own rule, told before rten tells it.
fn takes(file: &str) -> bool {
    let extension = Path::new(file)
        .extension()
        .and_then(|extension| extension.to_str());
    let known = |extension: &str| {
        ["data", "onnx_data"]
            .iter()
            .any(|known| extension.starts_with(known))
    };
    !file.contains('/') && extension.is_some_and(known)
}

impl Engine for Rten {
    fn name(&self) -> &'static str {
        "rten"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn prepare(&self, _: &Shapes) -> Result<(), Failure> {
        Ok(())
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let specs = self.signature.inputs();
        let mut values = Vec::with_capacity(inputs.len());
        for ((id, spec), input) in self.inputs.iter().zip(specs).zip(inputs) {
            values.push((*id, convert::to_engine(input, &spec.name)?));
        }
        let outputs = threads::run(|pool| {
            let options = RunOptions::default().with_thread_pool(Some(pool));
            self.model.run(values, &self.outputs, Some(options))
        });
        let outputs = outputs.map_err(|error| describe::of_run(&error))?;
        self.signature
            .outputs()
            .iter()
            .zip(outputs)
            .map(|(spec, value)| convert::from_engine(value, spec))
            .collect()
    }

    /// What stays between runs. A run's values are given back when it ends.
    fn memory(&self) -> Memory {
        Memory {
            bytes: self.weight_bytes,
            plans: 0,
        }
    }
}
