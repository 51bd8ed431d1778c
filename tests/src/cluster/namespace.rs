//! A namespace of one test: the operator's rights in it, its record in the audit log, its end.
//!
//! Made by [`super::Cluster::namespace`]. One whose test fails is dumped; one whose test passed is
//! deleted, unless `--keep`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use aimass_crds::signals::GATEWAY_AUDIENCE;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, ServiceAccount};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config};
use serde_json::json;

use super::{ACCOUNT, Cluster};
use crate::audit::{Entry, Mark};
use crate::normal;

/// A namespace of one test.
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// With the administrator's rights.
    pub client: Client,
    /// Where it is.
    pub cluster: Cluster,
    pub(super) mark: Mark,
    pub(super) judged: bool,
}

impl Namespace {
    /// Objects of a kind in this namespace, with the administrator's rights.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The name of the operator's account in the audit log.
    #[must_use]
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{ACCOUNT}", self.name)
    }

    /// What the API server wrote down about this namespace, once every id of `ids` is there.
    pub async fn audited(&self, ids: &BTreeSet<String>) -> Vec<Entry> {
        let mut entries = self.cluster.audit.since(self.mark, &self.name, ids).await;
        let account = format!(":{}:", self.name);
        entries
            .retain(|e| e.object_ref.namespace == self.name || e.user.username.contains(&account));
        entries
    }

    pub(super) async fn admit_operator(&self) {
        let metadata = ObjectMeta {
            name: Some(ACCOUNT.to_owned()),
            ..ObjectMeta::default()
        };
        let account = ServiceAccount {
            metadata: metadata.clone(),
            ..ServiceAccount::default()
        };
        let params = PostParams::default();
        let refused = |what: &str, e: kube::Error| -> ! { panic!("{what} is refused: {e}") };
        if let Err(e) = self.api().create(&params, &account).await {
            refused("the operator's ServiceAccount", e);
        }
        self.grant(crate::operator::rules()).await;
        let binding = RoleBinding {
            metadata,
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".to_owned()),
                kind: "Role".to_owned(),
                name: ACCOUNT.to_owned(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: ACCOUNT.to_owned(),
                namespace: Some(self.name.clone()),
                ..Subject::default()
            }]),
        };
        if let Err(e) = self.api().create(&params, &binding).await {
            refused("the operator's RoleBinding", e);
        }
    }

    /// Sets what the operator may do in this namespace.
    ///
    /// # Panics
    /// If the API server refuses the Role.
    pub async fn grant(&self, rules: Vec<PolicyRule>) {
        let role = Role {
            metadata: ObjectMeta {
                name: Some(ACCOUNT.to_owned()),
                ..ObjectMeta::default()
            },
            rules: Some(rules),
        };
        let params = PatchParams::apply("aimass-tests").force();
        let api: Api<Role> = self.api();
        api.patch(ACCOUNT, &params, &Patch::Apply(&role))
            .await
            .unwrap_or_else(|e| panic!("the operator's Role is refused: {e}"));
    }

    /// Lets this namespace's operator work in every namespace, as an installation does.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn grant_everywhere(&self) -> Everywhere {
        let name = self.name.clone();
        self.grant_as(name, crate::operator::rules()).await
    }

    /// Lets this namespace's operator read the gateways' signals: find them, and ask who shows a token.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn grant_signals(&self) -> Everywhere {
        let name = format!("{}-signals", self.name);
        self.grant_as(name, crate::operator::rules_for_signals())
            .await
    }

    async fn grant_as(&self, name: String, rules: Vec<PolicyRule>) -> Everywhere {
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            ..ObjectMeta::default()
        };
        let role = ClusterRole {
            metadata: metadata.clone(),
            rules: Some(rules),
            ..ClusterRole::default()
        };
        let binding = ClusterRoleBinding {
            metadata,
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".to_owned()),
                kind: "ClusterRole".to_owned(),
                name: name.clone(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: ACCOUNT.to_owned(),
                namespace: Some(self.name.clone()),
                ..Subject::default()
            }]),
        };
        let (roles, bindings) = (Api::all(self.client.clone()), Api::all(self.client.clone()));
        let params = PostParams::default();
        roles
            .create(&params, &role)
            .await
            .expect("the API server takes a ClusterRole");
        bindings
            .create(&params, &binding)
            .await
            .expect("the API server takes its binding");
        Everywhere {
            name,
            roles,
            bindings,
        }
    }

    /// A client configuration with a token of the operator's ServiceAccount.
    ///
    /// # Panics
    /// If the API server gives none.
    pub async fn operator_config(&self) -> Config {
        let token = self.operator_token(Vec::new()).await;
        let auth: AuthInfo = serde_json::from_value(json!({"token": token}))
            .expect("a token is all that an AuthInfo needs");
        let mut config = self.cluster.config.clone();
        config.auth_info = auth;
        config.default_namespace.clone_from(&self.name);
        config
    }

    /// A file with a token by which the operator shows itself to gateways, as a projected volume would have it.
    ///
    /// # Panics
    /// If the API server gives none, or the file cannot be written.
    pub async fn operator_token_file(&self) -> PathBuf {
        let token = self.operator_token(vec![GATEWAY_AUDIENCE.to_owned()]).await;
        let path = std::env::temp_dir().join(format!("{}.token", self.name));
        std::fs::write(&path, token).expect("a token can be written");
        path
    }

    /// A token of the operator's ServiceAccount; without an audience it is for the API server.
    async fn operator_token(&self, audiences: Vec<String>) -> String {
        let accounts: Api<ServiceAccount> = self.api();
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: (!audiences.is_empty()).then_some(audiences),
                expiration_seconds: Some(7200),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let made = accounts.create_token_request(ACCOUNT, &params, &request);
        let made = made
            .await
            .unwrap_or_else(|e| panic!("no token for the operator: {e}"));
        made.status
            .and_then(|status| status.token)
            .unwrap_or_default()
    }

    /// Deletes the namespace, without waiting.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn delete(&self) {
        let api: Api<NamespaceObject> = Api::all(self.client.clone());
        api.delete(&self.name, &DeleteParams::default())
            .await
            .unwrap_or_else(|e| panic!("namespace {} is not deleted: {e}", self.name));
    }

    /// Its objects and Events, for a person.
    pub async fn dump(&self) -> String {
        dump(&self.client, &self.name).await
    }

    /// Marks the namespace as that of a failed run: it is kept.
    pub fn keep(&mut self) {
        self.judged = true;
    }
}

