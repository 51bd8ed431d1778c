//! The models of the conformance tables, written byte by byte: twins of what other servers are tested with.
//!
//! `testdata/twins` holds what is written here, so that tests of processes can use the files too.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::serving::testdata;

/// `TensorProto.DataType`.
const FLOAT: u64 = 1;
const INT32: u64 = 6;
const INT64: u64 = 7;
const STRING: u64 = 8;
const DOUBLE: u64 = 11;

/// A tensor whose elements come back as they are, for each of these types, as `echo_<name>`.
const ECHOES: [(&str, u64); 13] = [
    ("float", FLOAT),
    ("uint8", 2),
    ("int8", 3),
    ("uint16", 4),
    ("int16", 5),
    ("int32", INT32),
    ("int64", INT64),
    ("string", STRING),
    ("bool", 9),
    ("half", 10),
    ("double", DOUBLE),
    ("uint32", 12),
    ("uint64", 13),
];

/// Where a twin's file is.
pub(crate) fn twin(name: &str) -> PathBuf {
    testdata().join(format!("twins/{name}.onnx"))
}

#[test]
fn the_files_are_what_is_written_here() {
    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("twins");
    let mut stale = Vec::new();
    for (name, model) in models() {
        if fs::read(twin(&name)).is_ok_and(|file| file == model) {
            continue;
        }
        fs::create_dir_all(&fresh).unwrap();
        fs::write(fresh.join(format!("{name}.onnx")), model).unwrap();
        stale.push(name);
    }
    assert!(
        stale.is_empty(),
        "{stale:?} differ: copy them from {} to testdata/twins",
        fresh.display()
    );
}

fn models() -> BTreeMap<String, Vec<u8>> {
    let line = |input: &str, output: &str, plus: f32| {
        Graph::default()
            .input(input, FLOAT, Some(&[-1, 1]))
            .output(output, FLOAT, Some(&[-1, 1]))
            .floats("half", &[], &[0.5])
            .floats("plus", &[], &[plus])
            .node("Mul", &[input, "half"], &["halved"])
            .node("Add", &["halved", "plus"], &[output])
    };
    let mut models = BTreeMap::new();
    let mut add = |name: &str, graph: Graph| models.insert(name.to_owned(), graph.model());
    add("half", line("x", "y", 2.0));
    // With the names that a converter takes over from TensorFlow.
    add("half_plus_two", line("x:0", "y:0", 2.0));
    add(
        "half_plus_three",
        line("serving_default_x:0", "StatefulPartitionedCall:0", 3.0),
    );
    add("iris", iris());
    add("pair", pair());
    for (name, datatype) in ECHOES {
        let graph = Graph::default()
            .input("x", datatype, None)
            .output("y", datatype, None)
            .node("Identity", &["x"], &["y"]);
        add(&format!("echo_{name}"), graph);
    }
    add("named", named());
    add("simple", simple());
    let divide = Graph::default()
        .input("x", FLOAT, Some(&[-1]))
        .output("y", FLOAT, Some(&[-1]))
        .floats("zero", &[], &[0.0])
        .node("Div", &["x", "zero"], &["y"]);
    add("divide", divide);
    let labelled = Graph::default()
        .input("names", STRING, Some(&[-1, 3]))
        .input("values", FLOAT, Some(&[-1, 3]))
        .output("classes", STRING, Some(&[-1, 3]))
        .output("scores", FLOAT, Some(&[-1, 3]))
        .node("Identity", &["names"], &["classes"])
        .node("Identity", &["values"], &["scores"]);
    add("labelled", labelled);
    let wide = Graph::default()
        .input("x", FLOAT, Some(&[-1, 2]))
        .output("y", FLOAT, Some(&[-1, 2]))
        .node("Identity", &["x"], &["y"]);
    add("wide", wide);
    let regressor = Graph::default()
        .input("x", FLOAT, Some(&[-1, 1]))
        .output("other", FLOAT, Some(&[-1, 1]))
        .output("outputs", FLOAT, Some(&[-1, 1]))
        .floats("one", &[], &[1.0])
        .node("Identity", &["x"], &["other"])
        .node("Add", &["x", "one"], &["outputs"]);
    add("regressor", regressor);
    let merging = Graph::default()
        .input("x", FLOAT, Some(&[-1, 4]))
        .output("y", FLOAT, Some(&[-1, 4]))
        .longs("shape", &[-1, 4])
        .node("Reshape", &["x", "shape"], &["y"]);
    add("merging", merging);
    models
}

