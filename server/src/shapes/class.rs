//! Classes of shapes, which of them a model was seen to run, and whether it keeps rows apart.
//!
//! Pure. Called by `shapes`.

use std::collections::VecDeque;
use std::fmt;

use aimass_protocol::{Dim, Signature, Tensor};

use crate::engine::Shapes;

/// Classes that run, kept; the one used least lately goes first. Each may have plans in the engine.
const MAX_RUNNING: usize = 4;
/// Classes that do not run, kept; the oldest goes first.
const MAX_FAILED: usize = 64;
/// Rows of a try: with one, rows that are merged would look like rows that are kept.
const ROWS: usize = 2;

/// The shapes of all inputs, without the number of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class(Vec<Vec<Size>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// As sent.
    Is(usize),
    /// Dimension 0 of an input that is sent in rows.
    Rows,
}

impl Class {
    /// The class of inputs with these shapes. A dimension 0 that is sent exactly as it is declared does not count rows.
    pub(super) fn of(signature: &Signature, sent: &Shapes) -> Self {
        let specs = signature.inputs();
        let input = |(spec, shape): (&aimass_protocol::TensorSpec, &Vec<usize>)| {
            let declared = spec.shape.as_ref().and_then(|dims| dims.first());
            let size = |(position, size): (usize, &usize)| match declared {
                Some(Dim::Fixed(fixed)) if fixed == size => Size::Is(*size),
                _ if position == 0 => Size::Rows,
                _ => Size::Is(*size),
            };
            shape.iter().enumerate().map(size).collect()
        };
        Self(specs.iter().zip(sent).map(input).collect())
    }

    /// Shapes of this class to try it with.
    pub(super) fn shapes(&self) -> Shapes {
        let size = |size: &Size| match size {
            Size::Is(size) => *size,
            Size::Rows => ROWS,
        };
        let input = |shape: &Vec<Size>| shape.iter().map(size).collect();
        self.0.iter().map(input).collect()
    }
}

/// `[-1,3] [2]`, for the log.
impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |size: &Size| match size {
            Size::Is(size) => size.to_string(),
            Size::Rows => "-1".to_owned(),
        };
        for (index, shape) in self.0.iter().enumerate() {
            let sizes: Vec<String> = shape.iter().map(size).collect();
            let separator = if index > 0 { " " } else { "" };
            write!(formatter, "{separator}[{}]", sizes.join(","))?;
        }
        Ok(())
    }
}

/// Whether every output that declares the dimension 0 of inputs has come out with the one that these inputs were sent with.
///
/// So a constant reshape that merged rows, or cut them, is found. Outputs of unknown rank declare nothing.
pub(super) fn keeps_rows(signature: &Signature, sent: &Shapes, outputs: &[Tensor]) -> bool {
    let first = |shape: &Option<Vec<Dim>>| shape.as_ref().and_then(|dims| dims.first().cloned());
    let specs = signature.outputs();
    specs.len() == outputs.len()
        && specs.iter().zip(outputs).all(|(spec, output)| {
            let Some(declared) = first(&spec.shape) else {
                return true;
            };
            let inputs = signature.inputs().iter().zip(sent);
            inputs
                .filter(|(input, _)| first(&input.shape).as_ref() == Some(&declared))
                .all(|(_, shape)| shape.first() == output.shape().first())
        })
}

/// What was found out. The entries used last stand at the end.
#[derive(Default)]
pub(super) struct Known {
    running: VecDeque<Class>,
    failed: VecDeque<Class>,
}

impl Known {
    /// Whether `class` runs, if that is known.
    pub(super) fn look(&mut self, class: &Class) -> Option<bool> {
        if let Some(index) = self.running.iter().position(|known| known == class) {
            if let Some(known) = self.running.remove(index) {
                self.running.push_back(known);
            }
            return Some(true);
        }
        self.failed.contains(class).then_some(false)
    }

    /// Remembers that `class` runs or does not, and forgets what was known about it.
    pub(super) fn learn(&mut self, class: Class, runs: bool) {
        self.running.retain(|known| *known != class);
        self.failed.retain(|known| *known != class);
        let (list, limit) = if runs {
            (&mut self.running, MAX_RUNNING)
        } else {
            (&mut self.failed, MAX_FAILED)
        };
        while list.len() >= limit {
            list.pop_front();
        }
        list.push_back(class);
    }
}

