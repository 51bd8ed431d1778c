//! What the operator counts; one registry per context, so that several run in one process.
//!
//! Pure counting: no client, no clock. Labels are closed sets: verbs, status codes, reasons, plural
//! names of kinds. Written by `run`, `liveness`, `watch` and `signals`.

use std::time::Duration;

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// From 1 ms (nothing to do) to the reconcile's deadline.
const SECONDS: [f64; 12] = [
    0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 40.0, 60.0,
];

/// All figures of the operator.
#[derive(Clone)]
pub(crate) struct Metrics {
    reconciles: Family<Outcome, Counter>,
    reconcile: Histogram,
    requests: Family<Request, Counter>,
    watch_errors: Family<Kind, Counter>,
    objects: Family<Kind, Gauge>,
    leader: Gauge,
    signals_broken: Family<Why, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    kind: String,
    /// `Applied`, or the reason of the failure.
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    /// HTTP status; 0: no answer.
    code: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("aimass_operator");
        let metrics = Self {
            reconciles: Family::default(),
            reconcile: Histogram::new(SECONDS),
            requests: Family::default(),
            watch_errors: Family::default(),
            objects: Family::default(),
            leader: Gauge::default(),
            signals_broken: Family::default(),
        };
        let Self {
            reconciles,
            reconcile,
            requests,
            watch_errors,
            objects,
            leader,
            signals_broken,
        } = &metrics;
        registry.register(
            "reconciles",
            "Reconciles by kind and outcome",
            reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "How long a reconcile took",
            Unit::Seconds,
            reconcile.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the API server",
            requests.clone(),
        );
        registry.register(
            "watch_errors",
            "Errors of watches, by kind",
            watch_errors.clone(),
        );
        registry.register(
            "cached_objects",
            "Objects in the caches, by kind",
            objects.clone(),
        );
        registry.register("leader", "1 while this instance leads", leader.clone());
        registry.register(
            "signals_broken",
            "Connections to gateways that ended before their time, by what was wrong",
            signals_broken.clone(),
        );
        let help = "Background tasks that panicked";
        registry.register("task_panics", help, aimass_chassis::tasks::panics());
        metrics
    }

    /// A reconcile of an object of `kind` ended: `Applied`, or with the reason of its failure.
    pub(crate) fn reconciled(&self, kind: &str, reason: &str, took: Duration) {
        let outcome = Outcome {
            kind: kind.to_owned(),
            reason: reason.to_owned(),
        };
        self.reconciles.get_or_create(&outcome).inc();
        self.reconcile.observe(took.as_secs_f64());
    }

    pub(crate) fn requested(&self, method: &Method, code: u16) {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        self.requests
            .get_or_create(&Request {
                method,
                code: code.into(),
            })
            .inc();
    }

    pub(crate) fn watch_failed(&self, kind: &str) {
        self.watch_errors
            .get_or_create(&Kind {
                kind: kind.to_owned(),
            })
            .inc();
    }

    pub(crate) fn cached(&self, kind: &str, objects: usize) {
        let objects = i64::try_from(objects).unwrap_or(i64::MAX);
        self.objects
            .get_or_create(&Kind {
                kind: kind.to_owned(),
            })
            .set(objects);
    }

    /// A connection to a gateway ended before its time.
    pub(crate) fn signals_broken(&self, reason: &'static str) {
        self.signals_broken.get_or_create(&Why { reason }).inc();
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_rendered_under_its_name() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        metrics.reconciled("APIKey", "Applied", Duration::from_millis(2));
        metrics.requested(&Method::PATCH, 200);
        metrics.watch_failed("pods");
        metrics.cached("pods", 3);
        metrics.leads(true);
        metrics.signals_broken("Gap");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "aimass_operator_reconciles_total{kind=\"APIKey\",reason=\"Applied\"} 1",
            "aimass_operator_reconcile_duration_seconds_bucket{le=\"0.003\"} 1",
            "aimass_operator_api_requests_total{method=\"PATCH\",code=\"200\"} 1",
            "aimass_operator_watch_errors_total{kind=\"pods\"} 1",
            "aimass_operator_cached_objects{kind=\"pods\"} 3",
            "aimass_operator_leader 1",
            "aimass_operator_signals_broken_total{reason=\"Gap\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
