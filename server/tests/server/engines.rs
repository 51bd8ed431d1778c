//! Several engines behind one trait: they agree, refuse what they cannot do, and the choice among them is told.

use std::sync::Arc;

use aimass_protocol::{Data, Tensor};
use aimass_server::engine::{Because, Name, Wanted};
use aimass_server::fatal::{Fatal, Reason};
use aimass_server::model::Model;
use aimass_server::rows::probe;
use aimass_server::state::Slot;
use serde_json::json;

use super::graphs::{Attribute, BOOL, DOUBLE, FLOAT, Graph, INT64};
use super::serving::{Server, load_on, settings, testdata};

/// The engines of this binary.
fn engines() -> Vec<Name> {
    let there = |name: &Name| *name != Name::OnnxRuntime || super::serving::has_onnxruntime();
    Name::ALL.into_iter().filter(there).collect()
}

fn load(graph: &Graph, wanted: Wanted) -> Result<Model, Fatal> {
    let (_folder, origin) = graph.folder();
    load_on(wanted, origin)
}

fn load_file(file: &str, wanted: Wanted) -> Model {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(testdata().join(file), folder.path().join("model.onnx")).unwrap();
    let origin = aimass_server::config::Origin::of(folder.path());
    load_on(wanted, origin).unwrap()
}

fn serve(model: Model) -> Server {
    let server = Server::loading(settings());
    aimass_server::workers::start(1, &server.state).unwrap();
    server.state.set_slot(Slot::Ready(Arc::new(model)));
    server
}

fn floats(tensor: &Tensor) -> &[f32] {
    match tensor.data() {
        Data::Fp32(values) => values,
        other => panic!("{other:?}"),
    }
}

/// |a − e| ≤ 1e-6 + 1e-4 × the largest |e|.
#[track_caller]
fn assert_close(given: &[f32], expected: &[f32], about: &str) {
    let scale = expected
        .iter()
        .fold(0.0_f32, |scale, value| scale.max(value.abs()));
    assert_eq!(given.len(), expected.len(), "{about}");
    for (given, expected) in given.iter().zip(expected) {
        let apart = (given - expected).abs();
        assert!(
            apart <= 1e-6 + 1e-4 * scale,
            "{about}: {given} for {expected}"
        );
    }
}

#[test]
fn the_linear_model_is_the_same_on_every_engine() {
    for engine in engines() {
        let model = load_file("linear.onnx", Wanted::Only(engine));
        assert_eq!(model.engine(), engine.as_str());
        let input = Tensor::new(vec![3, 1], Data::Fp32(vec![1.0, -2.5, 1e6])).unwrap();
        let ran = model.run_whole(&[input]).unwrap();
        assert_close(floats(&ran[0]), &[2.0, -5.0, 2e6], engine.title());
    }
}

/// What onnxruntime 1.32.0 answers to the first of scikit-learn's digits, and to a blank one.
const DIGITS: [(bool, [f32; 10]); 2] = [
    (
        true,
        [
            0.9999988,
            4.208691e-15,
            9.852364e-10,
            2.564254e-9,
            3.354639e-9,
            1.040664e-7,
            8.17676e-8,
            1.659258e-7,
            2.226252e-7,
            5.721343e-7,
        ],
    ),
    (
        false,
        [
            0.05614426, 0.03304572, 0.04453836, 0.1284585, 0.09243531, 0.2752973, 0.05916053,
            0.1020576, 0.09921145, 0.109651,
        ],
    ),
];

#[test]
fn the_digits_are_the_same_on_every_engine() {
    for engine in engines() {
        let model = load_file("digits_mlp.onnx", Wanted::Only(engine));
        for (written, expected) in DIGITS {
            let level = |level: &u8| {
                if written {
                    f32::from(*level) / 16.0
                } else {
                    0.0
                }
            };
            let image: Vec<f32> = super::predict::ZERO.iter().map(level).collect();
            let input = Tensor::new(vec![1, 64], Data::Fp32(image)).unwrap();
            let ran = model.run_whole(&[input]).unwrap();
            assert_close(floats(&ran[0]), &expected, engine.title());
        }
    }
}

fn perceptron() -> Graph {
    let weights: Vec<f32> = (0_u8..32).map(|i| f32::from(i % 7) - 3.0).collect();
    Graph::default()
        .floats("w", &[4, 8], &weights)
        .floats("b", &[8], &weights[..8])
        .node("MatMul", &["x", "w"], &["h"], &[])
        .node("Add", &["h", "b"], &["s"], &[])
        .node("Relu", &["s"], &["r"], &[])
        .node("Softmax", &["r"], &["y"], &[("axis", Attribute::Int(-1))])
        .input("x", FLOAT, "N 4")
        .output("y", FLOAT, "N 8")
}

