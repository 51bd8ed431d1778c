//! Hostile model files: refused with a reason, exit code 3, within seconds; never served.

use std::path::PathBuf;
use std::time::Duration;

use crate::process::{Server, example};

#[test]
fn s1_a_file_that_is_no_model_is_refused_with_its_reason() {
    let whole = std::fs::read(example("linear")).expect("the example lies in the repository");
    let cases: [(&str, Vec<u8>); 4] = [
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("empty", Vec::new()),
        (
            "random",
            (0..4096_u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect(),
        ),
        ("a text", b"hello, this is no model".to_vec()),
    ];
    for (name, bytes) in cases {
        let file = write(name, &bytes);
        let mut server = Server::spawn(&file.1, &[]);
        assert_eq!(server.exit_code(Duration::from_secs(20)), 3, "{name}");
        let message = server.termination_message();
        assert!(
            message.contains("\"reason\":\"ModelLoadFailed\""),
            "{name}: {message}"
        );
    }
}

#[test]
fn s11_a_wrong_digest_is_never_served() {
    let flag = format!("--model-digest=sha256:{}", "0".repeat(64));
    let mut server = Server::spawn(&example("linear"), &[&flag]);
    assert_eq!(server.exit_code(Duration::from_secs(20)), 3);
    assert!(server.termination_message().contains("DigestMismatch"));
}

fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join(format!("{name}.onnx"));
    std::fs::write(&path, bytes).expect("the folder takes a file");
    (folder, path)
}
