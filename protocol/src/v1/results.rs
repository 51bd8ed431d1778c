//! Writes the answers to classify and regress requests, after it has found the outputs that they are made of.
//!
//! Pure. Called by the server: [`classes`] or [`regressions`] before the engine runs, the writers with what it returned.
//! Rules and texts are those of TensorFlow Serving's `classifier.cc` and `regressor.cc`, with the fallbacks of models that
//! were not exported for it.

use crate::error::{Error, Kind, cut};
use crate::json::tensor::{Style, Text, flat};
use crate::nonfinite::Nonfinite;
use crate::signature::{Signature, TensorSpec, shape_text};
use crate::tensor::{Data, DataType, Tensor};

/// Which outputs a classification is made of. At least one of them is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classes {
    /// Index of the output with labels, strings of shape [examples, classes].
    pub labels: Option<usize>,
    /// Index of the output with scores, floats of shape [examples, classes].
    pub scores: Option<usize>,
}

/// What the writers need beside the outputs.
#[derive(Clone, Copy, Debug)]
pub struct Results<'a> {
    /// How many examples were sent.
    pub count: usize,
    /// The classes' labels, of which there are as many as classes, or none: for outputs without.
    pub labels: &'a [String],
    /// How NaN and the infinities are written.
    pub nonfinite: Nonfinite,
    /// Bytes of the answer.
    pub limit: usize,
}

/// Scores are the output `scores`, else the only float output of rank 2; labels the string output `classes`.
pub fn classes(signature: &Signature) -> Result<Classes, Error> {
    let outputs = signature.outputs();
    let named = |name: &str, accepts: fn(DataType) -> bool| {
        signature.output(name).filter(|index| {
            outputs
                .get(*index)
                .is_some_and(|spec| accepts(spec.datatype))
        })
    };
    let labels = named("classes", |datatype| datatype == DataType::Bytes);
    let scores = named("scores", is_float).or_else(|| only_matrix(outputs));
    if labels.is_none() && scores.is_none() {
        let names = signature.output_names().join(",");
        let text = format!(
            "Expected classification signature outputs to contain at least one of \"classes\" or \"scores\". Signature was: {}",
            cut(&names)
        );
        return Err(Error::new(Kind::BadRequest, text));
    }
    Ok(Classes { labels, scores })
}

/// The values are the output `outputs`, else the only one; a float. Its index.
pub fn regressions(signature: &Signature) -> Result<usize, Error> {
    let outputs = signature.outputs();
    let index = match (signature.output("outputs"), outputs) {
        (Some(index), _) => index,
        (None, [_]) => 0,
        (None, _) => {
            return Err(Error::new(Kind::BadRequest, "Expected one output Tensor."));
        }
    };
    match outputs.get(index) {
        Some(spec) if !is_float(spec.datatype) => {
            let found = spec.datatype.tfs_constant();
            let text = format!("Expected output Tensor of DT_FLOAT.  Got: {found}");
            Err(Error::new(Kind::BadRequest, text))
        }
        _ => Ok(index),
    }
}

const fn is_float(datatype: DataType) -> bool {
    matches!(
        datatype,
        DataType::Fp16 | DataType::Bf16 | DataType::Fp32 | DataType::Fp64
    )
}

/// The only float output that has rank 2, or may have it.
fn only_matrix(outputs: &[TensorSpec]) -> Option<usize> {
    let matrix = |spec: &TensorSpec| {
        is_float(spec.datatype) && spec.shape.as_ref().is_none_or(|shape| shape.len() == 2)
    };
    let mut found = outputs
        .iter()
        .enumerate()
        .filter(|(_, spec)| matrix(spec))
        .map(|(index, _)| index);
    match (found.next(), found.next()) {
        (Some(index), None) => Some(index),
        _ => None,
    }
}

