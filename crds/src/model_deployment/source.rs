//! `spec.model`: which files, of which format, from where.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalars::{self, Quantity};

/// Which files are served, and from where.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.maxSize) || !has(self.source.configMap)")
    .message("maxSize needs source pvc or http: a ConfigMap never holds more than 1 MiB"))]
pub struct Model {
    /// Where the model's files are. Required: exactly one of configMap, pvc, http.
    pub source: Source,

    /// What the model's files are. The only value is Onnx. Default: Onnx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,

    /// The most that the model's files may take on a node's disk, unpacked. A quantity from 1Mi to
    /// 500Gi; only with pvc and http. Default: 10Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::quantity")]
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('1Mi')) >= 0 && quantity(string(self)).compareTo(quantity('500Gi')) <= 0")
        .message("must be between 1Mi and 500Gi"))]
    pub max_size: Option<Quantity>,
}

/// What a model's files are.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum Format {
    /// Open Neural Network Exchange: model.onnx, or exactly one file *.onnx, with its external data.
    Onnx,
}

/// Where a model's files are: exactly one member is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.configMap), has(self.pvc), has(self.http)].exists_one(x, x)")
    .message("exactly one of configMap, pvc, http must be set"))]
pub struct Source {
    /// Files in a ConfigMap of this namespace, at most 1 MiB. They are copied for each revision: a
    /// change of the ConfigMap makes a new revision and leaves old ones as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,

    /// A file, archive or folder on a PersistentVolumeClaim of this namespace. It is mounted
    /// read-only, and each pod loads a private copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcSource>,

    /// A file or archive on a web server. Each pod fetches it and checks its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
}

/// Files in a ConfigMap.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapSource {
    /// The ConfigMap's name. Required; at most 253 characters. In the namespace of the object.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,

    /// The key that holds the model's file, in data or binaryData. At most 253 characters. Absent:
    /// every key is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,

    /// The digest that the content must have: sha256: and 64 hexadecimal digits. Of the file; of
    /// several files, SHA-256 over the lines "HEX  NAME\n" sorted by name. Absent: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
}

/// A file, archive or folder on a claim.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PvcSource {
    /// The PersistentVolumeClaim's name. Required; at most 253 characters. In the namespace of the
    /// object.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub claim_name: String,

    /// The path of the file, archive (.tar, .tar.gz, .tgz) or folder (ends in '/') on the volume.
    /// Required; relative, at most 512 characters, without '..' and white space. Use a new path for
    /// new content: without digest an overwritten file goes unnoticed.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^/\\\s][^\\\s]*$"))]
    #[x_kube(validation = Rule::new("!self.split('/').exists(p, p == '..')").message("path must not contain '..'"))]
    pub path: String,

    /// The digest that the content must have: sha256: and 64 hexadecimal digits. Of the file or
    /// archive; of a folder, SHA-256 over the lines "HEX  PATH\n" sorted by path.
    /// Absent: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
}

/// A file or archive on a web server.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// The address of the file or archive (.tar, .tar.gz, .tgz). Required; at most 2048 characters,
    /// without user name and fragment. http:// only where the platform allows it.
    #[schemars(
        length(max = 2048),
        regex(pattern = r"^https?://[^/@\s?#]+(/[^\s#]*)?$")
    )]
    pub url: String,

    /// The digest of the file or archive: sha256: and 64 hexadecimal digits. Required: a revision
    /// is one content.
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,

    /// What proves who asks. Absent: anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// The Secret with credentials.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The Secret's name: keys token, or username and password, or none; and ca.crt. Required; at
    /// most 253 characters. Mounted into the container that fetches, read by nobody else.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub secret_name: String,
}
