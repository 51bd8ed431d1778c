//! Reads an infer request.
//!
//! Pure. Called by the server with the inflated body. Members may come in any order, so the JSON is passed over once,
//! which finds every syntax error, and then read in the order of the checks.

use crate::error::{Error, Kind, cut};
use crate::json::Checks;
use crate::json::compact::compact;
use crate::json::read::{Fail, Reader};
use crate::signature::{Signature, shape_text};
use crate::tensor::{DataType, Tensor, elements};
use crate::v2::fields::{MAX_NAME, count, fields, text, unjudged};
use crate::v2::parameters::{Parameters, parameters};
use crate::v2::{HEADER_LENGTH, binary, data, outputs};

/// Dimensions that a tensor can have.
const MAX_RANK: usize = 16;
/// Inputs that a request can have.
const MAX_INPUTS: usize = 256;
/// Bytes of an id.
const MAX_ID: usize = 256;

/// An infer request.
#[derive(Clone, Debug, PartialEq)]
pub struct Infer {
    /// What the answer repeats.
    pub id: Option<String>,
    /// The caller's deadline, in microseconds.
    pub timeout_us: Option<u64>,
    /// One tensor per declared input, in graph order, of the declared element type and a shape that fits.
    pub inputs: Vec<Tensor>,
    /// What to answer, in this order; never empty unless the model has no outputs.
    pub outputs: Vec<Requested>,
}

/// One output that the answer shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Its index in the signature.
    pub output: usize,
    /// Whether as bytes behind the JSON.
    pub binary: bool,
}

/// Reads `body`, the inflated body of an infer request, for a model with `signature`. `header_length` is the value of the
/// header [`HEADER_LENGTH`], if the request has it: then the JSON is that long and binary tensors follow.
///
/// The inputs are also held against the declared shapes ([`Signature::fits`]).
/// Errors are of kind `bad_json`, `bad_request` (keys, names) and `bad_tensor` (values). Linear in the body's length.
pub fn parse(
    body: &[u8],
    header_length: Option<&str>,
    signature: &Signature,
    checks: Checks,
) -> Result<Infer, Error> {
    let (json, tail) = split(body, header_length)?;
    let request = Reader::new(json, checks)?;
    let infer = read(request, tail, signature).map_err(|fail| match fail {
        Fail::Syntax(syntax) => syntax.into(),
        Fail::Meaning(error) => error,
    })?;
    signature.fits(&infer.inputs)?;
    Ok(infer)
}

/// JSON and binary tensors; these are `None` without the header.
fn split<'a>(
    body: &'a [u8],
    header_length: Option<&str>,
) -> Result<(&'a [u8], Option<&'a [u8]>), Error> {
    let Some(value) = header_length else {
        return Ok((body, None));
    };
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let length = value.parse::<usize>().ok().filter(|_| digits);
    let Some(length) = length else {
        return Err(Error::invalid_header(HEADER_LENGTH, value));
    };
    if length == 0 {
        return Err(Error::new(
            Kind::BadRequest,
            "Raw binary requests are not supported",
        ));
    }
    let Some((json, tail)) = body.split_at_checked(length) else {
        let text = format!(
            "{HEADER_LENGTH} {length} exceeds the body ({} bytes)",
            body.len()
        );
        return Err(Error::new(Kind::BadRequest, text));
    };
    Ok((json, Some(tail)))
}

fn read(mut json: Reader<'_>, tail: Option<&[u8]>, signature: &Signature) -> Result<Infer, Fail> {
    let first = json.root()?;
    let root = json.position;
    if first != b'{' {
        json.skip()?;
        json.end()?;
        let shown = compact(json.bytes, root);
        return Err(bad_request(format!("JSON Value: {shown} Is not object")));
    }
    let known = ["id", "parameters", "inputs", "outputs"];
    let members = unjudged(&mut json, known)?;
    json.end()?;
    let [id, mut request_parameters, inputs, requested] = members?;
    let id = match id {
        None => None,
        Some(mut id) => Some(text(&mut id, MAX_ID)?.ok_or_else(|| {
            bad_request(format!("\"id\" must be a string of at most {MAX_ID} bytes"))
        })?),
    };
    let Parameters {
        binary_data_output,
        timeout_us,
        ..
    } = parameters(request_parameters.as_mut())?;
    let inputs = inputs.ok_or_else(|| bad_request("Missing \"inputs\"".to_owned()))?;
    let inputs = Inputs { signature, tail }.read(inputs)?;
    let outputs = outputs::outputs(requested, signature, binary_data_output.unwrap_or(false))?;
    Ok(Infer {
        id,
        timeout_us,
        inputs,
        outputs,
    })
}

