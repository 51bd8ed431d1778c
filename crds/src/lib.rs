//! The contract with Kubernetes: the custom resources of aimass as plain types.
//!
//! Pure: types, their schema and the words (conditions, reasons, labels) that all processes share.
//! Knows nothing of tokio, of clients, of clocks. The operator and the gateway read these types;
//! `cargo xtask codegen` writes what [`all::custom_resource_definitions`] returns to `crds/yaml`.
//!
//! | module | what |
//! | --- | --- |
//! | [`model_deployment`] | `ModelDeployment`: spec and status |
//! | [`api_key`] | `APIKey`: spec and status, and the one judgement whether a key opens anything |
//! | [`usage_plan`] | `UsagePlan`: spec and status |
//! | [`condition`], [`reason`] | the closed sets of condition types and reasons |
//! | [`labels`] | keys of the labels and annotations that the operator writes |
//! | [`scalars`] | values that carry a unit: durations, quantities, counts or percentages |
//! | [`quantity`], [`network`] | quantities as numbers; ranges of addresses |
//! | [`signals`] | what a gateway tells the operator |
//! | [`all`] | every CustomResourceDefinition, cleaned |

pub mod all;
pub mod api_key;
pub mod condition;
pub mod labels;
pub mod model_deployment;
pub mod network;
pub mod quantity;
pub mod reason;
pub mod scalars;
pub mod signals;
pub mod usage_plan;

pub use api_key::{APIKey, APIKeySpec, APIKeyStatus, KeyState, key_state};
pub use model_deployment::{ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus};
pub use usage_plan::{UsagePlan, UsagePlanSpec, UsagePlanStatus};
