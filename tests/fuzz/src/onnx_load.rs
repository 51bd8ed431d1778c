//! Models made of the input's bytes: checked, and if that lets them pass, loaded and run as the server
//! does it.
//!
//! Structured: random bytes alone never get past the check. Whatever the model is, loading ends, and
//! ends in a model or in a reason.

use aimass_onnx::{Element, Model, Node};
use aimass_server::config::Origin;
use aimass_server::engine::{Settings, Wanted};
use aimass_server::load::load;

/// Operators with one to three inputs that small models are made of, and some that need attributes.
const OPERATORS: [&str; 28] = [
    "Add",
    "Mul",
    "MatMul",
    "Gemm",
    "Relu",
    "Softmax",
    "Reshape",
    "Transpose",
    "Concat",
    "Slice",
    "Gather",
    "Conv",
    "MaxPool",
    "GlobalAveragePool",
    "Tile",
    "Expand",
    "Range",
    "Pad",
    "Resize",
    "ConstantOfShape",
    "Shape",
    "Cast",
    "Split",
    "Squeeze",
    "Unsqueeze",
    "ReduceMean",
    "LSTM",
    "If",
];
/// Sizes that are small, and sizes that ask for too much.
const SIZES: [u64; 16] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    64,
    255,
    4096,
    1 << 20,
    1 << 31,
    1 << 40,
    1 << 62,
];
/// Nodes of a model.
const MAX_NODES: usize = 8;
/// Bytes of a constant.
const MAX_RAW: usize = 256;

/// Loads what the bytes describe.
pub fn body(data: &[u8]) {
    let model = describe(&mut Bytes(data)).encode();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.onnx"), model).unwrap();
    if let Err(fatal) = load(&Origin::of(folder.path()), &Settings::of(Wanted::Auto, 2)) {
        let text = fatal.to_string();
        assert!(!text.is_empty() && text.len() < 8192, "{text}");
    }
}

/// The input, taken byte by byte; zeros when it is used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.next()) % bound.max(1)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next()).collect()
    }

    fn sizes(&mut self) -> Vec<u64> {
        let rank = self.below(5);
        (0..rank).map(|_| SIZES[self.below(SIZES.len())]).collect()
    }
}

fn describe(bytes: &mut Bytes<'_>) -> Model {
    let element = element(bytes);
    let shape: Vec<Option<u64>> = bytes
        .sizes()
        .into_iter()
        .map(|size| (size != 255).then_some(size))
        .collect();
    let mut model = Model::new("g").input("v0", element, &shape);
    let mut names = vec!["v0".to_owned()];
    for at in 0..bytes.below(3) {
        let (name, shape) = (format!("c{at}"), bytes.sizes());
        let element = self::element(bytes);
        let length = constant_bytes(element, &shape).unwrap_or_else(|| bytes.below(MAX_RAW));
        let raw = bytes.take(length);
        model = model.initializer(&name, element, &shape, &raw);
        names.push(name);
    }
    let nodes = 1 + bytes.below(MAX_NODES);
    for at in 1..=nodes {
        let output = if at == nodes {
            "y".to_owned()
        } else {
            format!("v{at}")
        };
        model = model.node(node(bytes, &names, &output));
        names.push(output);
    }
    model.output("y", self::element(bytes), &[None])
}

/// As many bytes as the shape needs, if those are few.
fn constant_bytes(element: Element, shape: &[u64]) -> Option<usize> {
    let each = match element {
        Element::Float => 4,
        Element::Int64 => 8,
        Element::Uint8 | Element::Other(_) => 1,
    };
    let elements = shape
        .iter()
        .try_fold(1_u64, |sum, size| sum.checked_mul(*size))?;
    let bytes = usize::try_from(elements.checked_mul(each)?).ok()?;
    (bytes <= MAX_RAW).then_some(bytes)
}

fn element(bytes: &mut Bytes<'_>) -> Element {
    match bytes.below(8) {
        0..=4 => Element::Float,
        5 => Element::Int64,
        6 => Element::Uint8,
        _ => Element::Other(u64::from(bytes.next())),
    }
}

fn node(bytes: &mut Bytes<'_>, names: &[String], output: &str) -> Node {
    let operator = OPERATORS[bytes.below(OPERATORS.len())];
    let inputs: Vec<&str> = (0..1 + bytes.below(3))
        .map(|_| names[bytes.below(names.len())].as_str())
        .collect();
    let node = Node::new(operator, &inputs, &[output]);
    match bytes.below(6) {
        0 => node.integer("axis", i64::from(bytes.next().cast_signed())),
        1 => node.integers("axes", &integers(bytes)),
        2 => node.integers("perm", &integers(bytes)),
        3 => node
            .integers("kernel_shape", &integers(bytes))
            .integers("pads", &integers(bytes)),
        4 => node.tensor("value", Element::Int64, &[1], &bytes.take(8)),
        _ => node,
    }
}

fn integers(bytes: &mut Bytes<'_>) -> Vec<i64> {
    let count = bytes.below(5);
    (0..count)
        .map(|_| i64::from(bytes.next().cast_signed()))
        .collect()
}