fn bad_request(text: String) -> Fail {
    Error::new(Kind::BadRequest, text).into()
}

struct Inputs<'a> {
    signature: &'a Signature,
    /// What follows the JSON, if the header says that something does.
    tail: Option<&'a [u8]>,
}

/// One input whose name is known.
struct Declared {
    index: usize,
    name: String,
    datatype: DataType,
    shape: Shape,
    content: Content,
}

struct Shape {
    dims: Vec<usize>,
    elements: usize,
    /// Of all elements, if their size is fixed.
    bytes: usize,
}

enum Content {
    Json(crate::tensor::Data),
    /// That many bytes of the tail.
    Binary(usize),
}

impl Inputs<'_> {
    fn read(&self, mut list: Reader<'_>) -> Result<Vec<Tensor>, Fail> {
        let none = || bad_request("\"inputs\" must be a non-empty array".to_owned());
        if list.peek() != Some(b'[') || !list.open(b']') {
            return Err(none());
        }
        let mut found: Vec<Declared> = Vec::new();
        loop {
            if found.len() == MAX_INPUTS {
                let text = format!("\"inputs\" has more than {MAX_INPUTS} entries");
                return Err(bad_request(text));
            }
            list.next_token();
            let input = self.input(&mut list, &found)?;
            found.push(input);
            if !list.next_item()? {
                break;
            }
        }
        self.tensors(found)
    }

    fn input(&self, list: &mut Reader<'_>, found: &[Declared]) -> Result<Declared, Fail> {
        let number = found.len();
        let about = |text: &str| bad_request(format!("Input {number}: {text}"));
        if list.peek() != Some(b'{') {
            return Err(about("must be an object"));
        }
        let known = ["name", "shape", "datatype", "parameters", "data"];
        let [name, shape, datatype, mut input_parameters, data] = fields(list, known)?;
        let mut name = name.ok_or_else(|| about("missing \"name\""))?;
        let shape = shape.ok_or_else(|| about("missing \"shape\""))?;
        let datatype = datatype.ok_or_else(|| about("missing \"datatype\""))?;
        let name = text(&mut name, MAX_NAME)?.ok_or_else(|| {
            about(&format!(
                "\"name\" must be a string of at most {MAX_NAME} bytes"
            ))
        })?;
        let index = self.signature.input(&name);
        let spec = index.and_then(|index| Some((index, self.signature.inputs().get(index)?)));
        let Some((index, spec)) = spec else {
            let names = self.signature.input_names().join(", ");
            let name = cut(&name);
            return Err(bad_request(format!(
                "Unknown input \"{name}\"; the model has: {names}"
            )));
        };
        if found.iter().any(|other| other.index == index) {
            return Err(bad_request(format!("Duplicate input \"{}\"", cut(&name))));
        }
        let size = parameters(input_parameters.as_mut())?.binary_data_size;
        let content = shape_of(datatype, spec.datatype, shape)
            .and_then(|shape| self.content(data, size, spec.datatype, shape));
        let (shape, content) = content.map_err(|fail| about_input(&name, fail))?;
        Ok(Declared {
            index,
            name,
            datatype: spec.datatype,
            shape,
            content,
        })
    }

    /// The elements, or how many bytes of the tail they are.
    fn content(
        &self,
        data: Option<Reader<'_>>,
        size: Option<usize>,
        datatype: DataType,
        shape: Shape,
    ) -> Result<(Shape, Content), Fail> {
        let content = match (data, size) {
            (Some(_), Some(_)) => {
                let text = "both \"data\" and \"binary_data_size\" are given";
                return Err(bad_tensor(text.to_owned()));
            }
            (None, None) => {
                let text = "neither \"data\" nor \"binary_data_size\" is given";
                return Err(bad_tensor(text.to_owned()));
            }
            (Some(mut json), None) => {
                let data = data::data(&mut json, datatype, &shape.dims, shape.elements)?;
                Content::Json(data)
            }
            (None, Some(_)) if self.tail.is_none() => {
                let text = format!("binary_data_size without {HEADER_LENGTH}");
                return Err(bad_tensor(text));
            }
            (None, Some(size)) if datatype != DataType::Bytes && size != shape.bytes => {
                let (dims, name) = (shape_text(&shape.dims), datatype.oip_name());
                let text = format!(
                    "binary_data_size {size}, but shape {dims} of {name} needs {}",
                    shape.bytes
                );
                return Err(bad_tensor(text));
            }
            (None, Some(size)) => Content::Binary(size),
        };
        Ok((shape, content))
    }

    /// Takes the binary inputs out of the tail and puts all into graph order.
    fn tensors(&self, found: Vec<Declared>) -> Result<Vec<Tensor>, Fail> {
        let mut tail = self.tail.unwrap_or_default();
        let declared = found.iter().map(|input| match input.content {
            Content::Json(_) => 0,
            Content::Binary(size) => size,
        });
        let declared = declared.fold(0, usize::saturating_add);
        if declared != tail.len() {
            let held = tail.len();
            let text = format!("Binary data holds {held} bytes, but the inputs declare {declared}");
            return Err(bad_request(text));
        }
        let mut tensors: Vec<Option<Tensor>> =
            self.signature.inputs().iter().map(|_| None).collect();
        for Declared {
            index,
            name,
            datatype,
            shape,
            content,
        } in found
        {
            let data = match content {
                Content::Json(data) => data,
                Content::Binary(size) => {
                    let (bytes, rest) = tail.split_at_checked(size).unwrap_or_default();
                    tail = rest;
                    binary::decode(bytes, datatype, &shape.dims, shape.elements)
                        .map_err(|error| about_input(&name, error.into()))?
                }
            };
            if let Some(slot) = tensors.get_mut(index) {
                *slot = Tensor::new(shape.dims, data);
            }
        }
        let named = tensors.into_iter().zip(self.signature.input_names());
        named
            .map(|(tensor, name)| {
                tensor.ok_or_else(|| bad_request(format!("Missing input \"{name}\"")))
            })
            .collect()
    }
}

