//! Small ONNX files, written by hand: models that no package has, and models that nobody should make.
//!
//! Pure, and checks nothing: a fuzz target wants what is wrong written down as well. Numbers of
//! fields are those of `onnx.proto` (ONNX 1.12, IR version 8).

mod message;

use message::Message;

/// The operator set that a model names unless told otherwise.
const OPSET: u64 = 17;

/// `TensorProto.DataType`, those that tests need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// f32
    Float,
    /// i64
    Int64,
    /// u8
    Uint8,
    /// Any number, known or not.
    Other(u64),
}

impl Element {
    const fn number(self) -> u64 {
        match self {
            Self::Float => 1,
            Self::Uint8 => 2,
            Self::Int64 => 7,
            Self::Other(number) => number,
        }
    }
}

/// A model under construction; [`Model::encode`] ends it.
#[derive(Clone, Debug)]
pub struct Model {
    graph: Message,
    opset: u64,
}

impl Model {
    /// A model without anything in it, its graph of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            graph: Message::default().text(2, name),
            opset: OPSET,
        }
    }

    /// Names another operator set.
    #[must_use]
    pub fn opset(self, opset: u64) -> Self {
        Self { opset, ..self }
    }

    /// Declares an input; `None` is an open dimension.
    #[must_use]
    pub fn input(self, name: &str, element: Element, shape: &[Option<u64>]) -> Self {
        self.field(11, &value(name, element, shape))
    }

    /// Declares an output.
    #[must_use]
    pub fn output(self, name: &str, element: Element, shape: &[Option<u64>]) -> Self {
        self.field(12, &value(name, element, shape))
    }

    /// Adds a node.
    #[must_use]
    pub fn node(self, node: Node) -> Self {
        let Node(message) = node;
        self.field(1, &message)
    }

    /// Adds a constant, its elements as raw little-endian bytes.
    #[must_use]
    pub fn initializer(self, name: &str, element: Element, shape: &[u64], raw: &[u8]) -> Self {
        self.field(5, &tensor(name, element, shape, raw))
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let operators = Message::default().text(1, "").number(2, self.opset);
        Message::default()
            .number(1, 8)
            .text(2, "aimass-onnx")
            .message(7, &self.graph)
            .message(8, &operators)
            .into_bytes()
    }

    fn field(self, field: u64, message: &Message) -> Self {
        Self {
            graph: self.graph.message(field, message),
            ..self
        }
    }
}

/// A node of a graph.
#[derive(Clone, Debug)]
pub struct Node(Message);

impl Node {
    /// A node of this operator.
    #[must_use]
    pub fn new(operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let with = |message: Message, field, names: &[&str]| {
            names
                .iter()
                .fold(message, |message, name| message.text(field, name))
        };
        let message = with(Message::default(), 1, inputs);
        Self(with(message, 2, outputs).text(4, operator))
    }

    /// Gives it a name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self(self.0.text(3, name))
    }

    /// Adds an attribute that is a list of integers.
    #[must_use]
    pub fn integers(self, name: &str, values: &[i64]) -> Self {
        let attribute = Message::default().text(1, name).number(20, 7);
        let fold = |message: Message, value: &i64| message.number(8, value.cast_unsigned());
        self.attribute(&values.iter().fold(attribute, fold))
    }

    /// Adds an attribute that is an integer.
    #[must_use]
    pub fn integer(self, name: &str, value: i64) -> Self {
        let attribute = Message::default().text(1, name).number(20, 2);
        self.attribute(&attribute.number(3, value.cast_unsigned()))
    }

    /// Adds an attribute that is a constant.
    #[must_use]
    pub fn tensor(self, name: &str, element: Element, shape: &[u64], raw: &[u8]) -> Self {
        let attribute = Message::default().text(1, name).number(20, 4);
        self.attribute(&attribute.message(5, &tensor("", element, shape, raw)))
    }

    /// Adds an attribute that is the graph of another model.
    #[must_use]
    pub fn graph(self, name: &str, model: &Model) -> Self {
        let attribute = Message::default().text(1, name).number(20, 5);
        self.attribute(&attribute.message(6, &model.graph))
    }

    fn attribute(self, attribute: &Message) -> Self {
        Self(self.0.message(5, attribute))
    }
}

fn tensor(name: &str, element: Element, shape: &[u64], raw: &[u8]) -> Message {
    let dimensions = shape
        .iter()
        .fold(Message::default(), |tensor, size| tensor.number(1, *size));
    dimensions
        .number(2, element.number())
        .text(8, name)
        .bytes(9, raw)
}

fn value(name: &str, element: Element, shape: &[Option<u64>]) -> Message {
    let dimension = |size: &Option<u64>| match size {
        Some(size) => Message::default().number(1, *size),
        None => Message::default().text(2, "N"),
    };
    let shape = shape.iter().fold(Message::default(), |shape, size| {
        shape.message(1, &dimension(size))
    });
    let tensor = Message::default()
        .number(1, element.number())
        .message(2, &shape);
    Message::default()
        .text(1, name)
        .message(2, &Message::default().message(1, &tensor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_stands_in_the_file() {
        let bytes = Model::new("g")
            .opset(13)
            .input("x", Element::Float, &[None, Some(4)])
            .output("y", Element::Float, &[None, Some(4)])
            .initializer("w", Element::Float, &[1], &2.5_f32.to_le_bytes())
            .node(Node::new("Mul", &["x", "w"], &["y"]).named("times"))
            .encode();
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(holds(b"Mul") && holds(b"times") && holds(&2.5_f32.to_le_bytes()));
        assert!(bytes.starts_with(&[0x08, 0x08]), "{bytes:?}");
        assert!(bytes.ends_with(&[0x10, 13]), "{bytes:?}");
    }
}
