//! Reads a predict request.
//!
//! Pure: one forward pass over the body, straight into typed buffers. Called by the server with the inflated body.
//! Order of answers: a syntax error anywhere in the root object, then the signature's name, then the keys, then the tensors.

use crate::error::{Error, Kind, cut};
use crate::json::Checks;
use crate::json::compact::compact;
use crate::json::read::{Fail, Reader};
use crate::signature::Signature;
use crate::tensor::Tensor;
use crate::v1::{SIGNATURE, columns, rows};

/// How the request lays out its tensors; the answer does the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `instances`: a list of rows.
    Row,
    /// `inputs`: whole tensors.
    Column,
}

/// A predict request.
#[derive(Clone, Debug, PartialEq)]
pub struct Predict {
    /// How the answer is laid out.
    pub form: Form,
    /// One tensor per declared input, in graph order, of the declared element type. Their shapes are as sent: see
    /// [`Signature::fits`].
    pub inputs: Vec<Tensor>,
}

/// Reads `body`, the inflated body of a `:predict` request, for a model with `signature`.
///
/// Errors are of kind `bad_json`, `bad_request` (keys, names) and `bad_tensor` (values). Linear in the body's length.
pub fn parse(body: &[u8], signature: &Signature, checks: Checks) -> Result<Predict, Error> {
    let mut reader = Reader::new(body, checks)?;
    if checks == Checks::Lenient {
        reader.byte_order_mark();
    }
    let first = reader.root()?;
    let root = reader.position;
    let mut request = Request {
        signature,
        root,
        reader,
        keys: Keys::default(),
        result: None,
    };
    if first == b'{' {
        request.object()?;
    } else {
        request.reader.skip()?;
    }
    if checks == Checks::Strict {
        request.reader.end()?;
    }
    if first != b'{' {
        return Err(request.about_root(Kind::BadRequest, "Is not object"));
    }
    if let Some(error) = request.keys.signature_error.or(request.keys.error) {
        return Err(error);
    }
    let missing = || {
        Err(Error::new(
            Kind::BadRequest,
            "Missing 'inputs' or 'instances' key",
        ))
    };
    request.result.unwrap_or_else(missing)
}

struct Request<'a> {
    signature: &'a Signature,
    reader: Reader<'a>,
    /// Where the root object begins.
    root: usize,
    keys: Keys,
    result: Option<Result<Predict, Error>>,
}

/// Which keys were seen, and the first thing that is wrong with them.
#[derive(Default)]
struct Keys {
    signature_name: bool,
    instances: bool,
    inputs: bool,
    signature_error: Option<Error>,
    error: Option<Error>,
}

impl Request<'_> {
    fn object(&mut self) -> Result<(), Error> {
        let mut key = String::new();
        let mut more = self.reader.open(b'}');
        while more {
            self.reader.name(&mut key)?;
            self.reader.next_token();
            let start = self.reader.position;
            match self.member(&key) {
                Ok(()) => {}
                Err(Fail::Syntax(syntax)) => return Err(syntax.into()),
                Err(Fail::Meaning(error)) => {
                    self.result = Some(Err(error));
                    self.reader.position = start;
                    self.reader.skip()?;
                }
            }
            more = self.reader.next_member()?;
        }
        Ok(())
    }

    /// One member of the root object; the cursor is at its value and then behind it.
    fn member(&mut self, key: &str) -> Result<(), Fail> {
        let seen = match key {
            "signature_name" => &mut self.keys.signature_name,
            "instances" => &mut self.keys.instances,
            "inputs" => &mut self.keys.inputs,
            _ => {
                self.refuse_strictly("Unknown", key);
                return Ok(self.reader.skip()?);
            }
        };
        if std::mem::replace(seen, true) {
            self.refuse_strictly("Duplicate", key);
            return Ok(self.reader.skip()?);
        }
        if key == "signature_name" {
            return self.signature_name();
        }
        if self.keys.instances && self.keys.inputs {
            let text = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ";
            let error = self.about_root(Kind::BadRequest, text);
            self.keys.error.get_or_insert(error);
        }
        if self.keys.signature_error.is_some() || self.keys.error.is_some() {
            return Ok(self.reader.skip()?);
        }
        let predict = if key == "instances" {
            let shown = |text| self.about_root(Kind::BadRequest, text);
            if self.reader.peek() != Some(b'[') {
                return Err(shown("Expecting 'instances' to be an list/array").into());
            }
            let inputs = rows::rows(&mut self.reader, self.signature)?;
            let Some(inputs) = inputs else {
                let text = "No values in 'instances' array";
                return Err(self.about_root(Kind::BadRequest, text).into());
            };
            Predict {
                form: Form::Row,
                inputs,
            }
        } else {
            let inputs = columns::columns(&mut self.reader, self.signature)?;
            Predict {
                form: Form::Column,
                inputs,
            }
        };
        self.result = Some(Ok(predict));
        Ok(())
    }

    fn signature_name(&mut self) -> Result<(), Fail> {
        if self.reader.peek() != Some(b'"') {
            let text = "not formatted correctly. 'signature_name' key must be a string value.";
            self.keys.signature_error = Some(self.about_root(Kind::BadRequest, text));
            return Ok(self.reader.skip()?);
        }
        let mut name = String::new();
        self.reader.string(|part| name.push_str(part))?;
        if !name.is_empty() && name != SIGNATURE {
            let name = cut(&name);
            let text = format!("Serving signature name: \"{name}\" not found in signature def");
            self.keys.signature_error = Some(Error::new(Kind::BadRequest, text));
        }
        Ok(())
    }

    fn refuse_strictly(&mut self, what: &str, key: &str) {
        if self.reader.checks == Checks::Strict {
            let error = Error::new(Kind::BadRequest, format!("{what} key: {}", cut(key)));
            self.keys.error.get_or_insert(error);
        }
    }

    fn about_root(&self, kind: Kind, text: &str) -> Error {
        let shown = compact(self.reader.bytes, self.root);
        Error::new(kind, format!("JSON Value: {shown} {text}"))
    }
}
