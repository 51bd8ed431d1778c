//! The rules, in order; the first one that applies decides.
//!
//! Pure. Called by [`super::recommend`] with what was gathered. Source: scaling-and-rollout.md §2;
//! the two windows and the shape of the alarm are those of Knative's autoscaler.

use serde::Serialize;

use super::inputs::Inputs;
use super::limits::{Limits, limited};
use super::memory::Memory;
use super::recommendation::Recommendation;
use super::signal::{self, Wanted, percent_of};
use super::tick::{Tick, millis};
use super::tuning::Rules;

/// Which rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Rule {
    /// There is no pod and nobody waits for one.
    Asleep,
    /// There is no pod and somebody waits for one.
    Waking,
    /// No gateway reports: nothing is known, nothing changes.
    Silent,
    /// There was no request for `idleTimeout`.
    Idle,
    /// A burst filled all slots lately: nothing shrinks.
    Hot,
    /// Not a whole window was seen yet: nothing shrinks.
    Unproven,
    /// The window wants more.
    Growing,
    /// Less is enough.
    Shrinking,
    /// It is as it should be.
    Steady,
}

/// Decides.
pub(super) fn decide(
    rules: &Rules,
    inputs: Inputs,
    limits: Limits,
    memory: &Memory,
    now: Tick,
) -> (Memory, Recommendation) {
    let mut memory = memory.clone();
    let wanted = signal::wanted(rules, &inputs, &memory, now);
    let (rule, wish) = first(rules, &inputs, &wanted, (limits, &mut memory), now);
    let delayed = memory.delayed(wish, inputs.current, rules.scale_down_delay, now);
    let (desired, limited_by) = limited(delayed, limits, &inputs, &mut memory, now);
    memory.changed(inputs.current, desired, now);
    let recommendation = Recommendation {
        desired,
        rule,
        wish,
        delayed,
        limited_by,
        limits,
        wanted,
        inputs,
    };
    (memory, recommendation)
}

fn first(
    rules: &Rules,
    inputs: &Inputs,
    wanted: &Wanted,
    (limits, memory): (Limits, &mut Memory),
    now: Tick,
) -> (Rule, i32) {
    let current = inputs.current;
    let burst = wanted.burst.replicas;
    if current == 0 {
        // What was in flight before it fell asleep is still in the window: only a waiter wakes it.
        return if inputs.waiting {
            (Rule::Waking, burst.min(wanted.most).max(1))
        } else {
            (Rule::Asleep, 0)
        };
    }
    if inputs.silent {
        return (Rule::Silent, current);
    }
    let proven = memory.proven(inputs.proven);
    let alarm = signal::alarming(rules, inputs, burst);
    let held = memory.held(alarm, rules.tuning.hold, now);
    if limits.min <= 0 && inputs.complete && !inputs.waiting && idle(rules, inputs) {
        return (Rule::Idle, 0);
    }
    let up = wanted.up.replicas;
    if held || !proven {
        let rule = if held { Rule::Hot } else { Rule::Unproven };
        return (rule, up.max(burst).min(wanted.most).max(current));
    }
    if up > current {
        return (Rule::Growing, up.min(wanted.most));
    }
    let last = memory.last_decrease().map(|last| now.since(last));
    let rested = last.is_none_or(|since| since >= rules.tuning.decrease_every);
    let down = wanted.down.replicas.max(1);
    if down < current && inputs.complete && rested {
        let kept = percent_of(current, rules.tuning.keep_percent);
        return (Rule::Shrinking, down.max(kept).min(current));
    }
    (Rule::Steady, current)
}

fn idle(rules: &Rules, inputs: &Inputs) -> bool {
    inputs.idle_ms >= millis(rules.idle_timeout)
}

#[cfg(test)]
mod knative;
#[cfg(test)]
mod tests;
