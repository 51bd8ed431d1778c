//! What became of the versions that do not answer: those being loaded, those that drain, those that failed or are gone.
//!
//! Pure. Held by `state.rs`, under its lock; told to callers as the model's status.

use std::collections::BTreeMap;

use aimass_protocol::v1::{State as Life, VersionStatus};

/// Versions that are remembered; of those that have ended the lowest is forgotten first.
const MAX_VERSIONS: usize = 32;

/// One entry for each version but the one that is served.
#[derive(Clone, Debug, Default)]
pub struct History(BTreeMap<i64, VersionStatus>);

impl History {
    /// Notes what a version has become.
    pub fn note(&mut self, status: VersionStatus) {
        self.0.insert(status.version, status);
        while self.0.len() > MAX_VERSIONS {
            let ended = self.0.values().find(|status| status.state == Life::End);
            let Some(version) = ended.or(self.0.values().next()).map(|s| s.version) else {
                return;
            };
            self.0.remove(&version);
        }
    }

    /// Notes that a version was replaced and still has requests.
    pub fn drains(&mut self, version: i64) {
        self.note(VersionStatus {
            version,
            state: Life::Unloading,
            error_code: "OK",
            error_message: String::new(),
        });
    }

    /// The version answers now, or is as if it had never been.
    pub fn forget(&mut self, version: i64) {
        self.0.remove(&version);
    }

    /// All versions, the highest first; `served` is told in place of what is noted of it.
    #[must_use]
    pub fn with(&self, served: Option<VersionStatus>) -> Vec<VersionStatus> {
        let mut all = self.0.clone();
        if let Some(served) = served {
            all.insert(served.version, served);
        }
        all.into_values().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: i64, state: Life) -> VersionStatus {
        VersionStatus {
            version,
            state,
            error_code: "OK",
            error_message: String::new(),
        }
    }

    fn lives(history: &History, served: Option<VersionStatus>) -> Vec<(i64, Life)> {
        let all = history.with(served);
        all.iter()
            .map(|status| (status.version, status.state))
            .collect()
    }

    #[test]
    fn the_highest_comes_first_and_what_is_served_is_one_of_them() {
        let mut history = History::default();
        history.note(status(3, Life::Loading));
        history.drains(1);
        assert_eq!(
            lives(&history, Some(status(2, Life::Available))),
            [
                (3, Life::Loading),
                (2, Life::Available),
                (1, Life::Unloading)
            ]
        );
        history.forget(3);
        assert_eq!(lives(&history, None), [(1, Life::Unloading)]);
    }

    #[test]
    fn of_too_many_the_lowest_that_ended_is_forgotten() {
        let mut history = History::default();
        history.note(status(0, Life::Unloading));
        for version in 1..100 {
            history.note(status(version, Life::End));
        }
        let all = lives(&history, None);
        assert_eq!(all.len(), MAX_VERSIONS);
        assert_eq!(all.last(), Some(&(0, Life::Unloading)));
        assert_eq!(all.first(), Some(&(99, Life::End)));
    }
}
