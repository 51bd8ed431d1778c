//! What must hold for any bytes: one module per fuzz target, its body a plain function that panics
//! when it does not hold.
//!
//! `cargo xtask fuzz TARGET` looks for new inputs (the programs in `fuzz/` call these functions);
//! `tests/replay.rs` runs every committed input again in each run of the tests, without any tool.
//! A crash that was found becomes a file in `fuzz/corpus/TARGET` and a named row of a table.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a target says that something does not hold"
)]

pub mod address;
pub mod archive;
pub mod config;
pub mod floats;
pub mod grpc;
pub mod oip_binary;
pub mod oip_json;
pub mod onnx_check;
pub mod onnx_load;
pub mod route;
mod signatures;
pub mod tfs_json;
pub mod ws;

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its module, of its program in `fuzz/` and of its folder of inputs.
    pub name: &'static str,
    /// Panics if something does not hold for these bytes.
    pub body: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 12] = [
    target("address", address::body),
    target("archive", archive::body),
    target("config", config::body),
    target("floats", floats::body),
    target("grpc", grpc::body),
    target("oip_binary", oip_binary::body),
    target("oip_json", oip_json::body),
    target("onnx_check", onnx_check::body),
    target("onnx_load", onnx_load::body),
    target("route", route::body),
    target("tfs_json", tfs_json::body),
    target("ws", ws::body),
];

const fn target(name: &'static str, body: fn(&[u8])) -> Target {
    Target { name, body }
}
