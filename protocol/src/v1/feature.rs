//! Reads one feature of an example: a value or a list of values, straight into the buffer of the input that it feeds.
//!
//! Pure. Called by `v1::examples`. Kinds and texts are those of TensorFlow Serving, whose examples know three: bytes, float
//! and int64. What a kind may feed is ours, because ONNX models have typed inputs instead of examples.

use crate::error::{Error, Kind as ErrorKind, cut_half};
use crate::json::number::Number;
use crate::json::read::{Fail, Reader};
use crate::tensor::{Data, DataType};
use crate::v1::value::{base64_object, decode};

/// What all values of one list are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Strings and base64.
    Bytes,
    /// Numbers with a point or an exponent, or beyond 64 bits; NaN and the infinities.
    Float,
    /// Other numbers; `true` and `false`.
    Int64,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Float => "float",
            Self::Int64 => "int64",
        }
    }
}

/// One feature: its name, the kind of its first value, and where its values go (nowhere: they are only checked).
struct Feature<'a> {
    name: &'a str,
    kind: Option<Kind>,
    data: Option<&'a mut Data>,
}

/// Reads the feature `name` and appends its values to `data`. Returns how many there are.
pub(super) fn feature(
    reader: &mut Reader<'_>,
    name: &str,
    data: Option<&mut Data>,
) -> Result<usize, Fail> {
    let mut feature = Feature {
        name,
        kind: None,
        data,
    };
    if reader.next_token() != Some(b'[') {
        feature.value(reader)?;
        return Ok(1);
    }
    let mut count = 0;
    let mut more = reader.open(b']');
    while more {
        feature.value(reader)?;
        count += 1;
        more = reader.next_item()?;
    }
    Ok(count)
}

impl Feature<'_> {
    fn value(&mut self, reader: &mut Reader<'_>) -> Result<(), Fail> {
        match reader.next_token() {
            Some(b'"') => {
                self.expect(Kind::Bytes)?;
                let data = self.strings()?;
                let Some(Data::Bytes(strings)) = data else {
                    return Ok(reader.skip()?);
                };
                reader.string(|part| strings.extend(part.as_bytes()))?;
                strings.finish();
                Ok(())
            }
            Some(b'{') => {
                let Some(encoded) = base64_object(reader)? else {
                    return Err(self.unexpected("Object"));
                };
                self.expect(Kind::Bytes)?;
                let decoded = decode(&encoded)?;
                if let Some(Data::Bytes(strings)) = self.strings()? {
                    strings.push(&decoded);
                }
                Ok(())
            }
            Some(b'[') => Err(self.unexpected("Array")),
            Some(b'n') => Err(self.unexpected("Null")),
            Some(b't') => {
                reader.word(b"true")?;
                self.number(&Number::of_bool(true), Kind::Int64)
            }
            Some(b'f') => {
                reader.word(b"false")?;
                self.number(&Number::of_bool(false), Kind::Int64)
            }
            _ => {
                let number = reader.number()?;
                let kind = self.kind_of(&number)?;
                self.number(&number, kind)
            }
        }
    }

    /// As RapidJSON sorts numbers: an integer beyond 64 bits is a double.
    fn kind_of(&self, number: &Number<'_>) -> Result<Kind, Fail> {
        if number.integer::<i64>().is_some() {
            return Ok(Kind::Int64);
        }
        if number.integer::<u64>().is_none() {
            return Ok(Kind::Float);
        }
        self.check(Kind::Int64)?;
        let text = format!(
            "Feature: {} has uint64_t element. Only int64_t is supported.",
            cut_half(self.name)
        );
        Err(Error::new(ErrorKind::BadTensor, text).into())
    }

    /// Another value of `kind`: the first decides.
    fn expect(&mut self, kind: Kind) -> Result<(), Fail> {
        self.check(kind)?;
        self.kind = Some(kind);
        Ok(())
    }

    fn check(&self, kind: Kind) -> Result<(), Fail> {
        match self.kind {
            Some(expected) if expected != kind => {
                let text = format!(
                    "Unexpected element type in feature: {} expecting type: {}",
                    cut_half(self.name),
                    expected.name()
                );
                Err(Error::new(ErrorKind::BadTensor, text).into())
            }
            _ => Ok(()),
        }
    }

    /// The buffer for strings, if the values are wanted.
    fn strings(&mut self) -> Result<Option<&mut Data>, Fail> {
        match &self.data {
            Some(data) if data.datatype() != DataType::Bytes => {
                Err(self.cannot_feed(Kind::Bytes, data.datatype()))
            }
            _ => Ok(self.data.as_deref_mut()),
        }
    }

    fn number(&mut self, number: &Number<'_>, kind: Kind) -> Result<(), Fail> {
        self.expect(kind)?;
        let whole = kind == Kind::Int64;
        let taken = match self.data.as_deref_mut() {
            None => Some(()),
            Some(Data::Fp32(values)) => push(values, Some(number.float32())),
            Some(Data::Fp64(values)) => push(values, Some(number.float64())),
            Some(Data::Fp16(values)) => push(values, Some(number.float16())),
            Some(Data::Bf16(values)) => push(values, Some(number.bfloat16())),
            Some(Data::Int8(values)) if whole => push(values, number.integer()),
            Some(Data::Int16(values)) if whole => push(values, number.integer()),
            Some(Data::Int32(values)) if whole => push(values, number.integer()),
            Some(Data::Int64(values)) if whole => push(values, number.integer()),
            Some(Data::Uint8(values)) if whole => push(values, number.integer()),
            Some(Data::Uint16(values)) if whole => push(values, number.integer()),
            Some(Data::Uint32(values)) if whole => push(values, number.integer()),
            Some(Data::Uint64(values)) if whole => push(values, number.integer()),
            Some(Data::Bool(values)) if whole => {
                let bit = number.integer::<u8>().filter(|bit| *bit <= 1);
                push(values, bit.map(|bit| bit == 1))
            }
            Some(data) => {
                let datatype = data.datatype();
                return Err(self.cannot_feed(kind, datatype));
            }
        };
        taken.ok_or_else(|| {
            let datatype = self.data.as_ref().map(|data| data.datatype().tfs_name());
            let text = format!(
                "Feature: {} has an element beyond the range of type {}",
                cut_half(self.name),
                datatype.unwrap_or_default()
            );
            Error::new(ErrorKind::BadTensor, text).into()
        })
    }

    fn unexpected(&self, found: &str) -> Fail {
        let text = format!(
            "Feature: {} has element with unexpected JSON type: {found}",
            cut_half(self.name)
        );
        Error::new(ErrorKind::BadTensor, text).into()
    }

    fn cannot_feed(&self, kind: Kind, datatype: DataType) -> Fail {
        let text = format!(
            "Feature: {} of type {} cannot feed an input of type {}",
            cut_half(self.name),
            kind.name(),
            datatype.tfs_name()
        );
        Error::new(ErrorKind::BadTensor, text).into()
    }
}

/// `None` if there is no value: the number is beyond the type's range.
fn push<T>(values: &mut Vec<T>, value: Option<T>) -> Option<()> {
    values.push(value?);
    Some(())
}
