//! The share of each revision in the requests: whole percents, 100 in all, or none at all.
//!
//! Pure. Read from status by `remembered`, changed by `rollout`, obeyed by the gateways.

use std::collections::BTreeMap;

use aimass_crds::model_deployment::Weight;

/// How many revisions may have a share: as many as status lists.
const MOST: usize = 4;

/// Weights by revision: each 1 to 100, their sum 100; or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    weights: BTreeMap<String, i32>,
}

impl Traffic {
    /// Everything to one revision.
    pub(crate) fn all_to(revision: &str) -> Self {
        Self {
            weights: BTreeMap::from([(revision.to_owned(), 100)]),
        }
    }

    /// As written; `None` if that makes no sense, or names what is not there.
    pub(crate) fn read(written: &[Weight], exists: impl Fn(&str) -> bool) -> Option<Self> {
        let mut weights = BTreeMap::new();
        for Weight { revision, weight } in written {
            let sound = (1..=100).contains(weight) && exists(revision);
            if !sound || weights.insert(revision.clone(), *weight).is_some() {
                return None;
            }
        }
        let sum: i32 = weights.values().sum();
        let whole = weights.len() <= MOST && (weights.is_empty() || sum == 100);
        whole.then_some(Self { weights })
    }

    /// As it is written, in the given order of the revisions.
    pub(crate) fn written<'a>(&self, order: impl Iterator<Item = &'a str>) -> Vec<Weight> {
        order
            .filter_map(|revision| {
                let weight = *self.weights.get(revision)?;
                Some(Weight {
                    revision: revision.to_owned(),
                    weight,
                })
            })
            .collect()
    }

    /// The share of a revision; 0 without one.
    pub(crate) fn of(&self, revision: &str) -> i32 {
        self.weights.get(revision).copied().unwrap_or(0)
    }

    /// Nobody gets anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// `revision` gets everything.
    pub(crate) fn is_all(&self, revision: &str) -> bool {
        self.of(revision) == 100
    }

    /// Those with a share, in order of their names.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (&str, i32)> {
        self.weights
            .iter()
            .map(|(revision, weight)| (revision.as_str(), *weight))
    }

    /// The one with most, of all but `revision`.
    pub(crate) fn heaviest_beside(&self, revision: &str) -> Option<&str> {
        let others = self.shares().filter(|(other, _)| *other != revision);
        let most = others.max_by_key(|(other, weight)| (*weight, *other));
        most.map(|(other, _)| other)
    }

    /// Moves up to `points` from one revision to another; never more than there are.
    pub(crate) fn give(&mut self, from: &str, to: &str, points: i32) {
        let points = points.clamp(0, self.of(from));
        if from == to || points == 0 {
            return;
        }
        let left = self.of(from) - points;
        if left == 0 {
            self.weights.remove(from);
        } else {
            self.weights.insert(from.to_owned(), left);
        }
        *self.weights.entry(to.to_owned()).or_default() += points;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(list: &[(&str, i32)]) -> Vec<Weight> {
        let weight = |(revision, weight): &(&str, i32)| Weight {
            revision: (*revision).to_owned(),
            weight: *weight,
        };
        list.iter().map(weight).collect()
    }

    #[track_caller]
    fn check(list: &[(&str, i32)], makes_sense: bool) {
        let read = Traffic::read(&weights(list), |revision| revision != "gone");
        assert_eq!(read.is_some(), makes_sense, "{list:?}");
        let order = ["b", "a"];
        if let Some(read) = read.filter(|read| !read.is_empty()) {
            assert_eq!(read.written(order.into_iter()).len(), list.len());
        }
    }

    #[test]
    fn what_makes_no_sense_is_not_read() {
        check(&[], true);
        check(&[("a", 100)], true);
        check(&[("a", 40), ("b", 60)], true);
        check(&[("a", 40), ("b", 50)], false);
        check(&[("a", 0), ("b", 100)], false);
        check(&[("a", -50), ("b", 150)], false);
        check(&[("a", 50), ("a", 50)], false);
        check(&[("a", 50), ("gone", 50)], false);
        check(
            &[("a", 20), ("b", 20), ("c", 20), ("d", 20), ("e", 20)],
            false,
        );
    }

    #[test]
    fn shares_move_and_their_sum_stays() {
        let mut traffic = Traffic::all_to("a");
        traffic.give("a", "b", 30);
        assert_eq!((traffic.of("a"), traffic.of("b")), (70, 30));
        traffic.give("a", "b", 500);
        traffic.give("c", "b", 5);
        assert!(traffic.is_all("b"));
        assert_eq!(traffic.shares().count(), 1);
    }
}
