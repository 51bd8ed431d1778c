//! What every infer request must be, whether it came as JSON or over gRPC: names, types, shapes, counts.
//!
//! Pure. Called by `v2::infer`, `v2::outputs` and `grpc`.

use crate::error::{Error, Kind, cut};
use crate::signature::{Signature, TensorSpec, shape_text};
use crate::tensor::{DataType, Tensor, elements};
use crate::v2::infer::Requested;

/// Dimensions that a tensor can have.
pub(crate) const MAX_RANK: usize = 16;
/// Inputs that a request can have.
pub(crate) const MAX_INPUTS: usize = 256;
/// Bytes of an id.
pub(crate) const MAX_ID: usize = 256;
/// The longest name or string parameter, in bytes.
pub(crate) const MAX_NAME: usize = 1024;

/// The dimensions of an input and what follows from them.
pub(crate) struct Shape {
    pub(crate) dims: Vec<usize>,
    pub(crate) elements: usize,
    /// Of all elements, if their size is fixed.
    pub(crate) bytes: usize,
}

impl Shape {
    /// Refuses what no memory could hold.
    pub(crate) fn new(dims: Vec<usize>, datatype: DataType) -> Result<Self, Error> {
        // A byte string has a size of its own.
        let size = datatype.size().unwrap_or(1);
        let counts = elements(&dims).and_then(|count| Some((count, count.checked_mul(size)?)));
        match counts {
            Some((elements, bytes)) => Ok(Self {
                dims,
                elements,
                bytes,
            }),
            None => Err(bad_tensor(format!(
                "shape {} is too large",
                shape_text(&dims)
            ))),
        }
    }

    /// Refuses another number of bytes than all elements take; `what` holds them.
    pub(crate) fn check_bytes(
        &self,
        what: &str,
        bytes: usize,
        datatype: DataType,
    ) -> Result<(), Error> {
        if datatype == DataType::Bytes || bytes == self.bytes {
            return Ok(());
        }
        let (dims, name, needed) = (shape_text(&self.dims), datatype.oip_name(), self.bytes);
        Err(bad_tensor(format!(
            "{what} {bytes}, but shape {dims} of {name} needs {needed}"
        )))
    }

    /// Refuses another number of elements than the shape has; `what` holds them.
    pub(crate) fn check_elements(&self, what: &str, found: usize) -> Result<(), Error> {
        if found == self.elements {
            return Ok(());
        }
        let (shape, elements) = (shape_text(&self.dims), self.elements);
        Err(bad_tensor(format!(
            "shape {shape} has {elements} elements, but {what} has {found}"
        )))
    }
}

/// What is said of a shape that is none.
pub(crate) fn not_a_shape() -> Error {
    bad_tensor(format!(
        "shape must be an array of at most {MAX_RANK} non-negative integers"
    ))
}

/// What is said of an id that is none.
pub(crate) fn not_an_id() -> Error {
    bad_request(format!("\"id\" must be a string of at most {MAX_ID} bytes"))
}

/// What is said of too many inputs or outputs; `what` is the list's name.
pub(crate) fn too_many(what: &str) -> Error {
    bad_request(format!("\"{what}\" has more than {MAX_INPUTS} entries"))
}

/// What is said of no inputs.
pub(crate) fn no_inputs() -> Error {
    bad_request("\"inputs\" must be a non-empty array".to_owned())
}

/// What is said of a name that is none; `what` is `Input` or `Output`.
pub(crate) fn not_a_name(what: &str, number: usize) -> Error {
    bad_request(format!(
        "{what} {number}: \"name\" must be a string of at most {MAX_NAME} bytes"
    ))
}

/// What is said of an input or output that lacks `member`.
pub(crate) fn lacks(what: &str, number: usize, member: &str) -> Error {
    bad_request(format!("{what} {number}: missing \"{member}\""))
}

/// The declared input with that name, unless it is among those that were `taken` already.
pub(crate) fn input<'a>(
    signature: &'a Signature,
    name: &str,
    mut taken: impl Iterator<Item = usize>,
) -> Result<(usize, &'a TensorSpec), Error> {
    let shown = cut(name);
    let index = signature.input(name);
    let spec = index.and_then(|index| Some((index, signature.inputs().get(index)?)));
    let Some((index, spec)) = spec else {
        let names = signature.input_names().join(", ");
        return Err(bad_request(format!(
            "Unknown input \"{shown}\"; the model has: {names}"
        )));
    };
    if taken.any(|other| other == index) {
        return Err(bad_request(format!("Duplicate input \"{shown}\"")));
    }
    Ok((index, spec))
}

/// Refuses a type that is unknown or not the declared one: nothing is converted.
pub(crate) fn check_datatype(sent: &str, declared: DataType) -> Result<(), Error> {
    match DataType::from_oip_name(sent) {
        None => Err(bad_tensor(format!("unknown datatype \"{}\"", cut(sent)))),
        Some(sent) if sent != declared => {
            let (sent, declared) = (sent.oip_name(), declared.oip_name());
            Err(bad_tensor(format!(
                "datatype {sent}, but the model declares {declared}"
            )))
        }
        Some(_) => Ok(()),
    }
}

/// Puts tensors, each with its index in the signature, into graph order.
pub(crate) fn graph_order(
    signature: &Signature,
    found: Vec<(usize, Tensor)>,
) -> Result<Vec<Tensor>, Error> {
    let mut tensors: Vec<Option<Tensor>> = signature.inputs().iter().map(|_| None).collect();
    for (index, tensor) in found {
        if let Some(slot) = tensors.get_mut(index) {
            *slot = Some(tensor);
        }
    }
    let named = tensors.into_iter().zip(signature.input_names());
    named
        .map(|(tensor, name)| {
            tensor.ok_or_else(|| bad_request(format!("Missing input \"{name}\"")))
        })
        .collect()
}

/// The index of the declared output with that name, unless it is among those `found` already.
pub(crate) fn output(
    signature: &Signature,
    name: &str,
    found: &[Requested],
) -> Result<usize, Error> {
    let shown = cut(name);
    let Some(output) = signature.output(name) else {
        let names = signature.output_names().join(", ");
        return Err(bad_request(format!(
            "Unknown output \"{shown}\"; the model has: {names}"
        )));
    };
    if found.iter().any(|other| other.output == output) {
        return Err(bad_request(format!("Duplicate output \"{shown}\"")));
    }
    Ok(output)
}

/// `found`, or all outputs in graph order if nothing was asked for.
pub(crate) fn or_all(found: Vec<Requested>, signature: &Signature, binary: bool) -> Vec<Requested> {
    if !found.is_empty() {
        return found;
    }
    let all = 0..signature.outputs().len();
    all.map(|output| Requested { output, binary }).collect()
}

/// Says which input `error` is about.
pub(crate) fn about_input(name: &str, Error { kind, text }: Error) -> Error {
    Error::new(kind, format!("Input \"{}\": {text}", cut(name)))
}

pub(crate) fn bad_request(text: String) -> Error {
    Error::new(Kind::BadRequest, text)
}

pub(crate) fn bad_tensor(text: String) -> Error {
    Error::new(Kind::BadTensor, text)
}
