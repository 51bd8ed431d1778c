//! Runs the operator in this process: on threads and a runtime of its own, under its own account,
//! behind the fault layer. What runs is the shipped code.

use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::time::Duration;

use aimass_chassis::metrics::{self, Registry};
use aimass_chassis::readiness::{Readiness, State};
use aimass_chassis::shutdown::Stop;
use aimass_operator::rbac::{self, Rule};
use aimass_operator::{Election, Gateways};
use aimass_plan::model::Platform;
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Config;
use kube::client::ClientBuilder;
use tokio::sync::oneshot;

use crate::cluster::Namespace;
use crate::faults::Faults;

/// How an instance is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether it asks for the Lease of its namespace; crash plans run without.
    pub elects: bool,
    /// The image of the model server.
    pub server_image: &'static str,
    /// The namespace that the gateways would be in, if there are any.
    pub gateway: Option<&'static str>,
    /// Whether there are gateways in its own namespace, whose signals it reads.
    pub reads_signals: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            elects: false,
            server_image: SERVER_IMAGE,
            gateway: None,
            reads_signals: false,
        }
    }
}

/// What an instance shows on its admin port.
struct Shown {
    readiness: Readiness,
    registry: Arc<Registry>,
}

/// An instance that runs.
pub struct Operator {
    stop: Stop,
    crash: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<Result<(), String>>,
    shown: Arc<OnceLock<Shown>>,
    /// Behind its client.
    pub faults: Faults,
}

impl Operator {
    /// Starts an instance that watches `ns` alone.
    pub async fn start(ns: &Namespace, faults: Faults, settings: Settings) -> Self {
        let config = ns.operator_config().await;
        let gateways = match settings.reads_signals {
            true => Some(Gateways {
                namespace: ns.name.clone(),
                token_file: ns.operator_token_file().await,
            }),
            false => None,
        };
        Self::spawn(&ns.name, config, faults, (settings, gateways))
    }

    /// Starts an instance with a client configuration of one's own.
    ///
    /// # Panics
    /// If the machine gives no thread.
    #[must_use]
    pub fn start_with(namespace: &str, config: Config, faults: Faults, settings: Settings) -> Self {
        Self::spawn(namespace, config, faults, (settings, None))
    }

    fn spawn(
        namespace: &str,
        config: Config,
        faults: Faults,
        settings: (Settings, Option<Gateways>),
    ) -> Self {
        watch_panics();
        let stop = Stop::new();
        let (crash, crashed) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let shown = Arc::new(OnceLock::new());
        let name = format!("{THREADS} {namespace}");
        let running = {
            let (stop, faults, namespace) = (stop.clone(), faults.clone(), namespace.to_owned());
            let (threads, told) = (name.clone(), Arc::clone(&shown));
            move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .thread_name(threads)
                    .enable_all()
                    .build()
                    .expect("the machine gives a runtime");
                let outcome = runtime.block_on(async {
                    tokio::select! {
                        outcome = launch(config, &namespace, faults, settings, (told, stop)) => outcome,
                        _ = crashed => Err("crashed".to_owned()),
                    }
                });
                // As a crash does: nothing is waited for, nothing is told to anybody.
                runtime.shutdown_background();
                let _nobody_waits = end.send(outcome);
            }
        };
        std::thread::Builder::new()
            .name(name)
            .spawn(running)
            .expect("the machine gives a thread");
        Self {
            stop,
            crash: Some(crash),
            ended,
            shown,
            faults,
        }
    }

    /// Ends it as `SIGKILL` does.
    pub fn crash(mut self) {
        self.faults.kill();
        if let Some(crash) = self.crash.take() {
            let _ended_already = crash.send(());
        }
    }

    /// Ends it as `SIGTERM` does, and returns how it ended.
    ///
    /// # Errors
    /// Why it ended badly, or that it did not within 10 s.
    pub async fn stop(mut self) -> Result<(), String> {
        self.stop.cancel();
        let ended = std::mem::replace(&mut self.ended, oneshot::channel().1);
        match tokio::time::timeout(Duration::from_secs(10), ended).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("the operator's thread panicked".to_owned()),
            Err(_) => Err("the operator did not stop within 10 s".to_owned()),
        }
    }

    /// Why it is not ready, as its admin port would say; `None` when it is.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        let Some(Shown { readiness, .. }) = self.shown.get() else {
            return Some("Starting: it has not begun".to_owned());
        };
        match readiness.get() {
            State::Ready => None,
            State::NotReady { reason, message } => Some(format!("{reason}: {message}")),
        }
    }

    /// Its figures, as its admin port would say; empty before it has begun.
    #[must_use]
    pub fn metrics(&self) -> String {
        let shown = self.shown.get();
        shown
            .map(|shown| metrics::encode(&shown.registry))
            .unwrap_or_default()
    }

    /// Whether it has ended by itself, and how.
    pub fn has_ended(&mut self) -> Option<Result<(), String>> {
        self.ended.try_recv().ok()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.faults.kill();
        if let Some(crash) = self.crash.take() {
            let _ended_already = crash.send(());
        }
    }
}

