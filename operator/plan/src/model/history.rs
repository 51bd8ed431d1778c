//! The revisions that exist, as their ControllerRevisions remember them.
//!
//! Pure. Called by the planner. A pod template is taken from here, as it was rendered when the
//! revision was made, so that an upgrade of the operator never changes pods in place. Where the
//! memory was deleted by hand, the live Deployment stands in.

use std::collections::BTreeMap;

use aimass_crds::labels as keys;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names;
use super::observed::Children;
use super::valid::Name;

/// One revision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    /// Eight characters.
    pub(crate) name: String,
    /// Counted up.
    pub(crate) number: i64,
    /// `None`: not made yet.
    pub(crate) created: Option<Timestamp>,
    /// For people.
    pub(crate) model: String,
    /// Where known.
    pub(crate) digest: Option<String>,
    /// What was hashed; `None` where the memory was deleted or does not parse.
    pub(crate) identity: Option<Value>,
    /// As rendered then; `None` where nothing is left of it.
    pub(crate) template: Option<PodTemplateSpec>,
}

/// The `data` of a ControllerRevision.
#[derive(Serialize, Deserialize)]
pub(crate) struct Data {
    /// What was hashed.
    pub(crate) identity: Value,
    /// Where its files come from, for people.
    pub(crate) model: String,
    /// Digest of the files, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// The pod template as rendered then.
    pub(crate) template: PodTemplateSpec,
}

/// All revisions of the object `name`, the newest (highest number) first.
pub(crate) fn known(name: &Name, children: &Children) -> Vec<Known> {
    let mut all: BTreeMap<String, Known> = BTreeMap::new();
    for (child, deployment) in &children.deployments {
        let template = deployment.spec.as_ref().map(|spec| spec.template.clone());
        if let Some(known) = read(name, child, &deployment.metadata, template) {
            all.insert(known.name.clone(), known);
        }
    }
    for (child, object) in &children.controller_revisions {
        let Some(mut known) = read(name, child, &object.metadata, None) else {
            continue;
        };
        known.number = object.revision;
        let data = object
            .data
            .as_ref()
            .and_then(|data| Data::deserialize(&data.0).ok());
        let live = all.remove(&known.name).and_then(|known| known.template);
        match data {
            Some(data) => {
                known.identity = Some(data.identity);
                known.model = data.model;
                known.digest = data.digest;
                known.template = Some(data.template);
            }
            None => known.template = live,
        }
        all.insert(known.name.clone(), known);
    }
    let mut all: Vec<Known> = all.into_values().collect();
    all.sort_by(|a, b| (b.number, &b.name).cmp(&(a.number, &a.name)));
    all
}

/// A revision from a child's metadata; `None` if the child is of no revision, or not named as one.
fn read(
    model: &Name,
    child: &str,
    metadata: &ObjectMeta,
    template: Option<PodTemplateSpec>,
) -> Option<Known> {
    let annotation = |key: &str| metadata.annotations.as_ref()?.get(key).cloned();
    let name = child.strip_prefix(model.as_str())?.strip_prefix('-')?;
    let legal = name.len() == 8
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b));
    if !legal || names::of_revision(model, name) != child {
        return None;
    }
    Some(Known {
        name: name.to_owned(),
        number: annotation(keys::NUMBER)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        created: metadata.creation_timestamp.as_ref().map(|time| time.0),
        model: annotation(keys::MODEL).unwrap_or_default(),
        digest: None,
        identity: None,
        template,
    })
}
