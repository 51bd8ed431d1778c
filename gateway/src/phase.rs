//! The phases of a request, in their order: route, authenticate, permit, admit, choose, wait, forward, record.
//!
//! One request is one call of [`answer`], from its head to the head of its answer; [`record`] follows it to the last byte, and
//! sees to it that it is counted once, whatever becomes of it. All phases but the last three are pure: what they need to know they
//! are told here. `choose` is asked by `wait`, which may have to wait for a pod, and by `forward` for a second attempt. Else only
//! callers with tokens wait, in `tokens`: the table does not say who they are; and `admit` may have to ask another gateway, for
//! milliseconds. A call of gRPC takes the same way; only that its model stands in its `message`, which is looked into after `route`.

pub mod admit;
pub mod authenticate;
pub mod choose;
pub mod forward;
mod grpc;
mod message;
mod own;
pub mod permit;
pub mod record;
mod refusal;
pub mod route;
mod tokens;
pub mod wait;
pub(crate) mod websocket;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use aimass_protocol::Error;
use axum::body::Body;
use axum::extract::State as Extracted;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Request, Response};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use self::admit::{Admission, Ticket};
use self::authenticate::Caller;
use self::forward::{Answered, Deadline, Order};
use self::grpc::Wire;
use self::permit::Bound;
use self::record::Record;
use self::refusal::Refusal;
use self::route::{Call, Head, Own, Target};
use self::wait::Search;
use crate::app::State;
use crate::jwt::Jwt;
use crate::table::Table;
use crate::{key, limit};

/// Answers every request.
pub async fn answer(Extracted(state): Extracted<State>, request: Request<Body>) -> Response<Body> {
    let mut record = Record::begin(&state, &request);
    let (parts, body) = request.into_parts();
    let (head, mut body) = (Request::from_parts(parts, ()), Some(body));
    // A panic ends this request alone.
    let served = AssertUnwindSafe(serve(&state, &head, &mut body, &mut record)).catch_unwind();
    let served = match state.aborted().run_until_cancelled(served).await {
        Some(Ok(served)) => served,
        Some(Err(_panic)) => Err(Error::internal(record.id()).into()),
        None => Err(Error::draining().into()),
    };
    match served {
        Ok(Served::Answered(answered)) => record.stream(answered),
        Ok(Served::Upgraded(headers)) => record.upgrade(headers),
        Ok(Served::Itself(document)) => {
            forward::drain(&head, body).await;
            record.itself(document)
        }
        Err(refusal) => {
            forward::drain(&head, body).await;
            record.refuse(refusal)
        }
    }
}

/// How a request goes on.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every request is of the large one"
)]
enum Served {
    /// With the body of a pod's answer.
    Answered(Answered),
    /// As a WebSocket, after an answer with these headers.
    Upgraded(HeaderMap),
    /// It is answered here, with this document.
    Itself(Vec<u8>),
}

async fn serve(
    state: &State,
    head: &Request<()>,
    body: &mut Option<Body>,
    record: &mut Record,
) -> Result<Served, Refusal> {
    if state.table().version == 0 {
        return Err(Refusal::starting());
    }
    let routed = route(state, head, body, record).await?;
    // Only now: a message may have been waited for, and keys may have been revoked meanwhile.
    let table = state.table();
    let mut case = Case {
        state,
        table,
        head,
        record,
    };
    let Asked { target, bytes } = match routed {
        Routed::Model(asked) => asked,
        Routed::Gateway(own) => return case.answer_itself(&own).await.map(Served::Itself),
    };
    let mut caller = case.authenticate(&target.model).await?;
    let bound = case.permit(&target, &mut caller).await?;
    if let Call::WebSocket(dialect) = target.call {
        // Only its messages count.
        let id = case.record.id();
        let upgraded = websocket::upgrade(state, head, body, dialect, id);
        return upgraded.map(Served::Upgraded);
    }
    let ticket = case.admit(&bound, &caller, bytes).await?;
    if let Some(document) = own::asleep(&bound, target.call) {
        return Ok(Served::Itself(document));
    }
    let Case { table, record, .. } = case;
    let (wire, most) = (record.wire(), bound.deployment.request_timeout);
    let deadline = Deadline::of(wire, head.headers(), record.begun(), most)?;
    let search = Search {
        state,
        head,
        target: &target,
        caller: &caller,
        deadline,
        bytes,
    };
    let (bound, placed) = search.place(table, bound, record).await?;
    let order = Order {
        bound,
        placed,
        ticket,
        caller,
        head,
        body,
        deadline,
    };
    // Its future is large: it holds both sides of a request.
    let answered = Box::pin(forward::forward(state, order, record)).await;
    answered.map(Served::Answered)
}

