//! Tables of `valid`.
