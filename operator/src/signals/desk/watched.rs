//! One ModelDeployment and its objectives, if it has any: what was counted, and whether it keeps to them.
//!
//! Pure; the decision itself is `aimass_plan::model::objectives`. Kept by `desk` for each model; without
//! objectives it is next to nothing.

use aimass_crds::ModelDeployment;
use aimass_crds::signals::Load;
use aimass_plan::model::objectives::{Judged, Watch, objectives};
use aimass_plan::model::scale::Tick;

/// One model.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Of the spec that was taken over.
    generation: Option<i64>,
    watch: Option<Box<Watch>>,
}

impl Watched {
    /// Takes over what the spec says by now.
    pub(super) fn respec(&mut self, model: &ModelDeployment, now: Tick) {
        let generation = model.metadata.generation;
        if self.generation.is_some() && self.generation == generation {
            return;
        }
        self.generation = generation;
        match (objectives(model), &mut self.watch) {
            (None, watch) => *watch = None,
            (Some(objectives), Some(watch)) => watch.respec(objectives),
            (Some(objectives), watch) => {
                let status = model.status.as_ref();
                let conditions = status.map(|status| &*status.conditions);
                let new = Watch::new(objectives, conditions.unwrap_or_default(), now);
                *watch = Some(Box::new(new));
            }
        }
    }

    /// One gateway counted this for one revision.
    pub(super) fn add(&mut self, load: &Load, now: Tick) {
        if let Some(watch) = &mut self.watch {
            watch.add(load, now);
        }
    }

    /// A second in which every gateway was heard; whether there is news.
    pub(super) fn look(&mut self, now: Tick) -> bool {
        let watch = self.watch.as_mut();
        watch.is_some_and(|watch| watch.look(now))
    }

    /// A second in which one was not.
    pub(super) fn skip(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.skip();
        }
    }

    /// Whether nothing can change before somebody calls.
    pub(super) fn rests(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.rests())
    }

    /// The same as a plan takes it.
    pub(super) fn judged(&self) -> Option<Judged> {
        self.watch.as_ref()?.judged().cloned()
    }

    /// Whether it keeps to them; `None`: there are none, or nobody can tell.
    pub(super) fn is_met(&self) -> Option<bool> {
        self.watch.as_ref()?.is_met()
    }
}
