//! What to do about a question: it is known, somebody is asking it, or it must be asked; and whether it may be.
//!
//! Pure: time is an argument, and how somebody waits for an answer (`W`) is the caller's. Used by `review` under its lock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Question;
use super::answers::{Answers, Verdict, life};
use crate::limit::{Clock, Gcra};

/// Answers that are kept.
const ANSWERS: usize = 10_000;
/// Questions under way, those that wait for a place included: as many as come in within their deadline.
const UNDER_WAY: usize = 256;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look<V, W> {
    /// Nothing: this is the answer.
    Known(Verdict<V>),
    /// Wait, if there is still somebody to wait with; otherwise ask.
    Asked(W),
    /// Ask.
    Unknown,
}

/// Questions and answers of one kind.
#[derive(Debug)]
pub(super) struct Desk<V, W> {
    answers: Answers<V>,
    asked: HashMap<Question, W>,
    most: usize,
    rate: Gcra,
    /// When the bucket of `rate` is full again.
    tat: u128,
    clock: Clock,
}

impl<V: Clone, W: Clone> Desk<V, W> {
    /// On which nothing lies yet, and so many questions a second are asked at most.
    pub(super) fn new(per_second: u64) -> Self {
        Self::with(per_second, ANSWERS, UNDER_WAY)
    }

    fn with(per_second: u64, answers: usize, most: usize) -> Self {
        Self {
            answers: Answers::new(answers),
            asked: HashMap::new(),
            most,
            rate: Gcra::new(per_second, Duration::from_secs(1), per_second),
            tat: 0,
            clock: Clock::default(),
        }
    }

    /// What is to be done about `question`.
    pub(super) fn look(&mut self, question: &Question, now: Instant) -> Look<V, W> {
        if let Some(verdict) = self.answers.get(question, now) {
            return Look::Known(verdict);
        }
        match self.asked.get(question) {
            Some(wait) => Look::Asked(wait.clone()),
            None => Look::Unknown,
        }
    }

    /// From now on `question` is under way, and others may `wait` for it. `false`: it must not be asked, too much is. What
    /// nobody waits for any more makes room.
    #[must_use]
    pub(super) fn begin(
        &mut self,
        question: Question,
        wait: W,
        is_awaited: impl Fn(&W) -> bool,
        now: Instant,
    ) -> bool {
        if self.asked.len() >= self.most {
            self.asked.retain(|_, wait| is_awaited(wait));
        }
        if self.asked.len() >= self.most && !self.asked.contains_key(&question) {
            return false;
        }
        let Ok(tat) = self.rate.take(self.tat, self.clock.at(now)) else {
            return false;
        };
        self.tat = tat;
        self.asked.insert(question, wait);
        true
    }

    /// `question` is not under way any more: `told` is the answer and when it was asked for, or there is none. A yes is
    /// believed for `left`.
    pub(super) fn close(
        &mut self,
        question: &Question,
        told: Option<(Verdict<V>, Instant)>,
        left: Duration,
    ) {
        self.asked.remove(question);
        let Some((verdict, asked)) = told else { return };
        if let Some(until) = asked.checked_add(life(&verdict, left)) {
            self.answers.put(*question, verdict, until);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    const fn question(number: u8) -> Question {
        [number; 32]
    }

    /// For which a yes is believed.
    const LEFT: Duration = Duration::from_secs(10);

    fn always(_: &u8) -> bool {
        true
    }

    #[test]
    fn a_question_is_asked_once_and_then_known() {
        let (mut desk, start) = (Desk::<char, u8>::new(50), start());
        assert_eq!(desk.look(&question(1), start), Look::Unknown);
        assert!(desk.begin(question(1), 7, always, start));
        assert_eq!(desk.look(&question(1), start), Look::Asked(7));
        assert_eq!(desk.look(&question(2), start), Look::Unknown);
        desk.close(&question(1), Some((Verdict::Yes('a'), start)), LEFT);
        let known = Look::Known(Verdict::Yes('a'));
        assert_eq!(desk.look(&question(1), start), known);
        let end = start + Duration::from_secs(10);
        assert_eq!(desk.look(&question(1), end), Look::Unknown);
    }

    #[test]
    fn the_time_that_an_answer_took_is_part_of_its_life() {
        let (mut desk, start) = (Desk::<char, u8>::new(50), start());
        assert!(desk.begin(question(1), 7, always, start));
        let asked = start + Duration::from_secs(1);
        desk.close(&question(1), Some((Verdict::No, asked)), LEFT);
        let (before, after) = (Duration::from_millis(5999), Duration::from_secs(6));
        let known = Look::Known(Verdict::No);
        assert_eq!(desk.look(&question(1), start + before), known);
        assert_eq!(desk.look(&question(1), start + after), Look::Unknown);
    }

    #[test]
    fn without_an_answer_nothing_is_known() {
        let (mut desk, start) = (Desk::<char, u8>::new(50), start());
        assert!(desk.begin(question(1), 7, always, start));
        desk.close(&question(1), None, LEFT);
        assert_eq!(desk.look(&question(1), start), Look::Unknown);
        assert!(desk.asked.is_empty());
    }

    #[test]
    fn so_many_are_asked_a_second() {
        let (mut desk, start) = (Desk::<char, u8>::new(50), start());
        let asked = |desk: &mut Desk<char, u8>, now| {
            let begins = (0..200).filter(|number| desk.begin(question(*number), 0, always, now));
            begins.count()
        };
        assert_eq!(asked(&mut desk, start), 50);
        assert_eq!(asked(&mut desk, start + Duration::from_millis(100)), 5);
        assert_eq!(asked(&mut desk, start + Duration::from_secs(60)), 50);
    }

    #[test]
    fn what_nobody_waits_for_makes_room() {
        let (mut desk, start) = (Desk::<char, u8>::with(50, 9, 2), start());
        assert!(desk.begin(question(1), 1, always, start));
        assert!(desk.begin(question(2), 2, always, start));
        assert!(!desk.begin(question(3), 3, always, start));
        // Asked again by somebody, because the first one has gone.
        assert!(desk.begin(question(1), 4, always, start));
        let only_the_second = |wait: &u8| *wait == 2;
        assert!(desk.begin(question(3), 3, only_the_second, start));
        assert_eq!(desk.asked.len(), 2);
    }

    proptest! {
        #[test]
        fn a_yes_is_one_that_was_told_and_an_error_is_never_an_answer(
            steps in proptest::collection::vec((0_u8..6, 0_u8..4, 0_u64..4000), 1..300),
        ) {
            let (mut desk, mut now) = (Desk::<usize, u8>::with(20, 4, 3), start());
            let mut told = HashMap::new();
            for (step, (number, what, milliseconds)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(milliseconds);
                match (desk.look(&question(number), now), what) {
                    (Look::Known(verdict), _) => {
                        let (last, at) = told[&number];
                        prop_assert_eq!(verdict, last);
                        let life = if matches!(last, Verdict::No) { 5 } else { 10 };
                        prop_assert!(now < at + Duration::from_secs(life));
                    }
                    (Look::Unknown, _) => {
                        let _full = desk.begin(question(number), number, always, now);
                    }
                    (Look::Asked(_), 0) => desk.close(&question(number), None, LEFT),
                    (Look::Asked(_), what) => {
                        let verdict = if what == 1 { Verdict::No } else { Verdict::Yes(step) };
                        told.insert(number, (verdict, now));
                        desk.close(&question(number), Some((verdict, now)), LEFT);
                    }
                }
                prop_assert!(desk.asked.len() <= 3);
            }
        }
    }
}
