//! Reads JSON numbers.
//!
//! Pure. Scans a number once, keeping its digits as an integer and its decimal exponent; most numbers are then one exact
//! multiplication or division away from the nearest float (W. D. Clinger, "How to read floating point numbers
//! accurately"). The rest goes to the standard library, which rounds correctly.

use crate::json::Checks;
use crate::json::read::{INVALID, Reader, Syntax};
use crate::number::{BFLOAT16, HALF, narrow};

const TOO_BIG: &str = "Number too big to be stored in double.";
const NO_FRACTION: &str = "Missing fraction part in number.";
const NO_EXPONENT: &str = "Missing exponent in number.";

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A number as it stands in the text.
#[derive(Clone, Copy)]
pub(crate) struct Number<'a> {
    token: &'a [u8],
    negative: bool,
    /// The digits as an integer; the first ones only, if `exact` is false.
    digits: u64,
    /// The value is `digits` · 10^`exponent`, as far as `digits` goes.
    exponent: i32,
    exact: bool,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Integer,
    Decimal,
    Nan,
    Infinity,
}

impl<'a> Reader<'a> {
    /// A number that begins here. `NaN`, `Inf` and `Infinity` are numbers under lenient checks.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number<'a>, Syntax> {
        let start = self.position;
        let mut number = Number {
            token: &[],
            negative: self.take(b'-'),
            digits: 0,
            exponent: 0,
            exact: true,
            form: Form::Integer,
        };
        match self.peek() {
            Some(b'0') => self.advance(),
            Some(b'1'..=b'9') => {
                while let Some(digit) = self.digit() {
                    number.exponent = number.exponent.saturating_add(number.append(digit));
                }
            }
            Some(b'N' | b'I') if self.checks == Checks::Lenient => {
                number.form = self.not_finite()?;
                return Ok(number);
            }
            _ => return Err(self.fail(INVALID)),
        }
        if self.take(b'.') {
            number.form = Form::Decimal;
            let mut digit = self.digit();
            if digit.is_none() {
                return Err(self.fail(NO_FRACTION));
            }
            while let Some(value) = digit {
                number.exponent = number.exponent.saturating_add(number.append(value) - 1);
                digit = self.digit();
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            number.form = Form::Decimal;
            self.advance();
            number.exponent = number.exponent.saturating_add(self.exponent()?);
        }
        number.token = self.bytes.get(start..self.position).unwrap_or_default();
        // 20 digits are the most that `digits` holds: below 10^308 nothing can be too big.
        if number.exponent > 288 && number.digits > 0 && number.parsed::<f64>().is_infinite() {
            return Err(Syntax {
                text: TOO_BIG,
                offset: start,
            });
        }
        Ok(number)
    }

    #[inline]
    fn digit(&mut self) -> Option<u8> {
        let digit = self.peek()?.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        self.advance();
        Some(digit)
    }

    fn exponent(&mut self) -> Result<i32, Syntax> {
        let negative = self.take(b'-');
        if !negative {
            self.take(b'+');
        }
        let mut digit = self.digit();
        if digit.is_none() {
            return Err(self.fail(NO_EXPONENT));
        }
        let mut exponent = 0_i32;
        while let Some(value) = digit {
            exponent = exponent.saturating_mul(10).saturating_add(value.into());
            digit = self.digit();
        }
        Ok(if negative { -exponent } else { exponent })
    }

    fn not_finite(&mut self) -> Result<Form, Syntax> {
        if self.peek() == Some(b'N') {
            self.word(b"NaN")?;
            return Ok(Form::Nan);
        }
        self.word(b"Inf")?;
        if self.peek() == Some(b'i') {
            self.word(b"inity")?;
        }
        Ok(Form::Infinity)
    }
}

