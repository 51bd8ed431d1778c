//! What the cluster says, as one stream for each kind: objects are cut down as they come and handed to [`assemble`].
//!
//! Beside `review/reviewer.rs` the only file of the gateway that holds a client; it only reads. Started by `run`. A stream never gives up: what is missing
//! (a right, a kind, the API server) is told once and awaited, and the last table goes on serving.

pub mod assemble;

use std::fmt::Debug;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::logs::chain;
use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use aimass_crds::{APIKey, ModelDeployment, UsagePlan, labels};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event as Told, watcher};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use self::assemble::Message;
use crate::table::build::cut::{self, Cut};
use crate::table::build::store::{Event, Name, Scope, Seen};
use crate::table::build::{Change, Kind};

/// The Service whose EndpointSlices name the gateways; the chart makes it.
const PEERS: &str = "aimass-gateway-peers";
/// A watch lasts so long; one that died without a word is noticed 5 s later.
const WATCH_SECONDS: u32 = 25;
/// Without a byte from the API server, whatever was asked: a watch is ended by its server before that.
const SILENCE: Duration = Duration::from_secs(40);
/// Pause before a stream begins anew that waits for its kind or for the API server.
const ANEW: Duration = Duration::from_secs(2);
/// Failures in a row after which a stream begins anew instead of waiting for up to 30 s.
const PATIENCE: u32 = 3;

/// A client for the cluster that `kubeconfig` names, else for the one that this runs in, else for `kubectl`'s.
///
/// # Errors
/// There is none of these, or it is unusable.
pub async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let unusable = || format!("--kubeconfig: {} cannot be used", path.display());
            let file = Kubeconfig::read_from(path).with_context(unusable)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(unusable)?
        }
        None => Config::infer()
            .await
            .context("no cluster was found: run in one, or name one with --kubeconfig")?,
    };
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(Duration::from_secs(15));
    // Counted from the request on: a connection may have rested before.
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    // A stream tries again by itself.
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?.build())
}

/// The streams' way to the table.
pub type Feed = mpsc::Sender<Message>;

