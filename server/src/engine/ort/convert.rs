//! Between the protocols' tensors and onnxruntime's.
//!
//! Pure. The two halves have no counterpart in the crate as it is compiled: models that take or give them are refused.

use aimass_protocol::{Data, DataType, Strings, Tensor, TensorSpec};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor as Value, TensorRef};

use super::describe;
use crate::engine::{Failure, Kind};

/// Whether the crate has the type.
pub(super) const fn has(datatype: DataType) -> bool {
    !matches!(datatype, DataType::Fp16 | DataType::Bf16)
}

/// Lends a tensor to the engine; strings are copied.
pub(super) fn to_engine(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape();
    match tensor.data() {
        Data::Bool(values) => view(shape, values),
        Data::Int8(values) => view(shape, values),
        Data::Int16(values) => view(shape, values),
        Data::Int32(values) => view(shape, values),
        Data::Int64(values) => view(shape, values),
        Data::Uint8(values) => view(shape, values),
        Data::Uint16(values) => view(shape, values),
        Data::Uint32(values) => view(shape, values),
        Data::Uint64(values) => view(shape, values),
        Data::Fp32(values) => view(shape, values),
        Data::Fp64(values) => view(shape, values),
        Data::Fp16(_) | Data::Bf16(_) => Err(ort::Error::new("halves are not supported")),
        Data::Bytes(strings) => {
            let texts: Result<Vec<String>, _> = strings
                .iter()
                .map(|string| str::from_utf8(string).map(str::to_owned))
                .collect();
            let texts = texts.map_err(ort::Error::wrap)?;
            Ok(Value::from_string_array((shape, texts.as_slice()))?.into())
        }
    }
}

fn view<'a, T>(shape: &[usize], values: &'a [T]) -> ort::Result<SessionInputValue<'a>>
where
    T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    Ok(TensorRef::from_array_view((shape.to_vec(), values))?.into())
}

/// Copies a result out of the engine, as the declared type.
pub(super) fn from_engine(value: &DynValue, spec: &TensorSpec) -> Result<Tensor, Failure> {
    let (shape, data) = taken(value, spec.datatype).map_err(|error| {
        Failure::new(&spec.name, describe::one_line(error.message())).of(Kind::Tensor)
    })?;
    let shape = shape.iter().map(|dim| usize::try_from(*dim).ok());
    let shape: Option<Vec<usize>> = shape.collect();
    let tensor = shape.and_then(|shape| Tensor::new(shape, data));
    tensor.ok_or_else(|| Failure::new(&spec.name, "is incomplete"))
}

fn taken(value: &DynValue, datatype: DataType) -> ort::Result<(Vec<i64>, Data)> {
    match datatype {
        DataType::Bool => plain(value, Data::Bool),
        DataType::Int8 => plain(value, Data::Int8),
        DataType::Int16 => plain(value, Data::Int16),
        DataType::Int32 => plain(value, Data::Int32),
        DataType::Int64 => plain(value, Data::Int64),
        DataType::Uint8 => plain(value, Data::Uint8),
        DataType::Uint16 => plain(value, Data::Uint16),
        DataType::Uint32 => plain(value, Data::Uint32),
        DataType::Uint64 => plain(value, Data::Uint64),
        DataType::Fp32 => plain(value, Data::Fp32),
        DataType::Fp64 => plain(value, Data::Fp64),
        DataType::Fp16 | DataType::Bf16 => Err(ort::Error::new("halves are not supported")),
        DataType::Bytes => {
            let (shape, strings) = value.try_extract_strings()?;
            let strings: Strings = strings.into_iter().collect();
            Ok((shape.to_vec(), Data::Bytes(strings)))
        }
    }
}

fn plain<T>(value: &DynValue, data: fn(Vec<T>) -> Data) -> ort::Result<(Vec<i64>, Data)>
where
    T: PrimitiveTensorElementType + Clone,
{
    let (shape, values) = value.try_extract_tensor::<T>()?;
    Ok((shape.to_vec(), data(values.to_vec())))
}
