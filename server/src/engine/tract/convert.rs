//! Between the protocols' tensors and tract's.
//!
//! Pure. bfloat16 has no counterpart: models that take or give it are refused at load.

use aimass_protocol::{Data, DataType, Strings, Tensor};
use tract_onnx::prelude::{
    Datum, DatumType, IntoTValue, TValue, Tensor as Value, TractResult, tract_ndarray,
};
use tract_onnx::tract_hir::internal::{anyhow, f16};

/// tract's name of an element type; `None` if it has no such type.
pub(super) const fn datum(datatype: DataType) -> Option<DatumType> {
    Some(match datatype {
        DataType::Bool => DatumType::Bool,
        DataType::Int8 => DatumType::I8,
        DataType::Int16 => DatumType::I16,
        DataType::Int32 => DatumType::I32,
        DataType::Int64 => DatumType::I64,
        DataType::Uint8 => DatumType::U8,
        DataType::Uint16 => DatumType::U16,
        DataType::Uint32 => DatumType::U32,
        DataType::Uint64 => DatumType::U64,
        DataType::Fp16 => DatumType::F16,
        DataType::Bf16 => return None,
        DataType::Fp32 => DatumType::F32,
        DataType::Fp64 => DatumType::F64,
        DataType::Bytes => DatumType::String,
    })
}

/// Copies a tensor for the engine.
pub(super) fn to_engine(tensor: &Tensor) -> TractResult<TValue> {
    let shape = tensor.shape();
    let value = match tensor.data() {
        Data::Bool(values) => Value::from_shape(shape, values),
        Data::Int8(values) => Value::from_shape(shape, values),
        Data::Int16(values) => Value::from_shape(shape, values),
        Data::Int32(values) => Value::from_shape(shape, values),
        Data::Int64(values) => Value::from_shape(shape, values),
        Data::Uint8(values) => Value::from_shape(shape, values),
        Data::Uint16(values) => Value::from_shape(shape, values),
        Data::Uint32(values) => Value::from_shape(shape, values),
        Data::Uint64(values) => Value::from_shape(shape, values),
        Data::Fp16(bits) => {
            let values: Vec<f16> = bits.iter().map(|bits| f16::from_bits(*bits)).collect();
            Value::from_shape(shape, &values)
        }
        Data::Bf16(_) => Err(anyhow!("bfloat16 is not supported")),
        Data::Fp32(values) => Value::from_shape(shape, values),
        Data::Fp64(values) => Value::from_shape(shape, values),
        Data::Bytes(strings) => {
            let texts: Result<Vec<String>, _> = strings
                .iter()
                .map(|string| str::from_utf8(string).map(str::to_owned))
                .collect();
            Ok(tract_ndarray::ArrayD::from_shape_vec(shape, texts?)?.into())
        }
    };
    Ok(value?.into_tvalue())
}

/// Copies a result out of the engine, as the declared type.
pub(super) fn from_engine(value: &Value, datatype: DataType) -> TractResult<Tensor> {
    let declared = datum(datatype).ok_or_else(|| anyhow!("bfloat16 is not supported"))?;
    // Shape arithmetic comes out as symbolic integers, quantised values with their scale: both mean the declared type.
    let value = value.cast_to_dt(declared)?;
    let data = match datatype {
        DataType::Bool => Data::Bool(plain(&value)?),
        DataType::Int8 => Data::Int8(plain(&value)?),
        DataType::Int16 => Data::Int16(plain(&value)?),
        DataType::Int32 => Data::Int32(plain(&value)?),
        DataType::Int64 => Data::Int64(plain(&value)?),
        DataType::Uint8 => Data::Uint8(plain(&value)?),
        DataType::Uint16 => Data::Uint16(plain(&value)?),
        DataType::Uint32 => Data::Uint32(plain(&value)?),
        DataType::Uint64 => Data::Uint64(plain(&value)?),
        DataType::Fp16 => Data::Fp16(
            plain::<f16>(&value)?
                .into_iter()
                .map(f16::to_bits)
                .collect(),
        ),
        DataType::Bf16 => return Err(anyhow!("bfloat16 is not supported")),
        DataType::Fp32 => Data::Fp32(plain(&value)?),
        DataType::Fp64 => Data::Fp64(plain(&value)?),
        DataType::Bytes => Data::Bytes(plain::<String>(&value)?.into_iter().collect::<Strings>()),
    };
    Tensor::new(value.shape().to_vec(), data).ok_or_else(|| anyhow!("a result is incomplete"))
}

fn plain<T: Datum>(value: &Value) -> TractResult<Vec<T>> {
    Ok(value.try_as_plain_ram()?.as_slice::<T>()?.to_vec())
}
