//! Data. The schemas of the REST bodies, for the OpenAPI document.

use serde_json::{Value, json};

use crate::tensor::DataType;

pub(super) fn schemas() -> Value {
    let datatypes = DataType::ALL.map(DataType::oip_name);
    let constants = DataType::ALL.map(DataType::tfs_constant);
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let list = |name: &str| json!({ "type": "array", "items": reference(name) });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let text = json!({ "type": "string" });
    let flag = json!({ "type": "boolean" });
    let sizes =
        json!({ "type": "array", "items": { "type": "integer", "minimum": 0 }, "maxItems": 16 });
    json!({
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": { "error": { "type": "string", "description": "One sentence." } },
            "additionalProperties": false,
        },
        "Models": object(&["models"], json!({ "models": { "type": "array", "items": text } })),
        "Value": {
            "description": "A scalar, or lists nested as deep as the tensor has dimensions. Bytes that are not text: {\"b64\": \"…\"}.",
            "anyOf": [
                { "type": ["number", "boolean", "string"] },
                { "type": "array", "items": reference("Value") },
                object(&["b64"], json!({ "b64": { "type": "string", "contentEncoding": "base64" } })),
            ],
        },
        "ValueOrNamed": {
            "anyOf": [
                reference("Value"),
                { "type": "object", "additionalProperties": reference("Value") },
            ],
        },
        "PredictRequest": {
            "type": "object",
            "properties": {
                "signature_name": { "type": "string", "enum": ["serving_default", ""] },
                "instances": {
                    "description": "Rows: values if the model has one input, else objects with one value per input.",
                    "type": "array",
                    "items": reference("ValueOrNamed"),
                    "minItems": 1,
                },
                "inputs": {
                    "description": "A whole tensor, or an object with one tensor per input.",
                    "allOf": [reference("ValueOrNamed")],
                },
            },
            "oneOf": [{ "required": ["instances"] }, { "required": ["inputs"] }],
        },
        "PredictResponse": {
            "type": "object",
            "properties": {
                "predictions": {
                    "description": "The answer to `instances`: one entry per row.",
                    "type": "array",
                    "items": reference("ValueOrNamed"),
                },
                "outputs": {
                    "description": "The answer to `inputs`.",
                    "allOf": [reference("ValueOrNamed")],
                },
            },
            "oneOf": [{ "required": ["predictions"] }, { "required": ["outputs"] }],
        },
        "Feature": {
            "description": "A value or a list of values of one kind: decimals, integers and truth values, or texts and bytes.",
            "anyOf": [
                { "type": ["number", "boolean", "string"] },
                object(&["b64"], json!({ "b64": { "type": "string", "contentEncoding": "base64" } })),
                { "type": "array", "items": { "anyOf": [
                    { "type": ["number", "boolean", "string"] },
                    object(&["b64"], json!({ "b64": { "type": "string", "contentEncoding": "base64" } })),
                ] } },
            ],
        },
        "Features": { "type": "object", "additionalProperties": reference("Feature") },
        "ExamplesRequest": object(&["examples"], json!({
            "signature_name": { "type": "string", "enum": ["serving_default", ""] },
            "context": {
                "description": "Features of every example that does not have its own.",
                "allOf": [reference("Features")],
            },
            "examples": {
                "description": "Objects with a feature for each input of the model.",
                "type": "array",
                "items": reference("Features"),
                "minItems": 1,
            },
        })),
        "ClassifyResponse": object(&["results"], json!({
            "results": {
                "description": "For each example pairs of label and score, in the model's order.",
                "type": "array",
                "items": { "type": "array", "items": { "type": "array", "minItems": 2, "maxItems": 2 } },
            },
        })),
        "RegressResponse": object(&["results"], json!({
            "results": { "type": "array", "items": { "type": ["number", "string", "null"] } },
        })),
        "ModelStatus": object(&["model_version_status"], json!({
            "model_version_status": {
                "type": "array",
                "items": object(&["version", "state", "status"], json!({
                    "version": text,
                    "state": { "type": "string", "enum": ["LOADING", "AVAILABLE", "UNLOADING", "END"] },
                    "status": object(&["error_code", "error_message"], json!({
                        "error_code": { "type": "string", "enum": ["OK", "INVALID_ARGUMENT", "UNAVAILABLE"] },
                        "error_message": text,
                    })),
                })),
            },
        })),
        "TensorInfo": object(&["dtype", "tensor_shape", "name"], json!({
            "dtype": { "type": "string", "enum": constants },
            "tensor_shape": object(&["dim", "unknown_rank"], json!({
                "dim": {
                    "type": "array",
                    "items": object(&["size", "name"], json!({ "size": text, "name": text })),
                },
                "unknown_rank": flag,
            })),
            "name": text,
        })),
        "ModelMetadata": object(&["model_spec", "metadata"], json!({
            "model_spec": object(&["name", "signature_name", "version"], json!({
                "name": text, "signature_name": text, "version": text,
            })),
            "metadata": object(&["signature_def"], json!({
                "signature_def": object(&["signature_def"], json!({
                    "signature_def": object(&["serving_default"], json!({
                        "serving_default": object(&["inputs", "outputs", "method_name"], json!({
                            "inputs": { "type": "object", "additionalProperties": reference("TensorInfo") },
                            "outputs": { "type": "object", "additionalProperties": reference("TensorInfo") },
                            "method_name": text,
                            "defaults": { "type": "object" },
                        })),
                    })),
                })),
            })),
        })),
        "Parameters": {
            "type": ["object", "null"],
            "maxProperties": 64,
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
        },
        "InferRequest": object(&["inputs"], json!({
            "id": { "type": ["string", "null"], "maxLength": 256 },
            "parameters": reference("Parameters"),
            "inputs": { "type": "array", "items": reference("InferInput"), "minItems": 1, "maxItems": 256 },
            "outputs": { "type": ["array", "null"], "items": reference("RequestedOutput") },
        })),
        "InferInput": object(&["name", "shape", "datatype"], json!({
            "name": { "type": "string", "maxLength": 1024 },
            "shape": sizes,
            "datatype": { "type": "string", "enum": datatypes },
            "parameters": reference("Parameters"),
            "data": {
                "description": "Flat, or nested exactly as shape. Absent with parameters.binary_data_size.",
                "type": ["array", "null"],
            },
        })),
        "RequestedOutput": object(&["name"], json!({
            "name": { "type": "string", "maxLength": 1024 },
            "parameters": reference("Parameters"),
        })),
        "InferResponse": object(&["model_name", "model_version", "outputs"], json!({
            "model_name": text,
            "model_version": text,
            "id": text,
            "outputs": list("InferOutput"),
        })),
        "InferOutput": object(&["name", "datatype", "shape"], json!({
            "name": text,
            "datatype": { "type": "string", "enum": datatypes },
            "shape": sizes,
            "parameters": object(&["binary_data_size"], json!({
                "binary_data_size": { "type": "integer", "minimum": 0 },
            })),
            "data": { "description": "Flat. Absent with parameters.binary_data_size.", "type": "array" },
        })),
        "Server": object(&["name", "version", "extensions"], json!({
            "name": text, "version": text, "extensions": { "type": "array", "items": text },
        })),
        "TensorMetadata": object(&["name", "datatype", "shape"], json!({
            "name": text,
            "datatype": { "type": "string", "enum": datatypes },
            "shape": {
                "description": "-1: any size. Empty also if the model does not say how many dimensions there are.",
                "type": "array",
                "items": { "type": "integer", "minimum": -1 },
            },
        })),
        "Model": object(&["name", "versions", "platform", "inputs", "outputs"], json!({
            "name": text,
            "versions": { "type": "array", "items": text },
            "platform": text,
            "inputs": list("TensorMetadata"),
            "outputs": list("TensorMetadata"),
            "properties": { "type": "object", "additionalProperties": text },
        })),
        "Live": object(&["live"], json!({ "live": flag })),
        "Ready": object(&["live", "ready"], json!({ "live": flag, "ready": flag, "error": text })),
        "ModelReady": object(&["name", "ready"], json!({ "name": text, "ready": flag, "error": text })),
    })
}
