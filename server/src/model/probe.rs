//! Shapes and values for a run before any caller has sent one.
//!
//! Pure. Used where a model is loaded and where it is inspected.

use aimass_protocol::{Dim, Signature, Tensor, TensorSpec};

use crate::engine::Shapes;
use crate::rows;

/// Which size dimensions get that are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Free {
    /// All of them: height and width of a picture.
    Everywhere(usize),
    /// The last one of an input; others get 1: a length, where a state's free dimension is the batch.
    Last(usize),
}

/// What to try, in the order of `sizes`, each in both ways; none of them twice in the same shapes.
pub(crate) fn tries(signature: &Signature, sizes: &[usize]) -> Vec<(Free, Shapes)> {
    let both = |size: &usize| [Free::Everywhere(*size), Free::Last(*size)];
    let mut tries: Vec<(Free, Shapes)> = Vec::new();
    for free in sizes.iter().flat_map(both) {
        let shapes = shapes(signature, 1, free);
        if !tries.iter().any(|(_, tried)| *tried == shapes) {
            tries.push((free, shapes));
        }
    }
    tries
}

impl Free {
    fn size(self, is_last: bool) -> usize {
        match self {
            Self::Everywhere(size) => size,
            Self::Last(size) if is_last => size,
            Self::Last(_) => 1,
        }
    }
}

/// The shapes of inputs of `rows` rows, `free` wherever another dimension is free.
pub(crate) fn shapes(signature: &Signature, rows: usize, free: Free) -> Shapes {
    let first = |spec: &TensorSpec| spec.shape.as_ref()?.first().cloned();
    // A name stands for one size, wherever it stands.
    let batches: Vec<Dim> = signature.inputs().iter().filter_map(first).collect();
    let size = |(position, dim, is_last): (usize, &Dim, bool)| match dim {
        Dim::Fixed(size) => *size,
        Dim::Symbol(_) if batches.contains(dim) => rows,
        Dim::Symbol(_) | Dim::Unknown if position == 0 => rows,
        Dim::Symbol(_) | Dim::Unknown => free.size(is_last),
    };
    let shape = |spec: &TensorSpec| match &spec.shape {
        Some(dims) => {
            let last = dims.len().saturating_sub(1);
            let places = dims.iter().enumerate();
            places
                .map(|(position, dim)| size((position, dim, position == last)))
                .collect()
        }
        None => vec![rows, free.size(true)],
    };
    signature.inputs().iter().map(shape).collect()
}

/// Harmless values in these shapes; `None` if a shape is too large.
pub(crate) fn tensors(signature: &Signature, shapes: &Shapes, seed: u32) -> Option<Vec<Tensor>> {
    let probe = |(spec, shape): (&TensorSpec, &Vec<usize>)| rows::probe(spec.datatype, shape, seed);
    signature.inputs().iter().zip(shapes).map(probe).collect()
}

#[cfg(test)]
mod tests {
    use aimass_protocol::DataType;

    use super::*;

    fn taking(inputs: &[Option<&[Dim]>]) -> Signature {
        let spec = |(index, shape): (usize, &Option<&[Dim]>)| TensorSpec {
            name: index.to_string(),
            datatype: DataType::Fp32,
            shape: shape.map(<[Dim]>::to_vec),
        };
        Signature::new(inputs.iter().enumerate().map(spec).collect(), Vec::new())
    }

    #[track_caller]
    fn check(inputs: &[Option<&[Dim]>], free: Free, expect: &[&[usize]]) {
        assert_eq!(shapes(&taking(inputs), 2, free), expect);
    }

    fn named(name: &str) -> Dim {
        Dim::Symbol(name.to_owned())
    }

    #[test]
    fn a_picture_is_free_in_height_and_width() {
        let picture = [named("N"), Dim::Fixed(3), named("H"), named("W")];
        check(&[Some(&picture)], Free::Everywhere(64), &[&[2, 3, 64, 64]]);
    }

    #[test]
    fn sound_is_free_in_its_length_and_its_state_in_the_batch() {
        let unnamed: [Option<&[Dim]>; 3] = [
            Some(&[Dim::Unknown, Dim::Unknown]),
            Some(&[Dim::Fixed(2), Dim::Unknown, Dim::Fixed(128)]),
            Some(&[]),
        ];
        check(&unnamed, Free::Last(576), &[&[2, 576], &[2, 1, 128], &[]]);
    }

    #[test]
    fn a_name_stands_for_one_size() {
        let (input, state) = (
            [named("batch"), named("sequence")],
            [Dim::Fixed(2), named("batch"), Dim::Fixed(128)],
        );
        let expect: [&[usize]; 2] = [&[2, 576], &[2, 2, 128]];
        check(
            &[Some(&input), Some(&state)],
            Free::Everywhere(576),
            &expect,
        );
    }

    #[test]
    fn nothing_is_tried_twice() {
        let fixed = taking(&[Some(&[named("N"), Dim::Fixed(64)])]);
        assert_eq!(tries(&fixed, &[1, 16, 64]).len(), 1);
        let text = taking(&[Some(&[named("N"), named("T")])]);
        assert_eq!(tries(&text, &[1, 16, 64]).len(), 3);
        let picture = taking(&[Some(&[named("N"), named("H"), named("W")])]);
        let expect = [[1, 1, 1], [1, 16, 16], [1, 1, 16]];
        let tried: Vec<Shapes> = tries(&picture, &[1, 16])
            .into_iter()
            .map(|(_, s)| s)
            .collect();
        assert_eq!(tried, expect.map(|shape| vec![shape.to_vec()]));
    }

    #[test]
    fn what_declares_no_shape_is_a_table() {
        check(&[None], Free::Last(16), &[&[2, 16]]);
    }
}
