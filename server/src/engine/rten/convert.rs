//! Between the protocols' tensors and rten's, which are of f32, i32, i8 and u8 alone.
//!
//! Pure. Booleans go in as 0 and 1, 64-bit integers as 32-bit ones if they fit.

use aimass_protocol::{Data, DataType, Tensor, TensorSpec};
use rten::{Value, ValueOrView, ValueView};
use rten_tensor::{Layout, TensorView};

use crate::engine::{Failure, Kind};

/// Whether rten can hold the type, or something that means the same.
pub(super) const fn has(datatype: DataType) -> bool {
    match datatype {
        DataType::Bool
        | DataType::Int8
        | DataType::Int32
        | DataType::Int64
        | DataType::Uint8
        | DataType::Fp32 => true,
        DataType::Int16
        | DataType::Uint16
        | DataType::Uint32
        | DataType::Uint64
        | DataType::Fp16
        | DataType::Bf16
        | DataType::Fp64
        | DataType::Bytes => false,
    }
}

/// Lends a tensor to the engine, or copies it where the type differs. `name` is the input's.
pub(super) fn to_engine<'a>(tensor: &'a Tensor, name: &str) -> Result<ValueOrView<'a>, Failure> {
    let shape = tensor.shape();
    let value = match tensor.data() {
        Data::Fp32(values) => view(shape, values),
        Data::Int32(values) => view(shape, values),
        Data::Int8(values) => view(shape, values),
        Data::Uint8(values) => view(shape, values),
        Data::Bool(values) => {
            let values = values.iter().map(|value| i32::from(*value)).collect();
            Value::from_shape(shape, values).ok().map(Into::into)
        }
        Data::Int64(values) => Value::from_shape(shape, narrow(values, name)?)
            .ok()
            .map(Into::into),
        _ => None,
    };
    value.ok_or_else(|| Failure::new(name, "has a type that this engine lacks").of(Kind::Tensor))
}

fn view<'a, T>(shape: &[usize], values: &'a [T]) -> Option<ValueOrView<'a>>
where
    ValueView<'a>: From<TensorView<'a, T>>,
{
    ValueView::from_shape(shape, values).ok().map(Into::into)
}

/// Refuses the first element that does not fit: wrapping it would answer another question.
fn narrow(values: &[i64], name: &str) -> Result<Vec<i32>, Failure> {
    let narrowed = values.iter().map(|value| {
        i32::try_from(*value).ok().ok_or_else(|| {
            let reason = format!("holds {value}, which does not fit into 32 bits");
            Failure::new(name, reason).of(Kind::Input)
        })
    });
    narrowed.collect()
}

/// Takes a result out of the engine, as the declared type.
pub(super) fn from_engine(value: Value, spec: &TensorSpec) -> Result<Tensor, Failure> {
    let is_declared = |given: &str| {
        let reason = format!("is {given}, declared is {}", spec.datatype.oip_name());
        Failure::new(&spec.name, reason).of(Kind::Tensor)
    };
    let shape = value.shape().to_vec();
    let data = match (value, spec.datatype) {
        (Value::FloatTensor(values), DataType::Fp32) => Data::Fp32(values.into_data()),
        (Value::Int8Tensor(values), DataType::Int8) => Data::Int8(values.into_data()),
        (Value::UInt8Tensor(values), DataType::Uint8) => Data::Uint8(values.into_data()),
        (Value::Int32Tensor(values), DataType::Int32) => Data::Int32(values.into_data()),
        (Value::Int32Tensor(values), DataType::Int64) => {
            Data::Int64(values.into_data().into_iter().map(i64::from).collect())
        }
        (Value::Int32Tensor(values), DataType::Bool) => Data::Bool(
            values
                .into_data()
                .into_iter()
                .map(|value| value != 0)
                .collect(),
        ),
        (other, _) => return Err(is_declared(&other.dtype().to_string())),
    };
    Tensor::new(shape, data).ok_or_else(|| Failure::new(&spec.name, "is incomplete"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(data: Data) -> Tensor {
        Tensor::new(vec![2], data).unwrap()
    }

    #[test]
    fn what_goes_in_comes_out() {
        for data in [
            Data::Fp32(vec![1.5, f32::NEG_INFINITY]),
            Data::Int8(vec![-128, 127]),
            Data::Uint8(vec![0, 255]),
            Data::Int32(vec![i32::MIN, i32::MAX]),
            Data::Int64(vec![i64::from(i32::MIN), i64::from(i32::MAX)]),
            Data::Bool(vec![true, false]),
        ] {
            let spec = TensorSpec {
                name: "x".to_owned(),
                datatype: data.datatype(),
                shape: None,
            };
            let tensor = tensor(data);
            let value = to_engine(&tensor, "x").unwrap().to_owned();
            assert_eq!(from_engine(value, &spec), Ok(tensor));
        }
    }

    #[test]
    fn an_integer_that_does_not_fit_is_named() {
        let tensor = tensor(Data::Int64(vec![5, 1 << 31]));
        let failure = to_engine(&tensor, "ids").err().unwrap();
        assert_eq!(failure.kind, Kind::Input);
        assert_eq!(
            failure.to_string(),
            "input ids: holds 2147483648, which does not fit into 32 bits"
        );
    }

    #[test]
    fn a_result_of_another_type_is_no_answer() {
        let spec = TensorSpec {
            name: "y".to_owned(),
            datatype: DataType::Int64,
            shape: None,
        };
        let value = Value::from_shape([1], vec![1.0_f32]).unwrap();
        let failure = from_engine(value, &spec).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "tensor y: is tensor(f32), declared is INT64"
        );
    }
}
