//! Names of classes: what lies beside the model is used if it fits, and never stands in the way.

use std::fs;
use std::sync::Arc;

use aimass_server::state::Slot;

use super::serving::{Server, load_folder, settings};
use super::twins::twin;

/// The first label that a flower gets, with this file beside the model.
async fn first_label(labels: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(twin("iris"), folder.path().join("iris.onnx")).unwrap();
    fs::write(folder.path().join("labels.txt"), labels).unwrap();
    let model = load_folder(folder.path()).unwrap();
    let server = Server::loading(settings());
    aimass_server::workers::start(1, &server.state).unwrap();
    server.state.set_slot(Slot::Ready(Arc::new(model)));
    let body = r#"{"examples":[{"x":[5.1,3.5,1.4,0.2]}]}"#;
    let answer = server.post("/v1/models/m:classify", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["results"][0][0][0]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn each_line_names_a_class() {
    assert_eq!(
        first_label(b"setosa\nversicolor\nvirginica\n").await,
        "setosa"
    );
    assert_eq!(first_label(b"a b\r\n\r\n\xc3\xbc").await, "a b");
}

#[tokio::test]
async fn a_file_that_does_not_fit_is_left_out() {
    let many = "a\n".repeat(4);
    let large = "a".repeat((1 << 20) + 1);
    for labels in [
        b"a\nb\n".as_slice(),
        many.as_bytes(),
        b"\xff\na\nb\n",
        large.as_bytes(),
    ] {
        assert_eq!(first_label(labels).await, "");
    }
}
