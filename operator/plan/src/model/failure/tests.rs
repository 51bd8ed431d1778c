//! Tables of `failure`.
