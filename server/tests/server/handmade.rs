//! Models written byte by byte: with external data, honest and not, and with shapes beyond reason.

use std::fs;
use std::sync::Arc;

use aimass_server::config::Origin;
use aimass_server::engine::Wanted;
use aimass_server::fatal::Fatal;
use aimass_server::model::Model;
use aimass_server::state::Slot;

use super::serving::{Server, load_folder, load_on, settings};

/// A field with bytes; fields up to 15, bytes up to 16383.
fn bytes(field: u8, bytes: &[u8]) -> Vec<u8> {
    let (low, high) = (bytes.len() % 128, bytes.len() / 128);
    let length = [
        u8::try_from(low).unwrap() | 0x80,
        u8::try_from(high).unwrap(),
    ];
    [&[(field << 3) | 2], length.as_slice(), bytes].concat()
}

fn number(field: u8, mut value: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    while value >= 0x80 {
        bytes.push(u8::try_from(value % 128).unwrap() | 0x80);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// y = x + w, x and y of [N, `width`], w of [2] as `tensor` stores it.
fn adding(width: u64, tensor: &[u8]) -> Vec<u8> {
    let node = [
        bytes(1, b"x"),
        bytes(1, b"w"),
        bytes(2, b"y"),
        bytes(4, b"Add"),
    ]
    .concat();
    let value = |name: &[u8]| {
        let dims = [bytes(1, &bytes(2, b"N")), bytes(1, &number(1, width))].concat();
        let tensor = [number(1, 1), bytes(2, &dims)].concat();
        [bytes(1, name), bytes(2, &bytes(1, &tensor))].concat()
    };
    let parts = [
        bytes(1, &node),
        bytes(5, tensor),
        bytes(11, &value(b"x")),
        bytes(12, &value(b"y")),
    ];
    [
        number(1, 8),
        bytes(7, &parts.concat()),
        bytes(8, &number(2, 17)),
    ]
    .concat()
}

fn stored() -> Vec<u8> {
    [
        number(1, 2),
        number(2, 1),
        bytes(8, b"w"),
        bytes(9, &[0; 8]),
    ]
    .concat()
}

fn external(location: &str, offset: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| {
        bytes(
            13,
            &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat(),
        )
    };
    let place = [
        entry("location", location),
        entry("offset", offset),
        entry("length", "8"),
    ]
    .concat();
    [
        number(1, 2),
        number(2, 1),
        bytes(8, b"w"),
        place,
        number(14, 1),
    ]
    .concat()
}

/// A folder `model` with weights in it and a secret beside it.
fn folder(model: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("model/data")).unwrap();
    let weights: Vec<u8> = [0.0_f32, 10.0, 20.0]
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    fs::write(folder.path().join("model/data/weights.bin"), &weights).unwrap();
    fs::write(folder.path().join("secret"), &weights).unwrap();
    fs::write(folder.path().join("model/model.onnx"), model).unwrap();
    folder
}

/// A model whose weights, 10 and 20, lie in a file of their own.
pub(crate) fn with_external_weights(file: &str, wanted: Wanted) -> Result<Model, Fatal> {
    let folder = folder(&adding(2, &external(file, "4")));
    let (from, to) = ("model/data/weights.bin", format!("model/{file}"));
    fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
    let origin = Origin::of(folder.path().join("model"));
    load_on(wanted, origin)
}

#[tokio::test]
async fn weights_may_be_in_a_file_of_their_own() {
    let model = with_external_weights("data/weights.bin", Wanted::Auto).unwrap();
    let server = Server::loading(settings());
    aimass_server::workers::start(1, &server.state).unwrap();
    server.state.set_slot(Slot::Ready(Arc::new(model)));
    let answer = server
        .post("/v1/models/m:predict", r#"{"instances":[[1,2]]}"#)
        .await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, r#"{"predictions":[[11.0,22.0]]}"#)
    );
}

#[test]
fn weights_are_never_taken_from_elsewhere() {
    for (location, offset) in [
        ("../secret", "0"),
        ("data/../../secret", "0"),
        ("/etc/passwd", "0"),
        ("data/./weights.bin", "0"),
        ("data/weights.bin", "8"),
        ("data/weights.bin", "-1"),
    ] {
        let folder = folder(&adding(2, &external(location, offset)));
        let fatal = load_folder(&folder.path().join("model")).err().unwrap();
        assert!(
            fatal.message.starts_with("tensor w: "),
            "{location} at {offset}: {fatal}"
        );
    }
}

#[test]
fn a_declared_input_of_terabytes_is_refused_before_it_is_made() {
    let folder = folder(&adding(1 << 40, &stored()));
    let fatal = load_folder(&folder.path().join("model")).err().unwrap();
    assert_eq!(fatal.message, "node (inputs): shapes are too large");
}
