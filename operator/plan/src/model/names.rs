//! Names of children, and of addresses.
//!
//! Pure. Called by the builders. A child's name is a pure function of the object and the revision,
//! so that it is found again after any crash.

use super::valid::{Name, Valid};

/// The port that callers use.
pub(crate) const HTTP_PORT: i32 = 8501;
/// The port for probes and metrics.
pub(crate) const ADMIN_PORT: i32 = 8502;

/// The name of everything that belongs to one revision: `<name>-<revision>`, at most 61 characters.
pub(crate) fn of_revision(name: &Name, revision: &str) -> String {
    format!("{name}-{revision}")
}

/// The model's address: at the gateway, if there is one, else within the cluster.
pub(crate) fn url(valid: &Valid, gateway: Option<&str>) -> String {
    let Valid {
        name,
        namespace,
        served_name,
        ..
    } = valid;
    match gateway {
        Some(gateway) => format!("{gateway}/projects/{namespace}/v1/models/{served_name}"),
        None => format!("http://{name}.{namespace}.svc:{HTTP_PORT}/v1/models/{served_name}"),
    }
}
