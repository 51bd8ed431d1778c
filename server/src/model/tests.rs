//! How requests become runs, seen by a second engine that records the rows it is asked for and tells what they cost.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use aimass_protocol::{Data, DataType, TensorSpec};

use super::*;

/// y = 2x + (sum over the batch if `mixes`), one row per row.
struct Recorder {
    signature: Signature,
    runs: Arc<Mutex<Vec<usize>>>,
    forgotten: Arc<Mutex<Vec<usize>>>,
    mixes: bool,
    most: usize,
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
        let rows = inputs[0].shape()[0];
        self.runs.lock().unwrap().push(rows);
        assert!(rows != 32, "thirty-two");
        if rows > self.most {
            return Err(Failure::new("(graph)", "no memory"));
        }
        let sum: f32 = if self.mixes { values.iter().sum() } else { 0.0 };
        let doubled = values.iter().map(|value| value * 2.0 + sum).collect();
        Ok(vec![
            Tensor::new(inputs[0].shape().to_vec(), Data::Fp32(doubled)).unwrap(),
        ])
    }

    fn memory(&self) -> Memory {
        Memory::default()
    }

    fn forget(&self, shapes: &Shapes) {
        self.forgotten.lock().unwrap().push(shapes[0][0]);
    }
}

struct Recorded {
    model: Model,
    runs: Arc<Mutex<Vec<usize>>>,
    forgotten: Arc<Mutex<Vec<usize>>>,
}

fn recorded(first: &Dim, mixes: bool, most: usize) -> Recorded {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        shape: Some(vec![first.clone(), Dim::Fixed(1)]),
    };
    let (runs, forgotten) = (Arc::default(), Arc::default());
    let engine = Recorder {
        signature: Signature::new(vec![spec("x")], vec![spec("y")]),
        runs: Arc::clone(&runs),
        forgotten: Arc::clone(&forgotten),
        mixes,
        most,
    };
    let model = Model::new(Box::new(engine), "sha256:0".to_owned());
    model.warm_up().unwrap();
    runs.lock().unwrap().clear();
    Recorded {
        model,
        runs,
        forgotten,
    }
}

impl Recorded {
    /// Calibrates by a clock that tells what the runs cost, in milliseconds by rows.
    fn calibrate(&self, largest: usize, cost: impl Fn(usize) -> u64) {
        let seen = Cell::new(self.runs.lock().unwrap().len());
        self.model.calibrate(&sizes(largest, &[]), &|work| {
            work();
            let runs = self.runs.lock().unwrap();
            let new: u64 = runs[seen.get()..].iter().map(|rows| cost(*rows)).sum();
            seen.set(runs.len());
            Duration::from_millis(new)
        });
    }

    fn buckets(&self) -> Vec<usize> {
        self.model.costs().sizes().collect()
    }
}

fn rows(count: usize) -> Vec<Tensor> {
    let values: Vec<f32> = (0..u16::try_from(count).unwrap()).map(f32::from).collect();
    vec![Tensor::new(vec![count, 1], Data::Fp32(values)).unwrap()]
}

const fn free() -> Dim {
    Dim::Unknown
}

#[test]
fn without_a_calibration_rows_run_one_by_one() {
    assert_eq!(recorded(&free(), false, 64).buckets(), [1]);
}

#[test]
fn buckets_are_used_while_they_pay() {
    let cheap = recorded(&free(), false, 64);
    cheap.calibrate(16, |_| 1);
    assert_eq!(cheap.buckets(), [1, 2, 4, 8, 16]);
    assert!(cheap.forgotten.lock().unwrap().is_empty());

    let linear = recorded(&free(), false, 64);
    linear.calibrate(64, |rows| rows as u64);
    assert_eq!(linear.buckets(), [1]);
    assert_eq!(*linear.forgotten.lock().unwrap(), [2, 4]);
    assert_eq!(linear.runs.lock().unwrap().iter().max(), Some(&4));

    // One that does not pay is left out; the next may.
    let uneven = recorded(&free(), false, 64);
    uneven.calibrate(8, |rows| if rows == 2 { 2 } else { 1 });
    assert_eq!(uneven.buckets(), [1, 4, 8]);
    assert_eq!(*uneven.forgotten.lock().unwrap(), [2]);
}

#[test]
fn five_percent_is_what_a_larger_bucket_must_save() {
    let saves = |percent: u64| {
        let recorded = recorded(&free(), false, 64);
        recorded.calibrate(2, |rows| {
            if rows == 2 {
                40 - percent * 40 / 100
            } else {
                20
            }
        });
        recorded.buckets()
    };
    assert_eq!(saves(5), [1, 2]);
    assert_eq!(saves(2), [1]);
}

