//! What the gateway under measurement knows: models and callers in a few words, and the table that they make.
//!
//! Pure. Written by the figures, read by `bin/bench-gateway.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aimass_gateway::table::live::{EndpointLive, RevisionLive};
use aimass_gateway::table::{
    Access, Capacity, Deployment, Endpoint, EndpointState, Key, Picks, Plan, Rate, Retry, Revision,
    RevisionState, Table, Unready,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::connection::post_bytes;

/// The namespace of all models and keys.
const NAMESPACE: &str = "bench";
/// Why a model without pods has none: no caller waits for such a model.
const NO_PODS: &str = "ModelLoadFailed";

/// All that the gateway knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// What can be asked.
    pub models: Vec<Model>,
    /// Who may ask; each may ask every model.
    pub callers: Vec<Caller>,
}

/// A model with one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// In addresses.
    pub name: String,
    /// Who answers; without any the model could not be loaded, and every request is refused with 503.
    pub pods: Vec<SocketAddr>,
}

/// Somebody with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The id in the key: 12 letters or digits.
    pub id: String,
    /// What the caller may do; absent: everything.
    pub limits: Option<Limits>,
}

/// A plan of one rate and of requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests a second; as many may come at once after a pause.
    pub per_second: u64,
    /// Requests in flight.
    pub in_flight: u32,
}

impl Site {
    /// One model, `iris`.
    #[must_use]
    pub fn of(pod: SocketAddr, callers: &[&Caller]) -> Self {
        Self {
            models: vec![Model {
                name: "iris".to_owned(),
                pods: vec![pod],
            }],
            callers: callers.iter().copied().cloned().collect(),
        }
    }

    /// As the gateway knows it.
    #[must_use]
    pub fn table(&self) -> Table {
        let Self { models, callers } = self;
        let mut table = Table {
            version: 1,
            ..Table::default()
        };
        let served = models.iter().map(Model::deployment);
        let served = served.map(|model| (Arc::clone(&model.served_name), Arc::new(model)));
        table.models.insert(NAMESPACE.into(), served.collect());
        for caller in callers {
            let id: Arc<str> = caller.id.as_str().into();
            if let Some(limits) = caller.limits {
                let plan = Arc::new(limits.plan());
                table.plans.insert(Arc::clone(&id), plan);
            }
            table.keys.insert(id, Arc::new(caller.key()));
        }
        table
    }
}

impl Model {
    fn deployment(&self) -> Deployment {
        let Self { name, pods } = self;
        let live = Arc::<RevisionLive>::default();
        let endpoint = |address: &SocketAddr| {
            Arc::new(Endpoint {
                address: *address,
                state: EndpointState::Ready,
                found: AtomicBool::new(false),
                live: Arc::new(EndpointLive::of(&live)),
            })
        };
        let endpoints = pods.iter().map(endpoint).collect();
        let revision = Revision {
            name: "aaaaaaaa".into(),
            number: 1,
            weight: 100,
            state: RevisionState::Ready,
            endpoints,
            live,
        };
        Deployment {
            uid: format!("uid-{name}").into(),
            namespace: NAMESPACE.into(),
            name: name.as_str().into(),
            served_name: name.as_str().into(),
            access: Access::default(),
            request_timeout: Duration::from_secs(30),
            max_request_bytes: 16 << 20,
            retry: Retry::Unsent,
            // What a pod does with many at once is its own to show.
            capacity: Capacity {
                per_pod: 10_000,
                waiting: 100,
                waiting_bytes: 64 << 20,
                wait: Duration::from_secs(30),
            },
            unready: pods.is_empty().then(|| Unready {
                reason: NO_PODS.into(),
                decided: true,
            }),
            stable: Some(1),
            target: Some(1),
            traffic_version: 1,
            picks: Picks::lay_out(&[100]),
            revisions: vec![revision],
            live: Arc::default(),
        }
    }
}

impl Caller {
    /// With these limits.
    #[must_use]
    pub fn limited(id: &str, limits: Limits) -> Self {
        Self {
            id: id.to_owned(),
            limits: Some(limits),
        }
    }

    /// The whole key. It is no secret: nobody but this machine knows the gateway.
    #[must_use]
    pub fn token(&self) -> String {
        token(&self.id)
    }

    /// A prediction of `model`, as a whole request, kept alive.
    #[must_use]
    pub fn request(&self, model: &str, body: &str) -> Vec<u8> {
        request(&self.token(), model, body)
    }

    /// The same with a secret that is wrong.
    #[must_use]
    pub fn request_with_wrong_secret(&self, model: &str, body: &str) -> Vec<u8> {
        let wrong = format!("aim_{}_{}", self.id, "w".repeat(43));
        request(&wrong, model, body)
    }

    fn key(&self) -> Key {
        let id: Arc<str> = self.id.as_str().into();
        Key {
            plan: self.limits.map(|_| Arc::clone(&id)),
            ..key(id)
        }
    }
}

impl Limits {
    fn plan(self) -> Plan {
        let Self {
            per_second,
            in_flight,
        } = self;
        Plan {
            rates: vec![Rate {
                name: "per-second".into(),
                requests: per_second,
                window: Duration::from_secs(1),
                burst: per_second,
            }],
            concurrency: Some(in_flight),
            shadow: false,
        }
    }
}

/// The key with this id, without limits.
#[must_use]
pub fn key(id: Arc<str>) -> Key {
    Key {
        uid: Arc::clone(&id),
        namespace: NAMESPACE.into(),
        sha256: Sha256::digest(token(&id).as_bytes()).into(),
        name: id,
        models: vec!["*".into()],
        plan: None,
        not_after: None,
        disabled: false,
        allowed: Vec::new(),
        used: AtomicBool::new(false),
    }
}

/// The token of that key.
#[must_use]
pub fn token(id: &str) -> String {
    format!("aim_{id}_{}", "s".repeat(43))
}

fn request(token: &str, model: &str, body: &str) -> Vec<u8> {
    let authorization = format!("authorization: Bearer {token}");
    let headers = ["content-type: application/json", &authorization];
    post_bytes(
        &format!("/v1/models/{model}:predict"),
        &headers,
        body.as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_survives_the_command_line() {
        let limits = Limits {
            per_second: 10,
            in_flight: 2,
        };
        let caller = Caller::limited("abcDEF123456", limits);
        let site = Site::of(([127, 0, 0, 1], 80).into(), &[&caller]);
        let text = serde_json::to_string(&site).unwrap();
        assert_eq!(serde_json::from_str::<Site>(&text).unwrap(), site);
    }

    #[test]
    fn a_table_has_the_models_the_keys_and_the_plans() {
        let limits = Limits {
            per_second: 10,
            in_flight: 2,
        };
        let (limited, free) = (Caller::limited("abcDEF123456", limits), "abcDEF123457");
        let free = Caller {
            id: free.to_owned(),
            limits: None,
        };
        let mut site = Site::of(([127, 0, 0, 1], 80).into(), &[&limited, &free]);
        site.models.push(Model {
            name: "broken".to_owned(),
            pods: Vec::new(),
        });
        let table = site.table();
        assert_eq!(table.models["bench"].len(), 2);
        assert_eq!(table.models["bench"]["iris"].unready, None);
        assert!(table.models["bench"]["broken"].unready.is_some());
        assert_eq!(table.plans["abcDEF123456"].concurrency, Some(2));
        assert_eq!(
            table.keys["abcDEF123456"].plan.as_deref(),
            Some("abcDEF123456")
        );
        assert_eq!(table.keys["abcDEF123457"].plan, None);
    }
}
