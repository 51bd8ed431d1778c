//! Answers that are still good: a map with a bound, of which the one that was not used for longest is forgotten first.
//!
//! Pure. Used by `desk`. Only answers are kept here; that there was none never is.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::Question;

/// A no is believed for so long: long enough against repetition, and short for somebody who was just let in.
const NO: Duration = Duration::from_secs(5);

/// An answer of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<V> {
    /// With what it says besides.
    Yes(V),
    /// No.
    No,
}

/// For how long `verdict` is believed: a yes for `left`, which is the caller's to say.
pub(super) fn life<V>(verdict: &Verdict<V>, left: Duration) -> Duration {
    match verdict {
        Verdict::Yes(_) => left,
        Verdict::No => NO,
    }
}

/// The answers.
#[derive(Debug)]
pub(super) struct Answers<V> {
    limit: usize,
    entries: HashMap<Question, Entry<V>>,
    /// By when each was used last, counted in uses; each one that there is, once.
    used: BTreeMap<u64, Question>,
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    verdict: Verdict<V>,
    until: Instant,
    used: u64,
}

impl<V: Clone> Answers<V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: HashMap::new(),
            used: BTreeMap::new(),
            uses: 0,
        }
    }

    /// What is known at `now`.
    pub(super) fn get(&mut self, question: &Question, now: Instant) -> Option<Verdict<V>> {
        let entry = self.entries.get_mut(question)?;
        self.used.remove(&entry.used);
        if entry.until <= now {
            self.entries.remove(question);
            return None;
        }
        self.uses = self.uses.saturating_add(1);
        entry.used = self.uses;
        self.used.insert(entry.used, *question);
        Some(entry.verdict.clone())
    }

    /// Believes `verdict` until then.
    pub(super) fn put(&mut self, question: Question, verdict: Verdict<V>, until: Instant) {
        self.uses = self.uses.saturating_add(1);
        let entry = Entry {
            verdict,
            until,
            used: self.uses,
        };
        if let Some(before) = self.entries.insert(question, entry) {
            self.used.remove(&before.used);
        }
        self.used.insert(self.uses, question);
        while self.entries.len() > self.limit {
            let Some((_, oldest)) = self.used.pop_first() else {
                return;
            };
            self.entries.remove(&oldest);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.used.len(), "each is there once");
        self.entries.len()
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

    #[test]
    fn a_yes_lasts_as_long_as_is_said_and_a_no_five_seconds() {
        let seconds = Duration::from_secs;
        assert_eq!(life(&Verdict::Yes(()), seconds(10)), seconds(10));
        assert_eq!(life(&Verdict::Yes(()), Duration::MAX), Duration::MAX);
        assert_eq!(life::<()>(&Verdict::No, seconds(3600)), seconds(5));
        assert_eq!(life::<()>(&Verdict::No, seconds(3)), seconds(5));
    }

    #[test]
    fn an_answer_is_forgotten_at_its_end() {
        let (mut answers, start) = (Answers::new(9), start());
        let until = start + Duration::from_secs(10);
        answers.put(question(1), Verdict::Yes('a'), until);
        let nearly = until - Duration::from_nanos(1);
        assert_eq!(answers.get(&question(1), nearly), Some(Verdict::Yes('a')));
        assert_eq!(answers.get(&question(2), nearly), None);
        assert_eq!(answers.get(&question(1), until), None);
        assert_eq!(answers.len(), 0);
    }

    #[test]
    fn a_later_answer_takes_the_place_of_the_one_before() {
        let (mut answers, start) = (Answers::new(9), start());
        let until = start + Duration::from_secs(10);
        answers.put(question(1), Verdict::Yes('a'), until);
        answers.put(question(1), Verdict::No, until);
        assert_eq!(answers.get(&question(1), start), Some(Verdict::No));
        assert_eq!(answers.len(), 1);
    }

    #[test]
    fn whoever_was_not_there_for_longest_is_forgotten_first() {
        let (mut answers, start) = (Answers::new(3), start());
        let until = start + Duration::from_secs(10);
        for number in 1..=3 {
            answers.put(question(number), Verdict::Yes(number), until);
        }
        assert!(answers.get(&question(1), start).is_some());
        answers.put(question(4), Verdict::Yes(4), until);
        assert_eq!(answers.get(&question(2), start), None);
        for number in [1, 3, 4] {
            let expect = Some(Verdict::Yes(number));
            assert_eq!(answers.get(&question(number), start), expect);
        }
    }

    proptest! {
        #[test]
        fn there_are_never_too_many_and_none_outlives_its_end(
            steps in proptest::collection::vec((0_u8..12, 0_u64..20, any::<bool>(), any::<bool>()), 1..300),
        ) {
            let (mut answers, mut now) = (Answers::new(5), start());
            let mut model = HashMap::new();
            for (number, seconds, put, yes) in steps {
                now += Duration::from_millis(700);
                if put {
                    let verdict = if yes { Verdict::Yes(seconds) } else { Verdict::No };
                    let until = now + Duration::from_secs(seconds);
                    answers.put(question(number), verdict, until);
                    model.insert(number, (verdict, until));
                } else if let Some(known) = answers.get(&question(number), now) {
                    // Forgetting is allowed at any time; inventing never.
                    let (verdict, until) = model[&number];
                    prop_assert_eq!(known, verdict);
                    prop_assert!(now < until);
                }
                prop_assert!(answers.len() <= 5);
            }
        }
    }
}
