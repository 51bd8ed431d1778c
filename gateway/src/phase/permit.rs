//! Phase permit. Pure.
