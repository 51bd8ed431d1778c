//! What both protocols' inference routes share: body, decode, admission, deadline, run, encode.
//!
//! Called by `v1`, `v2` and `grpc` with their two codecs, once the model is known to be ready. Codecs of large bodies run off the
//! async threads, at most as many at once as there are engine threads.

use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::Connection;
use aimass_protocol::error::Kind;
use aimass_protocol::{DataType, Error, Tensor};
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::caller;
use super::record::Trace;
use super::wire::Wire;
use crate::engine::{self, Failure};
use crate::model::{MAX_ROWS, Model};
use crate::queue::{Done, Ended, Way, Work};
use crate::shapes::{self, Refused};
use crate::state::{Slot, State};

/// Bodies above this are decoded and encoded off the async threads.
pub(super) const LARGE_BYTES: usize = 64 << 10;

/// A request as its codec read it.
pub(super) struct Decoded<R> {
    /// One per input, in graph order, of shapes that fit or for which `misfit` is set.
    pub(super) inputs: Vec<Tensor>,
    /// Why the shapes do not fit, where what is declared is advice.
    pub(super) misfit: Option<Error>,
    /// A deadline inside the body.
    pub(super) timeout: Option<Duration>,
    /// What the encoder needs to know.
    pub(super) rest: R,
}

/// The model, if it can answer.
pub(super) fn ready_model(state: &State, trace: &mut Trace) -> Result<Arc<Model>, Error> {
    trace.about(None);
    let not_ready = |reason| Err(Error::not_ready(&state.settings().model_name, reason));
    match trace.serving().slot.clone() {
        Slot::Ready(model) => {
            trace.about(Some(&model));
            Ok(model)
        }
        Slot::Loading => not_ready("Loading"),
        Slot::Quarantined => not_ready("Quarantined"),
    }
}

/// Refuses new work once the grace is over.
pub(super) fn check_draining(state: &State) -> Result<(), Error> {
    if state.is_aborted() {
        Err(Error::draining())
    } else {
        Ok(())
    }
}

/// Reads, runs and answers one inference request.
pub(super) async fn infer<R: Send + 'static, A: Send + 'static>(
    state: &State,
    request: Request<Body>,
    trace: &mut Trace,
    read: impl FnOnce(&[u8], &Model) -> Result<Decoded<R>, Error> + Send + 'static,
    write: impl FnOnce(R, &Model, &[Tensor]) -> Result<A, Error> + Send + 'static,
) -> Result<A, Error> {
    let read = |bytes: Bytes, model: &Model| read(&bytes, model);
    infer_owned(state, request, trace, read, write).await
}

/// [`infer`] for a codec whose messages are slices of the body.
pub(super) async fn infer_owned<R: Send + 'static, A: Send + 'static>(
    state: &State,
    request: Request<Body>,
    trace: &mut Trace,
    read: impl FnOnce(Bytes, &Model) -> Result<Decoded<R>, Error> + Send + 'static,
    write: impl FnOnce(R, &Model, &[Tensor]) -> Result<A, Error> + Send + 'static,
) -> Result<A, Error> {
    let model = ready_model(state, trace)?;
    let (head, body) = request.into_parts();
    let wire = Wire::of(&head);
    wire.check_head(state, &head.headers)?;
    let together = caller::batching(&head.headers)?;
    let connection = head.extensions.get::<Connection>().copied();
    let deadline = Deadline::of(state, wire.timeout(&head.headers)?, trace);
    let overloaded = || Error::overloaded(&state.settings().model_name);
    let _in_flight = state.enter().ok_or_else(overloaded)?;

    let work = async {
        let limit = state.settings().max_body;
        let received = wire.read(state, &head.headers, body, limit).await?;
        trace.request_bytes = received.bytes.len();
        let large = received.bytes.len() > LARGE_BYTES;
        let started = Instant::now();
        let decoding = Arc::clone(&model);
        let decode = move || {
            let (bytes, _reservation) = received.into_parts();
            read(bytes, &decoding)
        };
        let decoded = offload(state, large, trace.id(), decode).await??;
        trace.decode = Some(started.elapsed());

        let deadline = deadline.sooner(trace.begun(), decoded.timeout);
        let advised = match decoded.misfit {
            None => None,
            Some(misfit) => match shapes::advise(&model, &decoded.inputs, misfit).await {
                Ok(advised) => Some(advised),
                Err(Refused::Misfit(error)) => return Err(error),
                Err(Refused::Busy) => return Err(overloaded()),
            },
        };
        let asked = Asked {
            together,
            connection,
            deadline,
        };
        let outputs = run(state, &model, decoded.inputs, asked, trace).await?;
        if let Some(advised) = advised {
            advised.check(&model, &outputs)?;
        }
        let large = outputs
            .iter()
            .any(|output| output.data().len() > LARGE_BYTES / 8);
        let started = Instant::now();
        let encoding = Arc::clone(&model);
        let encode = move || write(decoded.rest, &encoding, &outputs);
        let reply = offload(state, large, trace.id(), encode).await?;
        trace.encode = Some(started.elapsed());
        reply
    };
    // In a box, or every level above would be as large as this one and be moved with it at each call.
    deadline.bound(state, Box::pin(work)).await
}

