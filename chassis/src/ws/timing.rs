//! What is due on a WebSocket, and when. Pure: facts and the time in, a verdict out. Called by `run` before each wait.

use tokio::time::Instant;

use super::Limits;

/// What `run` knows of a WebSocket at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Messages are read.
    pub(super) reads: bool,
    /// Nothing is in flight or unsent.
    pub(super) rests: bool,
    /// When the last byte came.
    pub(super) heard: Instant,
    /// Since when the socket takes nothing.
    pub(super) blocked: Option<Instant>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before then.
    Wait(Instant),
    /// A ping is to be sent.
    Ping,
    /// Nothing was asked for long.
    Idle,
    /// No sign of life came after a ping.
    Silent,
    /// The caller takes nothing.
    Stalled,
}

/// The clocks of one WebSocket.
#[derive(Debug)]
pub(super) struct Timing {
    limits: Limits,
    /// When the next ping is due.
    next_ping: Instant,
    /// When the ping was sent that has no pong.
    pinged: Option<Instant>,
    /// The last message or answer.
    active: Instant,
    reads: bool,
}

impl Timing {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            next_ping: now + limits.ping,
            pinged: None,
            active: now,
            reads: true,
        }
    }

    /// A message came or an answer went.
    pub(super) fn active(&mut self, now: Instant) {
        self.active = now;
    }

    /// A pong came.
    pub(super) fn pong(&mut self) {
        self.pinged = None;
    }

    /// What is due now. [`Due::Ping`] is taken for done.
    #[must_use]
    pub(super) fn judge(&mut self, facts: Facts, now: Instant) -> Due {
        if facts.reads && !self.reads {
            // The pong may lie among what nobody read.
            self.pinged = self.pinged.map(|_| now);
        }
        self.reads = facts.reads;
        let mut next = now + self.limits.idle;
        if let Some(blocked) = facts.blocked {
            let until = blocked + self.limits.write;
            if until <= now {
                return Due::Stalled;
            }
            next = next.min(until);
        }
        if facts.rests {
            let until = self.active + self.limits.idle;
            if until <= now {
                return Due::Idle;
            }
            next = next.min(until);
        }
        // Without the reader there is no pong to wait for.
        if facts.reads {
            let until = match self.pinged {
                // Whatever comes is a sign of life: a pong cannot overtake the message that is on its way.
                Some(pinged) => pinged.max(facts.heard) + self.limits.ping,
                None => self.next_ping,
            };
            if until <= now {
                if self.pinged.is_some() {
                    return Due::Silent;
                }
                (self.pinged, self.next_ping) = (Some(now), now + self.limits.ping);
                return Due::Ping;
            }
            next = next.min(until);
        }
        Due::Wait(next)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// One WebSocket, told what is so at each second.
    struct Clock {
        zero: Instant,
        timing: Timing,
        facts: Facts,
    }

    impl Clock {
        fn new() -> Self {
            let zero = Instant::now();
            Self {
                zero,
                timing: Timing::new(Limits::new(1024, 1024, 1024), zero),
                facts: Facts {
                    reads: true,
                    rests: true,
                    heard: zero,
                    blocked: None,
                },
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.zero + Duration::from_secs(second)
        }

        #[track_caller]
        fn due(&mut self, second: u64, expect: Due) {
            let due = self.timing.judge(self.facts, self.at(second));
            assert_eq!(due, expect, "after {second} s: {:?}", self.timing);
        }

        #[track_caller]
        fn waits(&mut self, second: u64, until: u64) {
            self.due(second, Due::Wait(self.at(until)));
        }
    }

    #[test]
    fn a_ping_goes_out_every_20_s_while_pongs_come() {
        let mut clock = Clock::new();
        clock.waits(0, 20);
        for second in [20, 40, 60] {
            clock.due(second, Due::Ping);
            clock.waits(second, second + 20);
            clock.timing.pong();
            clock.waits(second + 1, second + 20);
        }
    }

    #[test]
    fn who_does_not_answer_a_ping_is_lost() {
        let mut clock = Clock::new();
        clock.due(20, Due::Ping);
        clock.waits(39, 40);
        clock.due(40, Due::Silent);
    }

    #[test]
    fn bytes_that_come_are_a_sign_of_life() {
        let mut clock = Clock::new();
        clock.due(20, Due::Ping);
        clock.facts.heard = clock.at(35);
        clock.waits(40, 55);
        clock.due(55, Due::Silent);
    }

    #[test]
    fn the_clocks_of_pings_stop_with_the_reader() {
        let mut clock = Clock::new();
        clock.due(20, Due::Ping);
        (clock.facts.reads, clock.facts.rests) = (false, false);
        clock.waits(300, 900);
        clock.facts.reads = true;
        clock.waits(301, 321);
        clock.timing.pong();
        clock.due(302, Due::Ping);
    }

    #[test]
    fn nothing_asked_for_10_minutes_is_idle() {
        let mut clock = Clock::new();
        clock.facts.reads = false;
        clock.waits(10, 600);
        clock.timing.active(clock.at(500));
        clock.waits(600, 1100);
        clock.facts.rests = false;
        clock.waits(5000, 5600);
        clock.facts.rests = true;
        clock.due(5001, Due::Idle);
    }

    #[test]
    fn who_takes_nothing_for_10_s_is_lost() {
        let mut clock = Clock::new();
        clock.facts.reads = false;
        clock.facts.blocked = Some(clock.at(5));
        clock.waits(5, 15);
        clock.due(15, Due::Stalled);
        clock.facts.blocked = None;
        clock.waits(16, 600);
    }
}
