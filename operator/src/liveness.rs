//! What the process knows about its own health: which streams live, whether the API answers.
//!
//! A tower layer under `kube::Client` that listens to every answer, and the judgement of `/livez`.
//! Pure but for that; set by `context`, asked by the admin port and by `readiness`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tower::{BoxError, Layer, Service};

use crate::lease::fence::Boottime;
use crate::metrics::Metrics;

/// A watch lasts 25 s, so a healthy stream is answered at least every 30 s.
const SILENCE: Duration = Duration::from_secs(600);
/// An outage of the API server is no reason to restart us: it must have answered this recently.
const PROBED: Duration = Duration::from_secs(60);

/// When the API server last answered: on each stream, to anything, and to a probe.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<Inner>);

struct Inner {
    boottime: Boottime,
    metrics: Metrics,
    /// Milliseconds since boot; 0: never.
    answered: AtomicU64,
    probed: AtomicU64,
    streams: Mutex<BTreeMap<String, Stream>>,
}

/// What is known of one stream; times are since boot.
struct Stream {
    last: Duration,
    /// Its last error, and since when it fails; gone with the next answer.
    trouble: Option<(String, Duration)>,
}

impl Pulse {
    pub(crate) fn new(boottime: Boottime, metrics: Metrics) -> Self {
        let never = || AtomicU64::new(0);
        let streams = Mutex::default();
        Self(Arc::new(Inner {
            boottime,
            metrics,
            answered: never(),
            probed: never(),
            streams,
        }))
    }

    /// From now on the stream of `plural` is expected to live.
    pub(crate) fn expect(&self, plural: &str) {
        let last = (self.0.boottime)();
        self.streams().insert(
            plural.to_owned(),
            Stream {
                last,
                trouble: None,
            },
        );
    }

    /// The stream of `plural` ended with an error.
    pub(crate) fn failed(&self, plural: &str, error: String) {
        let now = (self.0.boottime)();
        if let Some(stream) = self.streams().get_mut(plural) {
            let since = stream.trouble.take().map_or(now, |(_, since)| since);
            stream.trouble = Some((error, since));
        }
    }

    /// The API server said no to the stream of `plural`, which is all that is expected of it.
    pub(crate) fn answered(&self, plural: &str) {
        let now = (self.0.boottime)();
        if let Some(stream) = self.streams().get_mut(plural) {
            stream.last = now;
        }
    }

    /// Why the stream of `plural` fails, and for how long it has.
    pub(crate) fn trouble(&self, plural: &str) -> Option<(String, Duration)> {
        let now = (self.0.boottime)();
        let streams = self.streams();
        let (error, since) = streams.get(plural)?.trouble.as_ref()?;
        Some((error.clone(), now.saturating_sub(*since)))
    }

    /// `GET /readyz` of the API server succeeded.
    pub(crate) fn probed(&self) {
        self.0.probed.store(self.milliseconds(), Ordering::Relaxed);
    }

    /// How long ago the API server last answered anything; `None`: never.
    pub(crate) fn answered_ago(&self) -> Option<Duration> {
        self.ago(&self.0.answered)
    }

    /// The stream that has been silent longest, and how long.
    pub(crate) fn most_silent(&self) -> Option<(String, Duration)> {
        let now = (self.0.boottime)();
        let silence = |(plural, stream): (&String, &Stream)| {
            (plural.clone(), now.saturating_sub(stream.last))
        };
        self.streams()
            .iter()
            .map(silence)
            .max_by_key(|(_, silent)| *silent)
    }

