//! What one reader has yet to be told.
//!
//! Pure: time is an argument. Filled by `signals`, emptied line by line by `serve`, as fast as the reader takes them. However slow
//! that is, there is at most one span that goes out and one that waits for it, into which all later ones are merged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aimass_crds::signals::{Full, Hello, Keys, Message, Taken, Wake};

use super::span::{Span, parts};

/// A reader that takes nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(5);
/// Wakes that wait. What is beyond that stands in the report, too.
const WAKES: usize = 10_000;

/// What is to be told, in this order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Lines so far, after `hello`.
    seq: u64,
    opening: VecDeque<Message>,
    wakes: BTreeMap<(Arc<str>, Arc<str>), u32>,
    /// The span that goes out, as far as it has not.
    going: Option<Span>,
    /// All that came since.
    span: Option<Span>,
    keys: BTreeSet<Arc<str>>,
    end: End,
    /// Since when something waits and nothing is taken.
    stuck: Option<Instant>,
}

/// How it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// `bye` is the last line.
    Bye,
    /// All lines are out.
    Said,
    /// It was left.
    Left,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This line.
    Line(Box<Message>),
    /// Nothing yet.
    Nothing,
    /// The end, after `bye`.
    Over,
    /// The end, because the reader takes nothing.
    Left,
}

impl Pending {
    /// What comes first: see [`opening`].
    pub(super) fn open(&mut self, opening: VecDeque<Message>, now: Instant) {
        self.opening = opening;
        self.wait(now);
    }

    /// So many wait for a revision without pods.
    pub(super) fn wake(&mut self, uid: &Arc<str>, revision: &Arc<str>, queued: u32, now: Instant) {
        let which = (Arc::clone(uid), Arc::clone(revision));
        let room = self.wakes.len() < WAKES || self.wakes.contains_key(&which);
        if room && self.end == End::Open {
            self.wakes.insert(which, queued);
            self.wait(now);
        }
    }

    /// A span has passed.
    pub(super) fn span(&mut self, span: Span, now: Instant) {
        if self.end != End::Open {
            return;
        }
        match &mut self.span {
            Some(pending) => pending.merge(span),
            None => self.span = Some(span),
        }
        self.wait(now);
    }

    /// These were used.
    pub(super) fn keys(&mut self, keys: &BTreeSet<Arc<str>>, now: Instant) {
        if self.end == End::Open {
            // Those that a slow reader has not taken yet come again when they are used again.
            self.keys.clone_from(keys);
            self.wait(now);
        }
    }

    /// After what is there already nothing more comes.
    pub(super) fn bye(&mut self, now: Instant) {
        if self.end == End::Open {
            self.end = End::Bye;
            self.wait(now);
        }
    }

    /// Leaves a reader that takes nothing; says whether it did.
    pub(super) fn leave(&mut self, now: Instant) -> bool {
        let stuck = |since: Instant| now.saturating_duration_since(since) >= PATIENCE;
        if self.stuck.is_some_and(stuck) {
            let (seq, end) = (self.seq, End::Left);
            *self = Self {
                seq,
                end,
                ..Self::default()
            };
            return true;
        }
        false
    }

    fn wait(&mut self, now: Instant) {
        self.stuck.get_or_insert(now);
    }

    /// Takes the next line.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        // It does take something.
        self.stuck = Some(now);
        if let Some(line) = self.opening.pop_front().or_else(|| self.line()) {
            return Next::Line(Box::new(self.number(line)));
        }
        match self.end {
            End::Bye => {
                self.end = End::Said;
                Next::Line(Box::new(Message::Bye))
            }
            End::Said => Next::Over,
            End::Left => Next::Left,
            End::Open => {
                self.stuck = None;
                Next::Nothing
            }
        }
    }

    fn line(&mut self) -> Option<Message> {
        if let Some(((uid, revision), queued)) = self.wakes.pop_first() {
            return Some(Message::Wake(Wake {
                seq: 0,
                uid: uid.as_ref().to_owned(),
                revision: revision.as_ref().to_owned(),
                queued,
            }));
        }
        if let Some(mut span) = self.going.take().or_else(|| self.span.take()) {
            let line = span.line();
            self.going = Some(span).filter(|span| !span.is_told());
            return Some(line);
        }
        let keys = std::mem::take(&mut self.keys);
        (!keys.is_empty()).then(|| {
            let used = keys.iter().map(|uid| uid.as_ref().to_owned());
            Message::Keys(Keys {
                seq: 0,
                used: used.collect(),
            })
        })
    }

    fn number(&mut self, mut line: Message) -> Message {
        let seq = match &mut line {
            Message::Hello(_) | Message::Bye => return line,
            Message::Full(Full { seq, .. }) => seq,
            Message::Report(report) => &mut report.seq,
            Message::Wake(Wake { seq, .. }) => seq,
            Message::Keys(Keys { seq, .. }) => seq,
        };
        self.seq = self.seq.saturating_add(1);
        *seq = self.seq;
        line
    }
}

/// Who speaks, and all models with what is obeyed of them: the first lines.
pub(super) fn opening(hello: Hello, taken: Vec<Taken>) -> VecDeque<Message> {
    let table = hello.table;
    let all = parts(taken.into_iter());
    let parts = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let full = |(part, deployments)| {
        Message::Full(Full {
            seq: 0,
            part,
            parts,
            table,
            deployments,
        })
    };
    let hello = std::iter::once(Message::Hello(hello));
    hello.chain((1..).zip(all).map(full)).collect()
}