async fn launch(
    mut config: Config,
    namespace: &str,
    faults: Faults,
    (settings, gateways): (Settings, Option<Gateways>),
    (shown, stop): (Arc<OnceLock<Shown>>, Stop),
) -> Result<(), String> {
    // As `aimass_operator::client` has it.
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(Duration::from_secs(15));
    config.read_timeout = None;
    config.default_retry = false;
    let client = ClientBuilder::try_from(config).map_err(|e| e.to_string())?;
    let client = client.with_layer(&faults).build();
    let election = if settings.elects {
        let namespace = Some(namespace.to_owned());
        Election::Lease { namespace }
    } else {
        Election::Off
    };
    let config = aimass_operator::Config {
        watch_namespace: Some(namespace.to_owned()),
        election,
        gateways,
        platform: Platform {
            server_image: settings.server_image.to_owned(),
            onnxruntime_image: None,
            allow_http: false,
            allow_hosts: Vec::new(),
            traces: None,
            gateway_url: None,
            gateway_namespace: settings.gateway.map(str::to_owned),
            operator_namespace: None,
        },
    };
    let context = aimass_operator::Context::new(client, config);
    let _first_time = shown.set(Shown {
        readiness: context.readiness(),
        registry: context.registry(),
    });
    aimass_operator::run(context, stop)
        .await
        .map_err(|e| format!("{e:#}"))
}

/// The image of the model server, as `cargo xtask image` names it in the test cluster.
pub const SERVER_IMAGE: &str = "aimass.test/aimass-server:dev";

/// What the chart lets the operator do in the namespaces that it watches, its Lease included.
#[must_use]
pub fn rules() -> Vec<PolicyRule> {
    rbac::CLUSTER.iter().chain(rbac::LEASE).map(rule).collect()
}

/// What the chart lets the operator do besides, where there are gateways whose signals it reads.
#[must_use]
pub fn rules_for_signals() -> Vec<PolicyRule> {
    let rules = rbac::REVIEWS.iter().chain(rbac::GATEWAYS);
    rules.map(rule).collect()
}

fn rule(rule: &Rule) -> PolicyRule {
    let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(texts(&[rule.group])),
        resources: Some(texts(&[rule.resource])),
        resource_names: (!rule.names.is_empty()).then(|| texts(rule.names)),
        verbs: texts(rule.verbs),
        ..PolicyRule::default()
    }
}

const THREADS: &str = "operator-under-test";

static PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// The panics of the instances that watched `namespace`.
#[must_use]
pub fn panics(namespace: &str) -> Vec<String> {
    let thread = format!("{THREADS} {namespace}");
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    let of_it = panics.iter().filter(|(name, _)| *name == thread);
    of_it.map(|(_, text)| text.clone()).collect()
}

/// Remembers each panic on a thread of an operator; those of tests go where they always go.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            if name.starts_with(THREADS) {
                let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
                panics.push((name.to_owned(), info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}
