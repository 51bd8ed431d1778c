//! Over which of a pod's connections a call of gRPC goes: each carries so many at once, and there are so many of them.
//!
//! Pure but for the lock. Used by `pods`, which has a client for each lane; a client keeps one connection to each pod. Only pods
//! with calls under way are remembered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Calls at once on one connection: what servers allow.
pub(super) const STREAMS: u32 = 100;
/// Connections to one pod.
pub(super) const LANES: usize = 16;

type Counts = HashMap<SocketAddr, [u32; LANES]>;

/// Calls under way, by pod and connection; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes(Arc<Mutex<Counts>>);

/// A call's place on a connection, until this is dropped.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub(super) struct Lane {
    lanes: Lanes,
    address: SocketAddr,
    number: usize,
}

impl Lanes {
    /// A place on the first connection that has one, so that there are as few connections as will do; `None`: all are full.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Lane> {
        let mut counts = self.lock();
        let counts = counts.entry(address).or_default();
        let free = |(_, count): &(usize, &mut u32)| **count < STREAMS;
        let (number, count) = counts.iter_mut().enumerate().find(free)?;
        *count += 1;
        Some(Lane {
            lanes: self.clone(),
            address,
            number,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts, which are whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// The connection's number, below [`LANES`].
    pub(super) const fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        let Some(counts) = lanes.get_mut(&self.address) else {
            return;
        };
        if let Some(count) = counts.get_mut(self.number) {
            *count = count.saturating_sub(1);
        }
        if counts.iter().all(|count| *count == 0) {
            lanes.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(number: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, number], 8501))
    }

    #[test]
    fn a_connection_is_filled_before_the_next_one_is_made() {
        let lanes = Lanes::default();
        let all = STREAMS * u32::try_from(LANES).unwrap();
        let mut taken: Vec<Lane> = (0..all).map_while(|_| lanes.take(pod(1))).collect();
        let count = |number| taken.iter().filter(|lane| lane.number() == number).count();
        assert_eq!((count(0), count(LANES - 1)), (100, 100));
        assert!(lanes.take(pod(1)).is_none(), "all are full");
        assert!(lanes.take(pod(2)).is_some(), "of this pod only");
        drop(taken.swap_remove(250));
        assert_eq!(lanes.take(pod(1)).map(|lane| lane.number()), Some(2));
    }

    #[test]
    fn pods_without_calls_are_forgotten() {
        let lanes = Lanes::default();
        let (first, second) = (lanes.take(pod(1)), lanes.take(pod(1)));
        drop(first);
        assert_eq!(lanes.lock().len(), 1);
        drop(second);
        assert!(lanes.lock().is_empty());
    }
}