/// Which streams there are: each kind in each scope, cluster-wide kinds once.
#[must_use]
pub fn streams(namespaces: &[Arc<str>]) -> Vec<(Kind, Scope)> {
    let scopes: Vec<Scope> = match namespaces {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let each = |kind| scopes.iter().cloned().map(move |scope| (kind, scope));
    let mut streams: Vec<_> = [Kind::Model, Kind::Slice, Kind::Key]
        .into_iter()
        .flat_map(each)
        .collect();
    streams.push((Kind::Plan, None));
    streams
}

/// The stream of the other gateways, which lie in the namespace of this one.
#[must_use]
pub fn peers(namespace: &Arc<str>) -> (Kind, Scope) {
    (Kind::Peer, Some(Arc::clone(namespace)))
}

/// Starts one of [`streams`]; it ends with `stop`.
pub fn start(
    client: &Client,
    (kind, scope): (Kind, Scope),
    feed: Feed,
    tasks: &Tasks,
    stop: &Stop,
) {
    let all = watcher::Config::default;
    let place = Place { kind, scope, feed };
    match kind {
        Kind::Model => {
            let stream = Stream {
                api: api::<ModelDeployment>(client, &place.scope),
                config: all(),
                cut: cut::model,
                change: Change::Model,
                place,
            };
            spawn("watch-models", stream.run(), tasks, stop);
        }
        Kind::Slice => {
            // Those of one revision's Service: that over all revisions has the same pods once more.
            let ours = format!(
                "{}={},{}",
                labels::MANAGED_BY,
                labels::MANAGED_BY_VALUE,
                labels::REVISION
            );
            let stream = Stream {
                api: api::<EndpointSlice>(client, &place.scope),
                config: all().labels(&ours),
                cut: cut::slice,
                change: Change::Slice,
                place,
            };
            spawn("watch-endpoint-slices", stream.run(), tasks, stop);
        }
        Kind::Key => {
            let stream = Stream {
                api: api::<APIKey>(client, &place.scope),
                config: all(),
                cut: cut::credentials,
                change: Change::Key,
                place,
            };
            spawn("watch-keys", stream.run(), tasks, stop);
        }
        Kind::Plan => {
            let stream = Stream {
                api: Api::<DeserializeGuard<UsagePlan>>::all(client.clone()),
                config: all(),
                cut: cut::plan,
                change: Change::Plan,
                place,
            };
            spawn("watch-plans", stream.run(), tasks, stop);
        }
        Kind::Peer => {
            let stream = Stream {
                api: api::<EndpointSlice>(client, &place.scope),
                config: all().labels(&format!("kubernetes.io/service-name={PEERS}")),
                cut: cut::peers,
                change: Change::Peer,
                place,
            };
            spawn("watch-peers", stream.run(), tasks, stop);
        }
    }
}

fn spawn(
    name: &'static str,
    stream: impl Future<Output = ()> + Send + 'static,
    tasks: &Tasks,
    stop: &Stop,
) {
    let stop = stop.clone();
    tasks.spawn(name, async move {
        stop.run_until_cancelled(stream).await;
    });
}

fn api<K>(client: &Client, scope: &Scope) -> Api<DeserializeGuard<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Where a stream's events belong.
struct Place {
    kind: Kind,
    scope: Scope,
    feed: Feed,
}

/// One stream.
struct Stream<K, V> {
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    cut: fn(&K, &mut Vec<String>) -> Cut<V>,
    change: fn(Event<V>) -> Change,
    place: Place,
}

impl<K, V> Stream<K, V>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Hands on every event, for ever.
    async fn run(self) {
        let resource = resource_of::<K>();
        let mut failures = 0_u32;
        loop {
            let config = self.config.clone().timeout(WATCH_SECONDS);
            let mut stream = watcher(self.api.clone(), config).default_backoff().boxed();
            while let Some(event) = stream.next().await {
                let error = match event {
                    Ok(event) => {
                        // `Init` comes before the list is even asked for.
                        if !matches!(event, Told::Init) {
                            failures = 0;
                        }
                        self.hand_on(event).await;
                        continue;
                    }
                    Err(error) => error,
                };
                failures = failures.saturating_add(1);
                let text = explain(&resource, &error);
                // Told once, then only noted, until the stream lives again.
                if failures == 1 {
                    tracing::warn!(watch.kind = resource, "{text}");
                } else {
                    tracing::debug!(watch.kind = resource, failures, "{text}");
                }
                let again = begins_anew(&error, failures);
                self.place.failed(text).await;
                if again {
                    break;
                }
            }
            tokio::time::sleep(ANEW).await;
        }
    }

    async fn hand_on(&self, event: Told<DeserializeGuard<K>>) {
        let listed = matches!(event, Told::InitDone);
        let event = match event {
            Told::Init => Event::Init,
            Told::InitApply(object) => Event::InitApply(self.seen(&object)),
            Told::InitDone => Event::InitDone,
            Told::Apply(object) => Event::Apply(self.seen(&object)),
            Told::Delete(object) => {
                let (name, uid, _) = identity(&object);
                Event::Delete { name, uid }
            }
        };
        self.place.changed((self.change)(event)).await;
        if listed {
            self.place.listed().await;
        }
    }

    fn seen(&self, object: &DeserializeGuard<K>) -> Seen<V> {
        let (name, uid, version) = identity(object);
        let mut notes = Vec::new();
        let value = match &object.0 {
            Ok(object) => (self.cut)(object, &mut notes),
            Err(invalid) => Err(invalid.error.clone()),
        };
        Seen {
            name,
            uid,
            version,
            value,
            notes,
        }
    }
}

impl Place {
    async fn changed(&self, change: Change) {
        let (kind, scope) = (self.kind, self.scope.clone());
        self.tell(Message::Changed {
            kind,
            scope,
            change: Box::new(change),
        })
        .await;
    }

    async fn listed(&self) {
        let (kind, scope) = (self.kind, self.scope.clone());
        self.tell(Message::Listed { kind, scope }).await;
    }

    async fn failed(&self, text: String) {
        let (kind, scope) = (self.kind, self.scope.clone());
        self.tell(Message::Failed { kind, scope, text }).await;
    }

    /// Waits while the table is behind: the stream then waits, too, and so does the API server.
    async fn tell(&self, message: Message) {
        // Nobody listens only when all ends.
        let _ended = self.feed.send(message).await;
    }
}