/// How a caller wants its rows to be run.
struct Asked {
    together: bool,
    connection: Option<Connection>,
    deadline: Deadline,
}

/// Admission, queue and engine.
async fn run(
    state: &State,
    model: &Arc<Model>,
    inputs: Vec<Tensor>,
    asked: Asked,
    trace: &mut Trace,
) -> Result<Vec<Tensor>, Error> {
    let names = model.signature().input_names();
    for (input, name) in inputs
        .iter()
        .zip(names)
        .filter(|(i, _)| i.datatype() == DataType::Bytes)
    {
        input.require_text(name)?;
    }
    let (rows, way) = match model.rows_of(&inputs) {
        None => (1, Way::Whole),
        Some(0) => (0, Way::Whole),
        Some(rows) if asked.together => (rows, Way::Together),
        Some(rows) => (rows, Way::Singly),
    };
    if rows > MAX_ROWS {
        return Err(Error::too_many_rows(rows, MAX_ROWS));
    }
    trace.rows = Some(rows);
    let deadline = asked.deadline;
    let pushed = state.queue().push(Work {
        model: Arc::clone(model),
        inputs,
        rows,
        way,
        deadline: deadline.at,
        connection: asked.connection.map(Connection::number),
    });
    let ticket = pushed.map_err(|delay| {
        trace.set_retry_after(delay);
        Error::overloaded(&state.settings().model_name)
    })?;
    // The request as a whole is bounded already, but not by a deadline that stood in its body.
    let done = if deadline.from_body {
        timeout_at(deadline.at, ticket.wait()).await.ok().flatten()
    } else {
        ticket.wait().await
    };
    let Some(Done { result, times }) = done else {
        return Err(deadline.error());
    };
    trace.times = Some(times);
    match result {
        Ok(outputs) => Ok(outputs),
        Err(Ended::Refused(failure)) => Err(refused(model, &failure)),
        Err(Ended::Panicked) => Err(Error::internal(trace.id())),
    }
}

/// An input that the engine cannot hold is the caller's tensor, called as the caller calls it.
fn refused(model: &Model, failure: &Failure) -> Error {
    if failure.kind != engine::Kind::Input {
        return Error::engine_rejected(&failure.node, &failure.reason);
    }
    let signature = model.signature();
    let index = signature.input(&failure.node);
    let name = index.and_then(|index| signature.input_names().get(index));
    let (name, reason) = (name.unwrap_or(&failure.node), &failure.reason);
    Error::new(Kind::BadTensor, format!("Input \"{name}\": {reason}"))
}

/// When a request is given up.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    limit: Duration,
    /// Whether the request's body set it: what bounds the request as a whole does not know of it.
    from_body: bool,
}

impl Deadline {
    /// The caller's or ours, whichever is sooner.
    pub(super) fn of(state: &State, caller: Option<Duration>, trace: &Trace) -> Self {
        let limit = caller
            .unwrap_or(Duration::MAX)
            .min(state.settings().timeout);
        Self {
            at: trace.begun() + limit,
            limit,
            from_body: false,
        }
    }

    /// `work`, until the deadline or the end of the grace.
    pub(super) async fn bound<T>(
        self,
        state: &State,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            result = work => result,
            () = sleep_until(self.at) => Err(self.error()),
            () = state.aborted() => Err(Error::draining()),
        }
    }

    fn sooner(self, begun: Instant, limit: Option<Duration>) -> Self {
        match limit {
            Some(limit) if limit < self.limit => Self {
                at: begun + limit,
                limit,
                from_body: true,
            },
            _ => self,
        }
    }

    fn error(self) -> Error {
        Error::deadline(self.limit.as_millis())
    }
}

/// Runs `work` here if it is small, else on a blocking thread.
async fn offload<T: Send + 'static>(
    state: &State,
    large: bool,
    id: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if !large {
        return Ok(work());
    }
    let internal = || Error::internal(id);
    let permit = Arc::clone(state.codecs())
        .acquire_owned()
        .await
        .map_err(|_closed| internal())?;
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    work.await.map_err(|_panic| internal())
}
