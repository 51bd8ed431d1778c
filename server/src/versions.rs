//! Which version of a model to load next: the decider of the start without Kubernetes.
//!
//! Pure: what lies on disk, what is served, what has failed and the time go in, one step comes out. `loader/follow.rs`
//! looks (by `versions/look.rs`), asks, and acts.
//!
//! The rules, in order:
//! 1. One version drains at a time: no load begins before the one that was replaced is gone. So there are at most two
//!    models in memory.
//! 2. The highest version that can be loaded is wanted. What failed is passed over until its files change or, if it could
//!    not be read, until its next try.
//! 3. A version whose files still change is passed over: only what is *settled* is loaded.
//! 4. What is served stays until a higher version is loaded, or until its folder has gone and another one can take its
//!    place; without another one it serves on.

pub mod look;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Which versions may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The highest.
    Latest,
    /// Only that one.
    Specific(i64),
}

impl Policy {
    fn allows(self, version: i64) -> bool {
        match self {
            Self::Latest => true,
            Self::Specific(wanted) => version == wanted,
        }
    }
}

/// Names, sizes and times of all files of a version, hashed: it changes when one of them does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print(pub String);

/// One version's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Of its files.
    pub print: Print,
    /// Whether nothing of it has changed lately, so that it is complete as far as anybody can tell.
    pub settled: bool,
}

/// A load that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Of the files that failed.
    pub print: Print,
    /// How often.
    pub attempts: u32,
    /// When these very files are tried again; `None`: never.
    pub retry_at: Option<Instant>,
}

/// All that decides.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// What lies on disk.
    pub found: BTreeMap<i64, Sight>,
    /// What answers.
    pub served: Option<i64>,
    /// Whether a version that was replaced still has requests.
    pub draining: bool,
    /// What failed.
    pub failed: BTreeMap<i64, Failed>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Load that version and serve it.
    Load(i64),
    /// Nothing, until the disk changes or that time has come.
    Wait(Option<Instant>),
    /// Nothing is served, and nothing that lies there can be: the failure to tell is that of the highest version.
    GiveUp(i64),
}

/// The next step. `Load(v)` is always a version that was found, allowed and settled.
#[must_use]
pub fn next(situation: &Situation, policy: Policy, now: Instant) -> Step {
    let Situation {
        found,
        served,
        draining,
        failed,
    } = situation;
    if *draining {
        return Step::Wait(None);
    }
    let mut earliest: Option<Instant> = None;
    let mut hopeless = None;
    let mut hope = false;
    let candidates = found.iter().rev().filter(|(v, _)| policy.allows(**v));
    for (version, sight) in candidates {
        if *served == Some(*version) {
            break;
        }
        let failure = failed.get(version).filter(|f| f.print == sight.print);
        match failure.map(|failed| failed.retry_at) {
            Some(None) => {
                hopeless.get_or_insert(*version);
            }
            Some(Some(at)) if at > now => {
                hope = true;
                earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
            }
            Some(Some(_)) | None if sight.settled => return Step::Load(*version),
            Some(Some(_)) | None => hope = true,
        }
    }
    match hopeless {
        Some(version) if served.is_none() && !hope => Step::GiveUp(version),
        _ => Step::Wait(earliest),
    }
}

/// How failed loads are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// After the first failure, of files that could not be read.
    pub max: u32,
    /// Between two tries.
    pub interval: Duration,
}

/// What to remember of a load that failed at `now`, after `before`.
///
/// `may_pass`: the files could not be read, which another try may cure. What was refused would be refused again.
#[must_use]
pub fn note(
    before: Option<&Failed>,
    print: Print,
    may_pass: bool,
    retries: Retries,
    now: Instant,
) -> Failed {
    let before = before.filter(|failed| failed.print == print);
    let attempts = before.map_or(0, |f| f.attempts).saturating_add(1);
    let retry_at = (may_pass && attempts <= retries.max)
        .then(|| now.checked_add(retries.interval))
        .flatten();
    Failed {
        print,
        attempts,
        retry_at,
    }
}

/// What two looks in a row tell: files that are the same in both are settled, and a folder that is gone is believed to be
/// gone only then (it may just be in exchange). `first` looks have nothing before them: there a folder is settled that was
/// at rest.
#[must_use]
pub fn settle(
    before: Option<&BTreeMap<i64, look::Found>>,
    now: &BTreeMap<i64, look::Found>,
) -> BTreeMap<i64, Sight> {
    let sight = |(version, found): (&i64, &look::Found)| {
        let settled = match before {
            None => found.at_rest,
            Some(before) => before.get(version).is_some_and(|b| b.print == found.print),
        };
        let print = found.print.clone();
        (*version, Sight { print, settled })
    };
    // A folder without a single file is not there yet.
    let there = |(_, found): &(&i64, &look::Found)| !found.is_empty;
    let mut sights: BTreeMap<i64, Sight> = now.iter().filter(there).map(sight).collect();
    for (version, found) in before.into_iter().flatten().filter(there) {
        sights.entry(*version).or_insert_with(|| Sight {
            print: found.print.clone(),
            settled: false,
        });
    }
    sights
}

#[cfg(test)]
mod tests;
