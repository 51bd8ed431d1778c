//! Who waits, and whose turn it is.
//!
//! Pure. Kept by `line`, one for each revision. Callers have turns one after the other, and each caller's requests are in the
//! order in which they came: so who asks for much waits longer, and nobody else does.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    /// Requests.
    pub(super) requests: usize,
    /// Bytes of their bodies.
    pub(super) bytes: u64,
}

/// Requests that wait. `C` is a caller, `T` what is kept of a request.
#[derive(Debug)]
pub(super) struct Queue<C, T> {
    /// Nobody is in here who has no request.
    callers: HashMap<C, VecDeque<Entry<T>>>,
    /// All of them, each once; the first one is next.
    turns: VecDeque<C>,
    entries: usize,
    bytes: u64,
    /// Entries so far.
    numbered: u64,
}

#[derive(Debug)]
struct Entry<T> {
    number: u64,
    bytes: u64,
    item: T,
}

/// What becomes of a request that comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered<T> {
    /// It waits, under this number.
    Queued(u64),
    /// It waits, and this one, of the caller that had most, does not any more.
    Instead(u64, T),
    /// It does not.
    Full(T),
}

impl<C, T> Default for Queue<C, T> {
    fn default() -> Self {
        Self {
            callers: HashMap::new(),
            turns: VecDeque::new(),
            entries: 0,
            bytes: 0,
            numbered: 0,
        }
    }
}

impl<C: Clone + Eq + Hash, T> Queue<C, T> {
    /// Requests that wait.
    pub(super) const fn len(&self) -> usize {
        self.entries
    }

    /// Lets a request wait that has so many bytes.
    ///
    /// Where there is no room, the caller with most entries loses its newest, if `caller` has fewer even with this one: else two
    /// callers would take each other's place in turn.
    pub(super) fn offer(&mut self, caps: Caps, caller: C, bytes: u64, item: T) -> Offered<T> {
        if self.fits(caps, bytes) {
            return Offered::Queued(self.push(caller, bytes, item));
        }
        let Some(lost) = self.victim(caps, &caller, bytes) else {
            return Offered::Full(item);
        };
        match self.take(&lost, VecDeque::pop_back) {
            Some(entry) => Offered::Instead(self.push(caller, bytes, item), entry.item),
            None => Offered::Full(item),
        }
    }

    /// Takes the one whose turn it is.
    pub(super) fn next(&mut self) -> Option<T> {
        let caller = self.turns.front()?.clone();
        let entry = self.take(&caller, VecDeque::pop_front)?;
        // Whoever has more is last from now on.
        if self.callers.contains_key(&caller) {
            self.turns.rotate_left(1);
        }
        Some(entry.item)
    }

    /// Takes the one with this number, if it still waits.
    pub(super) fn leave(&mut self, caller: &C, number: u64) -> Option<T> {
        let line = self.callers.get(caller)?;
        let place = line.binary_search_by_key(&number, |entry| entry.number);
        let place = place.ok()?;
        let entry = self.take(caller, |line| line.remove(place))?;
        Some(entry.item)
    }

    /// Takes all that `leaves` says yes to, in no order.
    pub(super) fn take_all(&mut self, leaves: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for line in self.callers.values_mut() {
            let (gone, left) = std::mem::take(line)
                .into_iter()
                .partition(|entry| leaves(&entry.item));
            *line = left;
            taken.extend::<VecDeque<Entry<T>>>(gone);
        }
        self.callers.retain(|_, line| !line.is_empty());
        let callers = &self.callers;
        self.turns.retain(|caller| callers.contains_key(caller));
        self.entries = self.entries.saturating_sub(taken.len());
        let bytes: u64 = taken.iter().map(|entry| entry.bytes).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        taken.into_iter().map(|entry| entry.item).collect()
    }

    fn fits(&self, caps: Caps, bytes: u64) -> bool {
        self.entries < caps.requests && self.bytes.saturating_add(bytes) <= caps.bytes
    }

    /// The caller whose newest entry makes room for one of `caller`.
    fn victim(&self, caps: Caps, caller: &C, bytes: u64) -> Option<C> {
        let own = self.callers.get(caller).map_or(0, VecDeque::len);
        let newest = |line: &VecDeque<Entry<T>>| line.back().map_or(0, |entry| entry.number);
        let most = self.callers.iter();
        let (most, line) = most.max_by_key(|(_, line)| (line.len(), newest(line)))?;
        let freed = line.back().map_or(0, |entry| entry.bytes);
        let left = self.bytes.saturating_sub(freed);
        let fits = self.entries <= caps.requests && left.saturating_add(bytes) <= caps.bytes;
        (own + 1 < line.len() && fits).then(|| most.clone())
    }

    fn push(&mut self, caller: C, bytes: u64, item: T) -> u64 {
        let number = self.numbered;
        self.numbered = number.wrapping_add(1);
        let entry = Entry {
            number,
            bytes,
            item,
        };
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(line) = self.callers.get_mut(&caller) {
            line.push_back(entry);
        } else {
            self.turns.push_back(caller.clone());
            self.callers.insert(caller, VecDeque::from([entry]));
        }
        number
    }

    /// Takes one of a caller's entries, and the caller with its last one.
    fn take(
        &mut self,
        caller: &C,
        pick: impl FnOnce(&mut VecDeque<Entry<T>>) -> Option<Entry<T>>,
    ) -> Option<Entry<T>> {
        let line = self.callers.get_mut(caller)?;
        let entry = pick(line)?;
        if line.is_empty() {
            self.callers.remove(caller);
            self.turns.retain(|other| other != caller);
        }
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
