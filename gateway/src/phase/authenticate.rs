//! Phase authenticate. Pure.
