//! Phase admit. Pure.
