//! Kubernetes: the only file that builds a client, and what its failures mean for people.
//!
//! Every call has a deadline, and none is repeated by the client: what may have been done is said so.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use aimass_crds::{APIKey, ModelDeployment};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::args::ClusterArgs;
use crate::names;
use crate::outcome::Failure;
use crate::problems::Problems;

/// For name, connection and handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// For each call as a whole.
const CALL: Duration = Duration::from_secs(30);
/// Characters of another program's text that are repeated.
const MAX_TEXT: usize = 2_048;

/// Which cluster and which namespace were asked for, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) namespace: Option<String>,
    context: Option<String>,
    kubeconfig: Option<PathBuf>,
}

impl Target {
    /// What `args` mean; what is wrong goes to `problems`.
    pub(crate) fn of(args: ClusterArgs, problems: &mut Problems) -> Self {
        let ClusterArgs {
            namespace,
            context,
            kubeconfig,
        } = args;
        let namespace =
            namespace.and_then(|text| problems.take("--namespace", names::namespace(&text)));
        Self {
            namespace,
            context,
            kubeconfig,
        }
    }
}

/// One namespace of one cluster.
pub(crate) struct Cluster {
    client: Client,
    pub(crate) namespace: String,
}

impl Cluster {
    pub(crate) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace }
    }

    /// Reads the configuration; nothing is sent yet, unless a command of the kubeconfig brings credentials.
    pub(crate) async fn connect(target: Target) -> Result<Self, Failure> {
        let unusable = |error: &(dyn Error + 'static)| {
            let (why, what) = (
                chain(error),
                "name a cluster by --kubeconfig, --context or KUBECONFIG",
            );
            Failure::new(format!("failed to find a cluster: {why}: {what}"))
        };
        let Target {
            namespace,
            context,
            kubeconfig,
        } = target;
        let options = KubeConfigOptions {
            context: context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match (kubeconfig, context) {
            (Some(path), _) => {
                let file = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
                Config::from_custom_kubeconfig(file, &options).await
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await,
            // A pod has no kubeconfig, but a service account.
            (None, None) => match Config::infer().await {
                Ok(config) => Ok(config),
                Err(error) => return Err(unusable(&error)),
            },
        };
        let mut config = config.map_err(|error| unusable(&error))?;
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false;
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Self::new(client, namespace))
    }

    pub(crate) fn keys(&self) -> Api<APIKey> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn model_deployments(&self) -> Api<ModelDeployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// The object, or its namespace, is not there.
    #[error("{0}")]
    NotFound(String),
    /// The cluster does not know the kind.
    #[error(
        "this cluster does not know the kind: have its administrator install the definitions of aimass, as \
         docs/operations.md says, or choose another --context"
    )]
    NoKind,
    /// The object is not what it was when it was read, or is there already.
    #[error("{0}")]
    Conflict(String),
    /// The API server says no.
    #[error("{0}")]
    Refused(String),
    /// Nobody said anything: what was asked for may have been done.
    #[error("the Kubernetes API gave no answer: {0}")]
    Silent(String),
}

/// The answer of one call, within its deadline.
pub(crate) async fn answered<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map_err(|error| trouble(&error)),
        Err(_) => Err(Trouble::Silent(format!("none within {} s", CALL.as_secs()))),
    }
}

fn trouble(error: &kube::Error) -> Trouble {
    let kube::Error::Api(status) = error else {
        return Trouble::Silent(chain(error));
    };
    let message = printable(&status.message);
    match status.code {
        // The API server knows paths by definitions; where there is none its answer is no Status.
        404 if status.reason != "NotFound" => Trouble::NoKind,
        404 => Trouble::NotFound(message),
        409 => Trouble::Conflict(message),
        401 => Trouble::Refused(format!(
            "the API server does not accept the credentials of the kubeconfig: {message}"
        )),
        504 => Trouble::Silent(message),
        _ => Trouble::Refused(message),
    }
}

/// An error and its causes, each said once, fit for a terminal.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    printable(&aimass_chassis::logs::chain(error))
}