#[cfg(test)]
mod tests {
    use aimass_crds::signals::{LINE, Load, Seen};

    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn hello(table: u64) -> Hello {
        Hello {
            v: 1,
            gateway: "g".to_owned(),
            token: "t".to_owned(),
            boot: "b".to_owned(),
            interval_ms: 1000,
            table,
        }
    }

    fn taken(count: usize) -> Vec<Taken> {
        let taken = |number: usize| Taken {
            uid: format!("{number:0>36}"),
            name: format!("shop/{}", "a".repeat(200)),
            traffic_version: 1,
        };
        (0..count).map(taken).collect()
    }

    fn span(arrived: u32) -> Span {
        let load = Load {
            revision: "aaaaaaaa".to_owned(),
            arrived,
            ..Load::default()
        };
        let seen = Seen {
            uid: "u".to_owned(),
            name: "shop/u".to_owned(),
            traffic_version: 1,
            revisions: vec![load],
        };
        Span {
            ms: 1000,
            seen: BTreeMap::from([("u".to_owned(), seen)]),
            ..Span::default()
        }
    }

    /// All lines, in short.
    fn lines(pending: &mut Pending, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        while let Next::Line(line) = pending.next(now) {
            lines.push(match *line {
                Message::Hello(hello) => format!("hello {}", hello.table),
                Message::Full(full) => {
                    let (part, parts) = (full.part, full.parts);
                    format!(
                        "{} full {part}/{parts} {}",
                        full.seq,
                        full.deployments.len()
                    )
                }
                Message::Report(report) => {
                    let arrived = report
                        .deployments
                        .iter()
                        .map(|seen| seen.revisions[0].arrived);
                    let arrived = arrived.sum::<u32>();
                    format!("{} report {} {arrived}", report.seq, report.span_ms)
                }
                Message::Wake(wake) => format!("{} wake {} {}", wake.seq, wake.uid, wake.queued),
                Message::Keys(keys) => format!("{} keys {}", keys.seq, keys.used.join(" ")),
                Message::Bye => "bye".to_owned(),
            });
        }
        lines
    }

    #[test]
    fn who_speaks_comes_first_and_whoever_waits_before_what_has_passed() {
        let (mut pending, now) = (Pending::default(), start());
        let keys = BTreeSet::from(["k1".into(), "k2".into()]);
        pending.keys(&keys, now);
        pending.span(span(3), now);
        pending.wake(&"u".into(), &"r".into(), 1, now);
        pending.wake(&"u".into(), &"r".into(), 2, now);
        pending.open(opening(hello(812), taken(2)), now);
        let expect = [
            "hello 812",
            "1 full 1/1 2",
            "2 wake u 2",
            "3 report 1000 3",
            "4 keys k1 k2",
        ];
        assert_eq!(lines(&mut pending, now), expect);
        assert_eq!(pending.next(now), Next::Nothing);
        pending.span(span(1), now);
        pending.bye(now);
        pending.bye(now);
        assert_eq!(lines(&mut pending, now), ["5 report 1000 1", "bye"]);
        assert_eq!(pending.next(now), Next::Over);
    }

    #[test]
    fn all_models_come_in_parts_that_fit_into_lines() {
        let (mut pending, now) = (Pending::default(), start());
        pending.open(opening(hello(1), taken(3000)), now);
        let mut told = 0;
        while let Next::Line(line) = pending.next(now) {
            assert!(serde_json::to_vec(&line).unwrap().len() < LINE);
            if let Message::Full(full) = *line {
                assert_eq!((full.parts, u64::from(full.part)), (4, full.seq));
                told += full.deployments.len();
            }
        }
        assert_eq!(told, 3000);
        let mut pending = Pending::default();
        pending.open(opening(hello(0), Vec::new()), now);
        assert_eq!(lines(&mut pending, now), ["hello 0", "1 full 1/1 0"]);
    }

    #[test]
    fn what_a_slow_reader_does_not_take_is_one_report() {
        let (mut pending, now) = (Pending::default(), start());
        for _ in 0..4 {
            pending.span(span(5), now);
        }
        assert_eq!(lines(&mut pending, now), ["1 report 4000 20"]);
    }

    #[test]
    fn a_reader_that_takes_nothing_for_five_seconds_is_left() {
        let (mut pending, start) = (Pending::default(), start());
        let at = |seconds| start + Duration::from_secs(seconds);
        pending.open(opening(hello(1), taken(3000)), at(0));
        assert!(!pending.leave(at(4)));
        assert!(matches!(pending.next(at(4)), Next::Line(_)));
        pending.span(span(1), at(5));
        assert!(!pending.leave(at(8)), "it has taken a line meanwhile");
        assert!(pending.leave(at(9)));
        pending.span(span(1), at(10));
        assert_eq!(pending.next(at(10)), Next::Left);
    }

    #[test]
    fn a_reader_that_has_taken_everything_may_wait() {
        let (mut pending, start) = (Pending::default(), start());
        assert_eq!(pending.next(start), Next::Nothing);
        assert!(!pending.leave(start + Duration::from_secs(3600)));
    }
}
