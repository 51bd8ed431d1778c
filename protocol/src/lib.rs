//! The contract with callers: tensors, TensorFlow Serving and Open Inference Protocol codecs, the error table.
//!
//! Plain bytes in, typed tensors out, and back. Pure: knows no clock, file, socket, async runtime or HTTP type.
//! Called by the server's routes; [`openapi::document`] becomes `protocol/openapi/aimass.json` through `cargo xtask codegen`.

pub mod error;
pub mod grpc;
mod json;
pub mod nonfinite;
mod number;
pub mod openapi;
pub mod signature;
pub mod tensor;
pub mod v1;
pub mod v2;
pub mod ws;

pub use error::{Error, Kind};
pub use json::Checks;
pub use nonfinite::Nonfinite;
pub use signature::{Dim, Signature, TensorSpec};
pub use tensor::{Data, DataType, Strings, Tensor};
