//! All caches of one operator, and the announcements that their changes make.
//!
//! Pure but for its channels. Filled by `watch`, corrected by `apply` and `observe`, read by
//! `observe`; `readiness` asks what is still empty.

use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::broadcast;
use tokio::time::sleep;

use crate::cache::{Absence, Cache};
use crate::readiness::is_filled;
use crate::watch::Guarded;
use crate::watch::references::References;

/// Announcements that a slow listener may be behind before it is told to look at everything.
const ANNOUNCEMENTS: usize = 4096;

/// How often is looked whether all caches are filled.
const LOOK: Duration = Duration::from_millis(50);

/// What is known of the cluster.
pub(crate) struct Caches {
    /// Set by the stream of models before its first event.
    pub(crate) models: OnceLock<Store<Guarded>>,
    pub(crate) controller_revisions: Cache<ControllerRevision>,
    pub(crate) deployments: Cache<Deployment>,
    pub(crate) services: Cache<Service>,
    pub(crate) disruption_budgets: Cache<PodDisruptionBudget>,
    pub(crate) network_policies: Cache<NetworkPolicy>,
    /// Copies of model files (ours) and ConfigMaps of users, metadata only.
    pub(crate) config_maps: Cache<ObjectMeta>,
    /// Claims of users: that they exist.
    pub(crate) claims: Cache<()>,
    pub(crate) pods: Cache<aimass_plan::model::Pod>,
    pub(crate) references: References,
    announcements: broadcast::Sender<ObjectRef<Guarded>>,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            models: OnceLock::new(),
            controller_revisions: Cache::new(Absence::Doubted),
            deployments: Cache::new(Absence::Doubted),
            services: Cache::new(Absence::Doubted),
            disruption_budgets: Cache::new(Absence::Doubted),
            network_policies: Cache::new(Absence::Doubted),
            config_maps: Cache::new(Absence::Doubted),
            claims: Cache::new(Absence::Believed),
            pods: Cache::new(Absence::Believed),
            references: References::default(),
            announcements: broadcast::Sender::new(ANNOUNCEMENTS),
        }
    }
}

impl Caches {
    /// Something changed that concerns the model.
    pub(crate) fn announce(&self, namespace: &str, model: &str) {
        // Nobody listens while another instance leads: whoever begins looks at all models first.
        drop(
            self.announcements
                .send(ObjectRef::new(model).within(namespace)),
        );
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<ObjectRef<Guarded>> {
        self.announcements.subscribe()
    }

    /// Every model that is there.
    pub(crate) fn all_models(&self) -> Vec<ObjectRef<Guarded>> {
        let models = self.models.get().map(Store::state).unwrap_or_default();
        models
            .iter()
            .map(|model| ObjectRef::from_obj(&**model))
            .collect()
    }

    /// Each kind by its plural name, and whether its cache was filled once.
    pub(crate) fn kinds(&self) -> [(&'static str, bool); 9] {
        [
            ("modeldeployments", self.models.get().is_some_and(is_filled)),
            ("controllerrevisions", self.controller_revisions.is_filled()),
            ("deployments", self.deployments.is_filled()),
            ("services", self.services.is_filled()),
            ("poddisruptionbudgets", self.disruption_budgets.is_filled()),
            ("networkpolicies", self.network_policies.is_filled()),
            ("configmaps", self.config_maps.is_filled()),
            ("persistentvolumeclaims", self.claims.is_filled()),
            ("pods", self.pods.is_filled()),
        ]
    }

    /// Whether the cache of that kind was filled once.
    pub(crate) fn was_filled(&self, plural: &str) -> bool {
        self.kinds().contains(&(plural, true))
    }

    /// Returns when all caches were filled once.
    pub(crate) async fn filled(&self) {
        while !self.kinds().iter().all(|(_, filled)| *filled) {
            sleep(LOOK).await;
        }
    }
}
