//! Turns `proto/*.proto` into Rust messages: pure Rust, without protoc. Services are the server's.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts through the environment"
)]

use std::error::Error;
use std::path::Path;

use protox::prost::Message as _;

const FILES: [&str; 2] = ["proto/open_inference_grpc.proto", "proto/health.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    // For the test that compares them with the public protocol.
    let descriptors = Path::new(&std::env::var("OUT_DIR")?).join("descriptors");
    std::fs::write(descriptors, files.encode_to_vec())?;
    prost_build::Config::new()
        // Tensors are slices of the request, not copies.
        .bytes(["."])
        .btree_map(["."])
        .compile_fds(files)?;
    Ok(())
}