/// `{"results":[[["setosa",0.9],["virginica",0.1]]]}`: a list of pairs for each example, in the model's order.
pub fn write_classes(
    classes: Classes,
    outputs: &[Tensor],
    results: &Results<'_>,
) -> Result<Vec<u8>, Error> {
    let find = |index: Option<usize>| index.and_then(|index| outputs.get(index));
    let (labels, scores) = (find(classes.labels), find(classes.scores));
    let mut size = None;
    for (name, output) in [("classes", labels), ("scores", scores)] {
        let Some(output) = output else { continue };
        let [count, width] = output.shape() else {
            let text = format!(
                "Expected Tensor shape: [batch_size num_classes] but got {}",
                shape_text(output.shape())
            );
            return Err(Error::new(Kind::BadTensor, text));
        };
        if *count != results.count {
            let text = format!(
                "Expected {name} output batch size of {}. Got: {count}",
                results.count
            );
            return Err(Error::new(Kind::BadTensor, text));
        }
        let first = *size.get_or_insert(*width);
        if first != *width {
            let text = format!(
                "Tensors class and score should match in dim_size(1). Got {first} vs. {width}"
            );
            return Err(Error::new(Kind::BadTensor, text));
        }
    }
    let size = size.unwrap_or(0);
    let fixed = Data::Bytes(results.labels.iter().collect());
    let fixed_labels = results.labels.len() == size && size > 0;
    let style = results.style();
    let elements = results.count.saturating_mul(size);
    let mut out = results.buffer(elements, 16)?;
    for example in 0..results.count {
        out.extend_from_slice(if example > 0 { b",[" } else { b"[" });
        for class in 0..size {
            let element = example.saturating_mul(size).saturating_add(class);
            out.extend_from_slice(if class > 0 { b",[" } else { b"[" });
            match labels {
                Some(labels) => flat(&mut out, labels.data(), element..element + 1, &style)?,
                None if fixed_labels => flat(&mut out, &fixed, class..class + 1, &style)?,
                None => out.extend_from_slice(b"\"\""),
            }
            out.push(b',');
            match scores {
                Some(scores) => flat(&mut out, scores.data(), element..element + 1, &style)?,
                // A score that no model gave is protobuf's default.
                None => out.extend_from_slice(b"0.0"),
            }
            out.push(b']');
        }
        out.push(b']');
    }
    results.end(out)
}

/// `{"results":[42.0]}`: one number for each example.
pub fn write_regressions(
    index: usize,
    outputs: &[Tensor],
    results: &Results<'_>,
) -> Result<Vec<u8>, Error> {
    let Some(output) = outputs.get(index) else {
        return Err(Error::new(Kind::BadTensor, "Expected one output Tensor."));
    };
    let count = match output.shape() {
        [count] | [count, 1] => *count,
        shape => {
            let text = format!(
                "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {}",
                shape_text(shape)
            );
            return Err(Error::new(Kind::BadTensor, text));
        }
    };
    if count != results.count {
        let text = format!(
            "Input batch size did not match output batch size: {} vs. {count}",
            results.count
        );
        return Err(Error::new(Kind::BadTensor, text));
    }
    let mut out = results.buffer(count, 8)?;
    flat(&mut out, output.data(), 0..count, &results.style())?;
    results.end(out)
}

impl Results<'_> {
    const fn style(&self) -> Style {
        Style {
            nonfinite: self.nonfinite,
            text: Text::Either,
            limit: self.limit,
        }
    }

    /// The beginning of an answer with that many elements, of about `bytes` each; what cannot fit is refused at once.
    fn buffer(&self, elements: usize, bytes: usize) -> Result<Vec<u8>, Error> {
        if elements.saturating_mul(2) > self.limit {
            return Err(Error::result_too_large(self.limit));
        }
        let room = elements.saturating_mul(bytes).min(self.limit);
        let mut out = Vec::with_capacity(room.saturating_add(64));
        out.extend_from_slice(b"{\"results\":[");
        Ok(out)
    }

    fn end(&self, mut out: Vec<u8>) -> Result<Vec<u8>, Error> {
        out.extend_from_slice(b"]}");
        if out.len() > self.limit {
            return Err(Error::result_too_large(self.limit));
        }
        Ok(out)
    }
}
