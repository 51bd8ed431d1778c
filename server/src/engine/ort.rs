//! The engine on onnxruntime, a shared library that is loaded at start: for images that are not static.
//!
//! The only file (with those below `ort/`) that names the crate. Compiled with feature `ort` alone. Each run computes on the
//! thread that asks for it; runs at the same time have sessions of their own, as the crate demands.

mod convert;
mod describe;
mod sessions;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use aimass_protocol::{Signature, Tensor};
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};

use crate::engine::{Engine, Failure, Kind, Material, Memory, Shapes, Source, external};
use sessions::{Recipe, Sessions};

/// The library, once it is loaded. It stays for the life of the process.
static LIBRARY: OnceLock<Environment> = OnceLock::new();

/// Loads the library, unless it is there already.
///
/// # Errors
/// What to do about it.
pub fn open(library: &Path) -> Result<(), String> {
    if LIBRARY.get().is_some() {
        return Ok(());
    }
    let refused = |cause: &dyn std::fmt::Display| {
        format!(
            "engine OnnxRuntime needs its shared library, but {}: use the server's image with the tag suffix -ort, or name the library by --onnxruntime-library",
            describe::one_line(&cause.to_string())
        )
    };
    let builder = ort::init_from(library).map_err(|error| refused(&error))?;
    let environment = builder.with_name("aimass").with_telemetry(false).build();
    let environment = environment.map_err(|error| refused(&error))?;
    // A second thread may have been as quick; both have loaded the same.
    let _first = LIBRARY.set(environment);
    Ok(())
}

/// A model loaded into onnxruntime.
pub struct Ort {
    signature: Signature,
    sessions: Sessions,
}

impl Ort {
    /// Parses and optimises the model.
    ///
    /// # Errors
    /// onnxruntime refuses the model, or the crate lacks a type.
    pub fn load(material: &Material<'_>) -> Result<Self, Failure> {
        let signature = material.signature;
        for spec in signature.inputs().iter().chain(signature.outputs()) {
            if !convert::has(spec.datatype) {
                return Err(Failure::datatype(&spec.name, spec.datatype));
            }
        }
        let library = LIBRARY.get().ok_or_else(|| {
            Failure::new("(graph)", "onnxruntime's library is not loaded").of(Kind::Engine)
        })?;
        let external = external::read(material)?;
        let external = external.into_iter().map(|(name, data)| (name, data.into()));
        let recipe = Recipe {
            library: library.clone(),
            model: match &material.source {
                Source::Bytes(bytes) => sessions::Model::Bytes(Arc::from(*bytes)),
                Source::File(path) => sessions::Model::File(path.to_path_buf()),
            },
            external: external.collect(),
            bytes: material.weight_bytes(),
            budget_bytes: material.limits.budget_bytes,
        };
        Ok(Self {
            signature: signature.clone(),
            sessions: Sessions::first(recipe)?,
        })
    }

    fn run_on(&self, session: &mut Session, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let specs = self.signature.inputs();
        let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for (spec, input) in specs.iter().zip(inputs) {
            let value = convert::to_engine(input).map_err(|error| describe::failure(&error))?;
            values.push((&spec.name, value));
        }
        let outputs = session
            .run(values)
            .map_err(|error| describe::failure(&error))?;
        let given = |name: &str| {
            let value = outputs.get(name);
            value.ok_or_else(|| Failure::new(name, "is not among the outputs").of(Kind::Engine))
        };
        let declared = self.signature.outputs().iter();
        declared
            .map(|spec| convert::from_engine(given(&spec.name)?, spec))
            .collect()
    }
}

impl Engine for Ort {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn prepare(&self, _: &Shapes) -> Result<(), Failure> {
        Ok(())
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let mut session = self.sessions.take()?;
        self.run_on(&mut session, inputs)
    }

    /// Each session holds the weights once; a run's values are given back when it ends.
    fn memory(&self) -> Memory {
        Memory {
            bytes: self.sessions.bytes(),
            plans: 0,
        }
    }
}
