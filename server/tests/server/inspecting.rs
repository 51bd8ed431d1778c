//! `aimass-server inspect`: the real binary, as a person or a program asks it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::graphs::{FLOAT, Graph, INT64};
use super::serving::testdata;

fn inspect(model: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimass-server"));
    let command = command.env_clear().arg("inspect").arg(model).args(flags);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_person_reads_what_a_model_takes_and_which_engine_serves_it() {
    let (code, text, problems) = inspect(&testdata().join("digits_mlp.onnx"), &[]);
    assert_eq!((code, problems.as_str()), (Some(0), ""));
    for line in [
        "1 file, 26599 bytes",
        "digest     sha256:976bf5a0f2ad08dd2580e19302a3bc7bb829032911b0fa7b7496361f007716cd",
        "outputs    probabilities FP32 [",
        "check      passed",
        "auto       tract: nothing in the graph speaks for another one",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_program_reads_how_fast_each_engine_is_and_that_they_agree() {
    let model = testdata().join("digits_mlp.onnx");
    let (code, text, problems) = inspect(&model, &["--measure", "--json"]);
    assert_eq!((code, problems.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["engine"], "tract");
    let engines = report["measured"]["engines"].as_array().unwrap();
    let names: Vec<_> = engines.iter().map(|engine| &engine["engine"]).collect();
    assert!(
        names.len() >= 2 && names.contains(&&"rten".into()),
        "{names:?}"
    );
    for engine in engines {
        assert_eq!(engine["run_us"].as_array().unwrap().len(), 4, "{engine}");
        assert!(engine["run_us"][0][1].as_f64().unwrap() > 0.0, "{engine}");
        assert_ne!(engine["agrees"], false, "{engine}");
    }
    assert!(
        report["measured"]["advice"]
            .as_str()
            .unwrap()
            .contains("engine: ")
    );
}

#[test]
fn a_refused_model_ends_with_3_and_a_missing_one_with_4() {
    let (code, text, problems) = inspect(Path::new("/nowhere/model.onnx"), &[]);
    assert_eq!((code, text.as_str()), (Some(4), ""));
    assert!(problems.contains("model.onnx"), "{problems}");
    let regions = Graph::default()
        .node("RoiAlign", &["x", "rois", "batch"], &["roi"], &[])
        .input("x", FLOAT, "N 1 4 4")
        .input("rois", FLOAT, "R 4")
        .input("batch", INT64, "R")
        .output("roi", FLOAT, "R 1 1 1");
    let (folder, _) = regions.folder();
    let (code, text, _) = inspect(folder.path(), &[]);
    assert_eq!(code, Some(3));
    let expect = "auto       none: node roi: operator RoiAlign is not supported by Tract: try engine: OnnxRuntime";
    assert!(text.contains(expect), "{text}");
    std::fs::write(folder.path().join("model.onnx"), "no model").unwrap();
    let (code, _, problems) = inspect(&folder.path().join("model.onnx"), &["--measure"]);
    assert_eq!(code, Some(3));
    assert!(
        problems.starts_with("the file is not an ONNX model"),
        "{problems}"
    );
}

#[test]
fn without_a_model_the_usage_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_aimass-server"))
        .arg("inspect")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
}
