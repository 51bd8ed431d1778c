//! Every decision of the operator, as pure, total, deterministic functions between plain values.
//!
//! No clock, environment, randomness, file or client: time is an argument, maps are ordered. The
//! operator's shell (`aimass-operator`) observes the cluster, calls [`model::plan`], applies what
//! it says and reports what [`model::status`] makes of it. Whoever reads `model.rs` first finds
//! every other decision from there.
//!
//! | module | what |
//! | --- | --- |
//! | [`model`] | ModelDeployments: revisions, children, rollouts, numbers of replicas |
//! | [`key`], [`usage_plan`] | APIKeys and UsagePlans, the same way without children |
//! | [`event`], [`next`], [`rejection`] | what all of them result in: Events, a time to look again, refusals |

pub mod event;
pub mod key;
pub mod model;
pub mod next;
pub mod rejection;
pub mod usage_plan;

mod conditions;
mod failed;
mod fields;
mod text;
