//! Tables of `status`.
