//! `aimass`: the entry point.

fn main() {}
