//! What the gateway answers by itself: its health, which models there are, and how a model is that sleeps.
//!
//! Called by `phase`; pure but for who asks for a list, which may have to be found out. A model at zero is ready: its first
//! caller wakes it and is answered. Whoever only asks how it is must not wake it, and there is no pod to say it.

use std::net::IpAddr;

use aimass_protocol::v1::{self, VersionStatus};
use aimass_protocol::v2::{
    health_live_document, health_ready_document, model_ready_document, server_document,
};

use super::Case;
use super::authenticate::Caller;
use super::permit::{Bound, is_listed, project_of};
use super::refusal::Refusal;
use super::route::{Call, Own, Project};
use crate::table::{Revision, RevisionState, Table};

/// Models in a list, at most.
const LISTED: usize = 10_000;
/// In texts about a list.
const EVERY: &str = "*";

impl Case<'_> {
    /// The answer to what is asked of the gateway itself.
    pub(super) async fn answer_itself(&mut self, own: &Own) -> Result<Vec<u8>, Refusal> {
        Ok(match own {
            Own::Server => server_document(env!("CARGO_PKG_VERSION")),
            Own::Live => health_live_document(),
            Own::Ready => health_ready_document(None),
            Own::Models { project, host } => {
                let caller = self.authenticate(EVERY).await?;
                let address = self.record.origin().address;
                let meant = (project, host.as_deref());
                v1::models_document(&models(&self.table, meant, &caller, address))
            }
        })
    }
}

/// The models that `caller` may call from `address`, by the names in addresses. Of callers with tokens only the API server
/// knows what they may call, model by model: they see those that everybody may.
fn models<'a>(
    table: &'a Table,
    (project, host): (&Project, Option<&str>),
    caller: &Caller,
    address: IpAddr,
) -> Vec<&'a str> {
    let project = project_of(project, caller);
    let all = project.and_then(|project| table.models.get(project));
    let listed = all.into_iter().flatten().filter(|(_, model)| {
        host.is_none_or(|host| host == &*model.name) && is_listed(model, caller, address)
    });
    let mut names: Vec<&str> = listed.map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.truncate(LISTED);
    names
}

/// What `call` is to hear of a model whose pods come when somebody wants predictions; `None`: a pod is to say it, or there is
/// something amiss.
pub(super) fn asleep(bound: &Bound, call: Call) -> Option<Vec<u8>> {
    let model = &bound.deployment;
    let sleeps = |revision: &Revision| {
        revision.endpoints.is_empty() && revision.state == RevisionState::AtZero
    };
    let is_meant = |revision: &&Revision| match bound.pin {
        Some(pin) => revision.number == pin,
        None => revision.weight > 0,
    };
    let meant: Vec<&Revision> = model.revisions.iter().filter(is_meant).collect();
    let all = !meant.is_empty() && meant.iter().all(|revision| sleeps(revision));
    if model.unready.is_some() || !all {
        return None;
    }
    match call {
        Call::ModelReady => Some(model_ready_document(&model.served_name, None)),
        Call::Status => {
            let status = |revision: &&Revision| VersionStatus {
                version: revision.number,
                state: v1::State::Available,
                error_code: "OK",
                error_message: String::new(),
            };
            let versions: Vec<_> = meant.iter().map(status).collect();
            Some(v1::status_document(&versions))
        }
        _ => None,
    }
}
