//! What was decided, and the sentence that says so to a person.
//!
//! Pure. Made by `decide`; its text goes into the condition `Scaled`, into Events and into the
//! decision record, where the inputs stand beside it.

use std::fmt;

use serde::Serialize;

use super::decide::Rule;
use super::inputs::Inputs;
use super::limits::{self, Limit, Limits};
use super::signal::Wanted;

/// How many replicas there shall be, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recommendation {
    /// How many.
    pub desired: i32,
    /// Which rule decided.
    pub rule: Rule,
    /// How many the rule wants, before delay and limits.
    pub wish: i32,
    /// The same after `scaleDownDelay`.
    pub delayed: i32,
    /// What changed that number.
    pub limited_by: Option<Limit>,
    /// What it was held against.
    pub limits: Limits,
    /// What each signal wants.
    pub wanted: Wanted,
    /// What all of it depends on.
    pub inputs: Inputs,
}

/// `4 → 7: burst 48.20 in flight wants 7 at 7 per replica; ready 4`. A number that stays stands alone.
impl fmt::Display for Recommendation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            desired, inputs, ..
        } = self;
        if *desired == inputs.current {
            write!(formatter, "{desired}: ")?;
        } else {
            write!(formatter, "{} → {desired}: ", inputs.current)?;
        }
        self.cause(formatter)?;
        if self.delayed > self.wish {
            write!(formatter, "; {} during scaleDownDelay", self.delayed)?;
        }
        if *desired > self.delayed {
            write!(formatter, "; min {}", self.limits.min)?;
        }
        match self.limited_by {
            None => Ok(()),
            Some(Limit::Max) => write!(formatter, "; max {}", self.limits.max),
            Some(Limit::Quota) => write!(formatter, "; the quota has room for {desired}"),
            Some(Limit::Unschedulable) => write!(formatter, "; no node has room for more"),
        }
    }
}

impl Recommendation {
    /// Pods of this number that are on their way while the quota holds it; `None`: something else does.
    #[must_use]
    pub fn held_by_quota(&self) -> Option<i32> {
        let headroom = self.limits.headroom?;
        let is_full = limits::room(&self.inputs, headroom) <= self.desired;
        let counted = self.inputs.existing.min(self.inputs.current);
        let further = self.desired.saturating_sub(counted);
        (self.limited_by == Some(Limit::Quota) && is_full).then_some(further)
    }

    /// Why the rule wants what it wants.
    fn cause(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            wish,
            wanted,
            inputs,
            ..
        } = self;
        let ready = inputs.usable;
        match rule {
            Rule::Asleep => formatter.write_str("nobody waits"),
            Rule::Waking if *wish > 1 => {
                write!(
                    formatter,
                    "requests wait, burst {}; ready {ready}",
                    wanted.burst
                )
            }
            Rule::Waking => formatter.write_str("a request waits"),
            Rule::Silent => formatter.write_str("no gateway reports, so nothing changes"),
            Rule::Idle => write!(formatter, "no request for {} s", inputs.idle_ms / 1000),
            Rule::Hot | Rule::Unproven | Rule::Growing if *wish > inputs.current => {
                self.growth(formatter)
            }
            Rule::Hot => write!(formatter, "all slots were full a moment ago; ready {ready}"),
            Rule::Unproven => write!(formatter, "too little was seen yet; ready {ready}"),
            Rule::Growing => self.growth(formatter),
            Rule::Shrinking => {
                write!(formatter, "{}", wanted.down)?;
                if *wish > wanted.down.replicas {
                    write!(formatter, ", in steps")?;
                }
                write!(formatter, "; ready {ready}")
            }
            Rule::Steady => write!(formatter, "{}; ready {ready}", wanted.up),
        }
    }

    fn growth(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wanted {
            up, burst, most, ..
        } = self.wanted;
        // only the held rules look at bursts
        if burst.replicas > up.replicas && self.rule != Rule::Growing {
            write!(formatter, "burst {burst}")?;
        } else {
            write!(formatter, "{up}")?;
        }
        write!(formatter, "; ready {}", self.inputs.usable)?;
        if up.replicas.max(burst.replicas) > most && self.wish >= most {
            write!(formatter, ", so at most {most}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
