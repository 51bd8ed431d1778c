//! The documents of `/v2` that do not come from an engine: server and model metadata, health.
//!
//! Pure. Called by the server's routes.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::error::Error;
use crate::json::write::document;
use crate::signature::{Dim, Signature, TensorSpec};

/// The server's name.
pub(crate) const SERVER: &str = "aimass";
/// Optional parts of the protocol that are there.
pub(crate) const EXTENSIONS: [&str; 1] = ["binary_tensor_data"];
/// What the model files are.
pub(crate) const PLATFORM: &str = "onnx_onnxv1";

/// The answer to `GET /v2`, for this version of the server.
pub fn server_document(version: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Server<'a> {
        name: &'static str,
        version: &'a str,
        extensions: [&'static str; 1],
    }
    document(&Server {
        name: SERVER,
        version,
        extensions: EXTENSIONS,
    })
}

/// What a server knows about its model.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The name it is served under.
    pub name: &'a str,
    /// The version that is served.
    pub version: i64,
    /// Its inputs and outputs.
    pub signature: &'a Signature,
    /// Name and value of what else is worth knowing, in this order: `digest`, `revision`, `engine`, `max_batch_size`.
    pub properties: &'a [(&'a str, &'a str)],
}

/// The answer to `GET /v2/models/{m}[/versions/{n}]`.
pub fn model_document(model: &Model<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Document<'a> {
        name: &'a str,
        versions: [String; 1],
        platform: &'static str,
        inputs: Vec<Tensor<'a>>,
        outputs: Vec<Tensor<'a>>,
        properties: Properties<'a>,
    }
    let Model {
        name,
        version,
        signature,
        properties,
    } = *model;
    document(&Document {
        name,
        versions: [version.to_string()],
        platform: PLATFORM,
        inputs: tensors(signature.input_names(), signature.inputs()),
        outputs: tensors(signature.output_names(), signature.outputs()),
        properties: Properties(properties),
    })
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: Vec<i64>,
}

fn tensors<'a>(names: &'a [String], specs: &[TensorSpec]) -> Vec<Tensor<'a>> {
    let tensor = |(name, spec): (&'a String, &TensorSpec)| Tensor {
        name,
        datatype: spec.datatype.oip_name(),
        shape: spec.shape.iter().flatten().map(Dim::size).collect(),
    };
    names.iter().zip(specs).map(tensor).collect()
}

struct Properties<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The answer to `GET /v2/models/{m}/ready`: 200 without an error, else its status.
pub fn model_ready_document(name: &str, error: Option<&Error>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Ready<'a> {
        name: &'a str,
        ready: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    }
    let error = error.map(|error| error.text.as_str());
    document(&Ready {
        name,
        ready: error.is_none(),
        error,
    })
}

/// The answer to `GET /v2/health/ready`: 200 without an error, else its status.
pub fn health_ready_document(error: Option<&Error>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Health<'a> {
        live: bool,
        ready: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    }
    let error = error.map(|error| error.text.as_str());
    document(&Health {
        live: true,
        ready: error.is_none(),
        error,
    })
}

/// The answer to `GET /v2/health/live`.
pub fn health_live_document() -> Vec<u8> {
    b"{\"live\":true}".to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DataType;

    #[track_caller]
    fn check(document: Vec<u8>, expect: &str) {
        assert_eq!(String::from_utf8(document).unwrap(), expect);
    }

    #[test]
    fn the_server_names_itself_and_its_extension() {
        let expect = r#"{"name":"aimass","version":"0.1.0","extensions":["binary_tensor_data"]}"#;
        check(server_document("0.1.0"), expect);
    }

    #[test]
    fn a_model_shows_its_tensors_and_properties() {
        let spec = |name: &str, datatype, shape| TensorSpec {
            name: name.to_owned(),
            datatype,
            shape,
        };
        let signature = Signature::new(
            vec![spec(
                "x:0",
                DataType::Fp32,
                Some(vec![Dim::Unknown, Dim::Fixed(4)]),
            )],
            vec![
                spec(
                    "label",
                    DataType::Int64,
                    Some(vec![Dim::Symbol("N".to_owned())]),
                ),
                spec("other", DataType::Bytes, None),
            ],
        );
        let properties = [("digest", "sha256:0"), ("engine", "tract")];
        let model = Model {
            name: "iris",
            version: 7,
            signature: &signature,
            properties: &properties,
        };
        let expect = concat!(
            r#"{"name":"iris","versions":["7"],"platform":"onnx_onnxv1","#,
            r#""inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"#,
            r#""outputs":[{"name":"label","datatype":"INT64","shape":[-1]},"#,
            r#"{"name":"other","datatype":"BYTES","shape":[]}],"#,
            r#""properties":{"digest":"sha256:0","engine":"tract"}}"#,
        );
        check(model_document(&model), expect);
    }

    #[test]
    fn health_says_why_not() {
        let loading = Error::not_ready("iris", "Loading");
        check(health_live_document(), r#"{"live":true}"#);
        check(health_ready_document(None), r#"{"live":true,"ready":true}"#);
        let expect = r#"{"live":true,"ready":false,"error":"Model iris is not ready: Loading"}"#;
        check(health_ready_document(Some(&loading)), expect);
        check(
            model_ready_document("iris", None),
            r#"{"name":"iris","ready":true}"#,
        );
        let expect = r#"{"name":"iris","ready":false,"error":"Model iris is not ready: Loading"}"#;
        check(model_ready_document("iris", Some(&loading)), expect);
    }
}
