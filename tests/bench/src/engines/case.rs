//! Golden cases: models with recorded inputs, as `tools/models/mk_cases.py` writes them.

use std::path::{Path, PathBuf};

use aimass_protocol::{Data, Signature, Tensor, TensorSpec};
use anyhow::{Context as _, bail};
use serde::Deserialize;

/// One model with one set of inputs.
#[derive(Clone, Debug)]
pub struct Case {
    /// `digits_mlp_b8`.
    pub id: String,
    /// `digits_mlp`: the same for all batch sizes.
    pub key: String,
    /// Rows.
    pub batch: u32,
    /// The case's own file.
    pub file: PathBuf,
    /// The model file.
    pub model: PathBuf,
    tensors: Vec<Recorded>,
    answers: Vec<Recorded>,
}

/// A case as it is written down.
#[derive(Deserialize)]
struct Written {
    id: String,
    model: PathBuf,
    inputs: Vec<Recorded>,
    outputs: Vec<Recorded>,
}

/// A tensor of a case.
#[derive(Clone, Debug, Deserialize)]
struct Recorded {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    /// Raw little-endian values.
    file: String,
    /// Of an output: its largest absolute value.
    #[serde(default)]
    scale: f64,
}

impl Case {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let folder = file.parent().context("a case lies in a folder")?;
        let text = std::fs::read(file)?;
        let Written {
            id,
            model,
            inputs,
            outputs,
        } = serde_json::from_slice(&text)?;
        let (key, batch) = id.rsplit_once("_b").context("a case's name ends in _bN")?;
        Ok(Self {
            key: key.to_owned(),
            batch: batch.parse().context("a case's name ends in its rows")?,
            file: file.to_owned(),
            model: folder.join(model),
            tensors: inputs,
            answers: outputs,
            id,
        })
    }

    /// The recorded inputs, in the order of the model's graph.
    ///
    /// # Errors
    /// An input was not recorded, or a file is missing or has the wrong length.
    pub fn inputs(&self, signature: &Signature) -> anyhow::Result<Vec<Tensor>> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let of = |spec: &TensorSpec| {
            let recorded = self.tensors.iter().find(|one| one.name == spec.name);
            let recorded = recorded.with_context(|| format!("no values for {}", spec.name))?;
            recorded.tensor(folder)
        };
        signature.inputs().iter().map(of).collect()
    }

    /// How far `outputs` lie from what onnxruntime answered, as a part of what is tolerated: at most 1
    /// is right.
    ///
    /// # Errors
    /// A file is missing, or an output has another shape than the recorded one.
    pub fn difference(&self, signature: &Signature, outputs: &[Tensor]) -> anyhow::Result<f64> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let mut worst: f64 = 0.0;
        for (spec, ours) in signature.outputs().iter().zip(outputs) {
            let recorded = self.answers.iter().find(|one| one.name == spec.name);
            let recorded = recorded.with_context(|| format!("no answer for {}", spec.name))?;
            let theirs = recorded.tensor(folder)?;
            if ours.shape() != theirs.shape() {
                let (ours, theirs) = (ours.shape(), theirs.shape());
                bail!("{} has the shape {ours:?} instead of {theirs:?}", spec.name);
            }
            worst = worst.max(match (ours.data(), theirs.data()) {
                (Data::Fp32(ours), Data::Fp32(theirs)) => {
                    farthest(ours, theirs) / self.tolerance(recorded.scale)
                }
                (ours, theirs) if ours == theirs => 0.0,
                _ => f64::INFINITY,
            });
        }
        Ok(worst)
    }

    /// What two right answers may lie apart. Engines round int8 at different places, and nearly by a
    /// whole step.
    fn tolerance(&self, scale: f64) -> f64 {
        match self.key.as_str() {
            key if key.contains("qdq") => 0.25 * scale,
            key if key.contains("int8") => 0.05 * scale,
            _ => 1e-6 + 1e-4 * scale,
        }
    }

    #[cfg(test)]
    pub(super) fn without_tensors(key: &str, batch: u32) -> Self {
        Self {
            id: format!("{key}_b{batch}"),
            key: key.to_owned(),
            batch,
            file: PathBuf::new(),
            model: PathBuf::new(),
            tensors: Vec::new(),
            answers: Vec::new(),
        }
    }
}

impl Recorded {
    fn tensor(&self, folder: &Path) -> anyhow::Result<Tensor> {
        let bytes = std::fs::read(folder.join(&self.file))
            .with_context(|| format!("failed to read {}", self.file))?;
        let data = match self.dtype.as_str() {
            "float32" => Data::Fp32(each(&bytes, f32::from_le_bytes)),
            "int64" => Data::Int64(each(&bytes, i64::from_le_bytes)),
            "int32" => Data::Int32(each(&bytes, i32::from_le_bytes)),
            other => bail!("cases have no tensors of type {other}"),
        };
        Tensor::new(self.shape.clone(), data).context("a file has the length that its shape says")
    }
}

/// The largest difference; a NaN on one side only is as far as can be.
fn farthest(ours: &[f32], theirs: &[f32]) -> f64 {
    let apart = |(one, other): (&f32, &f32)| match (one.is_nan(), other.is_nan()) {
        (true, true) => 0.0,
        (true, false) | (false, true) => f64::INFINITY,
        (false, false) => (f64::from(*one) - f64::from(*other)).abs(),
    };
    ours.iter().zip(theirs).map(apart).fold(0.0, f64::max)
}

fn each<const N: usize, T>(bytes: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (whole, _) = bytes.as_chunks::<N>();
    whole.iter().map(|chunk| of(*chunk)).collect()
}

/// The cases of a folder whose names contain `filter`, in order of their names.
pub(crate) fn list(folder: &Path, filter: &str) -> anyhow::Result<Vec<Case>> {
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!(
            "no cases in {}: run `cargo xtask models cases`",
            folder.display()
        )
    })?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let case =
            Case::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        if case.id.contains(filter) {
            cases.push(case);
        }
    }
    if cases.is_empty() {
        bail!("no case in {} is named like {filter:?}", folder.display());
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use aimass_protocol::DataType;

    use super::*;

    #[test]
    fn a_case_is_read_with_its_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"id": "m_x_b2", "model": "../m.onnx", "outputs": [{"name": "y", "dtype": "float32", "shape": [2], "file": "x.in0", "scale": 2.0}],
            "inputs": [{"name": "x", "dtype": "float32", "shape": [2], "file": "x.in0", "batch_axis": 0}]}"#;
        std::fs::write(folder.path().join("m_x_b2.json"), text).unwrap();
        std::fs::write(folder.path().join("x.in0"), [0, 0, 128, 63, 0, 0, 0, 64]).unwrap();
        let cases = list(folder.path(), "m_").unwrap();
        let case = &cases[0];
        assert_eq!((case.key.as_str(), case.batch), ("m_x", 2));
        let x = TensorSpec {
            name: "x".to_owned(),
            datatype: DataType::Fp32,
            shape: None,
        };
        let y = TensorSpec {
            name: "y".to_owned(),
            ..x.clone()
        };
        let signature = Signature::new(vec![x], vec![y]);
        let inputs = case.inputs(&signature).unwrap();
        assert_eq!(inputs[0].data(), &Data::Fp32(vec![1.0, 2.0]));
        assert!(case.difference(&signature, &inputs).unwrap().abs() < 1e-9);
        let off = Tensor::new(vec![2], Data::Fp32(vec![1.0, 2.1])).unwrap();
        assert!(case.difference(&signature, &[off]).unwrap() > 1.0);
        assert!(list(folder.path(), "other").is_err());
    }
}
