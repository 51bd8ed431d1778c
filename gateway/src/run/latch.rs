//! What must have happened once before requests may come, and the readiness that says what is missing.
//!
//! Ready is for good: losing the API server later, or a certificate that cannot be renewed, never makes a gateway unready,
//! because it would take away what still works. Only the end does. Made by `run`; told by `watch::assemble` and by the task that
//! keeps the certificate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aimass_chassis::readiness::Readiness;

/// Why a gateway is not ready at its start.
const STARTING: &str = "Starting";
/// Why a gateway is not ready at its end.
const DRAINING: &str = "Draining";

/// The latch; clones share it.
#[derive(Clone, Debug)]
pub struct Latch {
    readiness: Readiness,
    phase: Arc<Mutex<Phase>>,
}

#[derive(Debug)]
enum Phase {
    /// What is missing, and why as far as that is known.
    Starting(BTreeMap<String, Option<String>>),
    Ready,
    Draining,
}

impl Latch {
    /// Nothing is expected yet, and it is not ready.
    #[must_use]
    pub fn new() -> Self {
        Self {
            readiness: Readiness::new(STARTING, "starting"),
            phase: Arc::new(Mutex::new(Phase::Starting(BTreeMap::new()))),
        }
    }

    /// What probes are told.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// `what` must arrive first.
    pub fn expect(&self, what: impl Into<String>) {
        self.change(|missing| {
            missing.insert(what.into(), None);
        });
    }

    /// `what` has not arrived, and why.
    pub fn missing(&self, what: &str, why: impl Into<String>) {
        self.change(|missing| {
            if let Some(known) = missing.get_mut(what) {
                *known = Some(why.into());
            }
        });
    }

    /// One thing less is missing.
    pub fn arrived(&self, what: &str) {
        self.change(|missing| {
            missing.remove(what);
        });
    }

    /// Not ready from now on, whatever happens.
    pub fn drain(&self) {
        *self.lock() = Phase::Draining;
        self.readiness
            .not_ready(DRAINING, "the gateway is stopping");
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Option<String>>)) {
        let mut phase = self.lock();
        let Phase::Starting(missing) = &mut *phase else {
            return;
        };
        change(missing);
        if missing.is_empty() {
            *phase = Phase::Ready;
            self.readiness.ready();
            return;
        }
        self.readiness.not_ready(STARTING, describe(missing));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Latch {
    fn default() -> Self {
        Self::new()
    }
}

fn describe(missing: &BTreeMap<String, Option<String>>) -> String {
    let one = |(what, why): (&String, &Option<String>)| match why {
        Some(why) => format!("{what}: {why}"),
        None => what.clone(),
    };
    let all: Vec<String> = missing.iter().map(one).collect();
    format!("waiting for {}", all.join("; "))
}

#[cfg(test)]
mod tests {
    use aimass_chassis::readiness::State;

    use super::*;

    fn message(latch: &Latch) -> String {
        match latch.readiness().get() {
            State::Ready => "ready".to_owned(),
            State::NotReady { reason, message } => format!("{reason}: {message}"),
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_reason() {
        let latch = Latch::new();
        latch.expect("UsagePlan");
        latch.expect("APIKey");
        assert_eq!(message(&latch), "Starting: waiting for APIKey; UsagePlan");
        latch.missing("APIKey", "may not list");
        latch.missing("nothing that is expected", "whatever");
        let text = "Starting: waiting for APIKey: may not list; UsagePlan";
        assert_eq!(message(&latch), text);
        latch.arrived("APIKey");
        assert_eq!(message(&latch), "Starting: waiting for UsagePlan");
        latch.arrived("UsagePlan");
        assert_eq!(message(&latch), "ready");
    }

    #[test]
    fn ready_is_for_good_until_the_end() {
        let latch = Latch::new();
        latch.expect("APIKey");
        latch.arrived("APIKey");
        latch.missing("APIKey", "the API server is gone");
        latch.expect("something new");
        assert_eq!(message(&latch), "ready");
        latch.drain();
        latch.arrived("something new");
        assert_eq!(message(&latch), "Draining: the gateway is stopping");
    }

    #[test]
    fn who_is_stopped_before_it_was_ready_stays_so() {
        let latch = Latch::new();
        latch.expect("APIKey");
        latch.drain();
        latch.arrived("APIKey");
        assert_eq!(message(&latch), "Draining: the gateway is stopping");
    }
}
