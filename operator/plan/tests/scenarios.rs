//! Scaling in virtual time: the real `recommend` against load at random, pods that take their time,
//! gateways that fall silent and operators that restart.
//!
//! `operator` stands for the operator's signals task, `model` for gateways and pods with a queue
//! between them. Seeds are fixed: a run is the same each time.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; clippy allows both in functions marked as such only"
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