/// Whom a request is for.
enum Routed {
    Model(Asked),
    Gateway(Own),
}

/// What a request is about, and how many bytes it says to have.
struct Asked {
    target: Target,
    bytes: Option<u64>,
}

async fn route(
    state: &State,
    request: &Request<()>,
    body: &mut Option<Body>,
    record: &mut Record,
) -> Result<Routed, Refusal> {
    let (address, now) = (record.origin().address, Instant::now().into_std());
    let stranger = state.strangers().request(address, now);
    stranger.map_err(|refused| limited(state, refused))?;
    let head = Head::of(request);
    if route::is_misdirected(head.host, record.server_name()) {
        return Err(Refusal::misdirected());
    }
    let headers = request.headers();
    match record.wire() {
        Wire::Plain => {
            if let Some(own) = route::own(&head, state.addresses()) {
                return Ok(Routed::Gateway(own));
            }
            let target = route::parse(&head, state.addresses()).map_err(|error| {
                let allowed = route::allowed_methods(head.path);
                Refusal::from(error).with_allow(allowed)
            })?;
            record.asks(target.call);
            let declared = headers.get(CONTENT_LENGTH);
            let bytes = declared.and_then(|length| length.to_str().ok()?.parse().ok());
            Ok(Routed::Model(Asked { target, bytes }))
        }
        Wire::Grpc => {
            let call = route::parse_call(&head, headers, state.addresses())?;
            record.asks(Call::Rpc(call.rpc));
            let message = message::open(headers, body).await?;
            Ok(Routed::Model(Asked {
                target: call.about(&message.model, &message.version)?,
                bytes: Some(message.bytes),
            }))
        }
    }
}

fn limited(state: &State, limited: limit::Refusal) -> Refusal {
    state.metrics().limited(&limited.policy, "reject");
    limited.into()
}

/// A request, the table that decides it, and what is noted of it.
struct Case<'a> {
    state: &'a State,
    /// Another one after a wait.
    table: Arc<Table>,
    head: &'a Request<()>,
    record: &'a mut Record,
}

impl Case<'_> {
    /// Who calls, and wants `model`.
    async fn authenticate(&mut self, model: &str) -> Result<Caller, Refusal> {
        let (address, head) = (self.record.origin().address, self.head);
        let credential = key::credential(head.headers());
        if let (Ok(Some(text)), Some(reviews)) = (&credential, self.state.reviews())
            && let Some(jwt) = Jwt::parse(text)
        {
            return self.review(reviews, jwt, model).await;
        }
        let now = aimass_chassis::clock::now();
        let identify = |credential| authenticate::identify(&self.table, credential, address, now);
        match credential.and_then(identify) {
            Ok(caller) => Ok(self.known(caller.kind(), caller)),
            Err(error) => Err(self.unknown("key", error)),
        }
    }

    fn known(&mut self, method: &'static str, caller: Caller) -> Caller {
        self.state.metrics().authenticated(method, "known");
        caller.note_use();
        self.record.called_by(&caller);
        caller
    }

    /// Whoever shows what is wrong is told so a few times.
    fn unknown(&self, method: &'static str, error: Error) -> Refusal {
        self.state.metrics().authenticated(method, "refused");
        let (address, now) = (self.record.origin().address, Instant::now().into_std());
        match self.state.strangers().failure(address, now) {
            Ok(()) => error.into(),
            Err(refused) => limited(self.state, refused),
        }
    }

    async fn permit(&mut self, target: &Target, caller: &mut Caller) -> Result<Bound, Refusal> {
        self.ask(target, caller).await?;
        let address = self.record.origin().address;
        let bound = permit::bind(&self.table, target, caller, address)?;
        self.record.about(&bound.deployment);
        Ok(bound)
    }

    /// Keeps the table while another gateway is asked: that is over in milliseconds, other than a review.
    async fn admit(
        &mut self,
        bound: &Bound,
        caller: &Caller,
        bytes: Option<u64>,
    ) -> Result<Ticket, Refusal> {
        admit::declared_length(&bound.deployment, bytes)?;
        let default = self.state.settings().default_plan.as_deref();
        let address = self.record.origin().address;
        let policies = admit::policies(&self.table, caller, address, default);
        match admit::admit(self.state.limits(), self.state.links(), &policies).await {
            Admission::Admitted(ticket) => {
                for policy in &ticket.shadowed {
                    self.state.metrics().limited(policy, "shadow");
                }
                self.record.admitted(ticket.headers());
                Ok(ticket)
            }
            Admission::Refused(refused) => Err(limited(self.state, refused)),
        }
    }
}
