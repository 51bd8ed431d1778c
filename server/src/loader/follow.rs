//! Follows the versions of a base path: look, decide, load beside what is served, swap, drain, unload.
//!
//! The thin task around `versions::next`, on the loading thread. `load` is a parameter, so that tests follow models that
//! they can see being freed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use aimass_chassis::clock;
use aimass_protocol::v1::{State as Life, VersionStatus};
use tokio::time::Instant;

use super::{FORGET, MAX_PAUSE, MIN_PAUSE, serve};
use crate::config::Versions;
use crate::fatal::{Fatal, Reason};
use crate::model::Model;
use crate::state::{Slot, State};
use crate::versions::look::{Found, look};
use crate::versions::{Situation, Step, next, note, settle};

/// While something still changes, the next look comes as soon.
const SETTLING: Duration = Duration::from_secs(1);
/// Between two questions whether the replaced version still has requests.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);
/// No request lasts longer than the longest deadline, an hour: who holds a model for more does not count.
const MAX_DRAIN: Duration = Duration::from_secs(3660);
/// Between two complaints that there is nothing to serve.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);
/// Where nothing else sets an end: the thread only waits for a signal.
const LONG: Duration = Duration::from_secs(3600);

/// Loads the model of a folder while another one holds so many bytes.
pub type Load<'a> = dyn Fn(&Path, u64) -> Result<Model, Fatal> + 'a;

/// Follows until the server is told to stop. `reload` is signalled when the model that answers was quarantined.
///
/// # Errors
/// Nothing can be served, and nothing was: why.
pub fn follow(
    versions: &Versions,
    load: &Load<'_>,
    state: &State,
    reload: &Receiver<()>,
) -> Result<(), Fatal> {
    let now = Instant::now();
    let mut follower = Follower {
        versions,
        state,
        situation: Situation::default(),
        seen: None,
        failures: BTreeMap::new(),
        draining: None,
        next_look: Some(now),
        complained: None,
        quarantine: Quarantine {
            until: now,
            pause: MIN_PAUSE,
            last: now,
        },
    };
    while !state.is_stopping() {
        follower.look()?;
        follower.drain();
        let now = Instant::now();
        let step = if follower.quarantine.until > now {
            Step::Wait(Some(follower.quarantine.until))
        } else {
            next(&follower.situation, versions.policy, now)
        };
        match step {
            Step::Load(version) => follower.load(version, load),
            Step::GiveUp(version) => follower.give_up(version)?,
            Step::Wait(until) => match reload.recv_timeout(follower.pause(until, now)) {
                Ok(()) => follower.quarantined(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            },
        }
    }
    Ok(())
}

struct Follower<'a> {
    versions: &'a Versions,
    state: &'a State,
    situation: Situation,
    /// At the last look.
    seen: Option<BTreeMap<i64, Found>>,
    /// Why versions failed, for the process's end.
    failures: BTreeMap<i64, Fatal>,
    /// The version that was replaced, and since when.
    draining: Option<(Arc<Model>, Instant)>,
    /// `None`: no look is needed any more.
    next_look: Option<Instant>,
    complained: Option<Instant>,
    quarantine: Quarantine,
}

/// A model whose engine panicked too often is loaded anew after 1, 2, 4 … 60 s.
struct Quarantine {
    until: Instant,
    pause: Duration,
    last: Instant,
}

