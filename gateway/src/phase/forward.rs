//! Phase forward: a request to a pod and the head of its answer back; the body of the answer follows as a [`Reply`].
//!
//! Both bodies are streams, and neither is held up for the other. Called by `phase` when all is decided, the pod too; `choose`
//! says which one has a second attempt. There is at most one more of them, and none once a byte of an answer is out. Whoever drops
//! the future, because the caller went away, ends the request to the pod with it.

mod deadline;
mod head;
mod pods;
mod reply;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use aimass_protocol::{Error, Kind};
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use axum::http::{Method, Request, Response, Uri, Version, response};
use futures_util::StreamExt as _;
use tokio::time::Instant;

pub(super) use self::deadline::Deadline;
pub(super) use self::pods::Arrival;
use self::pods::Failed;
pub use self::pods::Pods;
pub(super) use self::reply::End;
pub use self::reply::Reply;
pub(super) use self::upload::Fault;
use self::upload::Source;
use super::admit::Ticket;
use super::authenticate::Caller;
use super::choose::retry::{Cause, Failure, retry};
use super::choose::{Choice, Placed, Wish, choose};
use super::grpc::{self, Wire};
use super::permit::Bound;
use super::record::Record;
use super::refusal::Refusal;
use super::route::Head;
use crate::app::{State, random};
use crate::headers::{Facts, to_pod};
use crate::table::live::Flight;
use crate::table::live::health::Outcome;

/// Bytes of a refused request's body that are read so that its connection can be used again.
const DRAIN_BYTES: u64 = 64 << 10;
/// And for how long: mostly they are here already.
const DRAIN: Duration = Duration::from_millis(5);

/// The status of an answer that says that time was up.
const GATEWAY_TIMEOUT: u16 = 504;

/// A request that may go to a pod.
pub(super) struct Order<'a> {
    pub(super) bound: Bound,
    pub(super) placed: Placed,
    pub(super) ticket: Ticket,
    pub(super) caller: Caller,
    pub(super) head: &'a Request<()>,
    /// Taken only when there is a pod for it.
    pub(super) body: &'a mut Option<Body>,
    pub(super) deadline: Deadline,
}

/// The head of a pod's answer, and what goes along with its body.
pub(super) struct Answered {
    pub(super) head: response::Parts,
    pub(super) body: Arrival,
    /// What must not end before the answer does.
    pub(super) holds: (Flight, Ticket, Source),
    /// When the first byte of the body must be there.
    pub(super) deadline: Instant,
}

