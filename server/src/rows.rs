//! Cuts, pads, joins and compares tensors by rows (dimension 0).
//!
//! Pure. Called by `model.rs` to run a request in buckets, and to prove that doing so changes nothing.

use std::ops::Range;

use aimass_protocol::{Data, DataType, Strings, Tensor};

/// Rows `range` of `tensor`, then copies of the last of them until there are `total`.
///
/// `None` if the tensor has no dimension 0, the range is empty or leaves it.
pub fn take(tensor: &Tensor, range: Range<usize>, total: usize) -> Option<Tensor> {
    let (rows, rest) = tensor.shape().split_first()?;
    if range.is_empty() || range.end > *rows || range.len() > total {
        return None;
    }
    let row: usize = tensor.data().len().checked_div(*rows)?;
    let picks = Picks {
        elements: range.start.checked_mul(row)?..range.end.checked_mul(row)?,
        last: range.end.checked_sub(1)?.checked_mul(row)?..range.end.checked_mul(row)?,
        copies: total - range.len(),
    };
    let data = match tensor.data() {
        Data::Bool(values) => Data::Bool(picks.copy(values)?),
        Data::Int8(values) => Data::Int8(picks.copy(values)?),
        Data::Int16(values) => Data::Int16(picks.copy(values)?),
        Data::Int32(values) => Data::Int32(picks.copy(values)?),
        Data::Int64(values) => Data::Int64(picks.copy(values)?),
        Data::Uint8(values) => Data::Uint8(picks.copy(values)?),
        Data::Uint16(values) => Data::Uint16(picks.copy(values)?),
        Data::Uint32(values) => Data::Uint32(picks.copy(values)?),
        Data::Uint64(values) => Data::Uint64(picks.copy(values)?),
        Data::Fp16(values) => Data::Fp16(picks.copy(values)?),
        Data::Bf16(values) => Data::Bf16(picks.copy(values)?),
        Data::Fp32(values) => Data::Fp32(picks.copy(values)?),
        Data::Fp64(values) => Data::Fp64(picks.copy(values)?),
        Data::Bytes(values) => Data::Bytes(picks.strings(values)),
    };
    let mut shape = vec![total];
    shape.extend_from_slice(rest);
    Tensor::new(shape, data)
}

struct Picks {
    elements: Range<usize>,
    last: Range<usize>,
    copies: usize,
}

impl Picks {
    fn copy<T: Copy>(&self, values: &[T]) -> Option<Vec<T>> {
        let mut picked = values.get(self.elements.clone())?.to_vec();
        let last = values.get(self.last.clone())?;
        for _ in 0..self.copies {
            picked.extend_from_slice(last);
        }
        Some(picked)
    }

    fn strings(&self, values: &Strings) -> Strings {
        let last = (0..self.copies).flat_map(|_| self.last.clone());
        let indices = self.elements.clone().chain(last);
        indices.filter_map(|index| values.get(index)).collect()
    }
}

/// The first `rows` rows of `tensor`, of which there may be none. `None` if it has fewer.
pub fn first(tensor: &Tensor, rows: usize) -> Option<Tensor> {
    if rows > 0 {
        return take(tensor, 0..rows, rows);
    }
    let mut shape = tensor.shape().to_vec();
    *shape.first_mut()? = 0;
    Tensor::new(shape, Data::empty(tensor.datatype()))
}

/// One below the other. `None` if types or shapes beyond dimension 0 differ, or there is nothing to join.
pub fn join(parts: Vec<Tensor>) -> Option<Tensor> {
    let mut parts = parts.into_iter();
    let (mut shape, mut data) = parts.next()?.into_parts();
    for part in parts {
        let (next, more) = part.into_parts();
        if next.get(1..)? != shape.get(1..)? {
            return None;
        }
        let rows = shape.first_mut()?;
        *rows = rows.checked_add(*next.first()?)?;
        append(&mut data, more)?;
    }
    Tensor::new(shape, data)
}

