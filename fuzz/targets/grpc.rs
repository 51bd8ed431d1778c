//! Looks for bytes for which `aimass_fuzz::grpc` does not hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aimass_fuzz::grpc::body(data));
