//! The answers that do not come from an engine: server and model metadata.
//!
//! Pure. Called by the server's gRPC routes. They say what the documents of `v2` say.

use crate::grpc::model_metadata_response::TensorMetadata;
use crate::grpc::{ModelMetadataResponse, ServerMetadataResponse};
use crate::signature::{Dim, Signature, TensorSpec};
use crate::v2::{EXTENSIONS, PLATFORM, SERVER};

/// Name and extensions of this version of the server.
pub fn server_metadata(version: &str) -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: SERVER.to_owned(),
        version: version.to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

/// Inputs and outputs of the model that is served under `name`.
pub fn model_metadata(name: &str, version: i64, signature: &Signature) -> ModelMetadataResponse {
    ModelMetadataResponse {
        name: name.to_owned(),
        versions: vec![version.to_string()],
        platform: PLATFORM.to_owned(),
        inputs: tensors(signature.input_names(), signature.inputs()),
        outputs: tensors(signature.output_names(), signature.outputs()),
    }
}

fn tensors(names: &[String], specs: &[TensorSpec]) -> Vec<TensorMetadata> {
    let tensor = |(name, spec): (&String, &TensorSpec)| TensorMetadata {
        name: name.clone(),
        datatype: spec.datatype.oip_name().to_owned(),
        shape: spec.shape.iter().flatten().map(Dim::size).collect(),
    };
    names.iter().zip(specs).map(tensor).collect()
}
