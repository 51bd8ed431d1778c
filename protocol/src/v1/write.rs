//! Writes the answer to a predict request: by rows for `instances`, by columns for `inputs`.
//!
//! Pure. Called by the server with what the engine returned.

use crate::error::{Error, Kind};
use crate::json::tensor::{self, Text};
use crate::json::write::string;
use crate::nonfinite::Nonfinite;
use crate::signature::Signature;
use crate::tensor::Tensor;
use crate::v1::parse::Form;

/// The body of the answer: `outputs` in the order of the signature, at most `limit` bytes.
///
/// Errors: `result_too_large`; in row form `bad_tensor` if an output has no dimension 0, or they differ in it.
pub fn write(
    form: Form,
    signature: &Signature,
    outputs: &[Tensor],
    nonfinite: Nonfinite,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    // Each element takes at least a digit and a comma: what cannot fit is refused before it is encoded.
    let elements: usize = outputs.iter().map(|output| output.data().len()).sum();
    if elements.saturating_mul(2) > limit {
        return Err(Error::result_too_large(limit));
    }
    let names = signature.output_names();
    let writer = Writer {
        names,
        outputs,
        nonfinite,
        limit,
    };
    let out = Vec::with_capacity(elements.saturating_mul(8).min(limit).saturating_add(64));
    match form {
        Form::Row => writer.rows(out),
        Form::Column => writer.columns(out),
    }
}

struct Writer<'a> {
    names: &'a [String],
    outputs: &'a [Tensor],
    nonfinite: Nonfinite,
    limit: usize,
}

impl Writer<'_> {
    fn columns(&self, mut out: Vec<u8>) -> Result<Vec<u8>, Error> {
        out.extend_from_slice(b"{\"outputs\":");
        self.items(&mut out, |writer, out, name, output| {
            writer.whole(out, name, output)
        })?;
        out.push(b'}');
        self.within(&out)?;
        Ok(out)
    }

    fn rows(&self, mut out: Vec<u8>) -> Result<Vec<u8>, Error> {
        let count = self.row_count()?;
        out.extend_from_slice(b"{\"predictions\":[");
        for row in 0..count {
            if row > 0 {
                out.push(b',');
            }
            self.items(&mut out, |writer, out, name, output| {
                writer.row(out, name, output, row)
            })?;
        }
        out.extend_from_slice(b"]}");
        self.within(&out)?;
        Ok(out)
    }

    /// The value alone for one output, an object for several.
    fn items(
        &self,
        out: &mut Vec<u8>,
        write: impl Fn(&Self, &mut Vec<u8>, &str, &Tensor) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let ([name], [output]) = (self.names, self.outputs) {
            return write(self, out, name, output);
        }
        let mut separator = b'{';
        for (name, output) in self.names.iter().zip(self.outputs) {
            out.push(separator);
            separator = b',';
            string(out, name);
            out.push(b':');
            write(self, out, name, output)?;
        }
        if separator == b'{' {
            out.push(separator);
        }
        out.push(b'}');
        Ok(())
    }

    fn whole(&self, out: &mut Vec<u8>, name: &str, output: &Tensor) -> Result<(), Error> {
        let elements = 0..output.data().len();
        tensor::nested(
            out,
            output.shape(),
            output.data(),
            elements,
            &self.style(name),
        )
    }

    fn row(&self, out: &mut Vec<u8>, name: &str, output: &Tensor, row: usize) -> Result<(), Error> {
        let Some((count, shape)) = output.shape().split_first() else {
            return Ok(());
        };
        let size = output.data().len().checked_div(*count).unwrap_or(0);
        let start = row.saturating_mul(size);
        let elements = start..start.saturating_add(size);
        tensor::nested(out, shape, output.data(), elements, &self.style(name))
    }

    fn style(&self, name: &str) -> tensor::Style {
        let text = if name.ends_with("_bytes") {
            Text::Base64
        } else {
            Text::Either
        };
        tensor::Style {
            nonfinite: self.nonfinite,
            text,
            limit: self.limit,
        }
    }

    fn row_count(&self) -> Result<usize, Error> {
        let mut expected = None;
        for (name, output) in self.names.iter().zip(self.outputs) {
            let Some(count) = output.shape().first().copied() else {
                let text = format!("Tensor name: {name} has no shape information ");
                return Err(Error::new(Kind::BadTensor, text));
            };
            let expected = *expected.get_or_insert(count);
            if count != expected {
                let text = format!(
                    "Tensor name: {name} has inconsistent batch size: {count} expecting: {expected}"
                );
                return Err(Error::new(Kind::BadTensor, text));
            }
        }
        Ok(expected.unwrap_or(0))
    }

    fn within(&self, out: &[u8]) -> Result<(), Error> {
        if out.len() > self.limit {
            Err(Error::result_too_large(self.limit))
        } else {
            Ok(())
        }
    }
}
