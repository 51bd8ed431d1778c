//! Names that two objects want: the older one has it.
//!
//! Pure. Called by `build` for the names of models and the ids of keys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;

use super::store::Name;
use super::{Kind, Nack};

/// A value that a name leads to, and since when somebody claims that it does.
pub(super) struct Claimed<V> {
    /// The older claim holds; of two that are equally old, the smaller uid.
    pub(super) claim: (Timestamp, Arc<str>),
    pub(super) by: Name,
    pub(super) value: V,
}

/// Lets the older one of two objects have a name.
pub(super) fn settle<V>(
    held: &mut HashMap<Arc<str>, Claimed<V>>,
    wanted: Arc<str>,
    new: Claimed<V>,
    kind: Kind,
    what: impl Fn() -> String,
) -> Option<Nack> {
    let mut held = match held.entry(wanted) {
        Entry::Vacant(free) => {
            free.insert(new);
            return None;
        }
        Entry::Occupied(held) => held,
    };
    let loser = match new.claim < held.get().claim {
        true => held.insert(new),
        false => new,
    };
    // An object that claims an id twice has it, and nothing is amiss.
    (loser.by != held.get().by).then(|| Nack {
        kind,
        text: format!("{} is that of the older object {}", what(), held.get().by),
        object: loser.by,
    })
}
