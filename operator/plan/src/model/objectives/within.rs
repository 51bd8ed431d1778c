//! What a plan makes of it.
//!
//! Pure. Called by the planner, said by `status`.

use serde::Serialize;

use super::{Judged, Objectives, Standing, ask, few};
use crate::model::observed::Signals;

/// Whether a model keeps to its objectives, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Within {
    /// It has none.
    NotAsked,
    /// There is no gateway that could count.
    NobodyCounts,
    /// What was found out about the objectives that the spec has now.
    Judged {
        /// In one word.
        standing: Standing,
        /// In words, with the figures of then.
        message: String,
        /// How a message about these objectives ends.
        ask: String,
    },
    /// Nothing yet: what status says stays.
    Awaited {
        /// What to say where status says nothing.
        message: String,
        /// No gateway speaks.
        silent: bool,
    },
}

pub(crate) fn within(objectives: Option<&Objectives>, signals: &Signals) -> Within {
    let Some(objectives) = objectives else {
        return Within::NotAsked;
    };
    if !signals.expected {
        return Within::NobodyCounts;
    }
    let judged = signals.judged.as_ref();
    let ask = ask(objectives);
    match judged.filter(|judged| judged.objectives == *objectives) {
        Some(Judged {
            standing, message, ..
        }) => Within::Judged {
            standing: *standing,
            message: message.clone(),
            ask,
        },
        None => Within::Awaited {
            message: few(&ask),
            silent: signals.gateways.values().all(|gateway| gateway.silent),
        },
    }
}
