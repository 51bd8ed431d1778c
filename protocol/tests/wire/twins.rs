//! The models of the conformance tables, computed here: signatures as their files declare them, a line of arithmetic each.

use aimass_protocol::{Data, DataType, Signature, Tensor, TensorSpec};

use crate::models::{half, iris, pair, single, spec};

/// A model without an engine.
pub(crate) struct Twin {
    name: String,
    pub(crate) signature: Signature,
    pub(crate) labels: &'static [String],
}

/// The model of that name.
pub(crate) fn twin(name: &str) -> Twin {
    static LABELS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let names = ["setosa", "versicolor", "virginica"];
        names.map(str::to_owned).to_vec()
    });
    let labels: &[String] = if name == "iris" { &LABELS } else { &[] };
    Twin {
        name: name.to_owned(),
        signature: signature(name),
        labels,
    }
}

fn signature(name: &str) -> Signature {
    use DataType::{Bytes, Fp32, Fp64, Int32};
    let column = |name: &str, datatype, width: i64| spec(name, datatype, &[-1, width]);
    let free = |name: &str, datatype| TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: None,
    };
    let line =
        |x: &str, y: &str| Signature::new(vec![column(x, Fp32, 1)], vec![column(y, Fp32, 1)]);
    match name {
        "half" => half(),
        "half_plus_two" => line("x:0", "y:0"),
        "half_plus_three" => line("serving_default_x:0", "StatefulPartitionedCall:0"),
        "iris" => iris(),
        "pair" => pair(),
        "named" => Signature::new(
            vec![
                free("int_tensor", Int32),
                free("str_tensor", Bytes),
                free("float_tensor", Fp32),
                free("dbl_tensor", Fp64),
            ],
            vec![
                free("ints", Int32),
                free("texts", Bytes),
                free("floats", Fp32),
                free("doubles", Fp64),
                free("str_bytes", Bytes),
            ],
        ),
        "simple" => Signature::new(
            vec![column("INPUT0", Int32, 16), column("INPUT1", Int32, 16)],
            vec![column("OUTPUT0", Int32, 16), column("OUTPUT1", Int32, 16)],
        ),
        "divide" => Signature::new(vec![spec("x", Fp32, &[-1])], vec![spec("y", Fp32, &[-1])]),
        "labelled" => Signature::new(
            vec![column("names", Bytes, 3), column("values", Fp32, 3)],
            vec![column("classes", Bytes, 3), column("scores", Fp32, 3)],
        ),
        "wide" => Signature::new(vec![column("x", Fp32, 2)], vec![column("y", Fp32, 2)]),
        "regressor" => Signature::new(
            vec![column("x", Fp32, 1)],
            vec![column("other", Fp32, 1), column("outputs", Fp32, 1)],
        ),
        _ => {
            let named =
                |datatype: &DataType| name.strip_prefix("echo_") == Some(datatype.tfs_name());
            let datatype = DataType::ALL.into_iter().find(named);
            single(datatype.unwrap_or_else(|| panic!("there is no test model {name}")))
        }
    }
}

impl Twin {
    /// What the model gives.
    pub(crate) fn run(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let plus = |x: &Tensor, plus: f32| map(x, |value| value + plus);
        match (self.name.as_str(), inputs) {
            ("half" | "half_plus_two", [x]) => vec![map(x, |value| value / 2.0 + 2.0)],
            ("half_plus_three", [x]) => vec![map(x, |value| value / 2.0 + 3.0)],
            ("divide", [x]) => vec![map(x, |value| value / 0.0)],
            ("regressor", [x]) => vec![x.clone(), plus(x, 1.0)],
            ("pair", [_, s]) => vec![s.clone(), s.clone()],
            ("named", [ints, texts, floats, doubles]) => [ints, texts, floats, doubles, texts]
                .map(Tensor::clone)
                .to_vec(),
            ("simple", [left, right]) => vec![
                both(left, right, |left, right| left + right),
                both(left, right, |left, right| left - right),
            ],
            ("iris", [x]) => flowers(x),
            _ => inputs.to_vec(),
        }
    }
}

fn floats(tensor: &Tensor) -> &[f32] {
    match tensor.data() {
        Data::Fp32(values) => values,
        other => panic!("not floats: {other:?}"),
    }
}

fn map(x: &Tensor, with: impl Fn(f32) -> f32) -> Tensor {
    let values = floats(x).iter().map(|value| with(*value)).collect();
    Tensor::new(x.shape().to_vec(), Data::Fp32(values)).expect("the same shape")
}

fn both(left: &Tensor, right: &Tensor, with: impl Fn(i32, i32) -> i32) -> Tensor {
    let (Data::Int32(a), Data::Int32(b)) = (left.data(), right.data()) else {
        panic!("not integers")
    };
    let values = a.iter().zip(b).map(|(a, b)| with(*a, *b)).collect();
    Tensor::new(left.shape().to_vec(), Data::Int32(values)).expect("the same shape")
}

/// The class and the three scores of each row of four.
fn flowers(x: &Tensor) -> Vec<Tensor> {
    let weights = [
        [-0.42, 0.53, -0.11],
        [0.97, -0.32, -0.65],
        [-2.52, -0.2, 2.72],
        [-1.08, -0.94, 2.02],
    ];
    let (mut labels, mut scores) = (Vec::new(), Vec::new());
    for row in floats(x).chunks_exact(4) {
        let mut logits = [9.85_f32, 2.24, -12.09];
        for (value, weights) in row.iter().zip(weights) {
            for (logit, weight) in logits.iter_mut().zip(weights) {
                *logit += value * weight;
            }
        }
        let powers = logits.map(f32::exp);
        let sum: f32 = powers.iter().sum();
        scores.extend(powers.map(|power| power / sum));
        let best = (0..3_i64).zip(logits).max_by(|a, b| a.1.total_cmp(&b.1));
        labels.push(best.expect("there are three").0);
    }
    let count = labels.len();
    let label = Tensor::new(vec![count], Data::Int64(labels));
    let score = Tensor::new(vec![count, 3], Data::Fp32(scores));
    [label, score]
        .map(|tensor| tensor.expect("one per row"))
        .to_vec()
}