#[test]
fn measuring_ends_after_a_second() {
    let slow = recorded(&free(), false, 64);
    // Four runs for the first bucket, eight for each that is proved too.
    slow.calibrate(64, |_| 60);
    assert_eq!(slow.buckets(), [1, 2, 4]);
}

#[test]
fn what_the_engine_cannot_run_is_not_used_nor_anything_larger() {
    let small = recorded(&free(), false, 4);
    small.calibrate(64, |_| 1);
    assert_eq!(small.buckets(), [1, 2, 4]);
    let panics = recorded(&free(), false, 64);
    panics.calibrate(64, |_| 1);
    assert_eq!(panics.buckets(), [1, 2, 4, 8, 16]);
}

#[test]
fn rows_that_depend_on_each_other_are_never_batched() {
    let mixes = recorded(&free(), true, 64);
    mixes.calibrate(64, |_| 1);
    assert_eq!(
        (mixes.buckets(), mixes.model.max_rows_at_once()),
        (vec![1], 1)
    );
    assert!(mixes.model.rows_depend());
    assert!(!mixes.model.proved(&rows(3), 3, &[1, 1, 1]));
    assert!(mixes.model.proved(&rows(1), 1, &[1]));
}

#[test]
fn buckets_are_powers_of_two_or_what_is_allowed() {
    assert_eq!(sizes(64, &[]), [1, 2, 4, 8, 16, 32, 64]);
    assert_eq!(sizes(48, &[]), [1, 2, 4, 8, 16, 32, 48]);
    assert_eq!(sizes(1, &[]), [1]);
    assert_eq!(sizes(32, &[4, 32]), [1, 4, 32]);
    assert_eq!(sizes(8, &[4, 32]), [1, 4]);
}

#[test]
fn a_proof_is_made_once() {
    let recorded = recorded(&free(), false, 64);
    assert!(recorded.model.proved(&rows(3), 3, &[4]));
    assert_eq!(*recorded.runs.lock().unwrap(), [4, 1, 1, 1]);
    assert!(recorded.model.proved(&rows(4), 4, &[4]));
    assert_eq!(recorded.runs.lock().unwrap().len(), 4);
    // Rows of one request that run one by one are proved in pairs.
    assert!(recorded.model.proved(&rows(3), 3, &[1, 1, 1]));
    assert_eq!(recorded.runs.lock().unwrap()[4..], [2, 1, 1, 1]);
}

#[test]
fn parts_of_several_requests_run_as_one_and_are_padded() {
    let recorded = recorded(&free(), false, 64);
    let (one, five) = (rows(1), rows(5));
    let part = |inputs, range| Part { inputs, range };
    let parts = [part(&one, 0..1), part(&five, 2..4)];
    let outputs = recorded.model.run_together(&parts, &[4]).unwrap();
    assert_eq!(outputs[0].data(), &Data::Fp32(vec![0., 4., 6., 6.]));
    let outputs = recorded.model.run_together(&parts, &[2, 1]).unwrap();
    assert_eq!(outputs[0].data(), &Data::Fp32(vec![0., 4., 6.]));
    assert_eq!(*recorded.runs.lock().unwrap(), [4, 2, 1]);
    // What fits exactly is not copied.
    let whole = [part(&five, 0..5)];
    let outputs = recorded.model.run_together(&whole, &[5]).unwrap();
    assert_eq!(outputs[0].shape(), [5, 1]);
}

#[test]
fn no_rows_give_no_rows() {
    let recorded = recorded(&free(), false, 64);
    let outputs = recorded.model.run_whole(&rows(0)).unwrap();
    assert_eq!(outputs[0].shape(), [0, 1]);
    assert_eq!(*recorded.runs.lock().unwrap(), [1]);
}

#[test]
fn a_fixed_first_dimension_is_not_a_batch() {
    let recorded = recorded(&Dim::Fixed(3), false, 64);
    assert_eq!(recorded.model.rows_of(&rows(3)), None);
    recorded.calibrate(64, |_| 1);
    assert_eq!(recorded.model.max_rows_at_once(), 1);
    assert!(recorded.runs.lock().unwrap().is_empty());
}

#[test]
fn a_symbol_used_beyond_dimension_0_forbids_adding_rows() {
    let shape = vec![Dim::Symbol("N".to_owned()), Dim::Symbol("N".to_owned())];
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        shape: Some(shape.clone()),
    };
    assert!(!separable(&Signature::new(
        vec![spec("x")],
        vec![spec("y")]
    )));
}
