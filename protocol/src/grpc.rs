//! The Open Inference Protocol over gRPC: its messages, and their way to tensors and back.
//!
//! Pure. Called by the server's gRPC routes, in this order: [`Prefix::read`], [`survey()`], [`decode`], [`target`],
//! [`parse`], (the engine), [`answer`], [`frame()`]; or [`status_message`]. What a request must be is said in `v2::request`, for JSON and gRPC alike.
//! The gateway decodes no message: it has [`peek()`].

mod contents;
mod frame;
mod infer;
mod metadata;
mod peek;
mod status;
mod survey;
mod timeout;
mod write;

pub use frame::{PREFIX_BYTES, Prefix, decode, frame};
pub use infer::{parse, target};
pub use messages::*;
pub use metadata::{model_metadata, server_metadata};
pub use peek::{PEEK_BYTES, Peek, peek};
pub use status::status_message;
pub use survey::survey;
pub use timeout::{parse_timeout, timeout_text};
pub use write::{Answer, answer};

/// The service's full name: the first part of each method's path.
pub const SERVICE: &str = "inference.GRPCInferenceService";

/// Made from `proto/open_inference_grpc.proto` by `build.rs`.
mod messages {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

/// The health checking protocol of gRPC. Made from `proto/health.proto` by `build.rs`.
pub mod health {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));

    /// The service's full name.
    pub const SERVICE: &str = "grpc.health.v1.Health";
}
