//! Phase choose. Pure.