fn convolution() -> Graph {
    let weights: Vec<f32> = (0_u8..54).map(|i| f32::from(i % 5) / 4.0 - 0.5).collect();
    Graph::default()
        .floats("w", &[3, 2, 3, 3], &weights)
        .node(
            "Conv",
            &["x", "w"],
            &["c"],
            &[
                ("kernel_shape", Attribute::Ints(&[3, 3])),
                ("pads", Attribute::Ints(&[1, 1, 1, 1])),
                ("strides", Attribute::Ints(&[2, 2])),
            ],
        )
        .node("HardSwish", &["c"], &["s"], &[])
        .node("GlobalAveragePool", &["s"], &["y"], &[])
        .input("x", FLOAT, "N 2 9 7")
        .output("y", FLOAT, "N 3 1 1")
}

fn recurrent() -> Graph {
    let weights: Vec<f32> = (0_u8..64).map(|i| f32::from(i % 9) / 8.0 - 0.5).collect();
    Graph::default()
        .floats("w", &[1, 16, 3], &weights[..48])
        .floats("r", &[1, 16, 4], &weights)
        .node(
            "LSTM",
            &["x", "w", "r"],
            &["all", "last"],
            &[("hidden_size", Attribute::Int(4))],
        )
        .node("Identity", &["last"], &["y"], &[])
        .input("x", FLOAT, "5 N 3")
        .output("y", FLOAT, "1 N 4")
}

fn embedding() -> Graph {
    let table: Vec<f32> = (0_u8..40).map(f32::from).collect();
    Graph::default()
        .floats("table", &[10, 4], &table)
        .integers("axes", &[1], &[1])
        .node(
            "Gather",
            &["table", "ids"],
            &["e"],
            &[("axis", Attribute::Int(0))],
        )
        .node(
            "ReduceMean",
            &["e"],
            &["y"],
            &[
                ("axes", Attribute::Ints(&[1])),
                ("keepdims", Attribute::Int(0)),
            ],
        )
        .node("ArgMax", &["y"], &["best"], &[("axis", Attribute::Int(1))])
        .input("ids", INT64, "N T")
        .output("y", FLOAT, "N 4")
        .output("best", INT64, "N 1")
}

fn comparison() -> Graph {
    Graph::default()
        .node("Greater", &["a", "b"], &["y"], &[])
        .node("Not", &["y"], &["z"], &[])
        .input("a", FLOAT, "N 3")
        .input("b", FLOAT, "N 3")
        .output("y", BOOL, "N 3")
        .output("z", BOOL, "N 3")
}

#[test]
fn all_engines_agree_on_graphs_of_every_family() {
    let graphs = [
        ("perceptron", perceptron()),
        ("convolution", convolution()),
        ("recurrent", recurrent()),
        ("embedding", embedding()),
        ("comparison", comparison()),
    ];
    for (about, graph) in graphs {
        let models = engines().into_iter().map(|engine| {
            let model = load(&graph, Wanted::Only(engine));
            model.unwrap_or_else(|fatal| panic!("{about} on {engine}: {fatal}"))
        });
        let models: Vec<Model> = models.collect();
        for (rows, seed) in (1..=5).flat_map(|rows| (1..=8).map(move |seed| (rows, seed))) {
            let inputs = inputs(&models[0], rows, seed);
            let answers: Vec<_> = models
                .iter()
                .map(|model| model.run_whole(&inputs).unwrap())
                .collect();
            for (answer, model) in answers.iter().zip(&models).skip(1) {
                let about = format!("{about} on {}, {rows} rows, seed {seed}", model.engine());
                for (given, expected) in answer.iter().zip(&answers[0]) {
                    assert_eq!(given.shape(), expected.shape(), "{about}");
                    match expected.data() {
                        Data::Fp32(expected) => assert_close(floats(given), expected, &about),
                        expected => assert_eq!(given.data(), expected, "{about}"),
                    }
                }
            }
        }
    }
}

/// Made-up inputs, a name of a dimension being so many rows.
fn inputs(model: &Model, rows: usize, seed: u32) -> Vec<Tensor> {
    let specs = model.signature().inputs().iter();
    let input = specs.map(|spec| {
        let dims = spec.shape.as_ref().unwrap().iter();
        let shape: Vec<usize> = dims
            .map(|dim| match dim {
                aimass_protocol::Dim::Fixed(size) => *size,
                _ => rows,
            })
            .collect();
        probe(spec.datatype, &shape, seed).unwrap()
    });
    input.collect()
}

/// x reversed along the rows: an operator that tract lacks.
fn reversed() -> Graph {
    Graph::default()
        .node(
            "ReverseSequence",
            &["x", "lengths"],
            &["y"],
            &[
                ("batch_axis", Attribute::Int(0)),
                ("time_axis", Attribute::Int(1)),
            ],
        )
        .input("x", FLOAT, "N 3")
        .input("lengths", INT64, "N")
        .output("y", FLOAT, "N 3")
}