/// Rights in the whole cluster, to be given back.
pub struct Everywhere {
    name: String,
    roles: Api<ClusterRole>,
    bindings: Api<ClusterRoleBinding>,
}

impl Everywhere {
    /// Rights that were given under `name`.
    #[must_use]
    pub fn of(name: String, client: &Client) -> Self {
        Self {
            name,
            roles: Api::all(client.clone()),
            bindings: Api::all(client.clone()),
        }
    }

    /// Takes the rights back.
    pub async fn revoke(self) {
        let params = DeleteParams::default();
        let _gone_with_the_lane = self.bindings.delete(&self.name, &params).await;
        let _gone_with_the_lane = self.roles.delete(&self.name, &params).await;
    }
}

async fn dump(client: &Client, namespace: &str) -> String {
    let mut out = format!("--- namespace {namespace}\n");
    for object in normal::objects(client, namespace).await.unwrap_or_default() {
        let object = normal::without_noise(object);
        let text = serde_saphyr::to_string(&object).unwrap_or_else(|e| e.to_string());
        let _infallible = writeln!(out, "---\n{text}");
    }
    let events: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(client.clone(), namespace);
    match events.list(&ListParams::default().limit(500)).await {
        Ok(list) => {
            for event in list {
                let about = event.regarding.unwrap_or_default();
                let _infallible = writeln!(
                    out,
                    "Event {} {}/{}: {}: {}",
                    event.type_.unwrap_or_default(),
                    about.kind.unwrap_or_default(),
                    about.name.unwrap_or_default(),
                    event.reason.unwrap_or_default(),
                    event.note.unwrap_or_default(),
                );
            }
        }
        Err(error) => {
            let _infallible = writeln!(out, "(no Events: {error})");
        }
    }
    out
}

impl Drop for Namespace {
    /// A test that fails leaves the namespace and prints it; one that passes leaves none.
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if self.judged || !failed && self.cluster.args.keep {
            return;
        }
        let (config, name) = (self.cluster.config.clone(), self.name.clone());
        let last_words = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async {
                let client = Client::try_from(config).ok()?;
                if failed {
                    return Some(dump(&client, &name).await);
                }
                let api: Api<NamespaceObject> = Api::all(client);
                let _gone_anyway = api.delete(&name, &DeleteParams::default()).await;
                None
            })
        });
        if let Ok(Some(dump)) = last_words.join() {
            print(&dump);
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing test shows its namespace")]
fn print(text: &str) {
    eprintln!("{text}");
}
