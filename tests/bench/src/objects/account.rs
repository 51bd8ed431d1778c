//! The operator's own identity for a benchmark: a ServiceAccount, its token, a kubeconfig file.

use anyhow::Context as _;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::Setting;

/// Who the operator is in the audit log, and how it connects.
#[derive(Debug)]
pub(super) struct Account {
    /// The user name in audit records.
    pub(super) user: String,
    /// The namespace that it watches.
    pub(super) namespace: String,
    /// Its kubeconfig.
    pub(super) kubeconfig: tempfile::NamedTempFile,
}

/// Creates the ServiceAccount `bench-operator`, binds it, and asks for a token.
pub(super) async fn create(setting: &Setting, namespace: &str) -> anyhow::Result<Account> {
    let apply = PatchParams::apply("aimass-bench").force();
    let accounts: Api<ServiceAccount> = Api::namespaced(setting.client.clone(), namespace);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "bench-operator"}});
    accounts
        .patch("bench-operator", &apply, &Patch::Apply(&account))
        .await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(setting.client.clone());
    // Its rights are the subject of the lane `api`; here only its requests are counted.
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "aimass-bench-operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "bench-operator", "namespace": namespace}]});
    bindings
        .patch("aimass-bench-operator", &apply, &Patch::Apply(&binding))
        .await?;
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(7200),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let token = accounts
        .create_token_request("bench-operator", &PostParams::default(), &request)
        .await?
        .status
        .and_then(|status| status.token)
        .context("a token request is answered with a token")?;
    let kubeconfig = kubeconfig(setting, &token)?;
    let user = format!("system:serviceaccount:{namespace}:bench-operator");
    Ok(Account {
        user,
        namespace: namespace.to_owned(),
        kubeconfig,
    })
}

/// The administrator's kubeconfig with the token in place of its user.
fn kubeconfig(setting: &Setting, token: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let text = std::fs::read_to_string(&setting.kubeconfig)?;
    let mut config: serde_json::Value = serde_saphyr::from_str(&text)?;
    let users = config
        .get_mut("users")
        .and_then(|users| users.as_array_mut());
    for user in users.context("a kubeconfig has users")? {
        let slot = user
            .get_mut("user")
            .context("a kubeconfig's user has credentials")?;
        *slot = json!({"token": token});
    }
    let file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(file.as_file(), &config)?; // JSON is YAML
    Ok(file)
}