/// Name, uid and version of an object, even of one that is not understood.
fn identity<K: Resource<DynamicType = ()>>(object: &DeserializeGuard<K>) -> (Name, Arc<str>, u64) {
    let metadata = object.meta();
    let text = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
    let name = Name {
        namespace: text(&metadata.namespace),
        name: text(&metadata.name),
    };
    let version = metadata.resource_version.as_deref();
    let version = version.and_then(|version| version.parse().ok());
    (name, text(&metadata.uid), version.unwrap_or(0))
}

/// `modeldeployments.aimass.dev`, as RBAC and `kubectl` name a kind.
fn resource_of<K: Resource<DynamicType = ()>>() -> String {
    format!("{}.{}", K::plural(&()), K::group(&()))
}

/// Whether to begin anew after a short pause, instead of the stream's own that doubles up to 30 s: while the kind does not
/// exist, and while nobody answers. An API server that answers with an error is left in peace.
fn begins_anew(error: &watcher::Error, failures: u32) -> bool {
    match answer(error) {
        Some(404) => true,
        Some(_) => false,
        None => failures >= PATIENCE,
    }
}

/// The status that the API server answered with; `None`: no answer.
fn answer(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}

/// What the API server or the network said.
fn text_of(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => status.message.clone(),
            other => chain(other),
        },
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

fn explain(resource: &str, error: &watcher::Error) -> String {
    match answer(error) {
        Some(404) => format!("{resource} does not exist: install the CustomResourceDefinitions"),
        Some(403) => format!(
            "may not list and watch {resource}: grant it to the gateway's account ({})",
            text_of(error)
        ),
        _ => format!("failed to watch {resource}: {}", text_of(error)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    #[test]
    fn there_is_one_stream_for_each_kind_and_namespace() {
        assert_eq!(streams(&[]).len(), 4);
        let narrowed = streams(&["a".into(), "b".into()]);
        assert_eq!(narrowed.len(), 7);
        // Plans lie in no namespace.
        assert_eq!(narrowed.last(), Some(&(Kind::Plan, None)));
    }

    #[test]
    fn what_does_not_decode_still_says_which_object_it_is() {
        let object = json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey",
            "metadata": {"name": "ana", "namespace": "a", "uid": "u", "resourceVersion": "7"},
            "spec": {"models": "iris"},
        });
        let object: DeserializeGuard<APIKey> = serde_json::from_str(&object.to_string()).unwrap();
        assert!(object.0.is_err());
        let (name, uid, version) = identity(&object);
        assert_eq!(
            (name.to_string().as_str(), &*uid, version),
            ("a/ana", "u", 7)
        );
    }

    #[test]
    fn what_is_asked_for_is_named_as_in_rbac() {
        assert_eq!(resource_of::<APIKey>(), "apikeys.aimass.dev");
        let slices = "endpointslices.discovery.k8s.io";
        assert_eq!(resource_of::<EndpointSlice>(), slices);
    }

    fn refused(code: u16) -> watcher::Error {
        let status = Status::failure("no", "").with_code(code).boxed();
        watcher::Error::InitialListFailed(kube::Error::Api(status))
    }

    #[test]
    fn a_missing_kind_is_looked_for_every_two_seconds() {
        assert!(begins_anew(&refused(404), 1));
        assert!(explain("apikeys.aimass.dev", &refused(404)).contains("does not exist"));
    }

    #[test]
    fn an_api_server_that_answers_is_left_in_peace() {
        for code in [403, 429, 500, 503] {
            assert!(!begins_anew(&refused(code), 99), "{code}");
        }
    }

    #[test]
    fn an_api_server_that_is_gone_is_awaited_after_some_tries() {
        let gone = watcher::Error::WatchFailed(kube::Error::Service("refused".into()));
        assert!(!begins_anew(&gone, 1));
        assert!(begins_anew(&gone, PATIENCE));
        assert_eq!(text_of(&gone), "ServiceError: refused");
    }

    #[test]
    fn a_missing_right_is_named() {
        let text = explain("apikeys.aimass.dev", &refused(403));
        let begin = "may not list and watch apikeys.aimass.dev: grant it";
        assert!(text.starts_with(begin) && text.ends_with("(no)"), "{text}");
    }
}
