//! `spec.access`: who may call the model.
//!
//! Obeyed by the gateway; the operator only checks it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::Cidr;
use crate::scalars;

/// Who may call the model.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Who may call: Authenticated (with an API key that names the model, or a token of a user or
    /// ServiceAccount whom a Role lets create modeldeployments/predict) or Public (everybody who
    /// reaches the gateway; setting it needs the verb publish on modeldeployments). Default:
    /// Authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AccessMode>,

    /// The addresses that callers may have, as ranges such as 10.0.0.0/8 or 2001:db8::/32. At most
    /// 16; holds with every mode. Default: all addresses.
    #[serde(
        default,
        rename = "allowedCIDRs",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(c, isCIDR(c))")
        .message("each must be a CIDR such as 10.0.0.0/8 or 2001:db8::/32"))]
    pub allowed_cidrs: Option<Vec<Cidr>>,
}

/// Who may call a model.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum AccessMode {
    /// Only callers with an API key or a token that opens the model.
    #[default]
    Authenticated,
    /// Everybody who reaches the gateway.
    Public,
}
