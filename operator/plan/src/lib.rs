//! Every decision of the operator, as pure, total, deterministic functions between plain values.
//!
//! No clock, environment, randomness, file or client: time is an argument, maps are ordered. The
//! operator's shell (`aimass-operator`) observes the cluster, calls [`model::plan`], applies what
//! it says and reports what [`model::status`] makes of it. Whoever reads `model.rs` first finds
//! every other decision from there.
//!
//! | module | what |
//! | --- | --- |
//! | [`model`] | ModelDeployments: revisions, children, rollouts |
//! | [`event`], [`next`] | what comes of it: Events, a time to look again |

pub mod event;
pub mod model;
pub mod next;

mod conditions;
mod text;
