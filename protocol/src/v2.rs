//! Open Inference Protocol over REST, `/v2`: URLs, infer requests and answers, metadata, health.
//!
//! Pure. Called by the server's routes, in this order: [`parse_path`], [`parse`], (the engine), [`write()`].

pub(crate) mod binary;
mod data;
mod fields;
mod infer;
mod metadata;
mod outputs;
pub(crate) mod parameters;
mod quick;
pub(crate) mod request;
mod url;
mod write;

pub use infer::{Infer, Requested, parse};
pub(crate) use metadata::{EXTENSIONS, PLATFORM, SERVER};
pub use metadata::{
    Model, health_live_document, health_ready_document, model_document, model_ready_document,
    server_document,
};
pub(crate) use url::target;
pub use url::{Route, Target, allowed_methods, parse_path, unknown_model};
pub use write::{Answer, Response, write};

/// The request and response header that tells where the JSON ends and binary tensors begin.
pub const HEADER_LENGTH: &str = "Inference-Header-Content-Length";