fn append(data: &mut Data, more: Data) -> Option<()> {
    match (data, more) {
        (Data::Bool(values), Data::Bool(more)) => values.extend(more),
        (Data::Int8(values), Data::Int8(more)) => values.extend(more),
        (Data::Int16(values), Data::Int16(more)) => values.extend(more),
        (Data::Int32(values), Data::Int32(more)) => values.extend(more),
        (Data::Int64(values), Data::Int64(more)) => values.extend(more),
        (Data::Uint8(values), Data::Uint8(more)) => values.extend(more),
        (Data::Uint16(values), Data::Uint16(more))
        | (Data::Fp16(values), Data::Fp16(more))
        | (Data::Bf16(values), Data::Bf16(more)) => values.extend(more),
        (Data::Uint32(values), Data::Uint32(more)) => values.extend(more),
        (Data::Uint64(values), Data::Uint64(more)) => values.extend(more),
        (Data::Fp32(values), Data::Fp32(more)) => values.extend(more),
        (Data::Fp64(values), Data::Fp64(more)) => values.extend(more),
        (Data::Bytes(values), Data::Bytes(more)) => more.iter().for_each(|more| values.push(more)),
        _ => return None,
    }
    Some(())
}

/// Whether two results mean the same: equal for integers, booleans and strings, within t·max(1, largest) for floats.
///
/// t is 1e-5 for f32, 1e-12 for f64, 1e-2 for the halves; NaN equals NaN.
pub fn agree(left: &Tensor, right: &Tensor) -> bool {
    if left.shape() != right.shape() {
        return false;
    }
    match (left.data(), right.data()) {
        (Data::Fp32(left), Data::Fp32(right)) => {
            let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect();
            close(wide(left), wide(right), 1e-5)
        }
        (Data::Fp64(left), Data::Fp64(right)) => close(left.clone(), right.clone(), 1e-12),
        (Data::Fp16(left), Data::Fp16(right)) => {
            let wide = |bits: &[u16]| bits.iter().map(|bits| half(*bits)).collect();
            close(wide(left), wide(right), 1e-2)
        }
        (left, right) => left == right,
    }
}

fn close(left: Vec<f64>, right: Vec<f64>, tolerance: f64) -> bool {
    let finite = left.iter().filter(|value| value.is_finite());
    let bound = tolerance * finite.fold(1.0_f64, |largest, value| largest.max(value.abs()));
    left.into_iter().zip(right).all(|(left, right)| {
        // Equal covers the infinities, whose difference is no number.
        left == right || (left.is_nan() && right.is_nan()) || (left - right).abs() <= bound
    })
}

/// The value of an IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x03ff);
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2.0_f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2.0_f64.powi(i32::from(exponent) - 15),
    }
}

/// Elements of made-up input: a model's file alone must not make the server allocate more.
const MAX_PROBE: usize = 1 << 26;

/// A tensor of harmless values that differ from row to row: floats in [−1, 1), integers 0 and 1 (which every vocabulary has).
///
/// The same for the same arguments. `None` if the shape has more than 2²⁶ elements.
pub fn probe(datatype: DataType, shape: &[usize], seed: u32) -> Option<Tensor> {
    let count = aimass_protocol::tensor::elements(shape).filter(|count| *count <= MAX_PROBE)?;
    let mut noise = Noise(seed);
    let mut bits = || noise.next() & 1;
    let data = match datatype {
        DataType::Bool => Data::Bool((0..count).map(|_| bits() == 1).collect()),
        DataType::Int8 => Data::Int8((0..count).map(|_| i8::from(bits() == 1)).collect()),
        DataType::Int16 => Data::Int16((0..count).map(|_| i16::from(bits() == 1)).collect()),
        DataType::Int32 => Data::Int32((0..count).map(|_| i32::from(bits() == 1)).collect()),
        DataType::Int64 => Data::Int64((0..count).map(|_| i64::from(bits())).collect()),
        DataType::Uint8 => Data::Uint8((0..count).map(|_| u8::from(bits() == 1)).collect()),
        DataType::Uint16 => Data::Uint16((0..count).map(|_| u16::from(bits() == 1)).collect()),
        DataType::Uint32 => Data::Uint32((0..count).map(|_| bits()).collect()),
        DataType::Uint64 => Data::Uint64((0..count).map(|_| u64::from(bits())).collect()),
        DataType::Fp16 => {
            // 0 and 1 as bits.
            let half = |bit| if bit == 1 { 0x3c00 } else { 0 };
            Data::Fp16((0..count).map(|_| half(bits())).collect())
        }
        DataType::Bf16 => {
            let half = |bit| if bit == 1 { 0x3f80 } else { 0 };
            Data::Bf16((0..count).map(|_| half(bits())).collect())
        }
        DataType::Fp32 => Data::Fp32((0..count).map(|_| noise.unit()).collect()),
        DataType::Fp64 => Data::Fp64((0..count).map(|_| f64::from(noise.unit())).collect()),
        DataType::Bytes => {
            let text = |bit| if bit == 1 { "b" } else { "a" };
            Data::Bytes((0..count).map(|_| text(bits())).collect())
        }
    };
    Tensor::new(shape.to_vec(), data)
}

