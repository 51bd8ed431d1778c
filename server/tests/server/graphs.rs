//! Small ONNX models, written as protobuf by hand: what the tests of engines need, and no file holds.

use std::fs;

use aimass_server::config::Origin;

/// A protobuf message under construction.
#[derive(Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn number(mut self, field: u8, value: i64) -> Self {
        self.varint(u64::from(field << 3));
        self.varint(value.cast_unsigned());
        self
    }

    pub(crate) fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn message(self, field: u8, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap());
    }
}

/// ONNX's numbers of element types.
pub(crate) const FLOAT: i64 = 1;
pub(crate) const INT64: i64 = 7;
pub(crate) const BOOL: i64 = 9;
pub(crate) const DOUBLE: i64 = 11;

/// An attribute of a node.
pub(crate) enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Graph(&'a Graph),
}

/// A graph under construction.
#[derive(Clone, Default)]
pub(crate) struct Graph(Message);

impl Graph {
    /// A node named as its first output.
    pub(crate) fn node(
        self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Self {
        let mut node = Message::default();
        for input in inputs {
            node = node.bytes(1, input.as_bytes());
        }
        for output in outputs {
            node = node.bytes(2, output.as_bytes());
        }
        node = node
            .bytes(3, outputs[0].as_bytes())
            .bytes(4, operator.as_bytes());
        for (name, value) in attributes {
            node = node.message(5, &attribute(name, value));
        }
        Self(self.0.message(1, &node))
    }

    pub(crate) fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        let raw: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.stored(name, FLOAT, dims, &raw)
    }

    pub(crate) fn integers(self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        let raw: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.stored(name, INT64, dims, &raw)
    }

    fn stored(self, name: &str, kind: i64, dims: &[i64], raw: &[u8]) -> Self {
        let mut tensor = Message::default();
        for dim in dims {
            tensor = tensor.number(1, *dim);
        }
        let tensor = tensor
            .number(2, kind)
            .bytes(8, name.as_bytes())
            .bytes(9, raw);
        Self(self.0.message(5, &tensor))
    }

    /// An input; a word is a free dimension, a number a size.
    pub(crate) fn input(self, name: &str, kind: i64, dims: &str) -> Self {
        Self(self.0.message(11, &value(name, kind, Some(dims))))
    }

    pub(crate) fn output(self, name: &str, kind: i64, dims: &str) -> Self {
        Self(self.0.message(12, &value(name, kind, Some(dims))))
    }

    /// An output whose rank is not declared.
    pub(crate) fn any_output(self, name: &str, kind: i64) -> Self {
        Self(self.0.message(12, &value(name, kind, None)))
    }

    /// The whole file, for operator set 17.
    pub(crate) fn model(&self) -> Vec<u8> {
        let opset = Message::default().bytes(1, b"").number(2, 17);
        let model = Message::default()
            .number(1, 8)
            .message(7, &self.0)
            .message(8, &opset);
        model.0
    }

    /// The model in a folder of its own.
    pub(crate) fn folder(&self) -> (tempfile::TempDir, Origin) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), self.model()).unwrap();
        let origin = Origin::of(folder.path());
        (folder, origin)
    }
}

fn attribute(name: &str, value: &Attribute<'_>) -> Message {
    let attribute = Message::default().bytes(1, name.as_bytes());
    // The number in field 20 is that of the attribute's type.
    match value {
        Attribute::Int(value) => attribute.number(3, *value).number(20, 2),
        Attribute::Graph(graph) => {
            let named = Message(graph.0.0.clone()).bytes(2, name.as_bytes());
            attribute.message(6, &named).number(20, 5)
        }
        Attribute::Ints(values) => {
            let all = values
                .iter()
                .fold(attribute, |all, value| all.number(8, *value));
            all.number(20, 7)
        }
    }
}

fn value(name: &str, kind: i64, dims: Option<&str>) -> Message {
    let mut tensor = Message::default().number(1, kind);
    if let Some(dims) = dims {
        let dim = |word: &str| match word.parse() {
            Ok(size) => Message::default().number(1, size),
            Err(_) => Message::default().bytes(2, word.as_bytes()),
        };
        let shape = dims
            .split_whitespace()
            .fold(Message::default(), |shape, word| {
                shape.message(1, &dim(word))
            });
        tensor = tensor.message(2, &shape);
    }
    let kind = Message::default().message(1, &tensor);
    Message::default()
        .bytes(1, name.as_bytes())
        .message(2, &kind)
}