/// A linear classifier of Fisher's flowers; its weights are rounded ones of a logistic regression.
fn iris() -> Graph {
    let weights = [
        [-0.42, 0.53, -0.11],
        [0.97, -0.32, -0.65],
        [-2.52, -0.2, 2.72],
        [-1.08, -0.94, 2.02],
    ];
    Graph::default()
        .input("x", FLOAT, Some(&[-1, 4]))
        .output("label", INT64, Some(&[-1]))
        .output("scores", FLOAT, Some(&[-1, 3]))
        .floats("w", &[4, 3], weights.as_flattened())
        .floats("b", &[3], &[9.85, 2.24, -12.09])
        .node("Gemm", &["x", "w", "b"], &["logits"])
        .node("Softmax", &["logits"], &["scores"])
        .node_with(
            "ArgMax",
            &["logits"],
            &["label"],
            &[("axis", 1), ("keepdims", 0)],
        )
}

fn pair() -> Graph {
    Graph::default()
        .input("a", INT32, Some(&[-1, 2]))
        .input("s", STRING, Some(&[-1]))
        .output("t", STRING, Some(&[-1]))
        .output("raw_bytes", STRING, Some(&[-1]))
        .node("Identity", &["s"], &["t"])
        .node("Identity", &["s"], &["raw_bytes"])
}

fn named() -> Graph {
    let inputs = [
        ("int_tensor", INT32, "ints"),
        ("str_tensor", STRING, "texts"),
        ("float_tensor", FLOAT, "floats"),
        ("dbl_tensor", DOUBLE, "doubles"),
    ];
    let graph = inputs
        .iter()
        .fold(Graph::default(), |graph, (input, datatype, output)| {
            graph
                .input(input, *datatype, None)
                .output(output, *datatype, None)
                .node("Identity", &[input], &[output])
        });
    graph
        .output("str_bytes", STRING, None)
        .node("Identity", &["str_tensor"], &["str_bytes"])
}

fn simple() -> Graph {
    let all = ["INPUT0", "INPUT1"];
    let inputs = all.iter().fold(Graph::default(), |graph, name| {
        graph.input(name, INT32, Some(&[-1, 16]))
    });
    let outputs = ["OUTPUT0", "OUTPUT1"].iter().fold(inputs, |graph, name| {
        graph.output(name, INT32, Some(&[-1, 16]))
    });
    outputs
        .node("Add", &all, &["OUTPUT0"])
        .node("Sub", &all, &["OUTPUT1"])
}

/// A `GraphProto`, as far as it has been added. Numbers of fields are those of `onnx.proto`.
#[derive(Default)]
struct Graph(Message);

impl Graph {
    fn input(self, name: &str, datatype: u64, shape: Option<&[i64]>) -> Self {
        Self(self.0.message(11, &value(name, datatype, shape)))
    }

    fn output(self, name: &str, datatype: u64, shape: Option<&[i64]>) -> Self {
        Self(self.0.message(12, &value(name, datatype, shape)))
    }

    fn node(self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(operator, inputs, outputs, &[])
    }

    fn node_with(
        self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        integers: &[(&str, u64)],
    ) -> Self {
        let node = Message::default();
        let node = inputs.iter().fold(node, |node, name| node.text(1, name));
        let node = outputs.iter().fold(node, |node, name| node.text(2, name));
        let node = node.text(4, operator);
        let node = integers.iter().fold(node, |node, (name, integer)| {
            // `AttributeType.INT` is 2.
            let attribute = Message::default().text(1, name).number(3, *integer);
            node.message(5, &attribute.number(20, 2))
        });
        Self(self.0.message(1, &node))
    }

    fn floats(self, name: &str, shape: &[u64], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, shape, FLOAT, &bytes)
    }

    fn longs(self, name: &str, values: &[i64]) -> Self {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, &[u64::try_from(values.len()).unwrap()], INT64, &bytes)
    }

    fn constant(self, name: &str, shape: &[u64], datatype: u64, bytes: &[u8]) -> Self {
        let dims = Message::default();
        let tensor = shape
            .iter()
            .fold(dims, |tensor, dim| tensor.number(1, *dim));
        let tensor = tensor.number(2, datatype).text(8, name).bytes(9, bytes);
        Self(self.0.message(5, &tensor))
    }

    /// The file: IR version 8, operator set 17.
    fn model(self) -> Vec<u8> {
        let operators = Message::default().text(1, "").number(2, 17);
        let graph = self.0.text(2, "twin");
        let model = Message::default().number(1, 8).message(7, &graph);
        model.message(8, &operators).0
    }
}

/// A declared tensor: −1 is the batch dimension.
fn value(name: &str, datatype: u64, shape: Option<&[i64]>) -> Message {
    let mut tensor = Message::default().number(1, datatype);
    if let Some(shape) = shape {
        let dim = |size: &i64| match u64::try_from(*size) {
            Ok(size) => Message::default().number(1, size),
            Err(_) => Message::default().text(2, "N"),
        };
        let dims = shape.iter().map(dim);
        let shape = dims.fold(Message::default(), |shape, dim| shape.message(1, &dim));
        tensor = tensor.message(2, &shape);
    }
    let kind = Message::default().message(1, &tensor);
    Message::default().text(1, name).message(2, &kind)
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
        self.varint(u64::try_from(value.len()).unwrap());
        self.0.extend_from_slice(value);
        self
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap());
    }
}
