//! Files that are no models, or no honest ones: refused with a reason, quickly, without a panic.

use std::fs;
use std::time::{Duration, Instant};

use aimass_server::fatal::Reason;

use super::serving::{load_folder, testdata};

#[expect(
    clippy::disallowed_methods,
    reason = "measures how long a refusal takes"
)]
#[track_caller]
fn refused(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), bytes).unwrap();
    let begun = Instant::now();
    let Err(fatal) = load_folder(folder.path()) else {
        panic!("{name} was loaded")
    };
    assert_eq!(fatal.reason, Reason::ModelLoadFailed, "{name}: {fatal}");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{name} took {:?}",
        begun.elapsed()
    );
    assert!(
        !fatal.message.contains(folder.path().to_str().unwrap()),
        "{name}: {fatal}"
    );
    fatal.message
}

fn digits() -> Vec<u8> {
    fs::read(testdata().join("digits_mlp.onnx")).unwrap()
}

#[test]
fn files_that_are_not_onnx() {
    assert_eq!(refused("nothing", b""), "the file is empty");
    for (name, bytes) in [
        ("a page", b"<!doctype html><html></html>".as_slice()),
        (
            "a pickle",
            b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix",
        ),
        ("an archive", b"PK\x03\x04\x14\x00\x00\x00"),
        ("zeros", &[0; 4096]),
        ("ones", &[0xff; 4096]),
    ] {
        assert!(
            refused(name, bytes).starts_with("the file is not an ONNX model"),
            "{name}"
        );
    }
}

#[test]
fn noise() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..8 {
        let bytes: Vec<u8> = (0..1000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(round);
                state.to_be_bytes()[0]
            })
            .collect();
        refused("noise", &bytes);
    }
}

#[test]
fn models_cut_off_anywhere() {
    let whole = digits();
    for part in [1, 2, 3, 5, 10, 100, 1000] {
        refused(
            "a part",
            &whole[..whole.len() - whole.len() / (part + 1) - 1],
        );
    }
}

#[test]
fn a_flipped_byte_never_panics_or_hangs() {
    let whole = fs::read(testdata().join("linear.onnx")).unwrap();
    for index in 0..whole.len() {
        let mut bent = whole.clone();
        bent[index] ^= 0x15;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), &bent).unwrap();
        // Some are still models: other weights, other names.
        if let Err(fatal) = load_folder(folder.path()) {
            assert_eq!(
                fatal.reason,
                Reason::ModelLoadFailed,
                "byte {index}: {fatal}"
            );
        }
    }
}

#[test]
fn an_operator_that_the_engine_lacks_is_named() {
    let whole = fs::read(testdata().join("linear.onnx")).unwrap();
    let at = whole
        .windows(4)
        .position(|window| window == b"Gemm")
        .unwrap();
    let mut other = whole;
    other[at..at + 4].copy_from_slice(b"Warp");
    let message = refused("another operator", &other);
    assert_eq!(
        message,
        "node y: operator Warp is not supported by Tract: try engine: OnnxRuntime"
    );
}

#[test]
fn an_input_that_nothing_makes_is_named() {
    let whole = fs::read(testdata().join("linear.onnx")).unwrap();
    let at = whole
        .windows(3)
        .position(|window| window == b"\x01b\x12")
        .unwrap();
    let mut other = whole;
    other[at + 1] = b'q';
    let message = refused("a missing input", &other);
    assert_eq!(message, "node q: is read, but nothing produces it");
}
