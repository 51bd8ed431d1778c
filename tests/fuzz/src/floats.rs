//! Floats as text: what is printed is read back with the same bits.
//!
//! Input: eight bytes of an f64, of which the first four are an f32 too, then text that is a number.

use aimass_protocol::v1::{self, Form};
use aimass_protocol::{Checks, Data, DataType, Nonfinite, Signature, Tensor, TensorSpec};

/// Prints and reads; then reads the text as the standard library does.
pub fn body(data: &[u8]) {
    let Some((bits, text)) = data.split_first_chunk::<8>() else {
        return;
    };
    let double = f64::from_le_bytes(*bits);
    let [a, b, c, d, ..] = *bits;
    let single = f32::from_le_bytes([a, b, c, d]);
    if double.is_finite() {
        let printed = print(Data::Fp64(vec![double]));
        assert_eq!(printed.parse::<f64>().unwrap().to_bits(), double.to_bits());
        assert_eq!(read_double(&printed).unwrap().to_bits(), double.to_bits());
    }
    if single.is_finite() {
        let printed = print(Data::Fp32(vec![single]));
        assert_eq!(printed.parse::<f32>().unwrap().to_bits(), single.to_bits());
    }
    let number = std::str::from_utf8(text)
        .ok()
        .filter(|text| is_number(text));
    if let Some((text, value)) = number.and_then(|text| Some((text, read_double(text)?))) {
        assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
    }
}

/// Only what a number may consist of: white space around it would be none of the library's business.
fn is_number(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    !text.is_empty() && text.len() < 2000 && text.bytes().all(allowed)
}

fn signature(datatype: DataType) -> Signature {
    let tensor = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: None,
    };
    Signature::new(vec![tensor("x")], vec![tensor("y")])
}

fn print(data: Data) -> String {
    let signature = signature(data.datatype());
    let tensor = Tensor::new(vec![], data).unwrap();
    let body = v1::write(
        Form::Column,
        &signature,
        &[tensor],
        Nonfinite::Token,
        1 << 20,
    )
    .unwrap();
    let text = String::from_utf8(body).unwrap();
    text.trim_start_matches("{\"outputs\":")
        .trim_end_matches('}')
        .to_owned()
}

/// What the parser makes of it; `None` if it refuses.
fn read_double(text: &str) -> Option<f64> {
    let body = format!("{{\"inputs\":{text}}}");
    let predict = v1::parse(body.as_bytes(), &signature(DataType::Fp64), Checks::Strict);
    let inputs = predict.ok()?.inputs;
    match inputs.first()?.data() {
        Data::Fp64(values) => values.first().copied(),
        other => panic!("an f64 was read as {other:?}"),
    }
}
