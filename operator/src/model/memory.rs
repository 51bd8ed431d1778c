//! What was read live and need not be read again: files of ConfigMaps, troubles with volumes.
//!
//! Pure but for its lock; time is an argument. Written and read by `model::observe`. Bounded in
//! bytes and entries: what is dropped is read again when it is needed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::ByteString;

use crate::cache::Key;

/// The files of a ConfigMap.
pub(crate) type Files = BTreeMap<String, ByteString>;

/// All remembered files together. Most models of this kind are far below their limit of 1 MiB.
const BYTES: usize = 8 << 20;
/// Pods whose troubles are remembered.
const PODS: usize = 1000;
/// How long troubles are good for.
const FRESH: Duration = Duration::from_secs(30);

/// What was read live.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    files: Mutex<Contents>,
    volumes: Mutex<BTreeMap<Key, (Duration, Vec<String>)>>,
}

#[derive(Debug, Default)]
struct Contents {
    by_key: BTreeMap<Key, Content>,
    /// Oldest first.
    order: VecDeque<Key>,
    bytes: usize,
}

#[derive(Debug)]
struct Content {
    version: String,
    files: Arc<Files>,
    bytes: usize,
}

impl Memory {
    /// The files of the ConfigMap, if `version` is the one that was read.
    pub(crate) fn files(&self, key: &Key, version: &str) -> Option<Arc<Files>> {
        let contents = lock(&self.files);
        let content = contents
            .by_key
            .get(key)
            .filter(|content| content.version == version)?;
        Some(Arc::clone(&content.files))
    }

    /// Remembers the files of a ConfigMap as of `version`, and drops the oldest ones for them.
    pub(crate) fn remember_files(&self, key: &Key, version: &str, files: &Arc<Files>) {
        let bytes = files
            .iter()
            .map(|(name, content)| name.len() + content.0.len())
            .sum();
        let mut contents = lock(&self.files);
        contents.remove(key);
        while contents.bytes.saturating_add(bytes) > BYTES {
            let Some(oldest) = contents.order.front().cloned() else {
                return;
            };
            contents.remove(&oldest);
        }
        let content = Content {
            version: version.to_owned(),
            files: Arc::clone(files),
            bytes,
        };
        contents.by_key.insert(key.clone(), content);
        contents.order.push_back(key.clone());
        contents.bytes += bytes;
    }

    /// The troubles of the pod with its volumes, if they were read less than 30 s ago.
    pub(crate) fn volume_failures(&self, pod: &Key, now: Duration) -> Option<Vec<String>> {
        let volumes = lock(&self.volumes);
        let (read, failures) = volumes.get(pod)?;
        (now.saturating_sub(*read) < FRESH).then(|| failures.clone())
    }

    /// Remembers the troubles of a pod, read at `now` (time since boot).
    pub(crate) fn remember_volume_failures(&self, pod: &Key, now: Duration, failures: &[String]) {
        let mut volumes = lock(&self.volumes);
        volumes.retain(|_, (read, _)| now.saturating_sub(*read) < FRESH);
        if volumes.len() < PODS {
            volumes.insert(pod.clone(), (now, failures.to_vec()));
        }
    }
}

impl Contents {
    fn remove(&mut self, key: &Key) {
        let Some(content) = self.by_key.remove(key) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(content.bytes);
        self.order.retain(|known| known != key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::key;

    fn files(bytes: usize) -> Arc<Files> {
        Arc::new(Files::from([("m".to_owned(), ByteString(vec![0; bytes]))]))
    }

    #[test]
    fn files_are_known_for_the_version_that_was_read() {
        let memory = Memory::default();
        memory.remember_files(&key("one"), "u 1", &files(3));
        assert!(memory.files(&key("one"), "u 1").is_some());
        assert!(memory.files(&key("one"), "u 2").is_none());
        memory.remember_files(&key("one"), "u 2", &files(5));
        assert!(memory.files(&key("one"), "u 1").is_none());
        assert_eq!(lock(&memory.files).bytes, 6);
    }

    #[test]
    fn the_oldest_files_make_room() {
        let memory = Memory::default();
        for name in 0..20 {
            memory.remember_files(&key(&name.to_string()), "u", &files(1 << 20));
        }
        assert!(memory.files(&key("0"), "u").is_none());
        assert!(memory.files(&key("19"), "u").is_some());
        assert!(lock(&memory.files).bytes <= BYTES);
    }

    #[test]
    fn files_that_never_fit_are_not_remembered() {
        let memory = Memory::default();
        memory.remember_files(&key("huge"), "u", &files(BYTES + 1));
        assert!(memory.files(&key("huge"), "u").is_none());
        assert_eq!(lock(&memory.files).order.len(), 0);
    }

    #[test]
    fn troubles_are_read_again_after_30_seconds() {
        let memory = Memory::default();
        let seconds = Duration::from_secs;
        memory.remember_volume_failures(&key("pod"), seconds(100), &["no".to_owned()]);
        assert!(memory.volume_failures(&key("pod"), seconds(129)).is_some());
        assert!(memory.volume_failures(&key("pod"), seconds(130)).is_none());
        memory.remember_volume_failures(&key("other"), seconds(200), &[]);
        assert_eq!(lock(&memory.volumes).len(), 1);
    }
}