#[cfg(test)]
mod tests {
    use aimass_protocol::{Data, DataType, TensorSpec};

    use super::*;

    fn signature(inputs: &[&[i64]], output: Option<&[i64]>) -> Signature {
        let dim = |size: &i64| match usize::try_from(*size) {
            Ok(size) => Dim::Fixed(size),
            Err(_) => Dim::Symbol("N".to_owned()),
        };
        let spec = |name: String, shape: Option<&[i64]>| TensorSpec {
            name,
            datatype: DataType::Fp32,
            shape: shape.map(|shape| shape.iter().map(dim).collect()),
        };
        let inputs = inputs.iter().enumerate();
        let inputs = inputs.map(|(index, shape)| spec(format!("x{index}"), Some(shape)));
        Signature::new(inputs.collect(), vec![spec("y".to_owned(), output)])
    }

    #[track_caller]
    fn tries(declared: &[&[i64]], sent: &[&[usize]], shown: &str, expect: &[&[usize]]) {
        let sent: Shapes = sent.iter().map(|shape| shape.to_vec()).collect();
        let class = Class::of(&signature(declared, None), &sent);
        assert_eq!(
            (class.to_string().as_str(), class.shapes()),
            (shown, expect.iter().map(|shape| shape.to_vec()).collect())
        );
    }

    #[test]
    fn a_class_leaves_the_number_of_rows_open() {
        tries(&[&[-1, 1]], &[&[7]], "[-1]", &[&[2]]);
        tries(&[&[-1, 1]], &[&[1, 3]], "[-1,3]", &[&[2, 3]]);
        tries(&[&[-1, 1]], &[&[]], "[]", &[&[]]);
        tries(&[&[1, 4]], &[&[3, 4]], "[-1,4]", &[&[2, 4]]);
    }

    #[test]
    fn a_fixed_dimension_0_that_is_sent_so_is_no_number_of_rows() {
        tries(&[&[1, 4]], &[&[1, 5]], "[1,5]", &[&[1, 5]]);
        tries(
            &[&[-1, 4], &[9]],
            &[&[3, 5], &[9]],
            "[-1,5] [9]",
            &[&[2, 5], &[9]],
        );
    }

    #[track_caller]
    fn keeps(output: Option<&[i64]>, sent: &[&[usize]], came: &[usize], expect: bool) {
        let inputs: Vec<&[i64]> = sent.iter().map(|_| [-1, 4].as_slice()).collect();
        let sent = sent.iter().map(|shape| shape.to_vec()).collect();
        let data = Data::Fp32(vec![0.0; came.iter().product()]);
        let outputs = [Tensor::new(came.to_vec(), data).unwrap()];
        let kept = keeps_rows(&signature(&inputs, output), &sent, &outputs);
        assert_eq!(kept, expect);
    }

    #[test]
    fn rows_are_kept_where_the_output_declares_them() {
        keeps(Some(&[-1, 2]), &[&[3, 5]], &[3, 2], true);
        keeps(Some(&[-1, 2]), &[&[3, 5]], &[1, 6], false);
        keeps(Some(&[-1, 2]), &[&[3, 5], &[2, 5]], &[3, 2], false);
        keeps(Some(&[-1]), &[&[]], &[], true);
        keeps(Some(&[-1]), &[&[]], &[1], false);
        keeps(Some(&[7]), &[&[3, 5]], &[1], true);
        keeps(None, &[&[3, 5]], &[1], true);
    }

    fn class(size: usize) -> Class {
        Class(vec![vec![Size::Is(size)]])
    }

    #[test]
    fn four_classes_that_run_are_kept_and_the_unused_one_goes() {
        let mut known = Known::default();
        for size in 0..4 {
            known.learn(class(size), true);
        }
        assert_eq!(known.look(&class(0)), Some(true));
        known.learn(class(4), true);
        assert_eq!(known.look(&class(1)), None, "used least lately");
        assert_eq!(known.look(&class(0)), Some(true));
    }

    #[test]
    fn sixty_four_failures_are_remembered() {
        let mut known = Known::default();
        for size in 0..65 {
            known.learn(class(size), false);
        }
        assert_eq!(known.look(&class(0)), None, "the oldest");
        assert_eq!(known.look(&class(1)), Some(false));
        known.learn(class(1), true);
        assert_eq!(known.look(&class(1)), Some(true));
        assert_eq!((known.running.len(), known.failed.len()), (1, 63));
    }
}
