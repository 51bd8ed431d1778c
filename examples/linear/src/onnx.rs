//! A line as an ONNX file: one `Gemm` node, `x` f32 of shape N×1 to `y` f32 of shape N×1.
//!
//! Pure. Called by [`crate::train`]. Writes the few protobuf messages by hand; numbers of fields
//! are those of `onnx.proto` (ONNX 1.12, IR version 8, operator set 17).

use crate::descent::Line;

/// `TensorProto.DataType.FLOAT`.
const FLOAT: u64 = 1;

/// The ONNX file of `line`, its numbers rounded to f32.
#[must_use]
pub fn file(line: &Line) -> Vec<u8> {
    let graph = Message::default()
        .message(1, &node())
        .text(2, "linear")
        .message(5, &tensor("w", &[1, 1], line.weight))
        .message(5, &tensor("b", &[1], line.bias))
        .message(11, &value("x"))
        .message(12, &value("y"));
    let operators = Message::default().text(1, "").number(2, 17);
    Message::default()
        .number(1, 8)
        .text(2, "aimass-linear")
        .message(7, &graph)
        .message(8, &operators)
        .0
}

/// y = x · w + b.
fn node() -> Message {
    Message::default()
        .text(1, "x")
        .text(1, "w")
        .text(1, "b")
        .text(2, "y")
        .text(4, "Gemm")
}

/// A constant with one element.
fn tensor(name: &str, dimensions: &[u64], element: f64) -> Message {
    #[expect(clippy::cast_possible_truncation, reason = "the model computes in f32")]
    let element = element as f32;
    let tensor = dimensions
        .iter()
        .fold(Message::default(), |tensor, size| tensor.number(1, *size));
    tensor
        .number(2, FLOAT)
        .text(8, name)
        .bytes(9, &element.to_le_bytes())
}

/// An input or output of shape [N, 1].
fn value(name: &str) -> Message {
    let open = Message::default().text(2, "N");
    let one = Message::default().number(1, 1);
    let shape = Message::default().message(1, &open).message(1, &one);
    let tensor = Message::default().number(1, FLOAT).message(2, &shape);
    Message::default()
        .text(1, name)
        .message(2, &Message::default().message(1, &tensor))
}

/// A protobuf message, encoded as far as its fields have been added.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(u64::try_from(value.len()).expect("a length fits into 64 bits"));
        self.0.extend_from_slice(value);
        self
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// Seven bits a byte, lowest first, the top bit set on all but the last.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0
                .push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).expect("seven bits"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &Message, expect: &[u8]) {
        assert_eq!(message.0, expect);
    }

    #[test]
    fn fields_are_encoded_as_protobuf_says() {
        // The examples of the protobuf documentation's page on encoding.
        check(&Message::default().number(1, 150), &[0x08, 0x96, 0x01]);
        check(&Message::default().text(2, "testing"), b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        check(
            &Message::default().message(3, &inner),
            &[0x1a, 0x03, 0x08, 0x96, 0x01],
        );
        check(&Message::default().number(1, 0), &[0x08, 0x00]);
    }

    #[test]
    fn the_weight_stands_in_the_file_as_f32() {
        let file = file(&Line {
            weight: 2.0,
            bias: 0.5,
        });
        let holds = |bytes: &[u8]| file.windows(bytes.len()).any(|window| window == bytes);
        assert!(holds(&2.0_f32.to_le_bytes()) && holds(&0.5_f32.to_le_bytes()));
        assert!(holds(b"Gemm"));
    }
}
