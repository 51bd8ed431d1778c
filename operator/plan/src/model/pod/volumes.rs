//! Volumes and who mounts them where.
//!
//! Pure, infallible. Called by `pod` and `containers`. The server never writes what it did not make
//! itself: a ConfigMap is the revision's own copy, a claim is read-only and copied, fetched files
//! are written by `fetch` alone.

use aimass_crds::quantity::Amount;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::containers::mount;
use crate::model::names::of_revision;
use crate::model::valid::{Source, Valid};

/// The pod's volumes.
pub(super) fn all(valid: &Valid, revision: &str) -> Vec<Volume> {
    match &valid.source {
        Source::ConfigMap { .. } => vec![Volume {
            name: "model".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: of_revision(&valid.name, revision),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        }],
        Source::Pvc {
            claim, max_size, ..
        } => vec![
            empty(max_size),
            Volume {
                name: "source".to_owned(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim.clone(),
                    read_only: Some(true),
                }),
                ..Volume::default()
            },
        ],
        Source::Http {
            secret, max_size, ..
        } => {
            let credentials = secret.as_ref().map(|name| Volume {
                name: "credentials".to_owned(),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(name.clone()),
                    ..SecretVolumeSource::default()
                }),
                ..Volume::default()
            });
            [empty(max_size)].into_iter().chain(credentials).collect()
        }
    }
}

/// What `server` mounts.
pub(super) fn of_server(source: &Source) -> Vec<VolumeMount> {
    match source {
        Source::ConfigMap { .. } => vec![mount("model", "/model/files", true)],
        Source::Pvc { .. } => vec![
            mount("model", "/model", false),
            mount("source", "/source", true),
        ],
        Source::Http { .. } => vec![mount("model", "/model", true)],
    }
}

/// What `fetch` mounts.
pub(super) fn of_fetch(credentials: bool) -> Vec<VolumeMount> {
    let secret = credentials.then(|| mount("credentials", "/credentials", true));
    [mount("model", "/model", false)]
        .into_iter()
        .chain(secret)
        .collect()
}

/// A folder on the node's disk. Room for an archive beside what is unpacked from it; above that the
/// kubelet evicts the pod.
fn empty(max_size: &str) -> Volume {
    Volume {
        name: "model".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Amount::parse(max_size).map(|amount| Quantity(amount.times(2).canonical())),
            medium: None,
        }),
        ..Volume::default()
    }
}
