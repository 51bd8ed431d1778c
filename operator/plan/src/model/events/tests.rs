//! Tables of `events`.