/// Sends a request until there is an answer.
pub(super) async fn forward(
    state: &State,
    order: Order<'_>,
    record: &mut Record,
) -> Result<Answered, Refusal> {
    let Order {
        bound,
        mut placed,
        ticket,
        caller,
        head,
        body,
        deadline,
    } = order;
    let (wire, deployment) = (record.wire(), &bound.deployment);
    let live = &deployment.live;
    live.budget.request(now());
    let source = Source::new(
        body.take().unwrap_or_default(),
        wire.body_limit(deployment.max_request_bytes),
        record.request_bytes(),
        state.pods().room(),
    );
    let attempt = Attempt {
        state,
        bound: &bound,
        caller: &caller,
        wire,
        head,
        source: &source,
        deadline,
    };
    let mut attempts = 1;
    loop {
        let (endpoint, revision) = (Arc::clone(&placed.endpoint), placed.revision.clone());
        let tried = endpoint.address;
        record.attempt(tried);
        let (sent, mut flight) = attempt.send(placed, record).await;
        if let Some(outcome) = attempt.outcome(&sent) {
            if matches!(outcome, Outcome::Failed | Outcome::Draining) {
                endpoint.doubt();
            }
            flight.report(outcome, now(), random());
        }
        let failure = Failure {
            cause: attempt.cause(&sent),
            replayable: source.is_replayable(),
        };
        let again = Wish {
            given: Some(&revision.name),
            tried: Some(tried),
            ..Wish::default()
        };
        // Another pod first: without one, what this one said is the answer.
        if failure.cause != Cause::Answered
            && let Choice::Forward(next) = choose(&bound, &again, &state.draw())
            && retry(&live.budget, attempts, &failure, deployment.retry, now())
        {
            state.metrics().retried();
            record.given(&next.revision, bound.pin);
            (placed, attempts) = (next, attempts + 1);
            continue;
        }
        source.forget();
        let settled = attempt.settle(sent).inspect_err(|_| source.abandon());
        let (head, body) = settled?.into_parts();
        return Ok(Answered {
            head,
            body,
            holds: (flight, ticket, source),
            deadline: deadline.at(),
        });
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// What all attempts of a request share.
struct Attempt<'a> {
    state: &'a State,
    bound: &'a Bound,
    caller: &'a Caller,
    wire: Wire,
    head: &'a Request<()>,
    source: &'a Source,
    deadline: Deadline,
}

impl Attempt<'_> {
    async fn send(
        &self,
        placed: Placed,
        record: &Record,
    ) -> (Result<Response<Arrival>, Failed>, Flight) {
        let Placed {
            endpoint, flight, ..
        } = placed;
        let facts = Facts {
            origin: record.origin(),
            host: Head::of(self.head).host,
            request_id: record.id(),
            project: &self.bound.deployment.namespace,
            caller: self.caller.id(),
            time_left: self.deadline.left(),
        };
        let uri = format!("http://{}{}", endpoint.address, self.bound.path);
        let Ok(uri) = uri.parse::<Uri>() else {
            return (Err(Failed::Unsendable), flight);
        };
        let mut request = Request::new(self.source.upload());
        *request.method_mut() = self.head.method().clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = to_pod(self.head.headers(), &facts);
        if self.wire == Wire::Grpc {
            *request.version_mut() = Version::HTTP_2;
            grpc::to_pod(request.headers_mut(), facts.time_left);
        }
        let (pods, until) = (self.state.pods(), self.deadline.at());
        let sent = pods.send(self.wire, endpoint.address, request, until);
        let sent = sent.await;
        // What was wrong with the caller's body shows as a failure to send it.
        let sent = sent.map_err(|failed| match self.source.fault() {
            Some(fault) => Failed::Caller(fault),
            None => failed,
        });
        let is_head = self.head.method() == Method::HEAD;
        let sent = sent.and_then(|response| match self.wire {
            Wire::Plain => head::judge(response, is_head),
            Wire::Grpc => head::judge_call(response),
        });
        (sent, flight)
    }

    /// What an attempt says of the pod; nothing where it is the caller's doing. A time that the caller made short is that, too:
    /// pods must not be left out for it.
    fn outcome(&self, sent: &Result<Response<Arrival>, Failed>) -> Option<Outcome> {
        let outcome = match sent {
            Ok(response) => Outcome::of(head::status(self.wire, response), head::kind(response)),
            Err(Failed::NotConnected | Failed::Reset | Failed::TooSlow) => Outcome::Failed,
            Err(Failed::NotTaken) => Outcome::Draining,
            Err(Failed::Exhausted | Failed::Unsendable | Failed::Caller(_)) => return None,
        };
        let too_slow = match sent {
            Ok(response) => head::status(self.wire, response) == GATEWAY_TIMEOUT,
            Err(failed) => matches!(failed, Failed::TooSlow),
        };
        (!too_slow || !self.deadline.is_the_callers()).then_some(outcome)
    }

    /// The answer that it is, or the refusal that is made of it.
    fn settle(
        &self,
        sent: Result<Response<Arrival>, Failed>,
    ) -> Result<Response<Arrival>, Refusal> {
        let model = &self.bound.deployment.served_name;
        let error = match sent {
            Ok(response) => return Ok(response),
            Err(Failed::NotConnected | Failed::Reset) => Error::upstream_broken(),
            Err(Failed::TooSlow) => Error::deadline(self.deadline.limit().as_millis()),
            Err(Failed::Exhausted | Failed::NotTaken) => Error::overloaded(model),
            Err(Failed::Unsendable) => Error::new(Kind::Internal, "Internal error"),
            Err(Failed::Caller(fault)) => fault.error(self.bound.deployment.max_request_bytes),
        };
        Err(error.into())
    }

    /// Why an attempt may be followed by another one.
    fn cause(&self, sent: &Result<Response<Arrival>, Failed>) -> Cause {
        match sent {
            Ok(response) => Cause::of(head::status(self.wire, response), head::kind(response)),
            Err(Failed::NotConnected) => Cause::NotConnected,
            Err(Failed::NotTaken) => Cause::Draining,
            Err(Failed::Reset) => Cause::Reset,
            Err(Failed::TooSlow) => Cause::TooSlow,
            // Nothing that another pod would do better.
            Err(Failed::Exhausted | Failed::Unsendable | Failed::Caller(_)) => Cause::Answered,
        }
    }
}

/// Reads what is left of a refused request's body, if that is little and on its way: a connection whose request was not read
/// must be closed, and whoever is refused often would make a new one each time.
///
/// Not what was announced with `Expect`: reading would ask for it. HTTP/2 needs nothing of this.
pub(super) async fn drain(head: &Request<()>, body: Option<Body>) {
    let (Some(body), headers) = (body, head.headers()) else {
        return;
    };
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| {
        let length: u64 = length.to_str().ok()?.parse().ok()?;
        Some(length)
    });
    let small = declared.is_some_and(|length| length <= DRAIN_BYTES)
        && !headers.contains_key(TRANSFER_ENCODING);
    if !small || headers.contains_key(EXPECT) || head.version() >= Version::HTTP_2 {
        return;
    }
    let mut frames = body.into_data_stream();
    let read = async { while let Some(Ok(_)) = frames.next().await {} };
    // Whether it came in time shows when the connection goes on, or does not.
    let _late = tokio::time::timeout(DRAIN, read).await;
}
