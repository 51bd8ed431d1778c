//! The three models that the documentation's examples are about, and a signature of one input of any type.
//!
//! Shared by the tests of this crate.

use aimass_protocol::{DataType, Dim, Signature, TensorSpec};

/// One declared tensor; −1 is the batch dimension.
pub(crate) fn spec(name: &str, datatype: DataType, shape: &[i64]) -> TensorSpec {
    let dim = |size: &i64| match usize::try_from(*size) {
        Ok(size) => Dim::Fixed(size),
        Err(_) => Dim::Symbol("N".to_owned()),
    };
    TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: Some(shape.iter().map(dim).collect()),
    }
}

/// y = x/2 + 2
pub(crate) fn half() -> Signature {
    let x = spec("x", DataType::Fp32, &[-1, 1]);
    Signature::new(vec![x], vec![spec("y", DataType::Fp32, &[-1, 1])])
}

/// Two outputs.
pub(crate) fn iris() -> Signature {
    let outputs = vec![
        spec("label", DataType::Int64, &[-1]),
        spec("scores", DataType::Fp32, &[-1, 3]),
    ];
    Signature::new(vec![spec("x", DataType::Fp32, &[-1, 4])], outputs)
}

/// Two inputs, strings.
pub(crate) fn pair() -> Signature {
    let inputs = vec![
        spec("a", DataType::Int32, &[-1, 2]),
        spec("s", DataType::Bytes, &[-1]),
    ];
    let outputs = vec![
        spec("t", DataType::Bytes, &[-1]),
        spec("raw_bytes", DataType::Bytes, &[-1]),
    ];
    Signature::new(inputs, outputs)
}

/// One input `x` and one output `y` of `datatype` and unknown rank.
pub(crate) fn single(datatype: DataType) -> Signature {
    let tensor = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: None,
    };
    Signature::new(vec![tensor("x")], vec![tensor("y")])
}
