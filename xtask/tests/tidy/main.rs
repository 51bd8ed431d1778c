//! The habits of this project that a machine can hold: each is a test with the remedy in its text.
//!
//! Reads files of the repository, `cargo metadata` and `cargo tree`; writes nothing. What must be
//! generated anew is `fresh.rs`'s business. The numbers in the tests' names follow CONTRIBUTING.md.

#[cfg(test)]
mod code;
#[cfg(test)]
mod crates;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod files;
#[cfg(test)]
mod rust;
