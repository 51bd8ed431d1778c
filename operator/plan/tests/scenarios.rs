//! Scaling in virtual time: the real `recommend` against load at random, pods that take their time,
//! gateways that fall silent and operators that restart.
//!
//! `operator` stands for the operator's signals task, `model` for gateways and pods with a queue
//! between them. Seeds are fixed: a run is the same each time.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests; clippy allows both in functions marked as such only"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and loads of a simulation, all of them small and not negative"
)]

#[path = "scenarios/load.rs"]
mod load;
#[path = "scenarios/model.rs"]
mod model;
#[path = "scenarios/operator.rs"]
mod operator;
#[path = "scenarios/random.rs"]
mod random;
#[path = "scenarios/rules.rs"]
mod rules;
