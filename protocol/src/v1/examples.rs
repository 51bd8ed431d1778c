//! Reads a classify or regress request: a list of examples, each an object of features, and perhaps a context.
//!
//! Pure. Called by the server with the inflated body. ONNX has no `tf.Example`: a feature feeds the input of its name.
//! A first pass checks the syntax and finds the keys, a second one reads the values, so that the context is known before
//! the examples whatever stands first. Order of answers: a syntax error anywhere in the root object, then the signature's
//! name, then the context, then the examples.

use crate::error::{Error, Kind, cut, cut_half};
use crate::json::Checks;
use crate::json::compact::compact;
use crate::json::read::{Fail, Reader, Syntax};
use crate::signature::Signature;
use crate::tensor::{Data, Tensor};
use crate::v1::SIGNATURE;
use crate::v1::feature::feature;

/// Bytes of all tensors after the context was copied into the examples: four times the usual body.
const MAX_MERGED_BYTES: usize = 64 << 20;

/// A classify or regress request.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// One tensor per declared input, in graph order, of the declared element type; dimension 0 counts the examples. Their
    /// shapes are as sent: see [`Signature::fits`].
    pub inputs: Vec<Tensor>,
    /// How many examples there are: at least one.
    pub count: usize,
}

/// Reads `body`, the inflated body of a `:classify` or `:regress` request, for a model with `signature`.
///
/// Errors are of kind `bad_json`, `bad_request` (keys, names) and `bad_tensor` (values). Linear in the body's length, and
/// at most 64 MiB beyond it where a context is copied into many examples.
pub fn parse_examples(
    body: &[u8],
    signature: &Signature,
    checks: Checks,
) -> Result<Examples, Error> {
    let mut reader = Reader::new(body, checks)?;
    if checks == Checks::Lenient {
        reader.byte_order_mark();
    }
    let first = reader.root()?;
    let root = reader.position;
    let about_root = |text: &str| {
        let text = format!("JSON Value: {} {text}", compact(body, root));
        Err(Error::new(Kind::BadRequest, text))
    };
    let mut keys = Keys::default();
    if first == b'{' {
        keys.find(&mut reader)?;
    } else {
        reader.skip()?;
    }
    if checks == Checks::Strict {
        reader.end()?;
    }
    if first != b'{' {
        return about_root("Is not object");
    }
    if let Some(start) = keys.signature_name {
        reader.position = start;
        if reader.peek() != Some(b'"') {
            return about_root(
                "not formatted correctly. 'signature_name' key must be a string value.",
            );
        }
        check_signature(&mut reader)?;
    }
    if let Some(error) = keys.error {
        return Err(error);
    }

    let mut context = columns(signature);
    if let Some(start) = keys.context {
        reader.position = start;
        row(&mut reader, signature, &mut context)?;
    }
    let Some(start) = keys.examples else {
        return about_root("When method is classify, key 'examples' is expected and was not found");
    };
    reader.position = start;
    if reader.peek() != Some(b'[') {
        return about_root("Expecting 'examples' value to be an list/array");
    }
    if !reader.open(b']') {
        return about_root("'examples' value is an empty array");
    }
    Ok(examples(&mut reader, signature, &context)?)
}

/// Where the values of the known keys begin, and the first thing that is wrong with the keys.
#[derive(Default)]
struct Keys {
    signature_name: Option<usize>,
    context: Option<usize>,
    examples: Option<usize>,
    error: Option<Error>,
}

impl Keys {
    fn find(&mut self, reader: &mut Reader<'_>) -> Result<(), Syntax> {
        let mut key = String::new();
        let mut more = reader.open(b'}');
        while more {
            reader.name(&mut key)?;
            reader.next_token();
            let slot = match key.as_str() {
                "signature_name" => Some(&mut self.signature_name),
                "context" => Some(&mut self.context),
                "examples" => Some(&mut self.examples),
                _ => None,
            };
            let wrong = match slot {
                None => Some("Unknown"),
                Some(Some(_)) => Some("Duplicate"),
                Some(slot) => {
                    *slot = Some(reader.position);
                    None
                }
            };
            if let Some(what) = wrong
                && reader.checks == Checks::Strict
            {
                let text = format!("{what} key: {}", cut(&key));
                self.error
                    .get_or_insert_with(|| Error::new(Kind::BadRequest, text));
            }
            reader.skip()?;
            more = reader.next_member()?;
        }
        Ok(())
    }
}

