//! The two 16-bit float formats.
//!
//! Pure. Tensors keep their bits; the codecs convert from decimal numbers and to `f32`.

use std::cmp::Ordering;

/// A binary float format of 16 bits.
pub(crate) struct Format {
    /// Bits of the fraction.
    fraction: u32,
    /// The exponent of the smallest normal number.
    lowest: i32,
    /// The exponent of the largest number.
    highest: i32,
}

/// IEEE 754 binary16.
pub(crate) const HALF: Format = Format {
    fraction: 10,
    lowest: -14,
    highest: 15,
};

/// The upper half of a binary32.
pub(crate) const BFLOAT16: Format = Format {
    fraction: 7,
    lowest: -126,
    highest: 127,
};

/// The bits nearest to the decimal number `token`, whose nearest double is `value`; ties go to even.
///
/// Rounding twice goes wrong only where the double lies half way between two results and the decimal beside it. There the
/// digits decide.
pub(crate) fn narrow(value: f64, token: &[u8], format: &Format) -> u16 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let infinity = exponent_bits(format.highest + 1, format);
    if value.is_nan() {
        return sign | infinity | (1 << (format.fraction - 1));
    }
    let value = value.abs();
    let exponent = exponent(value).max(format.lowest);
    if exponent > format.highest {
        return sign | infinity;
    }
    // Scaling by a power of two is exact; what is left of the point is the fraction with its leading one.
    let scaled = value / power(exponent - format.fraction.cast_signed());
    let whole = scaled.floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 ≤ whole < 2^(fraction + 1) ≤ 2048"
    )]
    let mut fraction = whole as u16;
    let up = match (scaled - whole).partial_cmp(&0.5) {
        Some(Ordering::Less) | None => false,
        Some(Ordering::Greater) => true,
        Some(Ordering::Equal) => match compare(token, value) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => fraction % 2 == 1,
        },
    };
    fraction += u16::from(up);
    // The leading one counts the exponent up by itself, and so does a carry: up to infinity.
    sign | (exponent_bits(exponent, format).saturating_sub(1 << format.fraction) + fraction)
}

/// The binary16 with these bits.
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = u32::from(bits & 0x03FF);
    match u32::from(bits >> 10 & 0x1F) {
        // 2^-24: the smallest subnormal.
        0 => sign * fraction as f32 * (1.0 / 16_777_216.0),
        31 if fraction == 0 => sign * f32::INFINITY,
        31 => f32::NAN,
        // 112: the difference of the biases, 127 − 15.
        exponent => sign * f32::from_bits((exponent + 112) << 23 | fraction << 13),
    }
}

/// The bfloat16 with these bits.
pub(crate) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn exponent_bits(exponent: i32, format: &Format) -> u16 {
    // `lowest` is written as 1.
    u16::try_from(exponent - format.lowest + 1).unwrap_or(0) << format.fraction
}

/// e with 2^e ≤ value < 2^(e+1); less than any format's lowest for zero and subnormal doubles.
fn exponent(value: f64) -> i32 {
    i32::try_from(value.to_bits() >> 52 & 0x7FF).unwrap_or(0) - 1023
}

/// 2^`exponent` for a normal double.
fn power(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).unwrap_or(0) << 52)
}

/// Whether the decimal number `token`, without its sign, is below or above `value`, half way between two 16-bit floats.
fn compare(token: &[u8], value: f64) -> Ordering {
    // The smallest such value is 2^-134: 134 places, of which 40 are zeros.
    let exact = format!("{value:.140e}");
    let (left, left_exponent) = normal(token);
    let (right, right_exponent) = normal(exact.as_bytes());
    let longest = left.len().max(right.len());
    let padded = |digits: Vec<u8>| {
        digits
            .into_iter()
            .chain(std::iter::repeat(b'0'))
            .take(longest)
    };
    left_exponent
        .cmp(&right_exponent)
        .then_with(|| padded(left).cmp(padded(right)))
}

/// The digits from the first that is not zero, and the place of that one.
fn normal(token: &[u8]) -> (Vec<u8>, i64) {
    let mut parts = token.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next().unwrap_or_default();
    let exponent = parts
        .next()
        .and_then(|text| str::from_utf8(text).ok()?.parse::<i64>().ok());
    let point = mantissa
        .iter()
        .position(|byte| *byte == b'.')
        .unwrap_or(mantissa.len());
    let before = mantissa
        .iter()
        .take(point)
        .filter(|byte| byte.is_ascii_digit())
        .count();
    let digits = || mantissa.iter().copied().filter(u8::is_ascii_digit);
    let zeros = digits().take_while(|digit| *digit == b'0').count();
    let place =
        i64::try_from(before).unwrap_or(i64::MAX) - i64::try_from(zeros).unwrap_or(i64::MAX);
    (
        digits().skip(zeros).collect(),
        place.saturating_add(exponent.unwrap_or(0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_leads_back_to_itself() {
        for bits in 0..=u16::MAX {
            let half = f16_to_f32(bits);
            let text = format!("{half:e}");
            let again = narrow(half.into(), text.as_bytes(), &HALF);
            assert!(
                again == bits || half.is_nan(),
                "{bits:#x} became {again:#x}"
            );
        }
    }

    #[test]
    fn every_bfloat_leads_back_to_itself() {
        for bits in 0..=u16::MAX {
            let bfloat = bf16_to_f32(bits);
            let text = format!("{bfloat:e}");
            let again = narrow(bfloat.into(), text.as_bytes(), &BFLOAT16);
            assert!(
                again == bits || bfloat.is_nan(),
                "{bits:#x} became {again:#x}"
            );
        }
    }
}
