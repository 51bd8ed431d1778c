//! Who owns what: rendezvous hashing over the gateways that count.
//!
//! Pure. All gateways that know the same members agree without a word, and a member that comes or goes moves only what is its
//! own. A holder is owned as a whole, with all of its rates and its requests in flight: so one gateway decides a request at
//! once, and a refusal by one limit cannot leave another one charged. Used by `limit::peers`.

use std::collections::BTreeSet;
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Holder;

/// The uid of a gateway's pod.
pub type Uid = Arc<str>;

/// Gateways that may own; further ones only spend.
pub(crate) const MAX_MEMBERS: usize = 64;

/// The gateways that own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ring {
    /// In order, each with the seed of its hashes.
    members: Vec<(Uid, u64)>,
    view: u64,
}

impl Ring {
    pub(crate) fn new(members: impl IntoIterator<Item = Uid>) -> Self {
        let members: BTreeSet<Uid> = members.into_iter().collect();
        let members = members.into_iter().take(MAX_MEMBERS);
        let members: Vec<(Uid, u64)> = members
            .map(|uid| {
                let seed = xxh3_64(uid.as_bytes());
                (uid, seed)
            })
            .collect();
        let step = |view: u64, (_, seed): &(Uid, u64)| xxh3_64_with_seed(&seed.to_le_bytes(), view);
        let view = members.iter().fold(0, step);
        Self { members, view }
    }

    /// Who owns `holder`; `None` without members.
    pub(crate) fn owner(&self, holder: &Holder) -> Option<&Uid> {
        let hash = holder.hash().to_le_bytes();
        let score = |(uid, seed): &&(Uid, u64)| (xxh3_64_with_seed(&hash, *seed), Uid::clone(uid));
        let best = match self.members.as_slice() {
            [only] => Some(only),
            some => some.iter().max_by_key(score),
        };
        best.map(|(uid, _)| uid)
    }

    pub(crate) fn owns(&self, uid: &Uid, holder: &Holder) -> bool {
        self.owner(holder) == Some(uid)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn contains(&self, uid: &str) -> bool {
        self.members().any(|member| **member == *uid)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Uid> {
        self.members.iter().map(|(uid, _)| uid)
    }

    /// The same for the same members, and hardly ever for others.
    pub(crate) const fn view(&self) -> u64 {
        self.view
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn ring(names: &[&str]) -> Ring {
        Ring::new(names.iter().map(|name| Uid::from(*name)))
    }

    fn holder(number: u32) -> Holder {
        Holder::Key(number.to_string().into())
    }

    #[test]
    fn all_who_know_the_same_members_agree() {
        assert_eq!(ring(&["a", "b", "c"]), ring(&["c", "a", "b", "a"]));
        assert_ne!(ring(&["a", "b"]).view(), ring(&["a", "c"]).view());
        assert_eq!(ring(&[]).owner(&holder(1)), None);
    }

    #[test]
    fn each_owns_its_part_and_nothing_else_moves() {
        let (three, four) = (ring(&["a", "b", "c"]), ring(&["a", "b", "c", "d"]));
        let (mut parts, mut moved) = (HashMap::new(), 0);
        for number in 0..10_000 {
            let (before, after) = (three.owner(&holder(number)), four.owner(&holder(number)));
            *parts.entry(before.unwrap().clone()).or_insert(0) += 1;
            if before != after {
                assert_eq!(&**after.unwrap(), "d");
                moved += 1;
            }
        }
        assert!(
            parts.values().all(|part| (3000..3700).contains(part)),
            "{parts:?}"
        );
        assert!((2200..2800).contains(&moved), "{moved}");
    }

    #[test]
    fn there_are_no_more_than_64() {
        let ring = Ring::new((0..100).map(|number| Uid::from(format!("{number:03}"))));
        assert_eq!(ring.len(), MAX_MEMBERS);
        assert!(ring.contains("063") && !ring.contains("064"));
    }
}
