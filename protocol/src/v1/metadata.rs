//! The documents of `/v1` that do not come from an engine: model list, version status, signatures.
//!
//! Pure. Called by the server's routes. Key order and the texts for numbers are TensorFlow Serving's.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::json::write::document;
use crate::signature::{Dim, Signature, TensorSpec};

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Being loaded.
    Loading,
    /// Answers.
    Available,
    /// Draining.
    Unloading,
    /// Refused or gone.
    End,
}

/// One version and, if its state is [`State::End`], why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStatus {
    /// The version's number.
    pub version: i64,
    /// Where it is in its life.
    pub state: State,
    /// `OK`, `INVALID_ARGUMENT` (the model was refused) or `UNAVAILABLE` (it could not be read).
    pub error_code: &'static str,
    /// A sentence; empty with `OK`.
    pub error_message: String,
}

/// `{"models":["half"]}`
pub fn models_document(names: &[&str]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Models<'a> {
        models: &'a [&'a str],
    }
    document(&Models { models: names })
}

/// The answer to `GET /v1/models/{m}[/V]`.
pub fn status_document(versions: &[VersionStatus]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Status {
        model_version_status: Vec<Version>,
    }
    #[derive(Serialize)]
    struct Version {
        version: String,
        state: State,
        status: Code,
    }
    #[derive(Serialize)]
    struct Code {
        error_code: &'static str,
        error_message: String,
    }
    let version = |version: &VersionStatus| Version {
        version: version.version.to_string(),
        state: version.state,
        status: Code {
            error_code: version.error_code,
            error_message: version.error_message.clone(),
        },
    };
    document(&Status {
        model_version_status: versions.iter().map(version).collect(),
    })
}

/// The answer to `GET /v1/models/{m}[/V]/metadata`.
pub fn metadata_document(model: &str, version: i64, signature: &Signature) -> Vec<u8> {
    let version = version.to_string();
    document(&Metadata {
        model_spec: ModelSpec {
            name: model,
            signature_name: "",
            version: &version,
        },
        metadata: Entries {
            signature_def: Signatures {
                signature_def: ByName {
                    serving_default: Definition {
                        inputs: Tensors(signature.input_names(), signature.inputs()),
                        outputs: Tensors(signature.output_names(), signature.outputs()),
                        method_name: "tensorflow/serving/predict",
                        defaults: Empty {},
                    },
                },
            },
        },
    })
}

#[derive(Serialize)]
struct Metadata<'a> {
    model_spec: ModelSpec<'a>,
    metadata: Entries<'a>,
}

#[derive(Serialize)]
struct ModelSpec<'a> {
    name: &'a str,
    signature_name: &'static str,
    version: &'a str,
}

#[derive(Serialize)]
struct Entries<'a> {
    signature_def: Signatures<'a>,
}

#[derive(Serialize)]
struct Signatures<'a> {
    signature_def: ByName<'a>,
}

#[derive(Serialize)]
struct ByName<'a> {
    serving_default: Definition<'a>,
}

#[derive(Serialize)]
struct Definition<'a> {
    inputs: Tensors<'a>,
    outputs: Tensors<'a>,
    method_name: &'static str,
    defaults: Empty,
}

#[derive(Serialize)]
struct Empty {}

/// Names as shown, specs: written as one object in graph order.
struct Tensors<'a>(&'a [String], &'a [TensorSpec]);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(names, specs) = self;
        let mut map = serializer.serialize_map(Some(specs.len()))?;
        for (name, spec) in names.iter().zip(*specs) {
            map.serialize_entry(name, &TensorInfo::new(spec))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct TensorInfo<'a> {
    dtype: &'static str,
    tensor_shape: TensorShape,
    name: &'a str,
}

#[derive(Serialize)]
struct TensorShape {
    dim: Vec<Size>,
    unknown_rank: bool,
}

#[derive(Serialize)]
struct Size {
    size: String,
    name: &'static str,
}

impl<'a> TensorInfo<'a> {
    fn new(spec: &'a TensorSpec) -> Self {
        let size = |dim: &Dim| Size {
            size: dim.size().to_string(),
            name: "",
        };
        let dims = spec.shape.as_deref().unwrap_or_default();
        Self {
            dtype: spec.datatype.tfs_constant(),
            tensor_shape: TensorShape {
                dim: dims.iter().map(size).collect(),
                unknown_rank: spec.shape.is_none(),
            },
            name: &spec.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DataType;

    fn text(document: Vec<u8>) -> String {
        String::from_utf8(document).unwrap()
    }

    #[test]
    fn the_list_has_one_key() {
        assert_eq!(text(models_document(&["half"])), r#"{"models":["half"]}"#);
    }

    #[test]
    fn a_version_that_answers_is_available_and_ok() {
        let half = VersionStatus {
            version: 7,
            state: State::Available,
            error_code: "OK",
            error_message: String::new(),
        };
        let expect = r#"{"model_version_status":[{"version":"7","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}]}"#;
        assert_eq!(text(status_document(&[half])), expect);
    }

    #[test]
    fn a_refused_version_says_why() {
        let half = VersionStatus {
            version: 7,
            state: State::End,
            error_code: "INVALID_ARGUMENT",
            error_message: "node conv1: \"x\"".to_owned(),
        };
        let expect = r#"{"model_version_status":[{"version":"7","state":"END","status":{"error_code":"INVALID_ARGUMENT","error_message":"node conv1: \"x\""}}]}"#;
        assert_eq!(text(status_document(&[half])), expect);
    }

    #[test]
    fn metadata_shows_aliases_and_keeps_the_graphs_names() {
        let x = TensorSpec {
            name: "serving_default_x:0".to_owned(),
            datatype: DataType::Fp32,
            shape: Some(vec![Dim::Symbol("N".to_owned()), Dim::Fixed(1)]),
        };
        let y = TensorSpec {
            name: "y".to_owned(),
            datatype: DataType::Bytes,
            shape: None,
        };
        let signature = Signature::new(vec![x], vec![y]);
        let expect = concat!(
            r#"{"model_spec":{"name":"half","signature_name":"","version":"7"},"#,
            r#""metadata":{"signature_def":{"signature_def":{"serving_default":{"#,
            r#""inputs":{"x":{"dtype":"DT_FLOAT","tensor_shape":{"dim":[{"size":"-1","name":""},"#,
            r#"{"size":"1","name":""}],"unknown_rank":false},"name":"serving_default_x:0"}},"#,
            r#""outputs":{"y":{"dtype":"DT_STRING","tensor_shape":{"dim":[],"unknown_rank":true},"#,
            r#""name":"y"}},"method_name":"tensorflow/serving/predict","defaults":{}}}}}}"#,
        );
        assert_eq!(text(metadata_document("half", 7, &signature)), expect);
    }
}
