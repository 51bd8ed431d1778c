//! Cuts, pads, joins and compares tensors by rows (dimension 0).
//!
//! Pure. Called by `model` to run requests in buckets, and to prove that doing so changes nothing.

use std::ops::Range;

use aimass_protocol::{Data, DataType, Tensor};

/// Rows `range` of `tensor`, then copies of the last of them until there are `total`.
///
/// `None` if the tensor has no dimension 0, the range is empty or leaves it.
pub fn take(tensor: &Tensor, range: Range<usize>, total: usize) -> Option<Tensor> {
    gather([(tensor, range)].into_iter(), total)
}

/// The given rows of all tensors, one below the other, then copies of the very last until there are `total`.
///
/// `None` if types or shapes beyond dimension 0 differ, a range is empty or leaves its tensor, or there are more than
/// `total` rows, or none.
pub fn gather<'a>(
    parts: impl Iterator<Item = (&'a Tensor, Range<usize>)> + Clone,
    total: usize,
) -> Option<Tensor> {
    let (first, _) = parts.clone().next()?;
    let (_, rest) = first.shape().split_first()?;
    let row = aimass_protocol::tensor::elements(rest)?;
    let mut data = Data::empty(first.datatype());
    data.reserve(total.checked_mul(row)?);
    let mut missing = total;
    let mut last = None;
    for (tensor, range) in parts {
        let (rows, others) = tensor.shape().split_first()?;
        if range.is_empty() || range.end > *rows || others != rest {
            return None;
        }
        missing = missing.checked_sub(range.len())?;
        let elements = range.start.checked_mul(row)?..range.end.checked_mul(row)?;
        extend(&mut data, tensor.data(), elements)?;
        last = Some((tensor, range.end));
    }
    let (tensor, end) = last?;
    for _ in 0..missing {
        let elements = end.checked_sub(1)?.checked_mul(row)?..end.checked_mul(row)?;
        extend(&mut data, tensor.data(), elements)?;
    }
    let mut shape = Vec::with_capacity(rest.len() + 1);
    shape.push(total);
    shape.extend_from_slice(rest);
    Tensor::new(shape, data)
}

/// Appends elements `range` of `from`. `None` if the types differ or there are fewer.
fn extend(data: &mut Data, from: &Data, range: Range<usize>) -> Option<()> {
    match (data, from) {
        (Data::Bool(to), Data::Bool(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Int8(to), Data::Int8(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Int16(to), Data::Int16(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Int32(to), Data::Int32(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Int64(to), Data::Int64(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Uint8(to), Data::Uint8(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Uint16(to), Data::Uint16(from))
        | (Data::Fp16(to), Data::Fp16(from))
        | (Data::Bf16(to), Data::Bf16(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Uint32(to), Data::Uint32(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Uint64(to), Data::Uint64(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Fp32(to), Data::Fp32(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Fp64(to), Data::Fp64(from)) => to.extend_from_slice(from.get(range)?),
        (Data::Bytes(to), Data::Bytes(from)) => {
            for index in range {
                to.push(from.get(index)?);
            }
        }
        _ => return None,
    }
    Some(())
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
pub fn join(mut parts: Vec<Tensor>) -> Option<Tensor> {
    if parts.len() == 1 {
        return parts.pop();
    }
    let rows = |part: &Tensor| part.shape().first().copied();
    let total = parts.iter().map(rows).sum::<Option<usize>>()?;
    let whole = |part: &Tensor| Some(0..rows(part)?);
    let ranges: Vec<Range<usize>> = parts.iter().map(whole).collect::<Option<_>>()?;
    gather(parts.iter().zip(ranges), total)
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
