//! What a change in a large cluster costs, in this process: the table after one of very many models has another pod.

use std::time::Instant;

use aimass_crds::ModelDeployment;
use aimass_crds::labels::{DEPLOYMENT, REVISION};
use aimass_gateway::table::Table;
use aimass_gateway::table::build::store::{Event, Name, Seen};
use aimass_gateway::table::build::{Change, Objects, cut};
use anyhow::ensure;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::Setting;
use crate::{Row, median};

const MODELS: usize = 10_000;
const NAMESPACES: usize = 100;
/// Changes that are measured, each to another model.
const CHANGES: usize = 100;
/// No neighbours in any order: 10,000 has no factor in common with it.
const STRIDE: usize = 7_919;
const GOAL_MS: f64 = 2.0;

/// The figure.
///
/// # Errors
/// The gateway does not obey an object.
pub(super) fn figures(_: &Setting) -> anyhow::Result<Vec<Row>> {
    let mut cluster = Cluster::of(MODELS)?;
    let begun = Instant::now();
    let mut table = cluster.build(&Table::default())?;
    let first = milliseconds(begun);
    let (mut built, mut dropped) = (vec![], vec![]);
    for change in 0..CHANGES {
        let change = slice(change * STRIDE % MODELS, 3, 2)?;
        let begun = Instant::now();
        cluster.apply(change)?;
        let next = cluster.build(&table)?;
        built.push(milliseconds(begun));
        let begun = Instant::now();
        table = next;
        dropped.push(milliseconds(begun));
    }
    let slowest = built.iter().copied().fold(0.0, f64::max);
    let row = Row::at_most("gateway/table/one-changed", median(built), "ms", GOAL_MS);
    Ok(vec![row.against(format!(
        "of {MODELS}; slowest of {CHANGES}: {slowest:.2} ms; then {:.2} ms to drop the table before; the first table took {first:.0} ms",
        median(dropped)
    ))])
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// All that is known of a cluster, as the gateway keeps it.
struct Cluster(Objects);

impl Cluster {
    /// So many models with two pods each.
    fn of(models: usize) -> anyhow::Result<Self> {
        let mut cluster = Self(Objects::default());
        for index in 0..models {
            cluster.apply(model(index)?)?;
            cluster.apply(slice(index, 2, 1)?)?;
        }
        Ok(cluster)
    }

    fn apply(&mut self, change: Change) -> anyhow::Result<()> {
        let nacks = self.0.apply(&None, change);
        ensure!(nacks.is_empty(), "an object is not obeyed: {nacks:?}");
        Ok(())
    }

    fn build(&mut self, previous: &Table) -> anyhow::Result<Table> {
        let (table, nacks) = self.0.build(previous);
        ensure!(nacks.is_empty(), "an object is not obeyed: {nacks:?}");
        Ok(table)
    }
}

fn model(index: usize) -> anyhow::Result<Change> {
    let (namespace, name) = place(index);
    let revision = json!({
        "name": "aaaaaaaa", "number": 1, "role": "Stable", "model": "m", "replicas": 2, "readyReplicas": 2,
        "reason": "Ready",
    });
    let object: ModelDeployment = serde_json::from_value(json!({
        "apiVersion": "aimass.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": metadata(&namespace, &name, &Value::Null),
        "spec": {"model": {"source": {"configMap": {"name": "c"}}}},
        "status": {"stable": {"revision": "aaaaaaaa", "number": 1}, "revisions": [revision]},
    }))?;
    let value = cut::model(&object, &mut Vec::new());
    Ok(Change::Model(seen(&namespace, &name, 1, value)))
}

/// The slice of that model with so many pods.
fn slice(index: usize, pods: usize, version: u64) -> anyhow::Result<Change> {
    let (namespace, name) = place(index);
    let labels = json!({DEPLOYMENT: name, REVISION: "aaaaaaaa"});
    let endpoint = |pod: usize| {
        // Another address for each pod of the cluster.
        let number = index * 8 + pod;
        let (high, middle, low) = (number >> 16, (number >> 8) & 255, number & 255);
        let address = format!("10.{high}.{middle}.{low}");
        json!({"addresses": [address], "conditions": {"ready": true}})
    };
    let endpoints: Vec<Value> = (0..pods).map(endpoint).collect();
    let object: EndpointSlice = serde_json::from_value(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(&namespace, &name, &labels),
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    }))?;
    let value = cut::slice(&object, &mut Vec::new());
    Ok(Change::Slice(seen(&namespace, &name, version, value)))
}

fn place(index: usize) -> (String, String) {
    let namespace = format!("team-{}", index % NAMESPACES);
    (namespace, format!("model-{index}"))
}

fn metadata(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({
        "namespace": namespace, "name": name, "uid": format!("uid-{name}"),
        "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels,
    })
}

fn seen<V>(namespace: &str, name: &str, version: u64, value: cut::Cut<V>) -> Event<V> {
    Event::Apply(Seen {
        name: Name {
            namespace: namespace.into(),
            name: name.into(),
        },
        uid: format!("uid-{name}").into(),
        version,
        value,
        notes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reaches_the_table() {
        let mut cluster = Cluster::of(3).unwrap();
        let before = cluster.build(&Table::default()).unwrap();
        cluster.apply(slice(1, 3, 2).unwrap()).unwrap();
        let after = cluster.build(&before).unwrap();
        let pods = |table: &Table, index: usize| {
            let (namespace, name) = place(index);
            let model = &table.models[namespace.as_str()][name.as_str()];
            model.revisions[0].endpoints.len()
        };
        assert_eq!((pods(&before, 1), pods(&after, 1)), (2, 3));
        assert_eq!((pods(&before, 2), pods(&after, 2)), (2, 2));
    }
}
