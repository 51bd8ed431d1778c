//! Whether two engines give the same answer, as far as right answers can be the same.
//!
//! Pure. Called by `measure`. The tolerances are those of the golden cases: within them two runs of one engine, optimised
//! and not, differ as well.

use aimass_protocol::{Data, Tensor};

/// For floats, as a part of the largest value; 1e-6 on top, for values that are all but zero.
const FLOAT: f64 = 1e-4;
/// The same for graphs that quantise: one step of 255 may go either way, and the next layer takes it from there.
const QUANTISED: f64 = 0.25;
/// See [`FLOAT`].
const NEARLY_ZERO: f64 = 1e-6;

/// How far two answers lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Agreement {
    /// Whether that is within the tolerance.
    pub(super) agrees: bool,
    /// The largest difference of floats, as a part of the largest value; infinite if the answers cannot be compared.
    pub(super) difference: f64,
}

/// Compares an answer with that of the engine that is believed.
pub(super) fn compare(expected: &[Tensor], given: &[Tensor], is_quantised: bool) -> Agreement {
    let tolerance = if is_quantised { QUANTISED } else { FLOAT };
    let mut worst = Agreement {
        agrees: expected.len() == given.len(),
        difference: 0.0,
    };
    for (expected, given) in expected.iter().zip(given) {
        let (difference, scale) = difference(expected, given);
        worst.agrees &= difference <= NEARLY_ZERO + tolerance * scale;
        let relative = if scale > 0.0 {
            difference / scale
        } else {
            difference
        };
        worst.difference = worst.difference.max(relative);
    }
    worst
}

/// The largest difference and the largest value expected.
fn difference(expected: &Tensor, given: &Tensor) -> (f64, f64) {
    let unequal = (f64::INFINITY, 0.0);
    if expected.shape() != given.shape() {
        return unequal;
    }
    match (expected.data(), given.data()) {
        (Data::Fp32(expected), Data::Fp32(given)) => {
            let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
            of_floats(&wide(expected), &wide(given))
        }
        (Data::Fp64(expected), Data::Fp64(given)) => of_floats(expected, given),
        (expected, given) if expected == given => (0.0, 0.0),
        _ => unequal,
    }
}

fn of_floats(expected: &[f64], given: &[f64]) -> (f64, f64) {
    let finite = expected.iter().filter(|value| value.is_finite());
    let scale = finite.fold(0.0_f64, |scale, value| scale.max(value.abs()));
    let apart = |(expected, given): (&f64, &f64)| {
        if expected == given || (expected.is_nan() && given.is_nan()) {
            0.0
        } else if expected.is_finite() && given.is_finite() {
            (expected - given).abs()
        } else {
            f64::INFINITY
        }
    };
    let largest = expected.iter().zip(given).map(apart).fold(0.0, f64::max);
    (largest, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Vec<Tensor> {
        vec![Tensor::new(vec![values.len()], Data::Fp32(values.to_vec())).unwrap()]
    }

    #[track_caller]
    fn check(expected: &[f32], given: &[f32], is_quantised: bool, agrees: bool) {
        let agreement = compare(&floats(expected), &floats(given), is_quantised);
        assert_eq!(agreement.agrees, agrees, "{agreement:?}");
    }

    #[test]
    fn floats_agree_by_the_scale_of_all_of_them() {
        check(&[100.0, 0.0], &[100.0, 0.009], false, true);
        check(&[100.0, 0.0], &[100.0, 0.011], false, false);
        check(&[0.0], &[5e-7], false, true);
    }

    #[test]
    fn quantised_answers_may_differ_more() {
        check(&[1.0, 0.2], &[1.0, 0.4], true, true);
        check(&[1.0, 0.2], &[1.0, 0.4], false, false);
    }

    #[test]
    fn what_is_no_number_is_equal_or_not() {
        check(&[f32::NAN, 1.0], &[f32::NAN, 1.0], false, true);
        check(&[f32::INFINITY], &[f32::INFINITY], false, true);
        check(&[f32::INFINITY], &[1.0], false, false);
        check(&[1.0], &[f32::NAN], false, false);
    }

    #[test]
    fn shapes_integers_and_numbers_of_outputs_are_equal_or_not() {
        let integers = |values: &[i64]| {
            vec![Tensor::new(vec![values.len()], Data::Int64(values.to_vec())).unwrap()]
        };
        assert!(compare(&integers(&[1, 2]), &integers(&[1, 2]), false).agrees);
        assert!(!compare(&integers(&[1, 2]), &integers(&[1, 3]), true).agrees);
        assert!(!compare(&integers(&[1, 2]), &integers(&[1]), false).agrees);
        assert!(!compare(&integers(&[1]), &[], false).agrees);
        assert!(!compare(&integers(&[1]), &floats(&[1.0]), false).agrees);
    }
}
