//! What a connection waits for, and how long it still may. Pure: facts and the time in, a verdict
//! out. The facts come from `guard` (bytes) and `front` (requests), `connection` acts on the verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;

/// What an HTTP/2 client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How often a quiet connection is looked at: requests end in tasks that do not wake its own.
const LOOK: Duration = Duration::from_secs(5);

/// A client that took too long; the text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breach {
    /// No first head, no whole preface.
    Start,
    /// A head that does not end.
    Head,
    /// Nothing of an answer is taken.
    Write,
    /// No request for long: the client is told, then has `Limits::linger` to go.
    Idle,
    /// Told to go, and still here.
    Close,
}

/// Whether a connection may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to do before then, unless the facts change.
    Wait(Instant),
    /// A bound is exceeded.
    Over(Breach),
}

/// Which protocol the first bytes speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    /// So many bytes of the preface have come, and nothing else.
    Preface(usize),
    Http1,
    Http2,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Facts {
    accepted: Instant,
    speaks: Speaks,
    /// A head or the whole preface has been seen.
    started: bool,
    /// When the first byte of a head came that is not complete; HTTP/1 only. A half frame of
    /// HTTP/2 holds up the answer to our ping, which ends the connection.
    head: Option<Instant>,
    in_flight: usize,
    /// Since when nothing is in flight.
    idle: Instant,
    /// Since when the socket takes nothing.
    blocked: Option<Instant>,
    /// Until when the next piece of an answer must be asked for. A client of HTTP/2 that opens no
    /// window blocks its stream without blocking the socket.
    due: BTreeMap<u64, Instant>,
    answers: u64,
    /// Since when the client has been told to go.
    closing: Option<Instant>,
    /// Since when the listener ends.
    stopping: Option<Instant>,
}

