//! Chance, for the choice of a pod and for spreading pauses: fast, and no secret.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Another number at each call. Not to be used where somebody gains by guessing it.
#[must_use]
pub fn random() -> u64 {
    // The standard library's hasher is keyed at random: gateways draw different numbers.
    static STATE: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0)));
    // Source: SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_differ_and_use_all_their_bits() {
        let numbers: HashSet<u64> = (0..1000).map(|_| random()).collect();
        assert_eq!(numbers.len(), 1000);
        for bit in 0..64 {
            let set = numbers.iter().filter(|number| (*number >> bit) & 1 == 1);
            let set = set.count();
            assert!((350..650).contains(&set), "bit {bit}: {set} of 1000");
        }
    }
}
