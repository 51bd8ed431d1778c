//! What is accepted and what is refused, with models written byte by byte.

use aimass_protocol::{DataType, Dim};

use super::*;

/// A protobuf message under construction.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, field: u8, value: i64) -> Self {
        self.0.push(field << 3);
        self.number(value.cast_unsigned());
        self
    }

    fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        self.0.push((field << 3) | 2);
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn message(self, field: u8, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap());
    }
}

fn value_info(name: &str) -> Message {
    let dims = Message::default()
        .message(1, &Message::default().bytes(2, b"N"))
        .message(1, &Message::default().varint(1, 1));
    let tensor = Message::default().varint(1, 1).message(2, &dims);
    Message::default()
        .bytes(1, name.as_bytes())
        .message(2, &Message::default().message(1, &tensor))
}

fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let mut node = Message::default().bytes(4, operator.as_bytes());
    for input in inputs {
        node = node.bytes(1, input.as_bytes());
    }
    for output in outputs {
        node = node.bytes(2, output.as_bytes());
    }
    node
}

/// A float tensor named w.
fn tensor(dims: &[i64], raw: &[u8]) -> Message {
    let tensor = dims
        .iter()
        .fold(Message::default(), |tensor, dim| tensor.varint(1, *dim));
    tensor.varint(2, 1).bytes(8, b"w").bytes(9, raw)
}

fn external(location: &str, offset: &str, length: &str) -> Message {
    let entry = |key: &str, value: &str| {
        Message::default()
            .bytes(1, key.as_bytes())
            .bytes(2, value.as_bytes())
    };
    Message::default()
        .varint(1, 2)
        .varint(2, 1)
        .bytes(8, b"w")
        .message(13, &entry("location", location))
        .message(13, &entry("offset", offset))
        .message(13, &entry("length", length))
        .varint(14, 1)
}

/// x → y through `parts`, which are fields of the graph.
fn model(parts: &[(u8, &Message)]) -> Vec<u8> {
    let mut graph = Message::default();
    for (field, part) in parts {
        graph = graph.message(*field, part);
    }
    let graph = graph
        .message(11, &value_info("x"))
        .message(12, &value_info("y"));
    let opset = Message::default().varint(2, 17);
    Message::default().message(7, &graph).message(8, &opset).0
}

fn judge(bytes: &[u8]) -> Result<Signature, String> {
    let files = BTreeMap::from([("weights.bin".to_owned(), 16)]);
    let surroundings = Surroundings {
        files: &files,
        budget_bytes: 1 << 20,
    };
    check(bytes, &surroundings).map_err(|refusal| refusal.to_string())
}

#[track_caller]
fn refuses(parts: &[(u8, &Message)], text: &str) {
    let refusal = judge(&model(parts)).unwrap_err();
    assert!(refusal.contains(text), "{refusal}");
}

#[test]
fn the_signature_is_what_the_graph_declares() {
    let signature = judge(&model(&[(1, &node("Identity", &["x"], &["y"]))])).unwrap();
    let input = &signature.inputs()[0];
    assert_eq!((input.name.as_str(), input.datatype), ("x", DataType::Fp32));
    assert_eq!(
        input.shape,
        Some(vec![Dim::Symbol("N".to_owned()), Dim::Fixed(1)])
    );
}

#[test]
fn stored_tensors_are_as_large_as_their_dimensions() {
    let add = node("Add", &["x", "w"], &["y"]);
    let with = |tensor: &Message| judge(&model(&[(1, &add), (5, tensor)]));
    assert!(with(&tensor(&[2], &[0; 8])).is_ok());
    assert!(with(&tensor(&[0], &[])).is_ok());
    for (tensor, text) in [
        (
            tensor(&[2], &[0; 7]),
            "tensor w: its dimensions need 8 bytes or values, its data has 7",
        ),
        (tensor(&[-1], &[]), "tensor w: dimension -1 is negative"),
        (
            tensor(&[1 << 40, 1 << 40], &[1]),
            "tensor w: dimensions [1099511627776, 1099511627776] are too large",
        ),
        (tensor(&[1; 17], &[0; 4]), "tensor w: has 17 dimensions"),
        (
            tensor(&[1], &[0; 4]).varint(2, 99),
            "tensor w: element type 99 is not supported",
        ),
    ] {
        assert!(with(&tensor).unwrap_err().contains(text), "{text}");
    }
}

