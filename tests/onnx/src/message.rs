//! A protobuf message, encoded as far as its fields have been added.

/// The bytes so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    pub(crate) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(u64::try_from(value.len()).expect("a length fits into 64 bits"));
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(crate) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
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
    }
}
