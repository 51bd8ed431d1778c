//! JSON as the protocols read and write it: one forward pass over bytes, no document tree, no recursion.
//!
//! Pure. Used by the codecs of `v1` and `v2`.

pub(crate) mod compact;
pub(crate) mod number;
pub(crate) mod read;
pub(crate) mod skip;
pub(crate) mod string;
pub(crate) mod tensor;
pub(crate) mod write;

/// How strictly JSON is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// As TensorFlow Serving reads it: `NaN` and `Infinity` are numbers, a byte order mark, bytes after the root object,
    /// repeated and unknown keys are passed over.
    Lenient,
    /// All of that is refused.
    Strict,
}