impl Number<'_> {
    /// What `NaN`, `Infinity` or `-Infinity` stands for.
    pub(crate) fn not_finite(text: &str) -> Option<Self> {
        let (negative, form) = match text {
            "NaN" => (false, Form::Nan),
            "Infinity" => (false, Form::Infinity),
            "-Infinity" => (true, Form::Infinity),
            _ => return None,
        };
        Some(Self {
            token: &[],
            negative,
            digits: 0,
            exponent: 0,
            exact: true,
            form,
        })
    }

    /// A truth value as the integer that it is to TensorFlow: 1 or 0.
    pub(crate) const fn of_bool(value: bool) -> Self {
        Self {
            token: if value { b"1" } else { b"0" },
            negative: false,
            digits: value as u64,
            exponent: 0,
            exact: true,
            form: Form::Integer,
        }
    }

    /// Takes one more digit. 1 if there is no room, so that the value grows by its place alone.
    #[inline]
    fn append(&mut self, digit: u8) -> i32 {
        let digit = u64::from(digit);
        // 10^18: ten times that and nine more still fit.
        let next = if self.digits < 1_000_000_000_000_000_000 {
            Some(self.digits * 10 + digit)
        } else if self.exact {
            self.digits
                .checked_mul(10)
                .and_then(|digits| digits.checked_add(digit))
        } else {
            None
        };
        match next {
            Some(digits) => {
                self.digits = digits;
                0
            }
            None => {
                self.exact = false;
                1
            }
        }
    }

    /// The value, if the number is written without point and exponent and is in the range of `T`.
    pub(crate) fn integer<T: TryFrom<i128>>(&self) -> Option<T> {
        if self.form != Form::Integer || !self.exact {
            return None;
        }
        let value = i128::from(self.digits);
        T::try_from(if self.negative { -value } else { value }).ok()
    }

    /// The nearest double; beyond the largest, infinity.
    #[inline]
    pub(crate) fn float64(&self) -> f64 {
        match self.fast() {
            Some(value) => value,
            None => self.slow(),
        }
    }

    /// The nearest float; beyond the largest, infinity.
    #[inline]
    pub(crate) fn float32(&self) -> f32 {
        /// The bits of a double that a float does not have, and their value half way between two floats.
        const REST: u64 = 0x1FFF_FFFF;
        const HALF_WAY: u64 = 0x1000_0000;
        if let Some(value) = self.fast()
            // The double is the decimal's neighbour: rounding it again goes wrong only half way between two floats.
            && value.to_bits() & REST != HALF_WAY
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounds to the nearest float"
            )]
            return value as f32;
        }
        match self.form {
            Form::Integer | Form::Decimal => self.parsed(),
            Form::Nan => f32::NAN,
            Form::Infinity if self.negative => f32::NEG_INFINITY,
            Form::Infinity => f32::INFINITY,
        }
    }

    /// The bits of the nearest binary16.
    pub(crate) fn float16(&self) -> u16 {
        narrow(self.float64(), self.token, &HALF)
    }

    /// The bits of the nearest bfloat16.
    pub(crate) fn bfloat16(&self) -> u16 {
        narrow(self.float64(), self.token, &BFLOAT16)
    }

    /// The nearest double where one exact operation gives it. At least 10⁻²² unless zero: a normal number in a float, too.
    #[inline]
    fn fast(&self) -> Option<f64> {
        const EXACT: u64 = 1 << 53;
        let decimal = matches!(self.form, Form::Integer | Form::Decimal);
        if !decimal || !self.exact || self.digits > EXACT {
            return None;
        }
        let power = *POWERS.get(usize::try_from(self.exponent.unsigned_abs()).ok()?)?;
        let digits = self.digits as f64;
        let value = if self.exponent < 0 {
            digits / power
        } else {
            digits * power
        };
        Some(if self.negative { -value } else { value })
    }

    #[cold]
    fn slow(&self) -> f64 {
        match self.form {
            Form::Integer | Form::Decimal => self.parsed(),
            Form::Nan => f64::NAN,
            Form::Infinity if self.negative => f64::NEG_INFINITY,
            Form::Infinity => f64::INFINITY,
        }
    }

    fn parsed<T: std::str::FromStr + Default>(&self) -> T {
        let text = str::from_utf8(self.token).unwrap_or_default();
        text.parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(json: &str) -> Number<'_> {
        let mut reader = Reader::new(json.as_bytes(), Checks::Lenient).unwrap();
        let number = reader
            .number()
            .map_err(|error| (json.to_owned(), error))
            .unwrap();
        reader.end().unwrap();
        number
    }

    #[track_caller]
    fn refuses(json: &str, checks: Checks, text: &'static str, offset: usize) {
        let mut reader = Reader::new(json.as_bytes(), checks).unwrap();
        assert_eq!(
            reader.number().err(),
            Some(Syntax { text, offset }),
            "{json}"
        );
    }

    #[track_caller]
    fn same_as_std(json: &str) {
        let number = number(json);
        let (double, float): (f64, f32) = (json.parse().unwrap(), json.parse().unwrap());
        assert_eq!(
            number.float64().to_bits(),
            double.to_bits(),
            "{json} as a double"
        );
        assert_eq!(
            number.float32().to_bits(),
            float.to_bits(),
            "{json} as a float"
        );
    }

    #[test]
    fn a_number_is_the_nearest_float() {
        for json in [
            "0",
            "-0",
            "-0.0",
            "1",
            "0.1",
            "-2.5",
            "1e22",
            "1e23",
            "1E+5",
            "1e-7",
            "9007199254740993",
            "9007199254740992.0",
            "16777217",
            "16777217.0000000001",
            "0.30000000000000004",
            "1.00000005960464477539062500000000001",
            "1.000000059604644775390625",
            "1.000000059604644775390624999",
            "3.4028235e38",
            "3.4028235677973366e38",
            "3.4028235677973367e38",
            "1e39",
            "1e-45",
            "7e-46",
            "1e-400",
            "5e-324",
            "1.7976931348623157e308",
            "18446744073709551615",
            "18446744073709551616",
            "123456789012345678901234567890",
            "0.000000000000000000000000000000000000000001",
            "0e999999999999",
            "1e-999999999999",
        ] {
            same_as_std(json);
        }
        same_as_std(&format!("0.{}1", "0".repeat(400)));
        same_as_std(&format!("{}e-400", "9".repeat(500)));
    }

    #[test]
    fn an_integer_has_neither_point_nor_exponent_and_fits() {
        assert_eq!(number("127").integer::<i8>(), Some(127));
        assert_eq!(number("128").integer::<i8>(), None);
        assert_eq!(number("-128").integer::<i8>(), Some(-128));
        assert_eq!(number("-0").integer::<u8>(), Some(0));
        assert_eq!(number("-1").integer::<u64>(), None);
        assert_eq!(
            number("18446744073709551615").integer::<u64>(),
            Some(u64::MAX)
        );
        assert_eq!(number("18446744073709551616").integer::<u64>(), None);
        assert_eq!(
            number("-9223372036854775808").integer::<i64>(),
            Some(i64::MIN)
        );
        assert_eq!(number("-9223372036854775809").integer::<i64>(), None);
        assert_eq!(number("1.0").integer::<i32>(), None);
        assert_eq!(number("1e0").integer::<i32>(), None);
        assert_eq!(number("NaN").integer::<i32>(), None);
    }

    #[test]
    fn half_precision_is_rounded_once() {
        for (json, half, bfloat) in [
            ("1", 0x3C00, 0x3F80),
            ("-2", 0xC000, 0xC000),
            ("65504", 0x7BFF, 0x4780),
            ("65519.999", 0x7BFF, 0x4780),
            ("65520", 0x7C00, 0x4780),
            ("1e300", 0x7C00, 0x7F80),
            ("-1e300", 0xFC00, 0xFF80),
            ("5.9604644775390625e-8", 0x0001, 0x3380),
            ("2.98023223876953125e-8", 0x0000, 0x3300),
            (
                "2.98023223876953125000000000000000000001e-8",
                0x0001,
                0x3300,
            ),
            // Half way between 1 and the next one, and by less than a double can tell above and below.
            ("1.00048828125", 0x3C00, 0x3F80),
            ("1.000488281250000000000000000001", 0x3C01, 0x3F80),
            ("1.00146484375", 0x3C02, 0x3F80),
            ("1.001464843749999999999999999999", 0x3C01, 0x3F80),
            ("1.00390625", 0x3C04, 0x3F80),
            ("1.00390625000000000000000000001", 0x3C04, 0x3F81),
            ("-1.00390625000000000000000000001", 0xBC04, 0xBF81),
            ("100390625000000000000000000001e-29", 0x3C04, 0x3F81),
            ("9.183549615799121e-41", 0x0000, 0x0001),
            ("-0", 0x8000, 0x8000),
        ] {
            assert_eq!(number(json).float16(), half, "{json} as binary16");
            assert_eq!(number(json).bfloat16(), bfloat, "{json} as bfloat16");
        }
    }

    #[test]
    fn under_lenient_checks_nan_and_infinity_are_numbers() {
        assert!(number("NaN").float32().is_nan() && number("-NaN").float64().is_nan());
        assert_eq!(number("Inf").float32(), f32::INFINITY);
        assert_eq!(number("-Infinity").float64(), f64::NEG_INFINITY);
        assert_eq!(number("-Inf").float16(), 0xFC00);
        assert_eq!(number("NaN").bfloat16() & 0x7FFF, 0x7FC0);
        refuses("Infi", Checks::Lenient, INVALID, 4);
        refuses("NAN", Checks::Lenient, INVALID, 1);
        refuses("NaN", Checks::Strict, INVALID, 0);
        refuses("-Infinity", Checks::Strict, INVALID, 1);
    }

    #[test]
    fn a_broken_number_is_named_with_its_place() {
        let strict = Checks::Strict;
        refuses("+1", strict, INVALID, 0);
        refuses(".5", strict, INVALID, 0);
        refuses("-", strict, INVALID, 1);
        refuses("1.", strict, NO_FRACTION, 2);
        refuses("1.e5", strict, NO_FRACTION, 2);
        refuses("1e", strict, NO_EXPONENT, 2);
        refuses("1e+x", strict, NO_EXPONENT, 3);
        refuses("1e309", strict, TOO_BIG, 0);
        refuses("-1e309", strict, TOO_BIG, 0);
        refuses("1.7976931348623159e308", strict, TOO_BIG, 0);
        refuses(&"9".repeat(400), strict, TOO_BIG, 0);
        refuses("1e99999999999999999999", strict, TOO_BIG, 0);
    }
}
