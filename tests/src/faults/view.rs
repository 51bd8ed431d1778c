//! Faults of watches: a body that delays, drops, ends, stalls or breaks the lines of another.
//!
//! Watch bodies are newline-delimited JSON in frames of any size: lines are put together before
//! they are judged, and go out as one frame each, in order. Called by the fault layer alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

use super::plan::Dice;
use super::record::Seen;

/// At most so many lines are held back for one watch; then the API server has to wait.
const MAX_HELD: usize = 10_000;
/// A skipped event comes late at last: that an object's last event never comes is no fault that
/// Kubernetes has (the point from which a watch resumes moves past it).
const SKIP_AT_MOST: Duration = Duration::from_secs(5);

/// Something that happens once, to the watches that are open when it is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The stream ends.
    Close,
    /// Nothing comes any more, and the connection stays.
    HalfOpen,
    /// `ERROR` with code 410, then the end.
    Gone,
    /// A line that is no JSON, then the end.
    Garbage,
}

/// How lines flow from now on, also for watches that are opened later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// As the API server sends them.
    #[default]
    Free,
    /// Each line so much later.
    Lag(Duration),
    /// None, until this is lifted; then all.
    Hold,
    /// An event that is soon followed by another one of the same object never comes.
    Skip,
    /// Each watch ends so long after it was opened.
    CloseEvery(Duration),
    /// By seeded chance, line by line: some come up to two seconds late, some are followed by a
    /// close, a 410 or a broken line.
    Seeded(u64),
}

/// What the views of one client are to do, by kind; `*` is every kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    pub(super) flows: BTreeMap<String, Flow>,
    /// Numbered, so that a watch opened later knows that it is not meant.
    pub(super) blows: Vec<(String, Blow)>,
}

impl Orders {
    fn flow(&self, kind: &str) -> Flow {
        let of = |kind: &str| self.flows.get(kind).copied();
        of(kind).or_else(|| of("*")).unwrap_or_default()
    }

    fn blow(&self, kind: &str, since: usize) -> Option<Blow> {
        self.blows
            .iter()
            .skip(since)
            .find(|(k, _)| k == kind || k == "*")
            .map(|(_, blow)| *blow)
    }
}

struct Held {
    line: Bytes,
    due: Instant,
    /// Of the object, where the line may be overtaken by the next one.
    skippable: Option<String>,
}

/// A watch as the client sees it.
pub(super) struct View<B, F> {
    body: B,
    kind: String,
    orders: watch::Receiver<Orders>,
    /// Blows ordered before this watch was opened.
    past: usize,
    opened: Instant,
    partial: BytesMut,
    held: VecDeque<Held>,
    lines: u64,
    ended: bool,
    /// After the next line that goes out.
    then: Option<Blow>,
    seen: F,
}

