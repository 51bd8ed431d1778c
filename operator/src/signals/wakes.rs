//! How long models take to wake, as far as this operator sees it: from a gateway's word that somebody waits to a pod
//! that serves.
//!
//! Pure but for its lock: time is an argument. A wake is noted by `decide`, its way by `model::reconcile` and by the
//! pods' watch, its end there or by `reader`; what is under way lies in the [`book`]. Only the leader is told of wakes,
//! and forgets them when it leads no more. Of a model that nobody wakes nothing is looked at.

mod book;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aimass_chassis::metrics::{COLD_START_SECONDS, Registry, Word};
use aimass_crds::ModelDeployment;
use aimass_crds::signals::Report;
use aimass_plan::model::Applied;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use self::book::{Book, Phase, Times};
use crate::cache::{Key, key_of};
use crate::watch::pod;

/// Models that have series of their own: each has a hundred and fifty of them.
const MODELS: usize = 200;
/// What stands for all others.
const OTHER: &str = "_other";

/// Wakes under way, and what those took that are over; clones are one.
#[derive(Clone)]
pub(crate) struct Wakes {
    state: Arc<Mutex<State>>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Default)]
struct State {
    book: Book,
    /// Models that have series of their own.
    own: BTreeSet<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    project: String,
    model: String,
    phase: Word,
}

impl Wakes {
    /// Nobody was woken; `registry` shows what follows.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(COLD_START_SECONDS);
        let wakes = Self {
            state: Arc::default(),
            seconds: Family::new_with_constructor(seconds),
        };
        let registry = registry.sub_registry_with_prefix("aimass_operator");
        registry.register_with_unit(
            "cold_start",
            "How long a model without pods took from a gateway's wake to a pod that serves, by phase",
            Unit::Seconds,
            wakes.seconds.clone(),
        );
        wakes
    }

    /// Somebody waits for a model that has no pod.
    pub(super) fn woken(&self, key: &Key, uid: &str, now: Duration) {
        self.lock().book.woken(key, uid, now);
    }

    /// All children of a model are as its plan says.
    pub(crate) fn applied(&self, model: &ModelDeployment, applied: &Applied, now: Duration) {
        let book = &mut self.lock().book;
        if !book.is_empty() && wants_pods(applied) {
            let uid = model.metadata.uid.as_deref().unwrap_or_default();
            book.decided(&key_of(model), uid, now);
        }
    }

    /// The watch has brought something of pods.
    pub(crate) fn pods(&self, event: &Event<Pod>, now: Duration) {
        let mut state = self.lock();
        if state.book.is_empty() {
            return;
        }
        let (pod, progress) = match event {
            Event::Apply(pod) | Event::InitApply(pod) => (pod, pod::progress(pod)),
            Event::Delete(pod) => (pod, None),
            Event::Init | Event::InitDone => return,
        };
        let Some(key) = pod::model(pod) else { return };
        let name = pod.name_any();
        let Some(progress) = progress else {
            state.book.no_pod(&key, &name);
            return;
        };
        if let Some(times) = state.book.pod(&key, &name, progress, now) {
            self.tell(&mut state.own, &key, &times);
        }
    }

    /// A gateway has told which pods it can reach.
    pub(super) fn reported(&self, report: &Report, now: Duration) {
        let State { book, own } = &mut *self.lock();
        if book.is_empty() {
            return;
        }
        let reached = report.deployments.iter().filter(|seen| {
            let mut revisions = seen.revisions.iter();
            revisions.any(|load| load.endpoints.0 > 0)
        });
        let reached = reached.map(|seen| &*seen.uid).collect();
        for (key, times) in book.reached(&reached, now) {
            self.tell(own, &key, &times);
        }
    }

    /// The model is there, with this uid.
    pub(crate) fn model(&self, key: &Key, uid: &str) {
        self.lock().book.model(key, uid);
    }

    /// The model is gone, and its series with it.
    pub(crate) fn no_model(&self, key: &Key, uid: &str) {
        let State { book, own } = &mut *self.lock();
        book.no_model(key, uid);
        if own.remove(key) {
            self.forget(key);
        }
    }

    /// There are no other models than these.
    pub(crate) fn only_models(&self, there: &BTreeSet<Key>) {
        let State { book, own } = &mut *self.lock();
        book.only_models(there);
        for gone in own.extract_if(.., |key| !there.contains(key)) {
            self.forget(&gone);
        }
    }

    /// This instance leads no more: whoever does is told of the next wakes.
    pub(super) fn end(&self) {
        self.lock().book = Book::default();
    }

    /// A cold start is over.
    fn tell(&self, own: &mut BTreeSet<Key>, key: &Key, times: &Times) {
        let has_own = own.contains(key) || own.len() < MODELS && own.insert(key.clone());
        for (phase, took) in times {
            let labels = match has_own {
                true => labels(key, *phase),
                false => others(*phase),
            };
            let seconds = self.seconds.get_or_create(&labels);
            seconds.observe(took.as_secs_f64());
        }
    }

    fn forget(&self, key: &Key) {
        for phase in Phase::ALL {
            self.seconds.remove(&labels(key, phase));
        }
    }

    // A panic elsewhere leaves the maps whole: each method ends every change it begins.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether any of its Deployments asks for pods.
