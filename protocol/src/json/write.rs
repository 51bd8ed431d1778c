//! Writes JSON: strings, numbers, whole documents.
//!
//! Pure. Appends to a byte buffer; called by the writers of `v1` and `v2` and by the error body.

use serde::Serialize;

use crate::nonfinite::Nonfinite;

/// `value` as compact JSON.
pub(crate) fn document<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("our documents have string keys and no failing serializers")
}

/// `text` as a JSON string. Escapes what RFC 8259 demands and nothing else.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    while let Some(position) = rest.iter().position(special) {
        let (plain, after) = rest.split_at(position);
        out.extend_from_slice(plain);
        let Some((byte, after)) = after.split_first() else {
            break;
        };
        escape(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(format!("\\u{byte:04X}").as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// A decimal integer.
pub(crate) fn integer<I: itoa::Integer>(out: &mut Vec<u8>, value: I) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest digits that lead back to `value` as an `f32`, laid out like `%g`.
pub(crate) fn float32(out: &mut Vec<u8>, value: f32, nonfinite: Nonfinite) {
    if value.is_finite() {
        finite(out, zmij::Buffer::new().format_finite(value), 9);
    } else {
        not_finite(out, f64::from(value), nonfinite);
    }
}

/// The shortest digits that lead back to `value` as an `f64`, laid out like `%g`.
pub(crate) fn float64(out: &mut Vec<u8>, value: f64, nonfinite: Nonfinite) {
    if value.is_finite() {
        finite(out, zmij::Buffer::new().format_finite(value), 17);
    } else {
        not_finite(out, value, nonfinite);
    }
}

fn not_finite(out: &mut Vec<u8>, value: f64, nonfinite: Nonfinite) {
    let word = match (value.is_nan(), value.is_sign_negative()) {
        (true, _) => "NaN",
        (false, false) => "Infinity",
        (false, true) => "-Infinity",
    };
    match nonfinite {
        Nonfinite::Token => out.extend_from_slice(word.as_bytes()),
        Nonfinite::String => string(out, word),
        Nonfinite::Null => out.extend_from_slice(b"null"),
    }
}

/// Whether digits with a point and without an exponent are what [`finite`] would make of them: at most six digits in front
/// of the point, at most three zeros behind a zero.
fn has_layout(shortest: &str) -> bool {
    let Some((whole, fraction)) = shortest
        .strip_prefix('-')
        .unwrap_or(shortest)
        .split_once('.')
    else {
        return false;
    };
    whole.len() <= 6 && !(whole == "0" && fraction.starts_with("0000")) && !fraction.contains('e')
}

/// Lays `shortest` (decimal digits, perhaps a point and an exponent) out like C's `%g`: with n digits and decimal exponent
/// e, scientific iff e < −4, or e ≥ 6 if n ≤ 6, or e ≥ `widest` if n > 6. `.0` marks what else would look like an integer.
/// So up to six digits are byte-equal to TensorFlow Serving's answer, which tries six digits first.
fn finite(out: &mut Vec<u8>, shortest: &str, widest: i32) {
    if has_layout(shortest) {
        return out.extend_from_slice(shortest.as_bytes());
    }
    let (mantissa, exponent) = match shortest.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (shortest, 0),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [0_u8; 40];
    let mut count = 0;
    // The place of the first digit that is not zero: 10^exponent.
    let mut exponent: i32 = exponent + i32::try_from(whole.len()).unwrap_or(0) - 1;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if count == 0 && byte == b'0' {
            exponent -= 1;
        } else if let Some(place) = digits.get_mut(count) {
            *place = byte;
            count += 1;
        }
    }
    let digits = digits.get(..count).unwrap_or_default();
    let zeros = digits
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    let digits = digits
        .get(..count.saturating_sub(zeros))
        .unwrap_or_default();
    out.extend_from_slice(sign.as_bytes());
    let limit = if digits.len() <= 6 { 6 } else { widest };
    match usize::try_from(exponent) {
        _ if digits.is_empty() => out.extend_from_slice(b"0.0"),
        _ if exponent < -4 || exponent >= limit => scientific(out, digits, exponent),
        Ok(exponent) => {
            let (whole, fraction) = digits.split_at(digits.len().min(exponent + 1));
            out.extend_from_slice(whole);
            out.extend(std::iter::repeat_n(b'0', exponent + 1 - whole.len()));
            out.push(b'.');
            out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
        }
        Err(_) => {
            out.extend_from_slice(b"0.");
            let zeros = usize::try_from(-1 - exponent).unwrap_or(0);
            out.extend(std::iter::repeat_n(b'0', zeros));
            out.extend_from_slice(digits);
        }
    }
}

/// `9e+06`, `1.25e-05`: the exponent has a sign and at least two digits.
fn scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let (first, fraction) = digits.split_at(1.min(digits.len()));
    out.extend_from_slice(first);
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.unsigned_abs() < 10 {
        out.push(b'0');
    }
    integer(out, exponent.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn check32(value: f32, expect: &str) {
        assert_eq!(written(|out| float32(out, value, Nonfinite::Token)), expect);
    }

    #[track_caller]
    fn check64(value: f64, expect: &str) {
        assert_eq!(written(|out| float64(out, value, Nonfinite::Token)), expect);
    }

    #[test]
    fn up_to_six_digits_a_float_looks_as_in_tensorflow_serving() {
        check32(9e6, "9e+06");
        check32(999_999.0, "999999.0");
        check32(1e6, "1e+06");
        check32(100_000.0, "100000.0");
        check32(3e-5, "3e-05");
        check32(0.0001, "0.0001");
        check32(0.000_123, "0.000123");
        check32(3.0, "3.0");
        check32(0.1, "0.1");
        check32(-0.0, "-0.0");
        check32(0.0, "0.0");
        check32(-2.5, "-2.5");
        check32(120.0, "120.0");
        check32(1.5e-7, "1.5e-07");
    }

    #[test]
    fn beyond_six_digits_a_float_is_as_short_as_its_type_allows() {
        check32(555_557.5, "555557.5");
        check32(16_777_216.0, "16777216.0");
        check32(123_456_790.0, "123456790.0");
        check32(1.234_568e9, "1.234568e+09");
        check32(f32::MAX, "3.4028235e+38");
        check32(f32::MIN_POSITIVE, "1.1754944e-38");
        check32(f32::from_bits(1), "1e-45");
        check32(1.0 / 3.0, "0.33333334");
        check64(0.1 + 0.2, "0.30000000000000004");
        check64(1e6, "1e+06");
        check64(1_234_567.0, "1234567.0");
        check64(9_007_199_254_740_993.0, "9007199254740992.0");
        check64(1.234_567_89e17, "1.23456789e+17");
        check64(f64::MAX, "1.7976931348623157e+308");
        check64(f64::from_bits(1), "5e-324");
        check64(1e-5, "1e-05");
    }

    #[test]
    fn what_json_cannot_express_takes_one_of_three_forms() {
        for (mode, expect) in [
            (Nonfinite::Token, ["NaN", "Infinity", "-Infinity"]),
            (
                Nonfinite::String,
                ["\"NaN\"", "\"Infinity\"", "\"-Infinity\""],
            ),
            (Nonfinite::Null, ["null", "null", "null"]),
        ] {
            let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
            for (value, expect) in values.into_iter().zip(expect) {
                assert_eq!(written(|out| float32(out, value, mode)), expect);
                assert_eq!(written(|out| float64(out, value.into(), mode)), expect);
            }
        }
    }

    #[test]
    fn a_string_escapes_what_json_demands() {
        let text = "a\"b\\c/\u{8}\u{c}\n\r\t\u{0}\u{1f}ü😀";
        let expect = r#""a\"b\\c/\b\f\n\r\t\u0000\u001Fü😀""#;
        assert_eq!(written(|out| string(out, text)), expect);
        assert_eq!(serde_json::from_str::<String>(expect).unwrap(), text);
    }
}
