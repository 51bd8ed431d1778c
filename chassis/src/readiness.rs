//! Whether a process may be sent requests, and if not, why: one latch that probes and callers read.

use tokio::sync::watch;

/// What a readiness probe is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Send requests.
    Ready,
    /// Do not; why, for programs and for people.
    NotReady {
        /// UpperCamelCase, never renamed.
        reason: &'static str,
        /// A sentence.
        message: String,
    },
}

/// The latch; clones share it.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Sender<State>);

impl Readiness {
    /// Not ready, for a reason.
    #[must_use]
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self(watch::Sender::new(State::NotReady {
            reason,
            message: message.into(),
        }))
    }

    /// Ready from now on.
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// Not ready from now on.
    pub fn not_ready(&self, reason: &'static str, message: impl Into<String>) {
        self.set(State::NotReady {
            reason,
            message: message.into(),
        });
    }

    /// The state now.
    #[must_use]
    pub fn get(&self) -> State {
        self.0.borrow().clone()
    }

    /// Whether it is ready now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(*self.0.borrow(), State::Ready)
    }

    /// Returns once it is ready.
    pub async fn wait_ready(&self) {
        let mut states = self.0.subscribe();
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ready = states.wait_for(|state| *state == State::Ready).await;
    }

    fn set(&self, next: State) {
        self.0.send_if_modified(|state| {
            let changed = *state != next;
            if changed {
                *state = next;
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clones_share_the_latch() {
        let readiness = Readiness::new("Loading", "loading the model");
        assert!(!readiness.is_ready());
        readiness.clone().ready();
        readiness.wait_ready().await;
        assert_eq!(readiness.get(), State::Ready);
    }
}