/// A text of another program, fit for a terminal: no control characters, of bounded length.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.trim().chars().take(MAX_TEXT).map(shown).collect();
    if text.trim().chars().nth(MAX_TEXT).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower::{BoxError, service_fn};

    use super::*;

    /// One request as it was sent.
    #[derive(Clone, Debug)]
    pub(crate) struct Asked {
        /// `PATCH /apis/…?query`
        pub(crate) line: String,
        /// Null if it had none.
        pub(crate) body: Value,
    }

    /// What was asked so far.
    #[derive(Clone, Default)]
    pub(crate) struct Transcript(Arc<Mutex<Vec<Asked>>>);

    impl Transcript {
        pub(crate) fn all(&self) -> Vec<Asked> {
            self.0.lock().unwrap().clone()
        }
    }

    /// A cluster that answers from a list. Not a model of the API server: it knows no rules. What is tested with it is
    /// what we send and what we make of an answer.
    pub(crate) fn cluster(
        answers: impl IntoIterator<Item = (u16, Value)>,
    ) -> (Cluster, Transcript) {
        let answers: VecDeque<_> = answers.into_iter().collect();
        let answers = Arc::new(Mutex::new(answers));
        let transcript = Transcript::default();
        let asked = transcript.clone();
        let service = service_fn(move |request: Request<Body>| {
            let (answers, asked) = (Arc::clone(&answers), asked.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                asked.0.lock().unwrap().push(Asked {
                    line: format!("{} {}", parts.method, parts.uri),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                });
                let answer = answers.lock().unwrap().pop_front();
                let (status, body) = answer.ok_or("the connection broke")?;
                let body = match body {
                    Value::String(text) => text.into_bytes(),
                    other => serde_json::to_vec(&other)?,
                };
                Ok::<_, BoxError>(Response::builder().status(status).body(Body::from(body))?)
            }
        });
        let client = Client::new(service, "default");
        (Cluster::new(client, "shop".to_owned()), transcript)
    }

    /// The answer that says no.
    pub(crate) fn refused(code: u16, reason: &str, message: &str) -> (u16, Value) {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
            "reason": reason, "code": code,
        });
        (code, status)
    }

    async fn ask(answer: Option<(u16, Value)>) -> Trouble {
        let (cluster, _) = cluster(answer);
        answered(cluster.keys().get("ana")).await.unwrap_err()
    }

    #[tokio::test]
    async fn an_absent_object_is_told_from_an_absent_kind() {
        let absent = r#"apikeys.aimass.dev "ana" not found"#;
        let trouble = ask(Some(refused(404, "NotFound", absent))).await;
        assert_eq!(trouble, Trouble::NotFound(absent.to_owned()));
        let trouble = ask(Some((404, json!("404 page not found\n")))).await;
        assert_eq!(trouble, Trouble::NoKind);
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_words_of_the_api_server() {
        let trouble = ask(Some(refused(403, "Forbidden", "may\nnot"))).await;
        assert_eq!(trouble, Trouble::Refused("may not".to_owned()));
        let trouble = ask(Some(refused(409, "Conflict", "changed"))).await;
        assert_eq!(trouble, Trouble::Conflict("changed".to_owned()));
        let trouble = ask(Some(refused(401, "Unauthorized", "Unauthorized"))).await;
        assert!(
            trouble
                .to_string()
                .contains("credentials of the kubeconfig")
        );
    }

    #[tokio::test]
    async fn a_broken_connection_leaves_open_what_was_done() {
        assert!(matches!(ask(None).await, Trouble::Silent(_)));
        let late = Some(refused(504, "Timeout", "too late"));
        assert_eq!(ask(late).await, Trouble::Silent("too late".to_owned()));
    }

    #[test]
    fn a_foreign_text_is_bounded_and_cannot_steer_a_terminal() {
        assert_eq!(printable(" a\u{1b}[2Jb\n"), "a [2Jb");
        assert_eq!(printable(&"ü".repeat(3_000)).chars().count(), 2_049);
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let args = ClusterArgs {
            kubeconfig: Some("/nonexistent/kubeconfig".into()),
            ..ClusterArgs::default()
        };
        let mut problems = Problems::default();
        let target = Target::of(args, &mut problems);
        let failure = Cluster::connect(target).await.err().unwrap();
        assert!(
            failure.text.contains("/nonexistent/kubeconfig"),
            "{}",
            failure.text
        );
        assert!(failure.text.contains("--kubeconfig"), "{}", failure.text);
    }
}
