//! Answers of each revision since all gateways obey the same traffic: what a rollout is judged by.
//!
//! Pure. Kept by `desk` for each model that gateways have counted for.

use std::collections::BTreeMap;

use aimass_crds::signals::Load;
use aimass_plan::model::Counts;

/// Revisions that are counted. Traffic names four at most.
const REVISIONS: usize = 32;

/// What was counted under one `trafficVersion`.
#[derive(Debug, Default)]
pub(super) struct Counting {
    version: Option<i64>,
    counts: BTreeMap<String, Counts>,
}

impl Counting {
    /// All live gateways obey `version`: another one than before begins with nothing.
    pub(super) fn agreed(&mut self, version: i64) {
        if self.version != Some(version) {
            *self = Self {
                version: Some(version),
                counts: BTreeMap::new(),
            };
        }
    }

    /// What a report says of a revision, by a gateway that obeyed `before` when the report's time began
    /// and obeys `now`.
    ///
    /// The report within which it took another version over is left out: it counts some of both.
    pub(super) fn add(&mut self, before: Option<i64>, now: i64, load: &Load) {
        if before != Some(now) || self.version != Some(now) {
            return;
        }
        let mut more = Counts::default();
        more.report(load);
        let full = self.counts.len() >= REVISIONS && !self.counts.contains_key(&load.revision);
        if more.is_empty() || full {
            return;
        }
        let counts = self.counts.entry(load.revision.clone()).or_default();
        counts.add(&more);
    }

    /// What was counted under `version`.
    pub(super) fn of(&self, version: Option<i64>) -> BTreeMap<String, Counts> {
        if version.is_some() && version == self.version {
            self.counts.clone()
        } else {
            BTreeMap::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(ok: u32, failed: u32) -> Load {
        Load {
            revision: "aaaaaaaa".to_owned(),
            ok,
            failed,
            latency: vec![(7, ok)],
            ..Load::default()
        }
    }

    fn ok(counting: &Counting, version: i64) -> Option<u64> {
        let counts = counting.of(Some(version));
        counts.get("aaaaaaaa").map(|counts| counts.ok)
    }

    #[test]
    fn counts_begin_when_all_agree() {
        let mut counting = Counting::default();
        counting.add(Some(4), 4, &load(1, 0));
        assert_eq!(counting.of(None), BTreeMap::new());
        counting.agreed(4);
        assert_eq!(ok(&counting, 4), None);
        counting.add(Some(4), 4, &load(2, 1));
        counting.agreed(4);
        counting.add(Some(4), 4, &load(3, 1));
        assert_eq!(ok(&counting, 4), Some(5));
        let mut expect = Counts {
            ok: 5,
            failed: 2,
            ..Counts::default()
        };
        expect.latency.add(7, 5);
        assert_eq!(counting.of(Some(4))["aaaaaaaa"], expect);
    }

    #[test]
    fn what_was_answered_under_another_version_does_not_count() {
        let mut counting = Counting::default();
        counting.agreed(4);
        counting.add(Some(3), 4, &load(1, 0));
        counting.add(Some(4), 5, &load(1, 0));
        counting.add(None, 4, &load(1, 0));
        assert_eq!(ok(&counting, 4), None);
        counting.add(Some(4), 4, &load(1, 0));
        counting.agreed(5);
        assert_eq!((ok(&counting, 4), ok(&counting, 5)), (None, None));
    }
}