impl Facts {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            accepted: now,
            speaks: Speaks::Preface(0),
            started: false,
            head: None,
            in_flight: 0,
            idle: now,
            blocked: None,
            due: BTreeMap::new(),
            answers: 0,
            closing: None,
            stopping: None,
        }
    }

    /// Bytes came from the client.
    pub(super) fn received(&mut self, bytes: &[u8], now: Instant) {
        self.listen(bytes, now);
        let between = self.in_flight == 0 && self.speaks != Speaks::Http2 && !bytes.is_empty();
        if between && self.head.is_none() {
            self.head = Some(now);
        }
    }

    fn listen(&mut self, bytes: &[u8], now: Instant) {
        let Speaks::Preface(seen) = self.speaks else {
            return;
        };
        let rest = PREFACE.get(seen..).unwrap_or_default();
        let common = rest.len().min(bytes.len());
        if rest.get(..common) != bytes.get(..common) {
            self.speaks = Speaks::Http1;
        } else if common == rest.len() {
            self.speaks = Speaks::Http2;
            (self.started, self.head, self.idle) = (true, None, now);
        } else {
            self.speaks = Speaks::Preface(seen + common);
        }
    }

    /// The socket took bytes.
    pub(super) fn taken(&mut self) {
        self.blocked = None;
    }

    /// The socket takes nothing more for now.
    pub(super) fn blocked(&mut self, now: Instant) {
        self.blocked.get_or_insert(now);
    }

    /// A head is complete: a request is in flight.
    pub(super) fn begin(&mut self) {
        self.started = true;
        self.head = None;
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// A request's body and answer are both through.
    pub(super) fn end(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.idle = now;
    }

    /// A new answer; its number is for [`Facts::handed`] and [`Facts::asked`].
    pub(super) fn answer(&mut self) -> u64 {
        self.answers = self.answers.wrapping_add(1);
        self.answers
    }

    /// A piece of an answer was handed out; more must be asked for until then.
    pub(super) fn handed(&mut self, answer: u64, until: Instant) {
        self.due.insert(answer, until);
    }

    /// More of an answer was asked for, or it is over.
    pub(super) fn asked(&mut self, answer: u64) {
        self.due.remove(&answer);
    }

    /// The client has been told to go.
    pub(super) fn close(&mut self, now: Instant) {
        self.closing.get_or_insert(now);
    }

    /// The listener ends.
    pub(super) fn stop(&mut self, now: Instant) {
        self.stopping.get_or_insert(now);
    }

    /// Whether this speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.speaks == Speaks::Http2
    }

    /// Whether a request may be on its way whose head is not complete.
    pub(super) fn awaits_head(&self) -> bool {
        !self.started || self.head.is_some()
    }

    /// Whether the connection may go on, and until when without another look.
    #[must_use]
    pub(super) fn judge(&self, limits: &Limits, now: Instant) -> Verdict {
        let mut next = now + LOOK;
        for (since, limit, breach) in self.bounds(limits) {
            let until = since + limit;
            if until <= now {
                return Verdict::Over(breach);
            }
            next = next.min(until);
        }
        Verdict::Wait(next)
    }

    /// Every bound that runs: since when, how long, and what its end is called.
    fn bounds(&self, limits: &Limits) -> impl Iterator<Item = (Instant, Duration, Breach)> {
        let start = (!self.started).then_some((self.accepted, limits.start, Breach::Start));
        let head = self.head.map(|since| (since, limits.head, Breach::Head));
        let write = self
            .blocked
            .map(|since| (since, limits.write, Breach::Write));
        let due = self
            .due
            .values()
            .min()
            .map(|until| (*until, Duration::ZERO, Breach::Write));
        let rests = self.started && self.in_flight == 0 && self.closing.is_none();
        let idle = rests.then(|| match self.stopping {
            None => (self.idle, limits.idle, Breach::Idle),
            Some(since) => (self.idle.max(since), limits.linger, Breach::Idle),
        });
        let close = self
            .closing
            .map(|since| (since, limits.linger, Breach::Close));
        // Whoever has connected may still send the one head that is on its way.
        let last = self.stopping.filter(|_| self.awaits_head());
        let last = last.map(|since| (since, limits.linger, Breach::Close));
        [start, head, write, due, idle, close, last]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    type Step = (u64, fn(&mut Facts, Instant));

    /// Each step changes the facts at a second; then every `(second, verdict)` must hold.
    #[track_caller]
    fn check(steps: &[Step], expect: &[(u64, Option<Breach>)]) {
        let zero = Instant::now();
        let mut facts = Facts::new(zero);
        for (second, step) in steps {
            step(&mut facts, zero + s(*second));
        }
        for (second, breach) in expect {
            let verdict = facts.judge(&Limits::default(), zero + s(*second));
            let over = match verdict {
                Verdict::Over(breach) => Some(breach),
                Verdict::Wait(_) => None,
            };
            assert_eq!(over, *breach, "after {second} s: {facts:?}");
        }
    }

    fn head(facts: &mut Facts, now: Instant) {
        facts.received(b"GET / HTTP/1.1\r\n", now);
    }

    fn request(facts: &mut Facts, _: Instant) {
        facts.begin();
    }

    fn preface(facts: &mut Facts, now: Instant) {
        facts.received(PREFACE, now);
    }

    #[test]
    fn a_client_must_begin() {
        check(&[], &[(9, None), (10, Some(Breach::Start))]);
        check(&[(9, head)], &[(10, Some(Breach::Start))]);
        check(
            &[(9, |f, now| f.received(b"PRI * HT", now))],
            &[(10, Some(Breach::Start))],
        );
    }

    #[test]
    fn a_request_in_flight_takes_its_time() {
        check(&[(1, head), (1, request)], &[(3600, None)]);
    }

    #[test]
    fn a_connection_may_rest_only_so_long() {
        let served: [Step; 3] = [(1, head), (1, request), (2, |f, now| f.end(now))];
        check(&served, &[(121, None), (122, Some(Breach::Idle))]);
        let [a, b, c] = served;
        check(
            &[a, b, c, (100, head)],
            &[(109, None), (110, Some(Breach::Head))],
        );
        check(
            &[a, b, c, (122, |f, now| f.close(now))],
            &[(122, None), (123, Some(Breach::Close))],
        );
    }

    #[test]
    fn bytes_of_http2_are_no_head() {
        check(&[(5, preface)], &[(100, None), (125, Some(Breach::Idle))]);
        let ping = |f: &mut Facts, now| f.received(b"ping", now);
        check(
            &[(5, preface), (50, ping)],
            &[(100, None), (125, Some(Breach::Idle))],
        );
        check(
            &[
                (5, preface),
                (6, request),
                (6, request),
                (7, |f, now| f.end(now)),
            ],
            &[(999, None)],
        );
    }

    #[test]
    fn a_preface_may_come_in_pieces() {
        let mut facts = Facts::new(Instant::now());
        for byte in PREFACE {
            assert!(!facts.is_http2() && facts.awaits_head());
            facts.received(&[*byte], Instant::now());
        }
        assert!(facts.is_http2() && !facts.awaits_head());
    }

    #[test]
    fn an_answer_must_be_taken() {
        let blocked = |f: &mut Facts, now| f.blocked(now);
        check(
            &[(0, request), (5, blocked)],
            &[(14, None), (15, Some(Breach::Write))],
        );
        // Waiting on does not restart the clock, progress does.
        check(
            &[(0, request), (5, blocked), (9, blocked)],
            &[(15, Some(Breach::Write))],
        );
        check(
            &[(0, request), (5, blocked), (9, |f, _| f.taken())],
            &[(99, None)],
        );
        let handed = |f: &mut Facts, now: Instant| {
            let answer = f.answer();
            f.handed(answer, now + s(20));
        };
        check(
            &[(0, request), (5, handed)],
            &[(24, None), (25, Some(Breach::Write))],
        );
        check(
            &[(0, request), (5, handed), (6, |f, _| f.asked(1))],
            &[(99, None)],
        );
    }

    #[test]
    fn a_head_on_its_way_is_waited_for_a_moment_when_the_listener_ends() {
        let stop = |f: &mut Facts, now| f.stop(now);
        check(&[(1, stop)], &[(1, None), (2, Some(Breach::Close))]);
        check(&[(1, stop), (1, head), (1, request)], &[(60, None)]);
        // Who comes with HTTP/2 after all is told to go as soon as nothing is in flight.
        check(
            &[(1, stop), (1, preface)],
            &[(1, None), (2, Some(Breach::Idle))],
        );
        let end = |f: &mut Facts, now| f.end(now);
        check(
            &[(0, preface), (0, request), (1, stop), (9, end)],
            &[(10, Some(Breach::Idle))],
        );
    }
}
