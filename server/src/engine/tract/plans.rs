//! Plans that were built, which of them are kept, and what they hold.
//!
//! Called by the engine under its locks. Bounded by number and by bytes; the plan unused for longest goes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tract_onnx::prelude::{
    TValue, TVec, TractResult, TypedModel, TypedRunnableModel, TypedSimpleState,
};

use crate::engine::failure::OverBudget;
use crate::engine::{Limits, Shapes};

/// States of one plan that wait for their next run; more workers than this are unusual.
const IDLE_STATES: usize = 64;

/// A model optimised for one set of shapes.
pub(super) struct Plan {
    runnable: Arc<TypedRunnableModel>,
    bytes: u64,
    idle: Mutex<Vec<TypedSimpleState>>,
}

impl Plan {
    pub(super) const fn new(runnable: Arc<TypedRunnableModel>, bytes: u64) -> Self {
        Self {
            runnable,
            bytes,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Runs with a state that nobody else uses. After an error or a panic the state is thrown away; so is one in which
    /// operators keep something: recurrent layers would begin the next caller's run where this one ended.
    pub(super) fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let idle = self.idle().pop();
        let mut state = match idle {
            Some(state) => state,
            None => self.runnable.spawn()?,
        };
        let outputs = state.run(inputs)?;
        let forgets = state.op_states.iter().all(Option::is_none);
        let mut idle = self.idle();
        if forgets && idle.len() < IDLE_STATES {
            idle.push(state);
        }
        Ok(outputs)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<TypedSimpleState>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plans by their shapes, the one used last at the end.
pub(super) struct Plans {
    limits: Limits,
    entries: Vec<Entry>,
}

struct Entry {
    shapes: Shapes,
    plan: Arc<Plan>,
    used: Instant,
}

impl Plans {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Vec::new(),
        }
    }

    pub(super) fn get(&mut self, shapes: &Shapes, now: Instant) -> Option<Arc<Plan>> {
        let index = self.position(shapes)?;
        // The order of those behind it stays.
        self.entries.get_mut(index..)?.rotate_left(1);
        let entry = self.entries.last_mut()?;
        entry.used = now;
        Some(Arc::clone(&entry.plan))
    }

    pub(super) fn insert(&mut self, shapes: Shapes, plan: Arc<Plan>, now: Instant) {
        while self.entries.len() >= self.limits.max_plans.max(1) {
            self.entries.remove(0);
        }
        self.entries.push(Entry {
            shapes,
            plan,
            used: now,
        });
    }

    /// Takes out the plan for `shapes`.
    pub(super) fn remove(&mut self, shapes: &Shapes) -> Option<Arc<Plan>> {
        let index = self.position(shapes)?;
        Some(self.entries.remove(index).plan)
    }

    /// Takes out plans not used since `since`, but those for one row, which every request may need, and the last used.
    pub(super) fn remove_unused(&mut self, since: Instant) -> Vec<Arc<Plan>> {
        let last = self.entries.len().saturating_sub(1);
        let unused = |entry: &mut Entry| entry.used < since && !is_one_row(&entry.shapes);
        let unused = self.entries.extract_if(..last, unused);
        unused.map(|entry| entry.plan).collect()
    }

    fn position(&self, shapes: &Shapes) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.shapes == *shapes)
    }

    /// Drops plans until one of `bytes` for `shapes` fits. The error says what is missing.
    ///
    /// A plan for several rows never drives out the last used one for a single row: to be faster for some is not worth
    /// building anew for all others.
    pub(super) fn make_room(&mut self, bytes: u64, shapes: &Shapes) -> Result<(), OverBudget> {
        let Some(budget) = self.limits.budget_bytes else {
            return Ok(());
        };
        let single = |entry: &Entry| is_one_row(&entry.shapes);
        let kept = self.entries.iter().rposition(single);
        let mut kept = kept.filter(|_| !is_one_row(shapes));
        while self.bytes().saturating_add(bytes) > budget {
            let index = usize::from(kept == Some(0));
            if index >= self.entries.len() {
                break;
            }
            self.entries.remove(index);
            kept = kept.map(|kept| kept.saturating_sub(1));
        }
        let held = if kept.is_some() { self.bytes() } else { 0 };
        if held.saturating_add(bytes) > budget {
            return Err(OverBudget {
                needed: bytes,
                left: budget.saturating_sub(held),
            });
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries
            .iter()
            .fold(0, |sum, entry| entry.plan.bytes.saturating_add(sum))
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }
}

fn is_one_row(shapes: &Shapes) -> bool {
    shapes.iter().all(|shape| shape.first() == Some(&1))
}

/// The largest number of bytes that values between nodes hold at once, in the order of evaluation. Constants do not count.
pub(super) fn live_bytes(model: &TypedModel) -> TractResult<u64> {
    let order = model.eval_order()?;
    let mut last_use = BTreeMap::new();
    for (step, id) in order.iter().enumerate() {
        for input in &model.node(*id).inputs {
            last_use.insert(input.node, step);
        }
    }
    let mut ends: BTreeMap<usize, u64> = BTreeMap::new();
    let (mut live, mut peak) = (0_u64, 0_u64);
    for (step, id) in order.iter().enumerate() {
        let bytes = node_bytes(model, *id);
        live = live.saturating_add(bytes);
        peak = peak.max(live);
        let end = last_use.get(id).copied().unwrap_or(step);
        let ending = ends.entry(end).or_default();
        *ending = ending.saturating_add(bytes);
        live = live.saturating_sub(ends.remove(&step).unwrap_or_default());
    }
    Ok(peak)
}

fn node_bytes(model: &TypedModel, id: usize) -> u64 {
    let outputs = &model.node(id).outputs;
    let computed = outputs.iter().filter(|output| output.fact.konst.is_none());
    let bytes = computed.map(|output| {
        let size = u64::try_from(output.fact.datum_type.size_of()).unwrap_or(u64::MAX);
        let dims = output.fact.shape.as_concrete().unwrap_or_default();
        dims.iter().fold(size, |bytes, dim| {
            bytes.saturating_mul(u64::try_from(*dim).unwrap_or(u64::MAX))
        })
    });
    bytes.fold(0, u64::saturating_add)
}