impl Follower<'_> {
    /// Looks at the disk, if it is time to.
    fn look(&mut self) -> Result<(), Fatal> {
        let now = Instant::now();
        if self.next_look.is_none_or(|at| at > now) {
            return Ok(());
        }
        match self.seen_now() {
            Ok(seen) => self.saw(seen),
            Err(error) => {
                let what = "failed to read the base path";
                if self.versions.poll.is_none() && self.situation.served.is_none() {
                    return Err(Fatal::io(what, &error));
                }
                self.complain(&format!("{what}: {error}"));
            }
        }
        let nothing = self.situation.found.is_empty() && self.situation.served.is_none();
        if nothing {
            let text = "there is no version: no folder named by a number, and no .onnx file";
            if self.versions.poll.is_none() {
                return Err(Fatal::new(Reason::ArtifactUnavailable, text));
            }
            self.complain(text);
        }
        let settling = self.situation.found.values().any(|sight| !sight.settled);
        self.next_look = match self.versions.poll {
            Some(poll) if settling => Some(now + poll.min(SETTLING)),
            Some(poll) => Some(now + poll),
            None => settling.then_some(now + SETTLING),
        };
        Ok(())
    }

    /// What lies on disk. At rest that is the version that is served and nothing below it is looked into; once its folder
    /// is gone, everything is.
    fn seen_now(&self) -> std::io::Result<BTreeMap<i64, Found>> {
        let wall = u64::try_from(clock::now().as_millisecond()).unwrap_or_default();
        let wall = Duration::from_millis(wall);
        let Versions { base, policy, .. } = self.versions;
        let served = self.situation.served;
        let seen = look(base, *policy, served, wall)?;
        match served {
            Some(served) if !seen.contains_key(&served) => look(base, *policy, None, wall),
            _ => Ok(seen),
        }
    }

    fn saw(&mut self, seen: BTreeMap<i64, Found>) {
        let found = settle(self.seen.as_ref(), &seen);
        self.seen = Some(seen);
        let gone: Vec<i64> = self
            .situation
            .failed
            .keys()
            .filter(|version| !found.contains_key(version))
            .copied()
            .collect();
        for version in gone {
            self.situation.failed.remove(&version);
            self.failures.remove(&version);
            self.state.forget(version);
        }
        if let Some(served) = self.situation.served
            && !found.contains_key(&served)
            && self.situation.found.contains_key(&served)
        {
            tracing::warn!(
                model.version = served,
                "the folder of the version that is served has gone"
            );
        }
        self.situation.found = found;
    }

    /// Loads a version beside what is served, and serves it.
    fn load(&mut self, version: i64, load: &Load<'_>) {
        let Some(found) = self.seen.as_ref().and_then(|seen| seen.get(&version)) else {
            return;
        };
        let (folder, print) = (found.folder.clone(), found.print.clone());
        let old = match self.state.slot() {
            Slot::Ready(model) => Some(model),
            Slot::Loading | Slot::Quarantined => None,
        };
        self.note(version, Life::Loading, "OK", String::new());
        tracing::info!(model.version = version, "a version is being loaded");
        let started = Instant::now();
        let beside = old.as_ref().map_or(0, |old| old.memory().bytes);
        let result = load(&folder, beside);
        // Whatever came of it: the disk is looked at before anything else is decided.
        self.next_look = Some(Instant::now());
        if self.changed(version, &print) {
            tracing::warn!(
                model.version = version,
                "its files changed while they were read: this load does not count"
            );
            self.state.forget(version);
            return;
        }
        match result {
            Ok(model) => {
                serve(model.numbered(version), started.elapsed(), self.state);
                self.situation.served = Some(version);
                self.situation.failed.remove(&version);
                self.failures.remove(&version);
                self.draining = old.map(|old| (old, Instant::now()));
                self.situation.draining = self.draining.is_some();
            }
            Err(fatal) => {
                let may_pass = fatal.reason.may_pass();
                let code = if may_pass {
                    "UNAVAILABLE"
                } else {
                    "INVALID_ARGUMENT"
                };
                tracing::error!(
                    model.version = version,
                    reason = fatal.reason.name(),
                    error = %fatal,
                    "failed to load a version; what was served before still is"
                );
                self.note(version, Life::End, code, fatal.message.clone());
                let failed = &mut self.situation.failed;
                let (before, now) = (failed.get(&version), Instant::now());
                let noted = note(before, print, may_pass, self.versions.retries, now);
                failed.insert(version, noted);
                self.failures.insert(version, fatal);
            }
        }
    }

    /// Whether the version's files are others than they were.
    fn changed(&self, version: i64, print: &crate::versions::Print) -> bool {
        self.seen_now()
            .is_ok_and(|seen| seen.get(&version).is_none_or(|found| found.print != *print))
    }

    /// Unloads the version that was replaced, once no request holds it. It is freed here, not on a thread that answers.
    fn drain(&mut self) {
        let Some((old, since)) = self.draining.take() else {
            return;
        };
        if Arc::strong_count(&old) > 1 && since.elapsed() < MAX_DRAIN {
            self.draining = Some((old, since));
            return;
        }
        let version = old.version();
        drop(old);
        self.situation.draining = false;
        if self.situation.served != Some(version) {
            self.note(version, Life::End, "OK", String::new());
        }
        tracing::info!(
            model.version = version,
            "a version has answered its last request and is unloaded"
        );
    }

    /// Until when to wait for a signal.
    fn pause(&self, until: Option<Instant>, now: Instant) -> Duration {
        let times = [
            until,
            self.next_look,
            self.draining.as_ref().map(|_| now + DRAIN_PAUSE),
        ];
        let next = times.into_iter().flatten().min();
        let pause = next.map_or(LONG, |next| next.saturating_duration_since(now));
        pause.clamp(Duration::from_millis(1), LONG)
    }

    fn quarantined(&mut self) {
        let now = Instant::now();
        let Quarantine { until, pause, last } = &mut self.quarantine;
        if last.elapsed() > FORGET {
            *pause = MIN_PAUSE;
        }
        *until = now + *pause;
        *pause = pause.saturating_mul(2).min(MAX_PAUSE);
        *last = now;
        self.situation.served = None;
        self.next_look = Some(*until);
    }

    /// The end, unless something was served before: then it is tried again.
    fn give_up(&mut self, version: i64) -> Result<(), Fatal> {
        let unknown = || Fatal::new(Reason::ModelLoadFailed, "no version can be loaded");
        if self.state.serving().version.is_none() {
            return Err(self.failures.remove(&version).unwrap_or_else(unknown));
        }
        self.situation.failed.clear();
        self.quarantined();
        Ok(())
    }

    fn note(&self, version: i64, state: Life, error_code: &'static str, error_message: String) {
        self.state.note(VersionStatus {
            version,
            state,
            error_code,
            error_message,
        });
    }

    fn complain(&mut self, text: &str) {
        let now = Instant::now();
        let due = |at: Instant| now.saturating_duration_since(at) >= COMPLAINT_PAUSE;
        if self.complained.is_none_or(due) {
            self.complained = Some(now);
            tracing::warn!(folder = %self.versions.base.display(), "{text}");
        }
    }
}
