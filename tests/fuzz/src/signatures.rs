//! The models that requests are read for, and what holds for every answer to them.
//!
//! The first byte of an input of the JSON targets picks one.

use aimass_protocol::{Checks, Data, DataType, Dim, Error, Signature, Tensor, TensorSpec};

/// Splits the first byte off: which signature and how strictly JSON is read. `None` without a byte.
pub(crate) fn pick(data: &[u8]) -> Option<(Signature, Checks, &[u8])> {
    let (first, body) = data.split_first()?;
    let checks = if first & 0x80 == 0 {
        Checks::Lenient
    } else {
        Checks::Strict
    };
    let all = all();
    let signature = all[usize::from(first & 0x7f) % all.len()].clone();
    Some((signature, checks, body))
}

/// One input of the documentation's first example, several inputs, one input of each type.
fn all() -> Vec<Signature> {
    let half = vec![spec("x", DataType::Fp32, Some(&[-1, 1]))];
    let pair = vec![
        spec("a", DataType::Int32, Some(&[-1, 2])),
        spec("s", DataType::Bytes, Some(&[-1])),
    ];
    let mut all = vec![echo(half), echo(pair)];
    all.extend(DataType::ALL.map(|datatype| echo(vec![spec("x", datatype, None)])));
    all
}

/// A signature whose outputs are its inputs: what was read can be written and read again.
fn echo(inputs: Vec<TensorSpec>) -> Signature {
    Signature::new(inputs.clone(), inputs)
}

fn spec(name: &str, datatype: DataType, shape: Option<&[i64]>) -> TensorSpec {
    let dim = |size: &i64| match usize::try_from(*size) {
        Ok(size) => Dim::Fixed(size),
        Err(_) => Dim::Symbol("N".to_owned()),
    };
    TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: shape.map(|shape| shape.iter().map(dim).collect()),
    }
}

/// A refusal is the caller's fault, short, and JSON.
pub(crate) fn check_refusal(error: &Error) {
    assert_eq!(error.kind.status(), 400, "{}", error.text);
    assert!(
        error.text.len() < 1500,
        "the text of a refusal has {} bytes",
        error.text.len()
    );
    serde_json::from_slice::<serde_json::Value>(&error.body()).unwrap();
}

/// The same shapes and elements. A NaN is a NaN: JSON does not tell which.
pub(crate) fn assert_same(read: &[Tensor], again: &[Tensor]) {
    assert_eq!(read.len(), again.len());
    for (one, other) in read.iter().zip(again) {
        assert_eq!(one.shape(), other.shape());
        let (one, other) = (one_nan(one.data()), one_nan(other.data()));
        // By what is shown, in which NaN equals NaN and -0.0 is not 0.0.
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
    }
}

/// The bits of every NaN made the same.
fn one_nan(data: &Data) -> Data {
    let of = |bits: &u16, infinity: u16| {
        let is_nan = bits & 0x7fff > infinity;
        if is_nan { 0x7fff } else { *bits }
    };
    match data {
        Data::Fp16(values) => Data::Fp16(values.iter().map(|bits| of(bits, 0x7c00)).collect()),
        Data::Bf16(values) => Data::Bf16(values.iter().map(|bits| of(bits, 0x7f80)).collect()),
        other => other.clone(),
    }
}

/// Whether JSON tells the shape back: nothing is known below a dimension of size zero.
pub(crate) fn is_told(tensor: &Tensor) -> bool {
    let zero = tensor.shape().iter().position(|size| *size == 0);
    zero.is_none_or(|at| at + 1 == tensor.shape().len())
}
