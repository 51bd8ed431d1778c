//! Reads an infer request.
//!
//! Pure. Called by the server with the inflated body. Members may come in any order, so the JSON is passed over once,
//! which finds every syntax error, and then read in the order of the checks.

use crate::error::{Error, Kind};
use crate::json::Checks;
use crate::json::compact::compact;
use crate::json::read::{Fail, Reader};
use crate::signature::Signature;
use crate::tensor::{Data, DataType, Tensor};
use crate::v2::fields::{count, fields, text, unjudged};
use crate::v2::parameters::{Parameters, parameters};
use crate::v2::quick::quick;
use crate::v2::request::{
    self, MAX_ID, MAX_INPUTS, MAX_NAME, MAX_RANK, Shape, bad_request, bad_tensor,
};
use crate::v2::{HEADER_LENGTH, binary, data, outputs};

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
    let inputs = Inputs::of(signature, tail);
    let infer = match quick(request.clone(), &inputs) {
        Some(infer) => infer,
        None => read(request, &inputs)?,
    };
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

/// Any request; what is wrong with it, if something is.
pub(super) fn read(mut json: Reader<'_>, inputs: &Inputs<'_>) -> Result<Infer, Fail> {
    let first = json.root()?;
    let root = json.position;
    if first != b'{' {
        json.skip()?;
        json.end()?;
        let shown = compact(json.bytes, root);
        return Err(bad_request(format!("JSON Value: {shown} Is not object")).into());
    }
    let known = ["id", "parameters", "inputs", "outputs"];
    let members = unjudged(&mut json, known)?;
    json.end()?;
    let [id, mut request_parameters, list, requested] = members?;
    let id = match id {
        None => None,
        Some(mut id) => Some(text(&mut id, MAX_ID)?.ok_or_else(request::not_an_id)?),
    };
    let Parameters {
        binary_data_output,
        timeout_us,
        ..
    } = parameters(request_parameters.as_mut())?;
    let list = list.ok_or_else(|| bad_request("Missing \"inputs\"".to_owned()))?;
    let binary = binary_data_output.unwrap_or(false);
    Ok(Infer {
        id,
        timeout_us,
        inputs: inputs.read(list)?,
        outputs: outputs::outputs(requested, inputs.signature, binary)?,
    })
}

/// What inputs are held against.
pub(super) struct Inputs<'a> {
    pub(super) signature: &'a Signature,
    /// What follows the JSON, if the header says that something does.
    tail: Option<&'a [u8]>,
}

/// One input whose name is known.
pub(super) struct Declared {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) datatype: DataType,
    pub(super) shape: Shape,
    pub(super) content: Content,
}

pub(super) enum Content {
    Json(Data),
    /// That many bytes of the tail.
    Binary(usize),
}

impl<'a> Inputs<'a> {
    /// `tail` is what follows the JSON, if the request says that something does.
    pub(super) const fn of(signature: &'a Signature, tail: Option<&'a [u8]>) -> Self {
        Self { signature, tail }
    }

    fn read(&self, mut list: Reader<'_>) -> Result<Vec<Tensor>, Fail> {
        if list.peek() != Some(b'[') || !list.open(b']') {
            return Err(request::no_inputs().into());
        }
        let mut found: Vec<Declared> = Vec::new();
        loop {
            if found.len() == MAX_INPUTS {
                return Err(request::too_many("inputs").into());
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
        if list.peek() != Some(b'{') {
            return Err(bad_request(format!("Input {number}: must be an object")).into());
        }
        let known = ["name", "shape", "datatype", "parameters", "data"];
        let [name, shape, datatype, mut input_parameters, data] = fields(list, known)?;
        let missing = |member| request::lacks("Input", number, member);
        let mut name = name.ok_or_else(|| missing("name"))?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        let datatype = datatype.ok_or_else(|| missing("datatype"))?;
        let name =
            text(&mut name, MAX_NAME)?.ok_or_else(|| request::not_a_name("Input", number))?;
        let taken = found.iter().map(|other| other.index);
        let (index, spec) = request::input(self.signature, &name, taken)?;
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
                return Err(bad_tensor(text.to_owned()).into());
            }
            (None, None) => {
                let text = "neither \"data\" nor \"binary_data_size\" is given";
                return Err(bad_tensor(text.to_owned()).into());
            }
            (Some(mut json), None) => {
                let data = data::data(&mut json, datatype, &shape)?;
                Content::Json(data)
            }
            (None, Some(_)) if self.tail.is_none() => {
                let text = format!("binary_data_size without {HEADER_LENGTH}");
                return Err(bad_tensor(text).into());
            }
            (None, Some(size)) => {
                shape.check_bytes("binary_data_size", size, datatype)?;
                Content::Binary(size)
            }
        };
        Ok((shape, content))
    }

    /// Takes the binary inputs out of the tail and puts all into graph order.
    pub(super) fn tensors(&self, found: Vec<Declared>) -> Result<Vec<Tensor>, Fail> {
        let mut tail = self.tail.unwrap_or_default();
        let declared = found.iter().map(|input| match input.content {
            Content::Json(_) => 0,
            Content::Binary(size) => size,
        });
        let declared = declared.fold(0, usize::saturating_add);
        if declared != tail.len() {
            let held = tail.len();
            let text = format!("Binary data holds {held} bytes, but the inputs declare {declared}");
            return Err(bad_request(text).into());
        }
        let mut tensors = Vec::with_capacity(found.len());
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
                    binary::decode(bytes, datatype, &shape)
                        .map_err(|error| request::about_input(&name, error))?
                }
            };
            // Both have counted: there is always a tensor.
            tensors.extend(Tensor::new(shape.dims, data).map(|tensor| (index, tensor)));
        }
        Ok(request::graph_order(self.signature, tensors)?)
    }
}

/// The shape of an input whose members `datatype` and `shape` are at these cursors, and whose declared type is `declared`.
fn shape_of(
    mut datatype: Reader<'_>,
    declared: DataType,
    mut shape: Reader<'_>,
) -> Result<Shape, Fail> {
    let sent = text(&mut datatype, MAX_NAME)?.unwrap_or_default();
    request::check_datatype(&sent, declared)?;
    Ok(Shape::new(dims(&mut shape)?, declared)?)
}

/// The dimensions at the cursor.
pub(super) fn dims(reader: &mut Reader<'_>) -> Result<Vec<usize>, Fail> {
    if reader.peek() != Some(b'[') {
        return Err(request::not_a_shape().into());
    }
    let mut dims = Vec::new();
    let mut more = reader.open(b']');
    while more {
        let dim = count(reader)?
            .filter(|_| dims.len() < MAX_RANK)
            .ok_or_else(request::not_a_shape)?;
        dims.push(dim);
        more = reader.next_item()?;
    }
    Ok(dims)
}

/// Says which input `fail` is about.
fn about_input(name: &str, fail: Fail) -> Fail {
    match fail {
        Fail::Meaning(error) => request::about_input(name, error).into(),
        Fail::Syntax(syntax) => syntax.into(),
    }
}
