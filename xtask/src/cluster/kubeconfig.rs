//! The files by which clients find the API server and prove who they are. Pure.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use crate::pki::Pair;

/// The name of the only cluster, user and context.
const NAME: &str = "aimass";

/// Access to `server`, which shows a certificate of `authority`, as the owner of `pair`.
///
/// Certificates are inside, so that the file can be copied elsewhere.
pub(super) fn text(server: &str, authority: &str, pair: &Pair) -> Result<String> {
    let encode = |text: &str| STANDARD.encode(text);
    let user = json!({
        "client-certificate-data": encode(&pair.certificate),
        "client-key-data": encode(&pair.key),
    });
    let file = File {
        api_version: "v1",
        kind: "Config",
        clusters: json!([{
            "name": NAME,
            "cluster": { "server": server, "certificate-authority-data": encode(authority) },
        }]),
        users: json!([{ "name": NAME, "user": user }]),
        contexts: json!([{ "name": NAME, "context": { "cluster": NAME, "user": NAME } }]),
        current_context: NAME,
    };
    serde_saphyr::to_string(&file).context("failed to write a kubeconfig")
}

/// Its fields, in the order in which people expect them.
#[derive(Serialize)]
struct File {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    clusters: Value,
    users: Value,
    contexts: Value,
    #[serde(rename = "current-context")]
    current_context: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_yaml_with_everything_inside() {
        let pair = Pair {
            certificate: "CERT".to_owned(),
            key: "KEY".to_owned(),
        };
        let text = text("https://10.201.0.2:6443", "CA", &pair).unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["current-context"], value["contexts"][0]["name"]);
        assert_eq!(
            value["clusters"][0]["cluster"]["server"],
            "https://10.201.0.2:6443"
        );
        assert_eq!(
            value["clusters"][0]["cluster"]["certificate-authority-data"],
            "Q0E="
        );
        assert_eq!(value["users"][0]["user"]["client-key-data"], "S0VZ");
    }
}
