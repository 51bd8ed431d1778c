//! How requests become runs, seen by a second engine that records the shapes it is asked for.

use std::sync::Arc;

use aimass_protocol::{Data, DataType, TensorSpec};

use super::*;

/// y = 2x + (sum over the batch if `mixes`), one row per row.
struct Recorder {
    signature: Signature,
    runs: Arc<Mutex<Vec<usize>>>,
    mixes: bool,
}

impl Engine for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn prepare(&self, _: &Shapes) -> Result<(), Failure> {
        Ok(())
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let Data::Fp32(values) = inputs[0].data() else {
            panic!("another type")
        };
        self.runs.lock().unwrap().push(inputs[0].shape()[0]);
        let sum: f32 = if self.mixes { values.iter().sum() } else { 0.0 };
        let doubled = values.iter().map(|value| value * 2.0 + sum).collect();
        Ok(vec![
            Tensor::new(inputs[0].shape().to_vec(), Data::Fp32(doubled)).unwrap(),
        ])
    }

    fn memory(&self) -> Memory {
        Memory::default()
    }
}

fn model(first: &Dim, mixes: bool) -> (Model, Arc<Mutex<Vec<usize>>>) {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        shape: Some(vec![first.clone(), Dim::Fixed(1)]),
    };
    let runs = Arc::new(Mutex::new(Vec::new()));
    let signature = Signature::new(vec![spec("x")], vec![spec("y")]);
    let engine = Recorder {
        signature,
        runs: Arc::clone(&runs),
        mixes,
    };
    (Model::new(Box::new(engine), "sha256:0".to_owned()), runs)
}

fn rows(count: usize) -> Vec<Tensor> {
    let values: Vec<f32> = (0..u16::try_from(count).unwrap()).map(f32::from).collect();
    vec![Tensor::new(vec![count, 1], Data::Fp32(values)).unwrap()]
}

fn doubled(count: usize) -> Data {
    Data::Fp32(
        (0..u16::try_from(count).unwrap())
            .map(|row| f32::from(row) * 2.0)
            .collect(),
    )
}

#[track_caller]
fn check(count: usize, expect_runs: &[usize]) {
    let (model, runs) = model(&Dim::Symbol("N".to_owned()), false);
    let ran = model.run(&rows(count), &|| false).unwrap();
    assert_eq!(ran.outputs[0].shape(), [count, 1]);
    assert_eq!(ran.outputs[0].data(), &doubled(count));
    assert_eq!(*runs.lock().unwrap(), expect_runs);
}

#[test]
fn a_power_of_two_runs_as_it_is() {
    check(1, &[1]);
    check(8, &[8]);
    check(64, &[64]);
}

#[test]
fn other_numbers_are_padded_once_that_is_proved() {
    check(3, &[4, 1, 1, 1, 4]);
    check(0, &[1, 1, 1, 1, 1]);
}

#[test]
fn more_than_the_largest_bucket_runs_in_chunks() {
    check(130, &[64, 1, 1, 1, 64, 64, 64]);
}

#[test]
fn rows_that_depend_on_each_other_are_never_padded() {
    let (model, runs) = model(&Dim::Unknown, true);
    model.run(&rows(3), &|| false).unwrap();
    model.run(&rows(5), &|| false).unwrap();
    assert_eq!(*runs.lock().unwrap(), [4, 1, 3, 5]);
    assert_eq!(model.max_rows_at_once(), 1);
}

#[test]
fn a_fixed_first_dimension_is_not_a_batch() {
    let (model, runs) = model(&Dim::Fixed(3), false);
    assert_eq!(model.rows_of(&rows(3)), None);
    model.run(&rows(3), &|| false).unwrap();
    assert_eq!(*runs.lock().unwrap(), [3]);
    assert_eq!(model.max_rows_at_once(), 1);
}

#[test]
fn chunks_stop_when_nobody_waits() {
    let (model, _) = model(&Dim::Unknown, false);
    assert_eq!(
        model.run(&rows(130), &|| true).unwrap_err(),
        Stopped::Abandoned
    );
}

#[test]
fn a_symbol_used_beyond_dimension_0_forbids_adding_rows() {
    let shape = vec![Dim::Symbol("N".to_owned()), Dim::Symbol("N".to_owned())];
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        shape: Some(shape.clone()),
    };
    assert!(batch_symbol_elsewhere(&Signature::new(
        vec![spec("x")],
        vec![spec("y")]
    )));
}

#[test]
fn the_first_run_proves_the_model() {
    let (model, runs) = model(&Dim::Unknown, false);
    assert_eq!(model.warm_up(), Ok(()));
    assert_eq!(*runs.lock().unwrap(), [1]);
}
