//! Labels, selectors and metadata of children.
//!
//! Pure. Called by every builder, so that each child can be found by the same labels and belongs to
//! its ModelDeployment by the same owner reference.

use std::collections::BTreeMap;

use aimass_crds::labels as keys;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::history::Known;
use super::names;
use super::valid::Valid;

/// Metadata of the child that exists once per object.
pub(crate) fn of_model(valid: &Valid) -> ObjectMeta {
    metadata(valid, valid.name.to_string(), None)
}

/// Metadata of a child of one revision.
pub(crate) fn of_revision(valid: &Valid, revision: &Known) -> ObjectMeta {
    metadata(
        valid,
        names::of_revision(&valid.name, &revision.name),
        Some(revision),
    )
}

/// The labels of a revision's pods, before the user's own.
pub(crate) fn of_pods(valid: &Valid, revision: &str) -> BTreeMap<String, String> {
    let mut labels = common(valid);
    labels.insert(keys::REVISION.to_owned(), revision.to_owned());
    labels
}

/// Selects the pods of all revisions.
pub(crate) fn select_model(valid: &Valid) -> BTreeMap<String, String> {
    BTreeMap::from([(keys::DEPLOYMENT.to_owned(), valid.name.to_string())])
}

/// Selects the pods of one revision.
pub(crate) fn select_revision(valid: &Valid, revision: &str) -> BTreeMap<String, String> {
    let mut labels = select_model(valid);
    labels.insert(keys::REVISION.to_owned(), revision.to_owned());
    labels
}

/// Labels as a selector.
pub(crate) fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        ..LabelSelector::default()
    }
}

fn common(valid: &Valid) -> BTreeMap<String, String> {
    [
        (keys::NAME, keys::NAME_VALUE),
        (keys::INSTANCE, valid.name.as_str()),
        (keys::COMPONENT, keys::COMPONENT_VALUE),
        (keys::PART_OF, keys::PART_OF_VALUE),
        (keys::MANAGED_BY, keys::MANAGED_BY_VALUE),
        (keys::DEPLOYMENT, valid.name.as_str()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

fn metadata(valid: &Valid, name: String, revision: Option<&Known>) -> ObjectMeta {
    let mut labels = common(valid);
    let mut annotations = BTreeMap::new();
    if let Some(revision) = revision {
        labels.insert(keys::REVISION.to_owned(), revision.name.clone());
        annotations.insert(keys::NUMBER.to_owned(), revision.number.to_string());
        annotations.insert(keys::MODEL.to_owned(), revision.model.clone());
    }
    if let Some(uid) = &valid.uid {
        annotations.insert(keys::OWNER_UID.to_owned(), uid.clone());
    }
    ObjectMeta {
        name: Some(name),
        namespace: Some(valid.namespace.clone()),
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        owner_references: owner(valid).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// Absent only offline (`render`), where the object has no uid yet.
fn owner(valid: &Valid) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "aimass.dev/v1alpha1".to_owned(),
        kind: "ModelDeployment".to_owned(),
        name: valid.name.to_string(),
        uid: valid.uid.clone()?,
        controller: Some(true),
        block_owner_deletion: Some(true),
    })
}