/// A xorshift generator: enough to tell rows apart.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        let mut state = self.0.max(1);
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        self.0 = state;
        state >> 7
    }

    /// In [−1, 1).
    fn unit(&mut self) -> f32 {
        let [low, high, ..] = self.next().to_le_bytes();
        f32::from(i16::from_le_bytes([low, high])) / 32768.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape.to_vec(), Data::Fp32(values.to_vec())).unwrap()
    }

    #[test]
    fn rows_are_cut_padded_and_joined() {
        let three = floats(&[3, 2], &[1., 2., 3., 4., 5., 6.]);
        let padded = floats(&[4, 2], &[3., 4., 5., 6., 5., 6., 5., 6.]);
        assert_eq!(take(&three, 1..3, 4), Some(padded.clone()));
        assert_eq!(first(&padded, 2), Some(floats(&[2, 2], &[3., 4., 5., 6.])));
        assert_eq!(first(&padded, 0), Some(floats(&[0, 2], &[])));
        let joined = join(vec![
            floats(&[1, 2], &[1., 2.]),
            floats(&[2, 2], &[3., 4., 5., 6.]),
        ]);
        assert_eq!(joined, Some(three.clone()));
        assert_eq!(take(&three, 2..4, 2), None, "beyond the end");
        assert_eq!(
            take(&floats(&[], &[1.]), 0..1, 1),
            None,
            "a scalar has no rows"
        );
        assert_eq!(
            join(vec![floats(&[1, 2], &[1., 2.]), floats(&[1, 1], &[1.])]),
            None
        );
    }

    #[test]
    fn strings_are_rows_too() {
        let strings = |texts: &[&str]| {
            let data = Data::Bytes(texts.iter().collect());
            Tensor::new(vec![texts.len()], data).unwrap()
        };
        assert_eq!(
            take(&strings(&["a", "b"]), 1..2, 3),
            Some(strings(&["b", "b", "b"]))
        );
        assert_eq!(
            join(vec![strings(&["a"]), strings(&["b"])]),
            Some(strings(&["a", "b"]))
        );
    }

    #[test]
    fn floats_agree_within_a_tolerance_and_everything_else_exactly() {
        assert!(agree(
            &floats(&[2], &[1.0, f32::NAN]),
            &floats(&[2], &[1.000_001, f32::NAN])
        ));
        assert!(!agree(&floats(&[1], &[1.0]), &floats(&[1], &[1.001])));
        assert!(agree(
            &floats(&[1], &[f32::INFINITY]),
            &floats(&[1], &[f32::INFINITY])
        ));
        assert!(!agree(
            &floats(&[1], &[1.0]),
            &floats(&[1], &[f32::INFINITY])
        ));
        assert!(!agree(&floats(&[1, 1], &[1.0]), &floats(&[1], &[1.0])));
        let int = |value| Tensor::new(vec![1], Data::Int64(vec![value])).unwrap();
        assert!(agree(&int(1), &int(1)) && !agree(&int(1), &int(2)));
        let halves = |bits| Tensor::new(vec![1], Data::Fp16(vec![bits])).unwrap();
        assert!(
            agree(&halves(0x3c00), &halves(0x3c01)) && !agree(&halves(0x3c00), &halves(0x4000))
        );
    }

    #[test]
    fn a_probe_is_repeatable_and_its_rows_differ() {
        for datatype in DataType::ALL {
            let tensor = probe(datatype, &[2, 16], 7).unwrap();
            assert_eq!(Some(&tensor), probe(datatype, &[2, 16], 7).as_ref());
            assert_ne!(
                take(&tensor, 0..1, 1),
                take(&tensor, 1..2, 1),
                "{datatype:?}"
            );
        }
        assert_eq!(probe(DataType::Fp32, &[usize::MAX, 2], 1), None);
        assert_eq!(probe(DataType::Fp32, &[1 << 40], 1), None);
    }
}
