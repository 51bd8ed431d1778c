//! Bounds on the number of series: the first names have their own, the rest shares one.
//!
//! Pure but for the lock. Used by `metrics`.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use super::Model;

/// What stands for all that have no series of their own.
pub(super) const OTHER: &str = "_other";

/// Labels of what is about no model.
pub(super) fn none() -> Model {
    Model {
        project: "".into(),
        model: "".into(),
    }
}

/// Labels of models beyond the bound.
pub(super) fn other() -> Model {
    Model {
        project: OTHER.into(),
        model: OTHER.into(),
    }
}

/// A set of so many values at most.
#[derive(Debug)]
pub(super) struct Capped<T> {
    known: RwLock<HashSet<T>>,
    limit: usize,
}

impl<T: Clone + Eq + Hash> Capped<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            known: RwLock::default(),
            limit,
        }
    }

    /// Whether `value` is one of the first; it may become one.
    pub(super) fn admits(&self, value: &T) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(value) {
            return true;
        }
        if known.len() >= self.limit {
            return false;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.contains(value) || (known.len() < self.limit && known.insert(value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_their_own_for_good() {
        let capped = Capped::new(2);
        assert!(capped.admits(&"a") && capped.admits(&"b"));
        assert!(!capped.admits(&"c"));
        assert!(capped.admits(&"a") && capped.admits(&"b"));
        assert!(!capped.admits(&"c"));
    }
}