fn check_signature(reader: &mut Reader<'_>) -> Result<(), Error> {
    let mut name = String::new();
    reader.string(|part| name.push_str(part))?;
    if name.is_empty() || name == SIGNATURE {
        return Ok(());
    }
    let text = format!("No signature was found with the name: {}", cut(&name));
    Err(Error::new(Kind::BadRequest, text))
}

/// One input while its examples come in.
struct Column {
    data: Data,
    /// Elements before the current example.
    start: usize,
    /// How many values the current example has; `None` if it does not have the feature.
    found: Option<usize>,
}

fn columns(signature: &Signature) -> Vec<Column> {
    let column = |spec: &crate::signature::TensorSpec| Column {
        data: Data::empty(spec.datatype),
        start: 0,
        found: None,
    };
    signature.inputs().iter().map(column).collect()
}

/// Reads one example, or the context, to the end of `columns`.
fn row(reader: &mut Reader<'_>, signature: &Signature, columns: &mut [Column]) -> Result<(), Fail> {
    if reader.next_token() != Some(b'{') {
        let found = json_type(reader);
        let text = format!("Example must be JSON object but got JSON {found}");
        return Err(Error::new(Kind::BadTensor, text).into());
    }
    for column in &mut *columns {
        column.start = column.data.len();
        column.found = None;
    }
    let mut name = String::new();
    let mut more = reader.open(b'}');
    while more {
        reader.name(&mut name)?;
        let index = signature.input(&name);
        match index.and_then(|index| columns.get_mut(index)) {
            Some(column) => {
                if column.found.is_some() && reader.checks == Checks::Strict {
                    let text = format!("JSON object: duplicate key: {}", cut(&name));
                    return Err(Error::new(Kind::BadRequest, text).into());
                }
                // As in TensorFlow Serving, the last of several wins.
                column.data.truncate(column.start);
                column.found = Some(feature(reader, &name, Some(&mut column.data))?);
            }
            None => {
                feature(reader, &name, None)?;
            }
        }
        more = reader.next_member()?;
    }
    Ok(())
}

/// The cursor is at the first of the examples.
fn examples(
    reader: &mut Reader<'_>,
    signature: &Signature,
    context: &[Column],
) -> Result<Examples, Fail> {
    let mut columns = columns(signature);
    // How many values the first example has for each input: all others must have as many.
    let mut sizes = vec![0; columns.len()];
    let (mut count, mut merged) = (0_usize, 0_usize);
    loop {
        row(reader, signature, &mut columns)?;
        let names = signature.input_names();
        let inputs = columns.iter_mut().zip(context).zip(names).zip(&mut sizes);
        for (((column, context), name), expected) in inputs {
            if column.found.is_none() && context.found.is_some() {
                merged = merged.saturating_add(context.data.byte_len());
                if merged > MAX_MERGED_BYTES {
                    let text = format!(
                        "The context, copied into each example, exceeds {MAX_MERGED_BYTES} bytes"
                    );
                    return Err(Error::new(Kind::BadRequest, text).into());
                }
                column.data.append(&context.data);
                column.found = context.found;
            }
            let size = column.found.unwrap_or(0);
            if size == 0 {
                let text = format!("Missing feature: {} in example {count}", cut_half(name));
                return Err(Error::new(Kind::BadTensor, text).into());
            }
            if count == 0 {
                *expected = size;
            }
            if size != *expected {
                let name = cut_half(name);
                let text = format!(
                    "Feature: {name} has {size} values in example {count}, expected {expected}"
                );
                return Err(Error::new(Kind::BadTensor, text).into());
            }
        }
        count += 1;
        if !reader.next_item()? {
            break;
        }
    }
    let specs = signature.inputs();
    let tensors = columns.into_iter().zip(specs).zip(sizes);
    let tensor = |((column, spec), size): ((Column, &crate::signature::TensorSpec), usize)| {
        let wide = spec.shape.as_ref().is_some_and(|shape| shape.len() >= 2);
        let shape = if wide || size > 1 {
            vec![count, size]
        } else {
            vec![count]
        };
        Tensor::new(shape, column.data).expect("every example has as many values as the first")
    };
    Ok(Examples {
        inputs: tensors.map(tensor).collect(),
        count,
    })
}

fn json_type(reader: &Reader<'_>) -> &'static str {
    match reader.peek() {
        Some(b'[') => "Array",
        Some(b'"') => "String",
        Some(b'n') => "Null",
        Some(b't') => "True",
        Some(b'f') => "False",
        _ => "Number",
    }
}
