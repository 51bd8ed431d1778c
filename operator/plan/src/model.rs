//! What is decided for one ModelDeployment: the facts that go in, the plan that comes out.
//!
//! Pure. Called by `aimass_operator::model::reconcile`: [`plan`] between `observe` and `apply`,
//! [`status()`], [`events()`] and [`next()`] after it. Knows nothing of HTTP, of clients or of who writes
//! the result.
//!
//! In order: [`valid`] refuses what breaks a rule; `source` and `history` say which revision the
//! spec asks for and which exist; `size` says how many pods there shall be, `rollout` gives each
//! revision some of them and a share of the requests; `objects` and `prune` turn that into writes;
//! `drift` finds those that are needed. [`scale`] stands beside them: it is asked each second how many
//! replicas the load calls for, whether or not anything else has changed; [`quota`] says to it for how
//! many there is room. [`objectives`] is asked likewise, whether the model keeps to what is asked of it.

pub mod analysis;
mod canonical;
mod config_map;
mod controller_revision;
mod deployment;
mod disruption_budget;
mod drift;
mod events;
mod facts;
mod failure;
mod gateways;
mod history;
mod labels;
mod names;
mod network_policy;
mod next;
pub mod objectives;
mod objects;
mod observed;
mod outlook;
mod planned;
mod planner;
mod pod;
mod prune;
pub mod quota;
mod remembered;
mod revision;
mod rollout;
#[cfg(test)]
mod samples;
pub mod scale;
mod scaling_rules;
mod service;
mod size;
mod source;
mod status;
mod traffic;
pub mod valid;

pub use analysis::Counts;
pub use events::events;
pub use failure::{VOLUME_WAIT, waits_for_volumes};
pub use gateways::Routed;
pub use next::next;
pub use observed::{
    Children, Container, Gateway, Observed, Platform, Pod, Recommended, Reference, Signals,
    Terminated, Traces,
};
pub use outlook::{
    Accepted, Decided, Failed, Outlook, PodFailure, Progress, RevisionFailure, RevisionOutlook,
    RolloutMemory, Scaling, Wait,
};
pub use planned::{Applied, ChildKind, Desired, Failure, Object, Plan, Prune, Write};
pub use planner::plan;
pub use scaling_rules::scaling_rules;
pub use status::{status, undecodable};
pub use valid::Rejection;
