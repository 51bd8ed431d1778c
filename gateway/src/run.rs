//! The life of the gateway: ports, streams, signal, drain, end.
//!
//! Called by `start.rs` with a judged configuration; returns the exit code.

pub mod latch;
mod ports;

use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::admin::{self, Admin, Heartbeat};
use aimass_chassis::clock;
use aimass_chassis::metrics::Registry;
use aimass_chassis::runtime;
use aimass_chassis::shutdown::{Stop, on_signals};
use aimass_chassis::tasks::Tasks;
use aimass_chassis::traces::Traces;
use aimass_crds::signals::OPERATOR_AUDIENCE;
use anyhow::Context as _;
use axum::Router;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::latch::Latch;
use self::ports::Ports;
use crate::app::{Parts, State, app, redirect};
use crate::badge::Badge;
use crate::config::{Config, Https, Operator, Plain, Pod};
use crate::doorman::{AUDIENCE, Doorman};
use crate::limit::{Bounds, OwnerLoss};
use crate::peer::{self, DEADLINE, Links};
use crate::phase::record::AccessLog;
use crate::review::Reviewer;
use crate::signals::{self, Door};
use crate::table::Table;
use crate::tls::{self, Certificate, Look};
use crate::watch::assemble::{Assembly, QUEUE};
use crate::watch::{self, client, streams};

/// Exit code when a port is taken.
const EXIT_PORT: u8 = 5;
/// What is expected before requests may come, besides what the cluster says.
const CERTIFICATE: &str = "the certificate";
/// How often the counts of callers are looked through, and how many at once.
const SWEEP: (Duration, usize) = (Duration::from_secs(1), 1_000);
/// What a request has beyond its own time to end in.
const MARGIN: Duration = Duration::from_secs(5);
/// No request lasts longer, and Kubernetes waits no longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// For streams, lines and traces at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves until a signal.
///
/// # Errors
/// There is no cluster, or the system refuses threads or signals.
pub fn run(config: Config) -> anyhow::Result<u8> {
    aimass_chassis::logs::log_panics();
    tracing::info!(?config, "starting");
    let runtime = runtime::build("data", runtime::cpus().get())?;
    let code = runtime.block_on(serve(config));
    // A look at a file may still be under way.
    runtime.shutdown_background();
    code
}

async fn serve(config: Config) -> anyhow::Result<u8> {
    let Config {
        settings,
        https,
        http,
        admin: admin_address,
        namespaces,
        token_audience,
        max_connections,
        drain_delay,
        shutdown_grace,
        kubeconfig,
        pod,
        owner_loss,
        operator,
        traces,
    } = config;
    let stop = on_signals()?;
    let client = client(kubeconfig.as_deref()).await?;
    let start_traces = |export| Traces::start(&export, "aimass-gateway", Vec::new());
    let traces = traces.map(start_traces).transpose()?;
    let (access_log, writer) = AccessLog::start().context("failed to start the access log")?;
    let certificate = https.as_ref().map(|_| Arc::new(Certificate::default()));
    let mut registry = Registry::default();
    let parts = Parts {
        settings,
        bounds: Bounds::default(),
        reviewer: token_audience.map(|audience| Reviewer::new(client.clone(), audience)),
        certificate: certificate.clone(),
        traces: traces.clone(),
        access_log,
    };
    let links = match &pod {
        Some(pod) => Links::new(Badge::new(pod.token_file.clone()), DEADLINE),
        None => Links::none(),
    };
    let state = State::with_links(parts, &mut registry, links);
    let (tasks, end) = (Tasks::new(), Stop::new());
    let mut extra = Router::new();
    if let Some(pod) = &pod {
        let reviewer = Reviewer::new(client.clone(), AUDIENCE.into());
        let doorman = Doorman::new(reviewer, state.metrics().review_times());
        let together = join(pod, &state, owner_loss, doorman.clone());
        extra = extra.merge(together.await?);
        if let Some(operator) = operator {
            extra = extra.merge(tell(operator, pod, &state, doorman));
            signals::start(&state, &tasks, &end);
        }
    }

    let latch = Latch::new();
    let mut streams = streams(&namespaces);
    if let Some(pod) = &pod {
        streams.push(watch::peers(&pod.namespace));
    }
    // All that is expected, before anything can arrive.
    let assembly = Assembly::new(&streams, state.clone(), latch.clone());
    if let (Some(https), Some(certificate)) = (&https, &certificate) {
        latch.expect(CERTIFICATE);
        follow(https, certificate, &latch, &tasks, &end);
    }
    let heartbeat = Heartbeat::start();
    let admin = Admin {
        registry: Arc::new(registry),
        readiness: latch.readiness(),
        live: Arc::new(move || heartbeat.check()),
        extra,
    };
    let connections = state.metrics().connections.clone();
    // From the signal on, clients with a connection are sent to connect elsewhere.
    let mut ports = Ports::new(max_connections, connections, stop.clone());
    let opened = async {
        let admin = admin::start(ports::reachable(admin_address), admin)?;
        if let (Some(https), Some(certificate)) = (https, certificate) {
            let config = tls::server_config(certificate)?;
            let app = app(state.clone());
            ports.open(https.address, app, Some(config)).await?;
        }
        if let Some(http) = http {
            let app = match http.plain {
                Plain::Serve => app(state.clone()),
                Plain::Redirect => redirect(),
            };
            ports.open(http.address, app, None).await?;
        }
        anyhow::Ok(admin)
    };
    let _admin = match opened.await {
        Ok(admin) => admin,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "a port cannot be used");
            return Ok(EXIT_PORT);
        }
    };
    let (feed, messages) = mpsc::channel(QUEUE);
    tasks.spawn("table", assembly.run(messages));
    for stream in streams {
        watch::start(&client, stream, feed.clone(), &tasks, &end);
    }
    drop(feed);
    sweep(&state, &tasks, &end);

    ports.serve();
    stop.cancelled().await;
    tracing::info!("told to stop: not ready from now on");
    latch.drain();
    // Others count from now on what this one has counted; meanwhile it asks them.
    state.limits().drain(Instant::now().into_std());
    // Load balancers learn that this gateway is not ready; until then requests keep coming and are served.
    tokio::time::sleep(drain_delay).await;
    let grace = grace(shutdown_grace, &state.table());
    ports.end(grace, || state.abort()).await;
    end.cancel();
    tasks.drain(LAST_WORDS).await;
    if !writer.flush(LAST_WORDS).await {
        tracing::warn!("the last lines of the access log were not written");
    }
    if let Some(traces) = traces {
        traces.stop().await;
    }
    tracing::info!("stopped");
    Ok(0)
}

