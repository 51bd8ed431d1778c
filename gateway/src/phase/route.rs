//! Phase route. Pure.