#[test]
fn external_data_is_in_the_models_own_files() {
    let add = node("Add", &["x", "w"], &["y"]);
    let with = |tensor: &Message| judge(&model(&[(1, &add), (5, tensor)]));
    assert!(with(&external("weights.bin", "8", "8")).is_ok());
    for (location, offset, length, text) in [
        (
            "../weights.bin",
            "0",
            "8",
            "does not belong to the model: \"../weights.bin\"",
        ),
        ("/etc/passwd", "0", "8", "does not belong to the model"),
        ("./weights.bin", "0", "8", "does not belong to the model"),
        ("weights.bin", "9", "8", "ends beyond the 16 bytes"),
        (
            "weights.bin",
            "18446744073709551615",
            "8",
            "ends beyond the 16 bytes",
        ),
        ("weights.bin", "x", "8", "no valid offset"),
        (
            "weights.bin",
            "0",
            "9",
            "needs 8 bytes, its external data has 9",
        ),
    ] {
        let refusal = with(&external(location, offset, length)).unwrap_err();
        assert!(
            refusal.starts_with("tensor w: ") && refusal.contains(text),
            "{refusal}"
        );
    }
}

#[test]
fn names_are_made_once_and_nothing_depends_on_itself() {
    let first = node("Identity", &["x"], &["y"]);
    refuses(
        &[(1, &first), (1, &first)],
        "node y: output y is made twice",
    );
    refuses(
        &[(1, &node("Identity", &["y"], &["x"]))],
        "node x: output x is made twice",
    );
    let (a, b) = (
        node("Add", &["x", "b"], &["a"]),
        node("Identity", &["a"], &["b"]),
    );
    refuses(
        &[(1, &a), (1, &b)],
        "node a is part of a cycle or behind one",
    );
}

#[test]
fn operators_outside_the_known_domains_are_refused() {
    let node = node("Fancy", &["x"], &["y"])
        .bytes(7, b"my.domain")
        .bytes(3, b"n1");
    refuses(
        &[(1, &node)],
        "node n1: operator Fancy is of the unknown domain \"my.domain\"",
    );
}

#[test]
fn a_few_bytes_cannot_ask_for_terabytes() {
    let shape = Message::default()
        .varint(1, 2)
        .varint(2, 7)
        .bytes(8, b"shape")
        .bytes(
            9,
            &[(1_i64 << 20).to_le_bytes(), (1_i64 << 20).to_le_bytes()].concat(),
        );
    let text = "makes about 4398046511104 bytes, more than the memory budget of 1048576";
    let fill = node("ConstantOfShape", &["shape"], &["y"]);
    refuses(&[(1, &fill), (5, &shape)], text);
    let expand = node("Expand", &["x", "shape"], &["y"]);
    refuses(&[(1, &expand), (5, &shape)], text);
    let attribute = Message::default()
        .bytes(1, b"shape")
        .varint(8, 1 << 20)
        .varint(8, 1 << 20);
    let random = node("RandomNormal", &[], &["y"]).message(5, &attribute);
    refuses(&[(1, &random)], text);
}

#[test]
fn graphs_inside_graphs_are_checked_to_a_depth() {
    let nest = |depth: usize| {
        let mut inner = node("Identity", &["x"], &["z"]).bytes(7, b"bad");
        for _ in 0..depth {
            let graph = Message::default().message(1, &inner);
            let branch = Message::default()
                .bytes(1, b"then_branch")
                .message(6, &graph);
            inner = node("If", &["x"], &["z"]).message(5, &branch);
        }
        inner
    };
    refuses(&[(1, &nest(3))], "unknown domain \"bad\"");
    refuses(&[(1, &nest(40))], "nested more than 16 deep");
}

#[test]
fn parts_that_a_parser_would_merge_are_malformed() {
    let graph = Message::default();
    let twice = Message::default().message(7, &graph).message(7, &graph);
    assert!(
        judge(&twice.0)
            .unwrap_err()
            .contains("protobuf structure is damaged")
    );
}

#[test]
fn other_files_are_not_models() {
    for (bytes, text) in [
        (b"".as_slice(), "the file is empty"),
        (b"<html>", "protobuf structure is damaged"),
        (b"\x08\x07", "it has no graph"),
        (b"\x3a\x00", "it names no operator set"),
    ] {
        let refusal = judge(bytes).unwrap_err();
        assert!(refusal.contains(text), "{refusal}");
    }
}

#[test]
fn every_cut_and_every_flipped_byte_ends_in_an_answer() {
    for whole in [
        include_bytes!("../../testdata/linear.onnx").as_slice(),
        &include_bytes!("../../testdata/digits_mlp.onnx")[..600],
    ] {
        for end in 0..whole.len() {
            let _any = judge(&whole[..end]);
            let mut bent = whole.to_vec();
            bent[end] ^= 0x55;
            let _any = judge(&bent);
        }
    }
    assert!(judge(include_bytes!("../../testdata/linear.onnx")).is_ok());
}
