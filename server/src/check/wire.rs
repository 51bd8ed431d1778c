//! The protobuf wire format, one field after the other, without recursion and without copying.
//!
//! Pure. Used by the other files of `check`. Groups, which no ONNX file has, are malformed.

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32,
}

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of a message, in order. Ends after the first malformed one.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let key = varint(&mut self.rest)?;
        let number = key >> 3;
        if number == 0 || number > 0x1fff_ffff {
            return Err(Malformed);
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => {
                self.split(8)?;
                Value::Fixed64
            }
            2 => {
                let length = varint(&mut self.rest)?;
                Value::Bytes(self.split(length)?)
            }
            5 => {
                self.split(4)?;
                Value::Fixed32
            }
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }

    fn split(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).ok().ok_or(Malformed)?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Takes one varint off the front of `bytes`.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return Err(Malformed);
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// The varints of a packed list, or the single one of an unpacked entry.
pub(super) fn varints(value: Value<'_>) -> Result<Vec<u64>, Malformed> {
    match value {
        Value::Varint(value) => Ok(vec![value]),
        Value::Bytes(mut bytes) => {
            let mut values = Vec::new();
            while !bytes.is_empty() {
                values.push(varint(&mut bytes)?);
            }
            Ok(values)
        }
        Value::Fixed32 | Value::Fixed64 => Err(Malformed),
    }
}

/// How many entries a packed or unpacked list of numbers adds; `size` is that of a fixed-size entry.
pub(super) fn entries(value: Value<'_>, size: usize) -> Result<usize, Malformed> {
    match value {
        Value::Varint(_) | Value::Fixed32 | Value::Fixed64 => Ok(1),
        Value::Bytes(bytes) if size == 0 => {
            Ok(bytes.iter().filter(|byte| **byte & 0x80 == 0).count())
        }
        Value::Bytes(bytes) if bytes.len().is_multiple_of(size) => Ok(bytes.len() / size),
        Value::Bytes(_) => Err(Malformed),
    }
}

/// The bytes of an embedded message, string or byte field.
pub(super) const fn bytes(value: Value<'_>) -> Result<&[u8], Malformed> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        Value::Varint(_) | Value::Fixed32 | Value::Fixed64 => Err(Malformed),
    }
}

/// A string field.
pub(super) fn text(value: Value<'_>) -> Result<&str, Malformed> {
    str::from_utf8(bytes(value)?).ok().ok_or(Malformed)
}

/// An integer field: negative ones come as their two's complement in 64 bits.
pub(super) const fn integer(value: Value<'_>) -> Result<i64, Malformed> {
    match value {
        Value::Varint(value) => Ok(value.cast_signed()),
        Value::Bytes(_) | Value::Fixed32 | Value::Fixed64 => Err(Malformed),
    }
}

/// Stores an embedded message that may occur once: parsers merge repeated ones, which would hide parts from this check.
pub(super) fn once<'a>(slot: &mut Option<&'a [u8]>, value: Value<'a>) -> Result<(), Malformed> {
    match slot.replace(bytes(value)?) {
        None => Ok(()),
        Some(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &[u8], expect: &[Result<(u64, Value<'_>), Malformed>]) {
        assert_eq!(Fields::new(message).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn fields_come_in_order() {
        check(b"", &[]);
        let all = [
            0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        check(
            &all,
            &[
                Ok((1, Value::Varint(150))),
                Ok((2, Value::Bytes(b"hi"))),
                Ok((3, Value::Fixed32)),
                Ok((4, Value::Fixed64)),
            ],
        );
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_malformed() {
        for message in [
            b"\x08".as_slice(),
            b"\x12\x05hi",
            b"\x0b",
            b"\x00\x00",
            b"\x1d\x00",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            check(message, &[Err(Malformed)]);
        }
    }

    #[test]
    fn lists_are_packed_or_not() {
        assert_eq!(varints(Value::Bytes(&[1, 0x96, 1])), Ok(vec![1, 150]));
        assert_eq!(varints(Value::Varint(7)), Ok(vec![7]));
        assert_eq!(entries(Value::Bytes(&[1, 0x96, 1]), 0), Ok(2));
        assert_eq!(entries(Value::Bytes(&[0; 8]), 4), Ok(2));
        assert_eq!(entries(Value::Bytes(&[0; 7]), 4), Err(Malformed));
        assert_eq!(integer(Value::Varint(u64::MAX)), Ok(-1));
    }
}