#[tokio::test]
async fn what_tract_lacks_is_served_by_rten_and_that_is_told() {
    let model = load(&reversed(), Wanted::Auto).unwrap();
    assert_eq!(
        (model.engine(), model.because()),
        ("rten", Because::Refused)
    );
    let server = serve(model);
    let body =
        json!({"instances": [{"x": [1, 2, 3], "lengths": 2}, {"x": [4, 5, 6], "lengths": 3}]});
    let answer = server.post("/v1/models/m:predict", body.to_string()).await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, r#"{"predictions":[[2.0,1.0,3.0],[6.0,5.0,4.0]]}"#)
    );
    let properties = &server.get("/v2/models/m").await.json()["properties"];
    assert_eq!(
        (&properties["engine"], &properties["engine_reason"]),
        (&json!("rten"), &json!("refused"))
    );
}

/// x, or the sum of it: the ranks of the branches differ, which tract cannot plan for.
fn branches() -> Graph {
    let whole = Graph::default()
        .node("Identity", &["x"], &["whole"], &[])
        .any_output("whole", FLOAT);
    let sum = Graph::default()
        .node(
            "ReduceSum",
            &["x"],
            &["sum"],
            &[("keepdims", Attribute::Int(0))],
        )
        .any_output("sum", FLOAT);
    let branches = [
        ("then_branch", Attribute::Graph(&whole)),
        ("else_branch", Attribute::Graph(&sum)),
    ];
    Graph::default()
        .node("If", &["all"], &["y"], &branches)
        .input("all", BOOL, "")
        .input("x", FLOAT, "1 3")
        .any_output("y", FLOAT)
}

