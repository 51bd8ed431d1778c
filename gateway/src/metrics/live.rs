//! What is known at any time: the table and its pods, the certificate, the ages of both.
//!
//! Looked at when the metrics are asked for, so that nothing is left behind of models and revisions that are gone. Registered by
//! `metrics`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aimass_chassis::clock;
use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric as _,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

use super::{MODELS, Model, Word, labels};
use crate::limit::Limits;
use crate::table::build::Kind;
use crate::table::live::health::Standing;
use crate::table::{Revision, Table};
use crate::tls::Certificate;

/// What is looked at.
#[derive(Debug)]
pub struct Watched {
    /// The table that requests are answered by.
    pub table: Arc<ArcSwap<Table>>,
    /// What callers have used.
    pub limits: Limits,
    /// The certificate of HTTPS, if there is HTTPS.
    pub certificate: Option<Arc<Certificate>>,
    /// When the table was swapped, in milliseconds since boot; 0: never.
    swapped: AtomicU64,
    /// When each kind was heard of, likewise.
    heard: [AtomicU64; Kind::ALL.len()],
}

impl Watched {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(
        table: Arc<ArcSwap<Table>>,
        limits: Limits,
        certificate: Option<Arc<Certificate>>,
    ) -> Self {
        Self {
            table,
            limits,
            certificate,
            swapped: AtomicU64::new(0),
            heard: Default::default(),
        }
    }

    pub(super) fn swapped(&self) {
        self.swapped.store(now(), Ordering::Relaxed);
    }

    pub(super) fn heard_of(&self, kind: Kind) {
        if let Some(heard) = self.heard_at(kind) {
            heard.store(now(), Ordering::Relaxed);
        }
    }

    fn heard_at(&self, kind: Kind) -> Option<&AtomicU64> {
        let mut kinds = Kind::ALL.iter().zip(&self.heard);
        kinds.find(|(other, _)| **other == kind).map(|(_, at)| at)
    }
}

fn now() -> u64 {
    u64::try_from(clock::boottime().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since `at`, which [`now`] was; `None` if it never was.
fn age(at: &AtomicU64) -> Option<f64> {
    let at = at.load(Ordering::Relaxed);
    (at > 0).then(|| Duration::from_millis(now().saturating_sub(at)).as_secs_f64())
}

/// The collector.
#[derive(Debug)]
pub(super) struct Live(pub(super) Arc<Watched>);

/// Labels of what is told of each revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRevision {
    project: Arc<str>,
    model: Arc<str>,
    revision: Arc<str>,
}

/// The label of `watch_last_event_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: Word,
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let watched = &*self.0;
        let table = watched.table.load();
        gauge(
            &mut encoder,
            "table_version",
            "Tables so far",
            i64::try_from(table.version).unwrap_or(i64::MAX),
        )?;
        if let Some(age) = age(&watched.swapped) {
            let help = "Since the table was last built";
            gauge(&mut encoder, "table_age_seconds", help, age)?;
        }
        heard(&mut encoder, watched)?;
        let help = "Requests that pods were given and have not ended";
        per_revision(&mut encoder, &table, ("in_flight", help), in_flight)?;
        let help = "Requests that wait for a pod";
        let waiting = |revision: &Revision| i64::from(revision.live.line.count());
        per_revision(&mut encoder, &table, ("queue_depth", help), waiting)?;
        rerouted(&mut encoder, &table)?;
        let ejected = ejected(&table);
        let help = "Pods that are left out because they failed";
        gauge(&mut encoder, "ejected_endpoints", help, ejected)?;
        let peers = i64::try_from(watched.limits.gateways()).unwrap_or(i64::MAX);
        let help = "Gateways that count limits together, this one included";
        gauge(&mut encoder, "peers", help, peers)?;
        let now = Instant::now().into_std();
        let reachable = i64::try_from(watched.limits.reachable(now)).unwrap_or(i64::MAX);
        let help = "Those of them that answer, this one included";
        gauge(&mut encoder, "peers_reachable", help, reachable)?;
        let help = "Requests whose limits were decided without the gateway that counts them";
        let fallbacks = watched.limits.fallback_total();
        counter(&mut encoder, "limit_fallback", help, fallbacks)?;
        let help = "Requests that passed because there was no room to count them";
        let full = watched.limits.full_total();
        counter(&mut encoder, "limit_buckets_full", help, full)?;
        if let Some(certificate) = &watched.certificate {
            let left = |until: jiff::Timestamp| {
                (until.as_millisecond() - clock::now().as_millisecond()) as f64 / 1e3
            };
            let help = "Until the certificate expires; 0 without one";
            let left = certificate.not_after().map_or(0.0, left);
            gauge(&mut encoder, "tls_certificate_expiry_seconds", help, left)?;
        }
        Ok(())
    }
}