fn wants_pods(applied: &Applied) -> bool {
    let mut deployments = applied.children.deployments.values();
    deployments.any(|deployment| {
        let spec = deployment.spec.as_ref();
        spec.and_then(|spec| spec.replicas).is_some_and(|n| n > 0)
    })
}

fn labels(key: &Key, phase: Phase) -> Labels {
    Labels {
        project: key.namespace.clone(),
        model: key.name.clone(),
        phase: Word(phase.name()),
    }
}

fn others(phase: Phase) -> Labels {
    Labels {
        project: OTHER.to_owned(),
        model: OTHER.to_owned(),
        phase: Word(phase.name()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::transcript::key;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// A pod of `model` with these conditions.
    fn pod(model: &str, conditions: &[&str]) -> Pod {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|kind| json!({"type": kind, "status": "True"}))
            .collect();
        let pod = json!({
            "metadata": {
                "name": format!("{model}-abc-1"), "namespace": "a",
                "labels": {"aimass.dev/deployment": model},
            },
            "status": {"conditions": conditions},
        });
        serde_json::from_value(pod).unwrap()
    }

    fn report(uid: &str, usable: u32) -> Report {
        let report = json!({
            "seq": 1, "spanMs": 1000, "table": 1, "nacks": 0, "deployments": [{
                "uid": uid, "name": "a/iris", "trafficVersion": 1,
                "revisions": [{"revision": "aaaaaaaa", "endpoints": [usable, 0]}],
            }],
        });
        serde_json::from_value(report).unwrap()
    }

    fn wakes() -> (Wakes, Registry) {
        let mut registry = Registry::default();
        (Wakes::new(&mut registry), registry)
    }

    #[track_caller]
    fn shows(registry: &Registry, line: &str) {
        let text = aimass_chassis::metrics::encode(registry);
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }

    #[test]
    fn a_cold_start_is_told_by_its_phases() {
        let (wakes, registry) = wakes();
        wakes.woken(&key("iris"), "u", ms(0));
        let scheduled = pod("iris", &["PodScheduled"]);
        wakes.pods(&Event::Apply(scheduled), ms(40));
        let sandbox = ["PodScheduled", "PodReadyToStartContainers"];
        wakes.pods(&Event::Apply(pod("iris", &sandbox)), ms(300));
        wakes.reported(&report("another", 1), ms(500));
        wakes.reported(&report("u", 0), ms(500));
        wakes.reported(&report("u", 1), ms(800));
        for (phase, seconds) in [
            ("schedule", "0.04"),
            ("sandbox", "0.26"),
            ("load", "0.5"),
            ("total", "0.8"),
        ] {
            let line = format!(
                "aimass_operator_cold_start_seconds_sum{{project=\"a\",model=\"iris\",phase=\"{phase}\"}} {seconds}"
            );
            shows(&registry, &line);
        }
        let line = "aimass_operator_cold_start_seconds_bucket{le=\"0.9\",project=\"a\",model=\"iris\",phase=\"total\"} 1";
        shows(&registry, line);
    }

    #[test]
    fn a_pod_that_goes_does_not_count() {
        let (wakes, registry) = wakes();
        wakes.woken(&key("iris"), "u", ms(0));
        wakes.pods(&Event::Apply(pod("iris", &["PodScheduled"])), ms(40));
        let mut going = pod("iris", &["PodScheduled", "Ready"]);
        going.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        wakes.pods(&Event::Apply(going), ms(50));
        wakes.pods(&Event::Delete(pod("iris", &["Ready"])), ms(60));
        let mut failed = pod("iris", &["PodScheduled", "Ready"]);
        failed.status.as_mut().unwrap().phase = Some("Failed".to_owned());
        wakes.pods(&Event::Apply(failed), ms(70));
        wakes.pods(&Event::Init, ms(80));
        wakes.pods(&Event::InitApply(pod("rose", &["Ready"])), ms(80));
        wakes.pods(&Event::InitDone, ms(80));
        let text = aimass_chassis::metrics::encode(&registry);
        assert!(!text.contains("phase="), "{text}");
    }

    #[test]
    fn what_has_gone_leaves_nothing_behind() {
        let (wakes, registry) = wakes();
        for name in ["iris", "rose", "tulip"] {
            wakes.woken(&key(name), name, ms(0));
            wakes.pods(&Event::Apply(pod(name, &["Ready"])), ms(40));
        }
        wakes.no_model(&key("iris"), "iris");
        wakes.only_models(&BTreeSet::from([key("tulip")]));
        let text = aimass_chassis::metrics::encode(&registry);
        assert!(!text.contains("iris") && !text.contains("rose"), "{text}");
        assert!(text.contains("tulip"), "{text}");
        wakes.woken(&key("tulip"), "tulip", ms(100));
        wakes.end();
        wakes.pods(&Event::Apply(pod("tulip", &["Ready"])), ms(200));
        shows(&registry, "model=\"tulip\",phase=\"total\"} 0.04");
    }

    #[test]
    fn further_models_share_their_series() {
        let (wakes, registry) = wakes();
        for number in 0..MODELS + 2 {
            let name = format!("m{number}");
            wakes.woken(&key(&name), &name, ms(0));
            wakes.pods(&Event::Apply(pod(&name, &["Ready"])), ms(40));
        }
        shows(
            &registry,
            "cold_start_seconds_count{project=\"_other\",model=\"_other\",phase=\"total\"} 2",
        );
    }
}
