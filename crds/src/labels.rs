//! Data. Keys (and fixed values) of the labels and annotations that the operator writes on children.
//!
//! They are written, never obeyed: no behaviour hides in them. Used by `aimass-plan` (writing),
//! `aimass-operator` (finding pods and orphaned children).

/// Label: the ModelDeployment that a child or pod belongs to.
pub const DEPLOYMENT: &str = "aimass.dev/deployment";
/// Label: the revision (eight characters) that a child or pod belongs to.
pub const REVISION: &str = "aimass.dev/revision";
/// Annotation: the number of a revision, which callers see as the model's version.
pub const NUMBER: &str = "aimass.dev/number";
/// Annotation: where the model's files come from, for people; at most 256 characters.
pub const MODEL: &str = "aimass.dev/model";
/// Annotation: uid of the ModelDeployment that wrote the child; finds a child again whose owner
/// reference was stripped.
pub const OWNER_UID: &str = "aimass.dev/owner-uid";
/// Annotation: hash of the object as last applied, without this annotation.
pub const APPLIED: &str = "aimass.dev/applied";

/// Label `app.kubernetes.io/name`; value [`NAME_VALUE`].
pub const NAME: &str = "app.kubernetes.io/name";
/// Value of [`NAME`].
pub const NAME_VALUE: &str = "model-server";
/// Label `app.kubernetes.io/instance`: the name of the ModelDeployment.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label `app.kubernetes.io/component`; value [`COMPONENT_VALUE`].
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Value of [`COMPONENT`].
pub const COMPONENT_VALUE: &str = "model";
/// Label `app.kubernetes.io/part-of`; value [`PART_OF_VALUE`].
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`PART_OF`].
pub const PART_OF_VALUE: &str = "aimass";
/// Label `app.kubernetes.io/managed-by`; value [`MANAGED_BY_VALUE`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "aimass-operator";
/// Value of [`NAME`] on the pods of the gateway: they alone may reach the pods of models.
pub const GATEWAY_NAME_VALUE: &str = "aimass-gateway";

/// Label of a Namespace by which its owner says that it collects metrics; value [`METRICS_ALLOWED`].
/// A NetworkPolicy selects by it: not the operator, but the network obeys it.
pub const METRICS: &str = "aimass.dev/metrics";
/// Value of [`METRICS`].
pub const METRICS_ALLOWED: &str = "allowed";