/// Counts limits together with the other gateways from now on; the routes are those by which they ask this one.
///
/// # Errors
/// This gateway has no token that it could show them.
async fn join(
    pod: &Pod,
    state: &State,
    owner_loss: OwnerLoss,
    doorman: Doorman,
) -> anyhow::Result<Router> {
    let Pod {
        uid,
        namespace: _, // where the others are looked for
        token_file,
    } = pod;
    // All gateways are of one ServiceAccount: whoever this one is, the others are.
    let badge = Badge::new(token_file.clone()).read(clock::now()).await?;
    tracing::info!(user = %badge.user, "limits are counted together with gateways of this user");
    // Another number for each process: what its pod knew before is forgotten.
    let boot = u64::try_from(clock::boottime().as_nanos()).unwrap_or(u64::MAX);
    let limits = state.limits();
    limits.join(Arc::clone(uid), boot.max(1));
    limits.on_owner_loss(owner_loss);
    Ok(peer::routes(limits.clone(), doorman, badge.user))
}

/// The route on which the operator is told what this gateway sees.
fn tell(operator: Operator, pod: &Pod, state: &State, doorman: Doorman) -> Router {
    let Operator { user, token_file } = operator;
    tracing::info!(%user, "signals are told to this user");
    signals::routes(Door {
        signals: state.signals().clone(),
        doorman,
        reader: user,
        pod: Arc::clone(&pod.uid),
        badge: Badge::meant_for(token_file, OPERATOR_AUDIENCE),
    })
}

/// How long requests in flight may take at the end: as long as the model that allows most, and what was configured at least.
/// The same rule as for the model's pods.
fn grace(configured: Duration, table: &Table) -> Duration {
    let deployments = table.models.values().flat_map(|models| models.values());
    let longest = deployments.map(|deployment| deployment.request_timeout);
    let longest = longest.max().unwrap_or_default();
    configured.max(longest.saturating_add(MARGIN)).min(LONGEST)
}

/// Follows the certificate's files, until `end`.
fn follow(https: &Https, certificate: &Arc<Certificate>, latch: &Latch, tasks: &Tasks, end: &Stop) {
    let (folder, certificate) = (https.folder.clone(), Arc::clone(certificate));
    let (latch, end) = (latch.clone(), end.clone());
    let told = move |look: Look<'_>| match look {
        Look::Swapped(until) => {
            tracing::info!(%until, "a certificate is used from now on");
            latch.arrived(CERTIFICATE);
        }
        Look::Refused(error) => {
            let error = format!("{error:#}");
            tracing::warn!(
                error,
                "the certificate cannot be used; the one before stays"
            );
            latch.missing(CERTIFICATE, error);
        }
    };
    tasks.spawn("certificate", async move {
        let keep = tls::keep(&folder, &certificate, told);
        end.run_until_cancelled(keep).await;
    });
}

/// Forgets what callers have used long ago, until `end`.
fn sweep(state: &State, tasks: &Tasks, end: &Stop) {
    let (state, end) = (state.clone(), end.clone());
    let (pause, steps) = SWEEP;
    let sweep = async move {
        loop {
            tokio::time::sleep(pause).await;
            state.limits().sweep(steps, Instant::now().into_std());
        }
    };
    tasks.spawn("sweep", async move {
        end.run_until_cancelled(sweep).await;
    });
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::table::{Deployment, samples};

    fn table(timeouts: &[u64]) -> Table {
        let deployment = |seconds: &u64| Deployment {
            request_timeout: Duration::from_secs(*seconds),
            ..samples::model("m", 0)
        };
        let named = |seconds: &u64| (seconds.to_string().into(), Arc::new(deployment(seconds)));
        Table {
            models: HashMap::from([("a".into(), timeouts.iter().map(named).collect())]),
            ..Table::default()
        }
    }

    #[test]
    fn the_end_waits_for_the_longest_request_that_there_may_be() {
        let seconds = |timeouts: &[u64]| {
            let grace = grace(Duration::from_secs(65), &table(timeouts));
            grace.as_secs()
        };
        assert_eq!(seconds(&[]), 65);
        assert_eq!(seconds(&[10, 60]), 65);
        assert_eq!(seconds(&[10, 600, 60]), 605);
        assert_eq!(seconds(&[3600]), 3600);
    }
}
