//! Tensors of any type and shape.
//!
//! Shared by the properties of this crate.

use aimass_protocol::{Data, Tensor};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};

fn string() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        ".{0,5}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..5)
    ]
}

/// A buffer of any type. Without NaN, which equals nothing; infinities stay.
fn data(size: usize, text: bool) -> impl Strategy<Value = Data> {
    let finite16 = |bits: u16| if bits & 0x7F80 == 0x7F80 { 0 } else { bits };
    let half = move |bits: u16| if bits & 0x7C00 == 0x7C00 { 0 } else { bits };
    let strings = vec(string(), size).prop_map(move |all| {
        let keep = |one: &Vec<u8>| !text || str::from_utf8(one).is_ok();
        let shown = |one: Vec<u8>| if keep(&one) { one } else { vec![] };
        Data::Bytes(all.into_iter().map(shown).collect())
    });
    let float = any::<u32>()
        .prop_map(f32::from_bits)
        .prop_map(|f| if f.is_nan() { 0.5 } else { f });
    let double = any::<u64>()
        .prop_map(f64::from_bits)
        .prop_map(|f| if f.is_nan() { 0.5 } else { f });
    prop_oneof![
        vec(any::<bool>(), size).prop_map(Data::Bool),
        vec(any::<i8>(), size).prop_map(Data::Int8),
        vec(any::<i16>(), size).prop_map(Data::Int16),
        vec(any::<i32>(), size).prop_map(Data::Int32),
        vec(any::<i64>(), size).prop_map(Data::Int64),
        vec(any::<u8>(), size).prop_map(Data::Uint8),
        vec(any::<u16>(), size).prop_map(Data::Uint16),
        vec(any::<u32>(), size).prop_map(Data::Uint32),
        vec(any::<u64>(), size).prop_map(Data::Uint64),
        vec(any::<u16>().prop_map(half), size).prop_map(Data::Fp16),
        vec(any::<u16>().prop_map(finite16), size).prop_map(Data::Bf16),
        vec(float, size).prop_map(Data::Fp32),
        vec(double, size).prop_map(Data::Fp64),
        strings,
    ]
}

/// A tensor with at least one dimension and one row; with `text`, its byte strings are UTF-8.
pub(crate) fn tensor(text: bool) -> impl Strategy<Value = Tensor> {
    (1_usize..4, vec(0_usize..4, 0..4)).prop_flat_map(move |(rows, inner)| {
        let shape: Vec<usize> = std::iter::once(rows).chain(inner).collect();
        data(shape.iter().product(), text).prop_map(move |data| {
            Tensor::new(shape.clone(), data).expect("as many as the shape has")
        })
    })
}
