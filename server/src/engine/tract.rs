//! The engine on tract: one fixed-shape plan per set of input shapes, built when first needed.
//!
//! The only file (with those below `tract/`) that names tract. A plan with symbolic dimensions would be slower, and some
//! models run only with fixed ones; optimised plans share nothing, so their number and memory are bounded.

mod convert;
mod describe;
mod plans;

use std::io::Cursor;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aimass_protocol::{Signature, Tensor};
use tokio::time::Instant;
use tract_onnx::data_resolver::{FopenDataResolver, ModelDataResolver};
use tract_onnx::prelude::{
    Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, TVec, TractError,
    TractResult,
};
use tract_onnx::tract_hir::internal::anyhow;

use crate::engine::{Engine, Failure, Material, Memory, Shapes, Source};
use describe::{failure, unsupported};
use plans::{Plan, Plans};

/// A model loaded into tract.
pub struct Tract {
    signature: Signature,
    /// The graph as parsed: every plan starts from a copy.
    parsed: InferenceModel,
    /// Bytes of the model's files: what each plan holds of weights, as an estimate.
    weight_bytes: u64,
    plans: Mutex<Plans>,
    /// Held while a plan is built, so that two workers never build the same one.
    building: Mutex<()>,
}

impl Tract {
    /// Parses the model.
    ///
    /// # Errors
    /// tract cannot read the file, or lacks a type or an operator.
    pub fn load(material: &Material<'_>) -> Result<Self, Failure> {
        let Material {
            source,
            folder,
            files,
            features: _, // tract takes every graph as it is
            signature,
            limits,
        } = material;
        for spec in signature.inputs().iter().chain(signature.outputs()) {
            if convert::datum(spec.datatype).is_none() {
                return Err(Failure::datatype(&spec.name, spec.datatype));
            }
        }
        let listed = Listed {
            root: folder.canonicalize().ok(),
            files: files.to_vec(),
        };
        let mut onnx = tract_onnx::onnx()
            .with_ignore_value_info(true)
            .with_ignore_output_shapes(true);
        onnx.provider = Arc::new(listed);
        let proto = match source {
            Source::Bytes(bytes) => onnx.proto_model_for_read(&mut Cursor::new(bytes)),
            Source::File(path) => onnx.proto_model_for_path(path),
        };
        let proto = proto.map_err(|error| failure(&error))?;
        let parsed = onnx
            .parse(&proto, folder.to_str())
            .map_err(|error| failure(&error))?;
        if let Some(name) = parsed.unresolved_inputs.first() {
            return Err(Failure::new(name, "is read, but nothing produces it"));
        }
        unsupported(&parsed.model)?;
        Ok(Self {
            signature: (*signature).clone(),
            parsed: parsed.model,
            weight_bytes: material.weight_bytes(),
            plans: Mutex::new(Plans::new(*limits)),
            building: Mutex::new(()),
        })
    }

    fn plan(&self, shapes: &Shapes) -> Result<Arc<Plan>, Failure> {
        if let Some(plan) = self.plans().get(shapes, Instant::now()) {
            return Ok(plan);
        }
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = self.plans().get(shapes, Instant::now()) {
            return Ok(plan);
        }
        let plan = Arc::new(self.build(shapes).map_err(|error| failure(&error))?);
        self.plans()
            .insert(shapes.clone(), Arc::clone(&plan), Instant::now());
        Ok(plan)
    }

    fn build(&self, shapes: &Shapes) -> TractResult<Plan> {
        let mut model = self.parsed.clone();
        for (index, (spec, shape)) in self.signature.inputs().iter().zip(shapes).enumerate() {
            let datum = convert::datum(spec.datatype)
                .ok_or_else(|| anyhow!("input {} has a type that this engine lacks", spec.name))?;
            let shape: TVec<usize> = shape.iter().copied().collect();
            model.set_input_fact(index, InferenceFact::dt_shape(datum, shape))?;
        }
        let typed = model.into_typed()?;
        // Before optimising: that folds constants, which is where a small file can ask for a lot of memory.
        let bytes = plans::live_bytes(&typed)?.saturating_add(self.weight_bytes);
        self.plans()
            .make_room(bytes, shapes)
            .map_err(TractError::new)?;
        let runnable = typed.into_optimized()?.into_runnable()?;
        Ok(Plan::new(runnable, bytes))
    }

    fn plans(&self) -> std::sync::MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn prepare(&self, shapes: &Shapes) -> Result<(), Failure> {
        self.plan(shapes).map(drop)
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let shapes: Shapes = inputs.iter().map(|input| input.shape().to_vec()).collect();
        let plan = self.plan(&shapes)?;
        let values: TractResult<TVec<_>> = inputs.iter().map(convert::to_engine).collect();
        let outputs = values
            .and_then(|values| plan.run(values))
            .map_err(|error| failure(&error))?;
        self.signature
            .outputs()
            .iter()
            .zip(outputs)
            .map(|(spec, value)| {
                convert::from_engine(&value, spec.datatype)
                    .map_err(|error| Failure::new(&spec.name, describe::root_cause(&error)))
            })
            .collect()
    }

    fn memory(&self) -> Memory {
        let plans = self.plans();
        Memory {
            bytes: plans.bytes().saturating_add(self.weight_bytes),
            plans: plans.len(),
        }
    }

    fn forget(&self, shapes: &Shapes) {
        let forgotten = self.plans().remove(shapes);
        // Taken apart outside the lock: a plan holds weights.
        drop(forgotten);
    }

    fn forget_unused(&self, since: Instant) {
        let forgotten = self.plans().remove_unused(since);
        drop(forgotten);
    }
}

/// Opens external data of listed names only: the check has refused others already, this is the second lock.
struct Listed {
    root: Option<PathBuf>,
    files: Vec<PathBuf>,
}

impl ModelDataResolver for Listed {
    fn read_bytes_from_path(
        &self,
        buffer: &mut Vec<u8>,
        path: &Path,
        offset: usize,
        length: Option<usize>,
    ) -> TractResult<()> {
        let root = self
            .root
            .as_deref()
            .ok_or_else(|| anyhow!("the model has no folder"))?;
        let normal = |path: &Path| path.components().all(|c| matches!(c, Component::Normal(_)));
        // tract has resolved links already; in a mounted ConfigMap the names are links, so both sides are compared resolved.
        let listed = self.files.iter().filter(|file| normal(file)).any(|file| {
            root.join(file)
                .canonicalize()
                .is_ok_and(|file| file == path)
        });
        if !listed {
            return Err(anyhow!("external data is not one of the model's files"));
        }
        FopenDataResolver.read_bytes_from_path(buffer, path, offset, length)
    }
}
