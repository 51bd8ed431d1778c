//! The contract with Kubernetes: the custom resources of aimass as plain types.
//!
//! Pure: types, their schema and the words (conditions, reasons, labels) that all processes share.
//! Knows nothing of tokio, of clients, of clocks. The operator and the gateway read these types;
//! `cargo xtask codegen` writes what [`all::custom_resource_definitions`] returns to `crds/yaml`.
//!
//! | module | what |
//! | --- | --- |
//! | [`model_deployment`] | `ModelDeployment`: spec and status |
//! | [`condition`], [`reason`] | the closed sets of condition types and reasons |
//! | [`labels`] | keys of the labels and annotations that the operator writes |
//! | [`scalars`] | values that carry a unit: durations, quantities, counts or percentages |
//! | [`all`] | every CustomResourceDefinition, cleaned |

pub mod all;
pub mod condition;
pub mod labels;
pub mod model_deployment;
pub mod reason;
pub mod scalars;

pub use model_deployment::{ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus};
