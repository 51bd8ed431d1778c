//! The table, row by row: graphs as those that were measured.

use aimass_protocol::TensorSpec;

use super::*;

fn graph(operators: &[(&str, usize)]) -> Features {
    let operators = operators
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    Features {
        operators: operators.collect(),
        ..Features::default()
    }
}

/// One input; `?` is a free dimension, a word a symbol.
fn taking(datatype: DataType, dims: &str) -> Signature {
    let dim = |word: &str| match word {
        "?" => Dim::Unknown,
        word => word
            .parse()
            .map_or_else(|_| Dim::Symbol(word.to_owned()), Dim::Fixed),
    };
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: Some(dims.split(' ').map(dim).collect()),
    };
    Signature::new(vec![spec("x")], vec![spec("y")])
}

#[track_caller]
fn check(features: &Features, signature: &Signature, engine: Name, because: Because) {
    let choice = choose(Wanted::Auto, features, signature);
    assert_eq!((choice.engine, choice.because), (engine, because));
    assert!(choice.otherwise.is_some_and(|other| other != engine));
}

#[test]
fn a_perceptron_runs_on_tract() {
    let digits = graph(&[("MatMul", 3), ("Add", 3), ("Relu", 2), ("Softmax", 1)]);
    let signature = taking(DataType::Fp32, "B 64");
    check(&digits, &signature, Name::Tract, Because::Default);
}

#[test]
fn quantised_graphs_run_on_rten() {
    let signature = taking(DataType::Int64, "B T");
    for operator in [
        "QLinearConv",
        "QLinearMatMul",
        "MatMulInteger",
        "ConvInteger",
        "DynamicQuantizeLinear",
        "DynamicQuantizeLSTM",
        "DequantizeLinear",
    ] {
        let features = graph(&[(operator, 1), ("Conv", 3)]);
        check(&features, &signature, Name::Rten, Because::Quantised);
    }
}

#[test]
fn transformers_over_free_lengths_run_on_rten_and_others_on_tract() {
    let minilm = graph(&[("MatMul", 48), ("Softmax", 6), ("LayerNormalization", 13)]);
    check(
        &minilm,
        &taking(DataType::Int64, "B T"),
        Name::Rten,
        Because::Attention,
    );
    let fixed = graph(&[("MatMul", 12), ("Softmax", 3), ("ReduceMean", 1)]);
    check(
        &fixed,
        &taking(DataType::Int64, "B 32"),
        Name::Tract,
        Because::Default,
    );
}

#[test]
fn pictures_of_any_size_run_on_rten_unless_they_are_convolved_in_groups() {
    let signature = taking(DataType::Fp32, "B h w 3");
    let esrgan = graph(&[("Conv", 20), ("DepthToSpace", 1)]);
    check(&esrgan, &signature, Name::Rten, Because::OpenDimensions);
    let detection = Features {
        grouped_convolutions: 12,
        ..graph(&[("Conv", 62)])
    };
    check(&detection, &signature, Name::Tract, Because::Default);
    let unnamed = taking(DataType::Fp32, "? 3 ? ?");
    check(&esrgan, &unnamed, Name::Rten, Because::OpenDimensions);
}

#[test]
fn convolved_text_of_free_length_runs_on_rten() {
    let magika = graph(&[("Gather", 1), ("Conv", 1), ("MatMul", 1), ("Softmax", 1)]);
    let free = taking(DataType::Int32, "B T");
    check(&magika, &free, Name::Rten, Because::TextConvolutions);
    let fixed = taking(DataType::Int32, "B 2048");
    check(&magika, &fixed, Name::Tract, Because::Default);
    let floats = taking(DataType::Fp32, "B T");
    check(&magika, &floats, Name::Tract, Because::Default);
}

#[test]
fn small_recurrent_networks_run_on_rten_and_large_ones_on_tract() {
    let lstm = |hidden_size, convolutions| Features {
        hidden_size,
        ..graph(&[("LSTM", 1), ("Gather", 1), ("Conv", convolutions)])
    };
    let text = taking(DataType::Int64, "B 32");
    check(&lstm(32, 0), &text, Name::Rten, Because::SmallRecurrent);
    check(&lstm(256, 0), &text, Name::Tract, Because::Default);
    let audio = taking(DataType::Fp32, "T 576");
    check(&lstm(128, 4), &audio, Name::Tract, Because::Default);
    check(&lstm(32, 4), &audio, Name::Tract, Because::Default);
}

#[test]
fn recurrent_networks_that_are_written_out_run_on_rten() {
    let captcha = graph(&[
        ("MatMul", 300),
        ("Sigmoid", 180),
        ("Tanh", 120),
        ("Conv", 10),
    ]);
    let signature = taking(DataType::Fp32, "B 1 64 200");
    check(&captcha, &signature, Name::Rten, Because::Unrolled);
}

#[test]
fn numbers_that_rten_would_narrow_keep_a_model_on_tract() {
    let quantised = graph(&[("MatMulInteger", 3)]);
    let signature = taking(DataType::Int64, "B T");
    let doubles = Features {
        doubles: true,
        ..quantised.clone()
    };
    check(&doubles, &signature, Name::Tract, Because::Default);
    let wide = Features {
        wide_integers: Some("ids".to_owned()),
        ..quantised
    };
    check(&wide, &signature, Name::Tract, Because::Default);
}

#[test]
fn what_is_configured_is_obeyed_without_another_try() {
    for engine in Name::ALL {
        let quantised = graph(&[("MatMulInteger", 3)]);
        let choice = choose(
            Wanted::Only(engine),
            &quantised,
            &taking(DataType::Fp32, "B 1"),
        );
        let expect = Choice {
            engine,
            because: Because::Configured,
            otherwise: None,
        };
        assert_eq!(choice, expect);
    }
}

#[test]
fn each_reason_has_a_word_of_its_own() {
    let words: BTreeSet<_> = Because::ALL.into_iter().map(Because::word).collect();
    assert_eq!(words.len(), Because::ALL.len());
}