    /// What `/livez` says.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        judge(self.most_silent(), self.ago(&self.0.probed))
    }

    fn heard<B>(&self, stream: Option<&str>, response: &Response<B>) {
        if response.status().is_server_error() {
            return;
        }
        self.0
            .answered
            .store(self.milliseconds(), Ordering::Relaxed);
        if let Some(plural) = stream
            && response.status().is_success()
            && let Some(stream) = self.streams().get_mut(plural)
        {
            *stream = Stream {
                last: (self.0.boottime)(),
                trouble: None,
            };
        }
    }

    fn ago(&self, last: &AtomicU64) -> Option<Duration> {
        let last = last.load(Ordering::Relaxed);
        let ago = self.milliseconds().saturating_sub(last);
        (last != 0).then(|| Duration::from_millis(ago))
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from((self.0.boottime)().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        self.0
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not alive: a stream has been silent for 10 min although the API server is well.
fn judge(most_silent: Option<(String, Duration)>, probed: Option<Duration>) -> Result<(), String> {
    let Some((plural, silent)) = most_silent else {
        return Ok(());
    };
    let well = probed.is_some_and(|ago| ago <= PROBED);
    if silent < SILENCE || !well {
        return Ok(());
    }
    let minutes = silent.as_secs() / 60;
    Err(format!(
        "the watch of {plural} has been silent for {minutes} min while the API server is ready"
    ))
}

/// Whether a probe is due: streams are silent, so that `/livez` will soon want to know.
pub(crate) fn wants_probe(most_silent: Option<&(String, Duration)>) -> bool {
    most_silent.is_some_and(|(_, silent)| *silent >= SILENCE / 2)
}

/// The kind that a list or watch is about: the last segment of its path.
fn stream_of<B>(request: &Request<B>) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let streams = query.contains("watch=") || query.contains("limit=");
    streams
        .then(|| request.uri().path().rsplit('/').next().map(str::to_owned))
        .flatten()
}

impl<S> Layer<S> for Pulse {
    type Service = Felt<S>;

    fn layer(&self, inner: S) -> Felt<S> {
        Felt {
            inner,
            pulse: self.clone(),
        }
    }
}

/// A service whose answers are noticed.
#[derive(Clone)]
pub(crate) struct Felt<S> {
    inner: S,
    pulse: Pulse,
}

impl<S, In, Out> Service<Request<In>> for Felt<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<Out>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Out>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let pulse = self.pulse.clone();
        let stream = stream_of(&request);
        let method = request.method().clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into);
            let status = answer
                .as_ref()
                .map(|response| response.status().as_u16())
                .unwrap_or(0);
            pulse.0.metrics.requested(&method, status);
            let response = answer?;
            pulse.heard(stream.as_deref(), &response);
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn the_verdict() {
        let silent = |minutes: u64| Some(("pods".to_owned(), Duration::from_secs(minutes * 60)));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (name, most_silent, probed, alive) in [
            ("no stream yet", None, None, true),
            ("streams live", silent(1), seconds(1), true),
            ("silent, API server down", silent(30), None, true),
            (
                "silent, API server down for long",
                silent(30),
                seconds(61),
                true,
            ),
            ("silent, API server well", silent(10), seconds(30), false),
        ] {
            assert_eq!(judge(most_silent, probed).is_ok(), alive, "{name}");
        }
    }

    #[tokio::test]
    async fn answers_are_noticed_by_stream() {
        let clock = Arc::new(AtomicU64::new(100));
        let read = Arc::clone(&clock);
        let boottime: Boottime = Arc::new(move || Duration::from_secs(read.load(Ordering::SeqCst)));
        let pulse = Pulse::new(boottime, Metrics::new(&mut Default::default()));
        pulse.expect("pods");
        pulse.expect("services");
        assert_eq!(pulse.answered_ago(), None);
        clock.store(160, Ordering::SeqCst);
        let answer = |_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) };
        let request = Request::get("/api/v1/pods?&watch=true").body(()).unwrap();
        pulse
            .layer(tower::service_fn(answer))
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(pulse.answered_ago(), Some(Duration::ZERO));
        assert_eq!(
            pulse.most_silent(),
            Some(("services".to_owned(), Duration::from_secs(60)))
        );
    }

    #[test]
    fn a_stream_that_is_refused_is_not_silent() {
        let clock = Arc::new(AtomicU64::new(100));
        let read = Arc::clone(&clock);
        let boottime: Boottime = Arc::new(move || Duration::from_secs(read.load(Ordering::SeqCst)));
        let pulse = Pulse::new(boottime, Metrics::new(&mut Default::default()));
        pulse.expect("resourcequotas");
        clock.store(900, Ordering::SeqCst);
        pulse.failed("resourcequotas", "may not list".to_owned());
        pulse.probed();
        assert!(pulse.verdict().is_err());
        pulse.answered("resourcequotas");
        assert_eq!(pulse.verdict(), Ok(()));
        assert!(pulse.trouble("resourcequotas").is_some(), "it is told");
    }

    #[test]
    fn streams_are_told_by_their_path() {
        for (path, expect) in [
            ("/apis/apps/v1/deployments?&watch=true", Some("deployments")),
            ("/api/v1/namespaces/a/pods?&limit=100", Some("pods")),
            ("/api/v1/namespaces/a/configmaps/b", None),
        ] {
            let request = Request::get(path).body(()).unwrap();
            assert_eq!(stream_of(&request).as_deref(), expect);
        }
    }
}