#[tokio::test]
async fn branches_of_unequal_rank_are_served_by_rten() {
    let model = load(&branches(), Wanted::Auto).unwrap();
    assert_eq!(
        (model.engine(), model.because()),
        ("rten", Because::Refused)
    );
    let server = serve(model);
    for (all, expect) in [(true, "[[1.0,2.0,4.0]]"), (false, "7.0")] {
        let body = json!({"inputs": {"all": all, "x": [[1, 2, 4]]}}).to_string();
        let answer = server.post("/v1/models/m:predict", body).await;
        let expect = format!(r#"{{"outputs":{expect}}}"#);
        assert_eq!((answer.status, answer.text()), (200, expect.as_str()));
    }
}

#[test]
fn a_refusal_names_node_operator_and_what_to_try() {
    let message = |graph: &Graph, wanted| load(graph, wanted).err().unwrap().message;
    assert_eq!(
        message(&reversed(), Wanted::Only(Name::Tract)),
        "node y: operator ReverseSequence is not supported by Tract: try engine: Auto"
    );
    // Neither tract nor rten has it.
    let regions = Graph::default()
        .node("RoiAlign", &["x", "rois", "batch"], &["roi"], &[])
        .input("x", FLOAT, "N 1 4 4")
        .input("rois", FLOAT, "R 4")
        .input("batch", INT64, "R")
        .output("roi", FLOAT, "R 1 1 1");
    assert_eq!(
        message(&regions, Wanted::Auto),
        "node roi: operator RoiAlign is not supported by Tract: try engine: OnnxRuntime"
    );
    assert_eq!(
        message(&regions, Wanted::Only(Name::Rten)),
        "node roi: operator RoiAlign is not supported by Rten: try engine: Auto"
    );
}

#[test]
fn a_type_that_an_engine_lacks_is_refused_by_the_tensors_name() {
    let doubles = Graph::default()
        .node("Neg", &["x"], &["y"], &[])
        .input("x", DOUBLE, "N 1")
        .output("y", DOUBLE, "N 1");
    assert_eq!(
        load(&doubles, Wanted::Only(Name::Rten))
            .err()
            .unwrap()
            .message,
        "tensor x: type FP64 is not supported by Rten: try engine: Auto"
    );
    let model = load(&doubles, Wanted::Auto).unwrap();
    assert_eq!(
        (model.engine(), model.because()),
        ("tract", Because::Default)
    );
}

#[test]
fn integers_of_the_file_that_rten_would_change_are_refused() {
    let wide = Graph::default()
        .integers("big", &[1], &[1 << 40])
        .node("Add", &["x", "big"], &["y"], &[])
        .input("x", INT64, "N 1")
        .output("y", INT64, "N 1");
    assert_eq!(
        load(&wide, Wanted::Only(Name::Rten)).err().unwrap().message,
        "tensor big: holds integers that do not fit into 32 bits (engine Rten): try engine: Auto"
    );
    assert_eq!(load(&wide, Wanted::Auto).unwrap().engine(), "tract");
}

#[tokio::test]
async fn an_integer_that_rten_cannot_hold_is_the_callers_error() {
    let server = serve(load(&embedding(), Wanted::Only(Name::Rten)).unwrap());
    let body = r#"{"instances":[[1,2],[3,4294967297]]}"#;
    let answer = server.post("/v1/models/m:predict", body).await;
    assert_eq!(
        (answer.status, answer.header("aimass-error")),
        (400, "bad_tensor")
    );
    assert_eq!(
        answer.error(),
        "Input \"ids\": holds 4294967297, which does not fit into 32 bits"
    );
    // Beyond the table, but an integer like any other: the engine's to refuse.
    let answer = server
        .post("/v1/models/m:predict", r#"{"instances":[[1,2],[3,99]]}"#)
        .await;
    assert_eq!(
        (answer.status, answer.header("aimass-error")),
        (400, "engine_rejected")
    );
    assert!(
        answer.error().contains("Index 99 is out of range"),
        "{answer:?}"
    );
}

#[test]
fn the_graph_decides_and_says_why() {
    let quantised = Graph::default()
        .node(
            "DynamicQuantizeLinear",
            &["x"],
            &["q", "scale", "zero"],
            &[],
        )
        .node("DequantizeLinear", &["q", "scale", "zero"], &["y"], &[])
        .input("x", FLOAT, "N 4")
        .output("y", FLOAT, "N 4");
    let rows = [
        (quantised, "rten", Because::Quantised),
        (perceptron(), "tract", Because::Default),
        (recurrent(), "rten", Because::SmallRecurrent),
    ];
    for (graph, engine, because) in rows {
        let model = load(&graph, Wanted::Auto).unwrap();
        assert_eq!((model.engine(), model.because()), (engine, because));
    }
}

#[test]
fn external_data_reaches_rten_under_the_names_that_it_takes() {
    let load = |file, wanted| super::handmade::with_external_weights(file, wanted);
    let input = Tensor::new(vec![1, 2], Data::Fp32(vec![1.0, 2.0])).unwrap();
    for (file, wanted) in [
        ("model.onnx_data", Wanted::Only(Name::Rten)),
        ("model.onnx_data", Wanted::Only(Name::Tract)),
        ("data/weights.bin", Wanted::Auto),
    ] {
        let ran = load(file, wanted)
            .unwrap()
            .run_whole(std::slice::from_ref(&input));
        assert_eq!(floats(&ran.unwrap()[0]), [11.0, 22.0], "{file}");
    }
    assert_eq!(
        load("data/weights.bin", Wanted::Only(Name::Rten))
            .err()
            .unwrap()
            .message,
        "tensor w: external data must be a file beside the model that ends in .data or .onnx_data, is \"data/weights.bin\" (engine Rten): try engine: Auto"
    );
}

#[cfg(not(feature = "ort"))]
#[test]
fn an_engine_that_is_not_in_the_binary_is_unavailable() {
    let wanted = Wanted::Only(Name::OnnxRuntime);
    let fatal = load(&perceptron(), wanted).err().unwrap();
    assert_eq!(
        (fatal.reason, fatal.reason.exit_code()),
        (Reason::EngineUnavailable, 3)
    );
    assert_eq!(
        fatal.message,
        "engine OnnxRuntime is not in this binary: use the server's image with the tag suffix -ort, or engine: Auto"
    );
}

#[cfg(feature = "ort")]
#[test]
fn a_library_that_cannot_be_loaded_is_named() {
    let mut engines = super::serving::engines(Wanted::Only(Name::OnnxRuntime));
    engines.onnxruntime = "/nowhere/libonnxruntime.so".into();
    let (_folder, origin) = perceptron().folder();
    match aimass_server::load::load(&origin, &engines) {
        // Another test was first, and there is one library in a process.
        Ok(_) => assert!(super::serving::has_onnxruntime()),
        Err(fatal) => {
            assert_eq!(fatal.reason, Reason::EngineUnavailable);
            assert!(fatal.message.contains("--onnxruntime-library"), "{fatal}");
        }
    }
}

#[test]
fn a_run_never_begins_where_another_one_ended() {
    // What onnxruntime 1.32.0 answers.
    let expected = [-0.217_612_13, -0.043_477_14, 0.212_166_18, -0.209_173_38];
    for engine in engines() {
        let model = load(&recurrent(), Wanted::Only(engine)).unwrap();
        let input = (0_u8..15).map(|step| f32::from(step) / 15.0).collect();
        let input = Tensor::new(vec![5, 1, 3], Data::Fp32(input)).unwrap();
        for _ in 0..3 {
            let ran = model.run_whole(std::slice::from_ref(&input)).unwrap();
            assert_close(floats(&ran[0]), &expected, engine.title());
        }
    }
}
