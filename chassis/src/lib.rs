//! What every process of aimass needs, so that each of them is about its own subject only.
//!
//! [`args`], [`units`] and [`logs`] at the start; [`runtime`], [`tasks`] and [`clock`] while it runs;
//! [`admin`], [`metrics`], [`readiness`] and [`traces`] for those who watch it; [`listener`], [`ws`] and [`address`]
//! between it and the network; [`shutdown`] at its end. Knows nothing of models or of Kubernetes.

pub mod address;
pub mod admin;
pub mod args;
pub mod clock;
pub mod listener;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod runtime;
pub mod shutdown;
pub mod tasks;
pub mod tls;
pub mod traces;
pub mod units;
pub mod ws;