/// The shape of an input whose members `datatype` and `shape` are at these cursors, and whose declared type is `declared`.
fn shape_of(
    mut datatype: Reader<'_>,
    declared: DataType,
    shape: Reader<'_>,
) -> Result<Shape, Fail> {
    let sent = text(&mut datatype, MAX_NAME)?.unwrap_or_default();
    match DataType::from_oip_name(&sent) {
        None => return Err(bad_tensor(format!("unknown datatype \"{}\"", cut(&sent)))),
        Some(sent) if sent != declared => {
            let (sent, declared) = (sent.oip_name(), declared.oip_name());
            let text = format!("datatype {sent}, but the model declares {declared}");
            return Err(bad_tensor(text));
        }
        Some(_) => {}
    }
    let dims = dims(shape)?;
    // A byte string has a size of its own.
    let size = declared.size().unwrap_or(1);
    let counts = elements(&dims).and_then(|count| Some((count, count.checked_mul(size)?)));
    match counts {
        Some((elements, bytes)) => Ok(Shape {
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

/// The dimensions at the cursor.
fn dims(mut reader: Reader<'_>) -> Result<Vec<usize>, Fail> {
    let text = || {
        let text = format!("shape must be an array of at most {MAX_RANK} non-negative integers");
        bad_tensor(text)
    };
    if reader.peek() != Some(b'[') {
        return Err(text());
    }
    let mut dims = Vec::new();
    let mut more = reader.open(b']');
    while more {
        let dim = count(&mut reader)?
            .filter(|_| dims.len() < MAX_RANK)
            .ok_or_else(text)?;
        dims.push(dim);
        more = reader.next_item()?;
    }
    Ok(dims)
}

fn bad_tensor(text: String) -> Fail {
    Error::new(Kind::BadTensor, text).into()
}

/// Says which input `fail` is about.
fn about_input(name: &str, fail: Fail) -> Fail {
    match fail {
        Fail::Meaning(Error { kind, text }) => {
            Error::new(kind, format!("Input \"{}\": {text}", cut(name))).into()
        }
        Fail::Syntax(syntax) => syntax.into(),
    }
}
