//! Which gateways are live: listed in an EndpointSlice of their Service, and serving.
//!
//! Reads only. Started by `watch`, before and independent of leadership: who begins to lead knows whom
//! to read at once. A gateway that ends is live until its endpoint is gone, since it still forwards.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;

use crate::context::Context;
use crate::watch::follow;

/// The Service whose EndpointSlices name the gateways; the chart makes it.
pub(crate) const SERVICE: &str = "aimass-gateway-peers";
/// The name of the port at which gateways tell.
const PORT: &str = "admin";
/// No installation has more; further ones are not read, and not waited for.
const MOST: usize = 256;

/// Gateways by the uid of their pods, and where they tell.
pub(crate) type Live = BTreeMap<Arc<str>, SocketAddr>;

/// The gateways that are live, as the last event has it.
#[derive(Debug)]
pub(crate) struct Endpoints {
    slices: Mutex<Slices>,
    /// `None`: the slices were not listed yet.
    live: watch::Sender<Option<Live>>,
}

#[derive(Debug, Default)]
struct Slices {
    known: BTreeMap<String, Live>,
    /// During a relist: what it brought so far.
    listed: BTreeMap<String, Live>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            slices: Mutex::default(),
            live: watch::Sender::new(None),
        }
    }
}

impl Endpoints {
    /// Those that are live now.
    pub(super) fn live(&self) -> Live {
        self.live.borrow().clone().unwrap_or_default()
    }

    /// From now on tells of each change.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Live>> {
        self.live.subscribe()
    }

    /// Whether they were listed once.
    pub(super) fn is_filled(&self) -> bool {
        self.live.borrow().is_some()
    }

    /// Takes one event of the watch.
    pub(super) fn apply(&self, event: Event<EndpointSlice>) {
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        let Slices { known, listed } = &mut *slices;
        match event {
            Event::Apply(slice) => {
                known.insert(slice.name_any(), serving(&slice));
            }
            Event::Delete(slice) => {
                known.remove(&slice.name_any());
            }
            Event::Init => return listed.clear(),
            Event::InitApply(slice) => {
                listed.insert(slice.name_any(), serving(&slice));
                return;
            }
            Event::InitDone => *known = std::mem::take(listed),
        }
        // One pod may stand in several slices, one for each family of addresses: the first one counts.
        let mut live = Live::new();
        for (uid, address) in known.values().flatten() {
            if live.len() < MOST {
                live.entry(Arc::clone(uid)).or_insert(*address);
            }
        }
        self.live.send_if_modified(|held| {
            let changed = held.as_ref() != Some(&live);
            *held = Some(live);
            changed
        });
    }
}

/// Keeps the context's endpoints true, for ever.
pub(crate) async fn keep(ctx: Arc<Context>, namespace: String) {
    let config =
        watcher::Config::default().labels(&format!("kubernetes.io/service-name={SERVICE}"));
    let open = |ctx: &Context| ctx.stream_in::<EndpointSlice>(&namespace, config.clone());
    follow(&ctx, open, |event| ctx.endpoints.apply(event)).await;
}

/// The gateways of one slice that serve.
fn serving(slice: &EndpointSlice) -> Live {
    let mut ports = slice.ports.iter().flatten();
    let port = ports.find(|port| port.name.as_deref() == Some(PORT));
    let port = port.and_then(|port| u16::try_from(port.port?).ok());
    let Some(port) = port.filter(|port| *port > 0) else {
        return Live::new();
    };
    let endpoints = slice.endpoints.iter().flatten();
    let live = endpoints.filter(|endpoint| serves(endpoint));
    live.filter_map(|endpoint| {
        let uid = endpoint.target_ref.as_ref()?.uid.as_deref()?;
        // Consumers must use the first address alone (discovery.k8s.io/v1, Endpoint.addresses).
        let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
        Some((uid.into(), SocketAddr::new(address, port)))
    })
    .collect()
}

/// Ready, or ending and still answering. What is not said counts as yes (discovery.k8s.io/v1).
fn serves(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    let serving = conditions.and_then(|conditions| conditions.serving);
    let ready = conditions.and_then(|conditions| conditions.ready);
    serving.or(ready).unwrap_or(true)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals are passed")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn endpoint(last: u8, conditions: Value) -> Value {
        json!({
            "addresses": [format!("10.1.0.{last}")], "conditions": conditions,
            "targetRef": {"kind": "Pod", "uid": format!("pod-{last}")},
        })
    }

    fn slice(name: &str, endpoints: &[Value]) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "aimass-system"}, "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 8502}],
            "endpoints": endpoints,
        }))
        .unwrap()
    }

    fn live(endpoints: &Endpoints) -> Vec<String> {
        let live = endpoints.subscribe().borrow().clone().unwrap();
        live.iter().map(|(uid, at)| format!("{uid} {at}")).collect()
    }

    #[test]
    fn live_is_who_is_listed_and_serves() {
        let slice = slice(
            "one",
            &[
                endpoint(
                    1,
                    json!({"ready": true, "serving": true, "terminating": false}),
                ),
                endpoint(
                    2,
                    json!({"ready": false, "serving": false, "terminating": false}),
                ),
                endpoint(
                    3,
                    json!({"ready": false, "serving": true, "terminating": true}),
                ),
                endpoint(
                    4,
                    json!({"ready": false, "serving": false, "terminating": true}),
                ),
                endpoint(5, json!({})),
                endpoint(6, json!({"ready": false})),
                json!({"addresses": ["10.1.0.7"]}),
                json!({"addresses": ["gateway.example"], "targetRef": {"uid": "pod-8"}}),
            ],
        );
        let endpoints = Endpoints::default();
        assert!(!endpoints.is_filled());
        endpoints.apply(Event::Apply(slice));
        let expect = [
            "pod-1 10.1.0.1:8502",
            "pod-3 10.1.0.3:8502",
            "pod-5 10.1.0.5:8502",
        ];
        assert_eq!(live(&endpoints), expect);
    }

    #[test]
    fn a_list_replaces_what_was_known_once_it_is_whole() {
        let endpoints = Endpoints::default();
        endpoints.apply(Event::Apply(slice("one", &[endpoint(1, json!({}))])));
        endpoints.apply(Event::Apply(slice("two", &[endpoint(2, json!({}))])));
        assert_eq!(live(&endpoints).len(), 2);
        endpoints.apply(Event::Init);
        endpoints.apply(Event::InitApply(slice("three", &[endpoint(3, json!({}))])));
        assert_eq!(live(&endpoints).len(), 2);
        endpoints.apply(Event::InitDone);
        assert_eq!(live(&endpoints), ["pod-3 10.1.0.3:8502"]);
        endpoints.apply(Event::Delete(slice("three", &[])));
        assert_eq!(live(&endpoints), [""; 0]);
    }

    #[test]
    fn a_slice_without_the_port_names_nobody() {
        let mut slice = slice("one", &[endpoint(1, json!({}))]);
        slice.ports = None;
        assert_eq!(serving(&slice), Live::new());
    }
}
