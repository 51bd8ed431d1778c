//! Plans that were built, which of them are kept, and what they hold.
//!
//! Called by the engine under its locks. Bounded by number and by bytes; the plan unused for longest goes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tract_onnx::prelude::{
    TValue, TVec, TractResult, TypedModel, TypedRunnableModel, TypedSimpleState,
};

use super::Limits;
use crate::engine::Shapes;

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

    /// Runs with a state that nobody else uses. After an error or a panic the state is thrown away.
    pub(super) fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let idle = self.idle().pop();
        let mut state = match idle {
            Some(state) => state,
            None => self.runnable.spawn()?,
        };
        let outputs = state.run(inputs)?;
        let mut idle = self.idle();
        if idle.len() < IDLE_STATES {
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
    entries: Vec<(Shapes, Arc<Plan>)>,
}

impl Plans {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Vec::new(),
        }
    }

    pub(super) fn get(&mut self, shapes: &Shapes) -> Option<Arc<Plan>> {
        let index = self.entries.iter().position(|(key, _)| key == shapes)?;
        let entry = self.entries.remove(index);
        let plan = Arc::clone(&entry.1);
        self.entries.push(entry);
        Some(plan)
    }

    pub(super) fn insert(&mut self, shapes: Shapes, plan: Arc<Plan>) {
        while self.entries.len() >= self.limits.max_plans.max(1) {
            self.entries.remove(0);
        }
        self.entries.push((shapes, plan));
    }

    /// Drops plans until one of `bytes` fits. The error says what is missing.
    pub(super) fn make_room(&mut self, bytes: u64) -> Result<(), String> {
        let Some(budget) = self.limits.budget_bytes else {
            return Ok(());
        };
        while !self.entries.is_empty() && self.bytes().saturating_add(bytes) > budget {
            self.entries.remove(0);
        }
        if bytes > budget {
            return Err(format!(
                "one run needs about {} MiB of memory, and {} MiB are left below the limit",
                bytes.div_ceil(1 << 20),
                budget >> 20
            ));
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries
            .iter()
            .fold(0, |sum, (_, plan)| plan.bytes.saturating_add(sum))
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }
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
