//! Looks for bytes for which `aimass_fuzz::floats` does not hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aimass_fuzz::floats::body(data));