impl<B, F> View<B, F>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
    F: FnMut(Seen) + Send + 'static,
{
    pub(super) fn new(body: B, kind: String, orders: watch::Receiver<Orders>, seen: F) -> Self {
        let past = orders.borrow().blows.len();
        Self {
            body,
            kind,
            orders,
            past,
            opened: Instant::now(),
            partial: BytesMut::new(),
            held: VecDeque::new(),
            lines: 0,
            ended: false,
            then: None,
            seen,
        }
    }

    pub(super) fn stream(self) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>> + Send {
        futures_util::stream::unfold(self, |mut view| async move {
            let item = view.next().await?;
            Some((item.map(Frame::data), view))
        })
    }

    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            let (flow, blow) = {
                let orders = self.orders.borrow_and_update();
                let blow = orders.blow(&self.kind, self.past);
                (orders.flow(&self.kind), self.then.take().or(blow))
            };
            match blow {
                None => {}
                Some(Blow::Close) => return None,
                Some(Blow::HalfOpen) => std::future::pending::<()>().await,
                Some(Blow::Gone) => return self.last(GONE),
                Some(Blow::Garbage) => return self.last(GARBAGE),
            }
            let close = match flow {
                Flow::CloseEvery(after) => Some(self.opened + after),
                _ => None,
            };
            let now = Instant::now();
            if close.is_some_and(|at| at <= now) {
                return None;
            }
            let due = match self.held.front() {
                Some(_) if flow == Flow::Hold => None,
                Some(front) if front.due <= now || flow == Flow::Free => {
                    return self.deliver(flow);
                }
                Some(front) => Some(front.due),
                None if self.ended => return None,
                None => None,
            };
            let wake = [due, close].into_iter().flatten().min();
            tokio::select! {
                frame = self.body.frame(), if !self.ended && self.held.len() < MAX_HELD => match frame {
                    Some(Ok(frame)) => self.take(frame, flow),
                    Some(Err(error)) => return Some(Err(error.into())),
                    None => self.ended = true,
                },
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                }
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
            }
        }
    }

    fn last(&mut self, line: &'static [u8]) -> Option<Result<Bytes, BoxError>> {
        self.then = Some(Blow::Close);
        Some(Ok(Bytes::from_static(line)))
    }

    fn deliver(&mut self, flow: Flow) -> Option<Result<Bytes, BoxError>> {
        let held = self.held.pop_front()?;
        if let Some(seen) = seen(&self.kind, &held.line) {
            (self.seen)(seen);
        }
        if let Flow::Seeded(seed) = flow {
            self.then = match self.dice(seed, "then").below(100) {
                0..=3 => Some(Blow::Close),
                4..=5 => Some(Blow::Gone),
                6..=7 => Some(Blow::Garbage),
                _ => None,
            };
        }
        Some(Ok(held.line))
    }

    fn take(&mut self, frame: Frame<Bytes>, flow: Flow) {
        let Ok(data) = frame.into_data() else {
            return;
        };
        self.partial.extend_from_slice(&data);
        while let Some(end) = self.partial.iter().position(|b| *b == b'\n') {
            let line = self.partial.split_to(end.saturating_add(1)).freeze();
            self.lines = self.lines.saturating_add(1);
            self.hold(line, flow);
        }
    }

    fn hold(&mut self, line: Bytes, flow: Flow) {
        let now = Instant::now();
        let object = seen(&self.kind, &line)
            .filter(|s| s.event != "BOOKMARK")
            .map(|s| s.name);
        if let Some(object) = &object {
            self.held
                .retain(|held| held.skippable.as_ref() != Some(object));
        }
        let (due, skippable) = match flow {
            Flow::Free | Flow::Hold | Flow::CloseEvery(_) => (now, None),
            Flow::Lag(by) => (now + by, None),
            Flow::Skip => (now + SKIP_AT_MOST, object),
            Flow::Seeded(seed) => {
                let mut dice = self.dice(seed, "late");
                let late = if dice.below(100) < 20 {
                    dice.below(2000)
                } else {
                    0
                };
                (now + Duration::from_millis(late), None)
            }
        };
        self.held.push_back(Held {
            line,
            due,
            skippable,
        });
    }

    fn dice(&self, seed: u64, what: &str) -> Dice {
        Dice::at(seed, &format!("{what} {} #{}", self.kind, self.lines))
    }
}

const GONE: &[u8] = b"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource version: 1 (2)\",\"reason\":\"Expired\",\"code\":410}}\n";
const GARBAGE: &[u8] = b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"\n";

