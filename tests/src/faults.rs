//! A layer under a Kubernetes client that breaks calls and watches by plan, and records them.
//!
//! Set outermost where the operator's client is built; the operator's own code is the shipped code.
//! Without kube's default retry one call is one request is one point. The layer never reads or
//! changes what a call carries but its name; the API server behind it is real.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::BoxError;

pub mod plan;
pub mod point;
pub mod record;
mod service;
pub mod view;

use plan::{Plan, Strike};
use point::{Call, Names, Verb};
use record::{MAX_RECORDS, Record, Seen};
pub use service::{Faulty, PANIC};
use view::{Blow, Flow, Orders, View};

/// What a client behind the layer gets back.
pub type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The faults of one workload: what shall happen, and the record of what happened. Clones share
/// both; [`Faults::reborn`] also does, for the next process after a crash.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
    life: Arc<watch::Sender<bool>>,
}

struct Shared {
    state: Mutex<State>,
    orders: watch::Sender<Orders>,
}

#[derive(Default)]
struct State {
    plan: Plan,
    names: Names,
    /// Lists of a kind that are answered as of an older resource version.
    stale: BTreeMap<String, String>,
    records: Vec<Record>,
    seen: Vec<Seen>,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(Plan::default())
    }
}

impl Faults {
    /// Faults by `plan`; an empty plan only records.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let state = State {
            plan,
            ..State::default()
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                orders: watch::Sender::new(Orders::default()),
            }),
            life: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Takes over another plan from here on; ordinals start anew, what was recorded stays.
    pub fn arm(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = plan;
        state.names.restart();
    }

    /// The faults of the plan that no call has met yet.
    #[must_use]
    pub fn not_met(&self) -> Vec<String> {
        self.state()
            .plan
            .faults
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// The same faults and record for the process that comes after this one.
    #[must_use]
    pub fn reborn(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            life: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Ends the process as a crash does: no call returns any more.
    pub fn kill(&self) {
        self.life.send_replace(true);
    }

    /// Whether the process has died by its plan.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        *self.life.borrow()
    }

    /// Returns when the process has died by its plan.
    pub async fn death(&self) {
        let mut life = self.life.subscribe();
        if life.wait_for(|dead| *dead).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// How watches of `kind` (plural, or `*`) flow from now on.
    pub fn flow(&self, kind: &str, flow: Flow) {
        self.shared.orders.send_modify(|orders| {
            orders.flows.insert(kind.to_owned(), flow);
        });
    }

    /// Hits the open watches of `kind` (plural, or `*`) once.
    pub fn blow(&self, kind: &str, blow: Blow) {
        self.shared.orders.send_modify(|orders| {
            orders.blows.push((kind.to_owned(), blow));
        });
    }

    /// The client's view of `kind` goes back to `resource_version` and stays there until
    /// [`Faults::fresh`]: its watches end with 410, lists are answered as of then (from the real
    /// history), events are held. A GET stays live.
    pub fn stale(&self, kind: &str, resource_version: &str) {
        let version = resource_version.to_owned();
        self.state().stale.insert(kind.to_owned(), version);
        self.flow(kind, Flow::Hold);
        self.blow(kind, Blow::Gone);
    }

    /// Ends every [`Faults::stale`] and [`Faults::flow`].
    pub fn fresh(&self) {
        self.state().stale.clear();
        self.shared
            .orders
            .send_modify(|orders| orders.flows.clear());
    }

    /// Everything that was called so far, in order.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.state().records.clone()
    }

    /// The calls so far that change something, in order, without the Events.
    #[must_use]
    pub fn writes(&self) -> Vec<Record> {
        let mut records = self.records();
        records.retain(|r| r.verb.writes() && r.kind != "events" && r.kind != "leases");
        records
    }

    /// Every watch event that reached the client, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// When the last call was made that changes something (Leases aside).
    #[must_use]
    pub fn last_write(&self) -> Option<Instant> {
        self.state()
            .records
            .iter()
            .rev()
            .find(|r| r.verb.writes() && r.kind != "leases")
            .map(|r| r.at)
    }

    /// The revision hashes in the calls so far, oldest first.
    #[must_use]
    pub fn hashes(&self) -> Vec<String> {
        self.state().names.hashes().to_vec()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.shared
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Names the call, records it, decides what happens to it.
    fn judge(&self, call: &Call) -> (usize, Strike) {
        let mut state = self.state();
        let point = state.names.point(call);
        let strike = state.plan.strike(&point, call.verb == Verb::Watch);
        let number = state.records.len();
        if number < MAX_RECORDS {
            state.records.push(Record {
                point,
                verb: call.verb,
                kind: call.kind.clone(),
                query: call.query.clone(),
                at: Instant::now(),
                status: None,
                audit_id: None,
                took: None,
                struck: (strike != Strike::None).then(|| format!("{strike:?}")),
            });
        }
        (number, strike)
    }

    fn answered<B>(&self, number: usize, response: &Response<B>) {
        if let Some(record) = self.state().records.get_mut(number) {
            record.status = Some(response.status().as_u16());
            record.took = Some(record.at.elapsed());
            record.audit_id = response
                .headers()
                .get("audit-id")
                .and_then(|id| id.to_str().ok())
                .map(str::to_owned);
        }
    }

    fn view<B>(&self, call: &Call, response: Response<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = response.into_parts();
        if call.verb != Verb::Watch || !head.status.is_success() {
            let body = body.map_err(Into::into).boxed_unsync();
            return Response::from_parts(head, body);
        }
        let recorder = self.clone();
        let seen = move |event| {
            let mut state = recorder.state();
            if state.seen.len() < MAX_RECORDS {
                state.seen.push(event);
            }
        };
        let orders = self.shared.orders.subscribe();
        let lines = View::new(body, call.kind.clone(), orders, seen).stream();
        let body = StreamBody::new(lines).boxed_unsync();
        Response::from_parts(head, body)
    }

    fn rewrite(&self, call: &Call, uri: &Uri) -> Option<Uri> {
        let state = self.state();
        let version = state.stale.get(&call.kind)?;
        if call.verb != Verb::List || call.query.contains("continue=") {
            return None;
        }
        let kept = call
            .query
            .split('&')
            .filter(|p| !p.is_empty() && !p.starts_with("resourceVersion"));
        let query: Vec<&str> = kept.collect();
        let path = uri.path();
        let query = query.join("&");
        format!("{path}?{query}&resourceVersion={version}&resourceVersionMatch=Exact")
            .parse()
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, Request};
    use http_body_util::Full;
    use kube::client::Body;
    use tower::{Layer as _, Service, ServiceExt as _};

    use super::*;

    fn api_server() -> impl Service<
        Request<Body>,
        Response = Response<Full<Bytes>>,
        Error = BoxError,
        Future = impl Send + 'static,
    > {
        tower::service_fn(|request: Request<Body>| async move {
            let mut response = Response::new(Full::new(Bytes::from(request.uri().to_string())));
            let id = HeaderValue::from_static("audit-1");
            response.headers_mut().insert("audit-id", id);
            Ok::<_, BoxError>(response)
        })
    }

    fn request(method: &str, uri: &str) -> Request<Body> {
        let request = Request::builder().method(method).uri(uri);
        request.body(Body::empty()).unwrap()
    }

    async fn call(faults: &Faults, method: &str, uri: &str) -> Result<Answer, BoxError> {
        faults
            .layer(api_server())
            .oneshot(request(method, uri))
            .await
    }

    const POD: &str = "/api/v1/namespaces/n/pods/a";

    async fn parks(faults: &Faults) -> bool {
        let late = Duration::from_secs(3600);
        tokio::time::timeout(late, call(faults, "GET", POD))
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_before_never_reaches_the_api_server_and_parks_all_further_calls() {
        let faults = Faults::new(Plan::one("delete pods/a #1 before".parse().unwrap()));
        let late = Duration::from_secs(3600);
        let waited = tokio::time::timeout(late, call(&faults, "DELETE", POD)).await;
        assert!(waited.is_err());
        assert!(faults.is_dead());
        assert!(parks(&faults).await);
        assert_eq!(faults.records()[0].status, None);
        assert!(call(&faults.reborn(), "DELETE", POD).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_after_reaches_the_api_server() {
        let faults = Faults::new(Plan::one("delete pods/a #1 after".parse().unwrap()));
        let late = Duration::from_secs(3600);
        let waited = tokio::time::timeout(late, call(&faults, "DELETE", POD)).await;
        assert!(waited.is_err());
        assert_eq!(faults.records()[0].status, Some(200));
        assert_eq!(faults.records()[0].audit_id.as_deref(), Some("audit-1"));
        assert!(parks(&faults).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_a_broken_connection_once() {
        let faults = Faults::new(Plan::one("delete pods/a #1 lost".parse().unwrap()));
        assert!(call(&faults, "DELETE", POD).await.is_err());
        assert!(call(&faults, "DELETE", POD).await.is_ok());
        assert_eq!(faults.records()[0].status, Some(200));
        assert!(faults.not_met().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_has_the_form_of_the_api_servers() {
        let faults = Faults::new(Plan::one("get pods/a #1 refused:429:3".parse().unwrap()));
        let answer = call(&faults, "GET", POD).await.unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "3");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status["reason"], "TooManyRequests");
        assert_eq!(faults.records()[0].status, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_kind_is_listed_from_history() {
        let faults = Faults::default();
        faults.stale("pods", "17");
        let uri = "/api/v1/pods?limit=5&resourceVersion=0";
        let answer = call(&faults, "GET", uri).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let expect = "/api/v1/pods?limit=5&resourceVersion=17&resourceVersionMatch=Exact";
        assert_eq!(body, expect);
    }
}
