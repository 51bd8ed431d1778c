//! One kind that is reconciled: its objects as the watch has brought them, our own reports over them,
//! and the announcements of those that are to be looked at.
//!
//! Pure but for its channel. Filled by `watch`, corrected by `report`, read by `run` and by the kinds'
//! loops. A listener that lags behind the announcements is told to look at everything; nothing is
//! missed.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use futures_util::{Stream, stream};
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::cache::{Key, key_of, version_of};
use crate::context::Context;
use crate::overlay::Overlay;
use crate::readiness::is_filled;
use crate::watch::Caches;

/// An object that decodes, or why it does not.
pub(crate) type Guarded<K> = DeserializeGuard<K>;

/// Announcements that a slow listener may be behind before it is told to look at everything.
const ANNOUNCEMENTS: usize = 4096;

/// A kind that is reconciled.
pub(crate) trait Subject:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Where its objects are kept.
    fn subjects(caches: &Caches) -> &Subjects<Self>;
}

/// The objects of one kind.
pub(crate) struct Subjects<K: Subject> {
    /// Set by the stream of the kind before its first event.
    store: OnceLock<Store<Guarded<K>>>,
    /// Our own reports that the watch has not brought yet.
    pub(crate) overlay: Overlay<K>,
    announcements: broadcast::Sender<ObjectRef<Guarded<K>>>,
}

impl<K: Subject> Default for Subjects<K> {
    fn default() -> Self {
        Self {
            store: OnceLock::new(),
            overlay: Overlay::default(),
            announcements: broadcast::Sender::new(ANNOUNCEMENTS),
        }
    }
}

impl<K: Subject> Subjects<K> {
    /// From now on the objects are in `store`. Once for each context.
    pub(crate) fn hold(&self, store: Store<Guarded<K>>) {
        let _already_set = self.store.set(store);
    }

    /// The objects as the watch has brought them; `None` before it was started.
    pub(crate) fn store(&self) -> Option<Store<Guarded<K>>> {
        self.store.get().cloned()
    }

    /// Every object that is there.
    pub(crate) fn all(&self) -> Vec<ObjectRef<Guarded<K>>> {
        let objects = self.store.get().map(Store::state).unwrap_or_default();
        objects
            .iter()
            .map(|object| ObjectRef::from_obj(&**object))
            .collect()
    }

    /// Whether the objects were listed once.
    pub(crate) fn is_filled(&self) -> bool {
        self.store.get().is_some_and(is_filled)
    }

    /// Something changed that concerns the object.
    pub(crate) fn announce(&self, key: &Key) {
        let object = ObjectRef::new(&key.name);
        let object = if key.namespace.is_empty() {
            object
        } else {
            object.within(&key.namespace)
        };
        // Nobody listens while another instance leads: whoever begins looks at all objects first.
        drop(self.announcements.send(object));
    }

    /// The store has this version of the object: whoever reconciles it is told, unless it is our own report.
    pub(crate) fn brought(&self, key: &Key, uid: &str, version: u64) {
        if !self.overlay.caught_up(uid, version) {
            self.announce(key);
        }
    }

    /// Lets no event through that would take an object back in time: an older version, or the
    /// deletion of its predecessor. A relist gets what is held instead, since it replaces everything.
    pub(crate) fn forward(&self, event: Event<Guarded<K>>) -> Option<Event<Guarded<K>>> {
        let held = |object: &Guarded<K>| {
            let held = self.store.get()?.get(&ObjectRef::from_obj(object))?;
            (version_of(&*held) > version_of(object)).then_some(held)
        };
        match event {
            Event::Apply(object) if held(&object).is_some() => None,
            Event::Delete(object)
                if held(&object).is_some_and(|held| uid_of(&held) != uid_of(&object)) =>
            {
                None
            }
            Event::InitApply(mut object) => {
                clear(&mut object);
                let newer = held(&object).map(|held| (*held).clone());
                Some(Event::InitApply(newer.unwrap_or(object)))
            }
            event => Some(event.modify(clear)),
        }
    }
}

fn clear<K: Subject>(object: &mut Guarded<K>) {
    object.meta_mut().managed_fields = None;
}

/// Of an object as it was stored, whether it decodes or not.
pub(crate) fn uid_of<K: Subject>(object: &Guarded<K>) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

/// Namespace and name of everything in `store`.
pub(crate) fn keys_of<K: Subject>(store: &Store<Guarded<K>>) -> BTreeSet<Key> {
    let objects = store.state();
    objects.iter().map(|object| key_of(&**object)).collect()
}

/// All objects that are to be reconciled: every one at first and after a lag, then as announced.
pub(crate) fn announced<K: Subject>(
    ctx: Arc<Context>,
) -> impl Stream<Item = Result<ObjectRef<Guarded<K>>, Infallible>> + Send {
    let subjects = K::subjects(&ctx.caches);
    let receiver = subjects.announcements.subscribe();
    let all = subjects.all();
    stream::unfold(
        (ctx, receiver, all),
        |(ctx, mut receiver, mut waiting)| async move {
            loop {
                if let Some(object) = waiting.pop() {
                    return Some((Ok(object), (ctx, receiver, waiting)));
                }
                match receiver.recv().await {
                    Ok(object) => return Some((Ok(object), (ctx, receiver, waiting))),
                    Err(RecvError::Lagged(_)) => waiting = K::subjects(&ctx.caches).all(),
                    Err(RecvError::Closed) => return None,
                }
            }
        },
    )
}