fn gauge<V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: V,
) -> Result<(), fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(metric)
}

fn heard(encoder: &mut DescriptorEncoder<'_>, watched: &Watched) -> Result<(), fmt::Error> {
    let help = "Since the API server last told something of this kind";
    let name = "watch_last_event_seconds";
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for kind in Kind::ALL {
        if let Some(age) = watched.heard_at(kind).and_then(age) {
            let label = OfKind {
                kind: Word(kind.name()),
            };
            ConstGauge::new(age).encode(family.encode_family(&label)?)?;
        }
    }
    Ok(())
}

/// A count of each revision; those beyond the bound all together.
fn per_revision(
    encoder: &mut DescriptorEncoder<'_>,
    table: &Table,
    (name, help): (&str, &str),
    count: impl Fn(&Revision) -> i64,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    let (mut room, mut rest) = (MODELS, 0);
    let deployments = table.models.values().flat_map(|models| models.values());
    for (deployment, revision) in
        deployments.flat_map(|deployment| deployment.revisions.iter().map(move |r| (deployment, r)))
    {
        let count = count(revision);
        if room == 0 {
            rest += count;
            continue;
        }
        room -= 1;
        let labels = OfRevision {
            project: Arc::clone(&deployment.namespace),
            model: Arc::clone(&deployment.served_name),
            revision: Arc::clone(&revision.name),
        };
        ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
    }
    if rest > 0 {
        let other = || Arc::from(labels::OTHER);
        let labels = OfRevision {
            project: other(),
            model: other(),
            revision: other(),
        };
        ConstGauge::new(rest).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Of models beyond the bound, all together.
fn rerouted(encoder: &mut DescriptorEncoder<'_>, table: &Table) -> Result<(), fmt::Error> {
    let help = "Requests that went to another revision because theirs had no pod";
    let mut family = encoder.encode_descriptor("rerouted", help, None, MetricType::Counter)?;
    let (mut room, mut rest) = (MODELS, 0);
    for deployment in table.models.values().flat_map(|models| models.values()) {
        let count = deployment.live.rerouted.load(Ordering::Relaxed);
        if count == 0 {
            continue;
        }
        if room == 0 {
            rest += count;
            continue;
        }
        room -= 1;
        let labels = Model {
            project: Arc::clone(&deployment.namespace),
            model: Arc::clone(&deployment.served_name),
        };
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    if rest > 0 {
        ConstCounter::new(rest).encode(family.encode_family(&labels::other())?)?;
    }
    Ok(())
}

fn in_flight(revision: &Revision) -> i64 {
    let endpoints = revision.endpoints.iter();
    let count = endpoints.map(|e| i64::from(e.live.in_flight.load(Ordering::Relaxed)));
    count.sum()
}

fn ejected(table: &Table) -> i64 {
    let now = Instant::now().into_std();
    let deployments = table.models.values().flat_map(|models| models.values());
    let endpoints = deployments
        .flat_map(|deployment| &deployment.revisions)
        .flat_map(|revision| &revision.endpoints);
    let out = endpoints.filter(|endpoint| match endpoint.live.standing(now) {
        Standing::Out { .. } | Standing::Trial => true,
        Standing::In | Standing::Resting => false,
    });
    i64::try_from(out.count()).unwrap_or(i64::MAX)
}
