//! What a WebSocket has under way, and what follows from what happens. Pure: called by `run` with each event.

use std::collections::BTreeSet;

use super::{Close, Limits};

/// The messages and requests of one WebSocket.
#[derive(Debug)]
pub(super) struct Session {
    max_in_flight: usize,
    max_malformed: u32,
    /// The ids of the requests that the application has not answered.
    calls: BTreeSet<String>,
    /// Messages that the socket has not taken.
    unsent: usize,
    /// In a row.
    malformed: u32,
    draining: bool,
}

impl Session {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_in_flight: limits.in_flight,
            max_malformed: limits.malformed,
            calls: BTreeSet::new(),
            unsent: 0,
            malformed: 0,
            draining: false,
        }
    }

    /// Whether another message may be read. Each one makes at most one request or one message, so neither requests nor
    /// output grow without bound: a caller who takes no answers is not heard.
    #[must_use]
    pub(super) fn reads(&self) -> bool {
        !self.draining && self.calls.len().saturating_add(self.unsent) < self.max_in_flight
    }

    /// Whether nothing is under way.
    #[must_use]
    pub(super) fn rests(&self) -> bool {
        self.calls.is_empty() && self.unsent == 0
    }

    /// Nothing more is read; what is under way ends.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) const fn is_draining(&self) -> bool {
        self.draining
    }

    /// A message asks for a request: whether it is begun. Not if one of its id is in flight.
    #[must_use]
    pub(super) fn begin(&mut self, id: &str) -> bool {
        self.calls.insert(id.to_owned())
    }

    /// A message made sense without being a request.
    pub(super) fn sensible(&mut self) {
        self.malformed = 0;
    }

    /// A message, or the request it asked for, made no sense: perhaps the last time.
    pub(super) fn malformed(&mut self) -> Option<Close> {
        self.malformed = self.malformed.saturating_add(1);
        (self.malformed >= self.max_malformed).then_some(Close::MALFORMED)
    }

    /// A request has its answer.
    pub(super) fn end(&mut self, id: &str) {
        self.calls.remove(id);
    }

    /// A message waits for the socket.
    pub(super) fn say(&mut self) {
        self.unsent = self.unsent.saturating_add(1);
    }

    /// The socket has taken that many messages.
    pub(super) fn sent(&mut self, messages: usize) {
        self.unsent = self.unsent.saturating_sub(messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new(&Limits {
            in_flight: 2,
            malformed: 3,
            ..Limits::new(1024, 1024, 1024)
        })
    }

    #[test]
    fn requests_and_unsent_answers_stop_the_reader() {
        let mut session = session();
        assert!(session.begin("a") && session.reads());
        assert!(session.begin("b") && !session.reads());
        session.end("a");
        session.say();
        assert!(!session.reads(), "the answer is not sent yet");
        session.sent(1);
        assert!(session.reads() && !session.rests());
        session.end("b");
        assert!(session.rests());
    }

    #[test]
    fn an_id_is_free_again_once_it_is_answered() {
        let mut session = session();
        assert!(session.begin("a"));
        assert!(!session.begin("a"));
        session.end("a");
        assert!(session.begin("a"));
    }

    #[test]
    fn only_messages_in_a_row_are_too_many() {
        let mut session = session();
        assert_eq!((session.malformed(), session.malformed()), (None, None));
        session.sensible();
        assert_eq!((session.malformed(), session.malformed()), (None, None));
        assert_eq!(session.malformed(), Some(Close::MALFORMED));
    }

    #[test]
    fn a_draining_session_reads_no_more() {
        let mut session = session();
        session.drain();
        assert!(!session.reads() && session.rests() && session.is_draining());
    }
}