fn seen(kind: &str, line: &[u8]) -> Option<Seen> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let text = |pointer: &str| {
        value
            .pointer(pointer)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Some(Seen {
        kind: kind.to_owned(),
        event: text("/type"),
        name: text("/object/metadata/name"),
        resource_version: text("/object/metadata/resourceVersion"),
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::StreamExt as _;
    use http_body_util::StreamBody;
    use tokio::sync::mpsc;

    use super::*;

    type Source = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

    struct Fixture {
        source: Source,
        orders: watch::Sender<Orders>,
        lines: std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, BoxError>> + Send>>,
    }

    fn fixture() -> Fixture {
        let (source, receiver) = mpsc::channel(16);
        let (orders, subscriber) = watch::channel(Orders::default());
        let body = StreamBody::new(Box::pin(futures_util::stream::unfold(
            receiver,
            |mut r: mpsc::Receiver<Result<Frame<Bytes>, Infallible>>| async move {
                r.recv().await.map(|item| (item, r))
            },
        )));
        let view = View::new(body, "pods".to_owned(), subscriber, |_| {});
        Fixture {
            source,
            orders,
            lines: Box::pin(view.stream()),
        }
    }

    impl Fixture {
        async fn send(&self, text: &str) {
            let frame = Frame::data(Bytes::copy_from_slice(text.as_bytes()));
            self.source.send(Ok(frame)).await.unwrap();
        }

        async fn line(&mut self) -> Option<String> {
            let frame = self.lines.next().await?.unwrap();
            Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
        }

        fn order(&self, change: impl FnOnce(&mut Orders)) {
            self.orders.send_modify(change);
        }
    }

    fn event(name: &str, version: u32) -> String {
        format!(
            "{{\"type\":\"MODIFIED\",\"object\":{{\"metadata\":{{\"name\":\"{name}\",\"resourceVersion\":\"{version}\"}}}}}}\n"
        )
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_put_together_from_any_frames() {
        let mut f = fixture();
        let (a, b) = (event("a", 1), event("b", 2));
        let (head, tail) = a.split_at(20);
        f.send(head).await;
        f.send(&format!("{tail}{b}")).await;
        assert_eq!(f.line().await.unwrap(), a);
        assert_eq!(f.line().await.unwrap(), b);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lag_delays_and_keeps_the_order() {
        let mut f = fixture();
        f.order(|o| {
            o.flows
                .insert("*".to_owned(), Flow::Lag(Duration::from_secs(5)));
        });
        let start = Instant::now();
        f.send(&event("a", 1)).await;
        f.send(&event("b", 2)).await;
        assert!(f.line().await.unwrap().contains("\"a\""));
        assert!(start.elapsed() >= Duration::from_secs(5));
        assert!(f.line().await.unwrap().contains("\"b\""));
    }

    #[tokio::test(start_paused = true)]
    async fn a_skipped_event_is_replaced_by_the_next_of_its_object_or_comes_late() {
        let mut f = fixture();
        f.order(|o| {
            o.flows.insert("pods".to_owned(), Flow::Skip);
        });
        f.send(&event("a", 1)).await;
        f.send(&event("b", 2)).await;
        f.send(&event("a", 3)).await;
        assert_eq!(f.line().await.unwrap(), event("b", 2));
        assert_eq!(f.line().await.unwrap(), event("a", 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_blow_hits_the_open_watch_and_ends_it() {
        for (blow, expect) in [
            (Blow::Gone, Some("410")),
            (Blow::Garbage, Some("MODIFIED")),
            (Blow::Close, None),
        ] {
            let mut f = fixture();
            f.order(|o| o.blows.push(("pods".to_owned(), blow)));
            if let Some(expect) = expect {
                assert!(f.line().await.unwrap().contains(expect));
            }
            assert_eq!(f.line().await, None, "{blow:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_open_watch_is_silent_for_ever() {
        let mut f = fixture();
        f.order(|o| o.blows.push(("*".to_owned(), Blow::HalfOpen)));
        f.send(&event("a", 1)).await;
        let waited = tokio::time::timeout(Duration::from_secs(3600), f.line()).await;
        assert!(waited.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_held_comes_when_the_hold_is_lifted() {
        let mut f = fixture();
        f.order(|o| {
            o.flows.insert("pods".to_owned(), Flow::Hold);
        });
        f.send(&event("a", 1)).await;
        let waited = tokio::time::timeout(Duration::from_secs(60), f.line()).await;
        assert!(waited.is_err());
        f.order(|o| o.flows.clear());
        assert_eq!(f.line().await.unwrap(), event("a", 1));
    }
}
