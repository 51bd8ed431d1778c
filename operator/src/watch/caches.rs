//! All caches of one operator.
//!
//! Pure but for the channels of what is announced. Filled by `watch`, corrected by `apply` and
//! `observe`, read by `observe`; `readiness` asks what is still empty.

use std::time::Duration;

use aimass_crds::{APIKey, ModelDeployment, UsagePlan};
use aimass_plan::model::quota::Quota;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::sleep;

use crate::cache::{Absence, Cache};
use crate::watch::holders::Holders;
use crate::watch::references::References;
use crate::watch::subjects::{Subject, Subjects};

/// The plural name of ResourceQuotas.
pub(super) const QUOTAS: &str = "resourcequotas";

/// How often is looked whether all caches are filled.
const LOOK: Duration = Duration::from_millis(50);

/// Which part of the cluster is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of it.
    Cluster,
    /// One namespace: UsagePlans, which are of none, are nothing to us.
    Namespace,
}

/// What is known of the cluster.
pub(crate) struct Caches {
    scope: Scope,
    pub(crate) models: Subjects<ModelDeployment>,
    pub(crate) keys: Subjects<APIKey>,
    /// Empty for ever where one namespace is watched.
    pub(crate) plans: Subjects<UsagePlan>,
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
    /// By namespace.
    pub(crate) quotas: Cache<Quota>,
    /// What models refer to.
    pub(crate) references: References,
    /// What keys name.
    pub(crate) holders: Holders,
}

impl Subject for ModelDeployment {
    fn subjects(caches: &Caches) -> &Subjects<Self> {
        &caches.models
    }
}

impl Subject for APIKey {
    fn subjects(caches: &Caches) -> &Subjects<Self> {
        &caches.keys
    }
}

impl Subject for UsagePlan {
    fn subjects(caches: &Caches) -> &Subjects<Self> {
        &caches.plans
    }
}

impl Caches {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            models: Subjects::default(),
            keys: Subjects::default(),
            plans: Subjects::default(),
            controller_revisions: Cache::new(Absence::Doubted),
            deployments: Cache::new(Absence::Doubted),
            services: Cache::new(Absence::Doubted),
            disruption_budgets: Cache::new(Absence::Doubted),
            network_policies: Cache::new(Absence::Doubted),
            config_maps: Cache::new(Absence::Doubted),
            claims: Cache::new(Absence::Believed),
            pods: Cache::new(Absence::Believed),
            quotas: Cache::new(Absence::Believed),
            references: References::default(),
            holders: Holders::default(),
        }
    }

    /// Whether UsagePlans are watched.
    pub(crate) fn has_plans(&self) -> bool {
        self.scope == Scope::Cluster
    }

    /// Each kind that nothing goes without, by its plural name, and whether its cache was filled once.
    pub(crate) fn kinds(&self) -> Vec<(&'static str, bool)> {
        let mut kinds = vec![
            ("modeldeployments", self.models.is_filled()),
            ("apikeys", self.keys.is_filled()),
            ("controllerrevisions", self.controller_revisions.is_filled()),
            ("deployments", self.deployments.is_filled()),
            ("services", self.services.is_filled()),
            ("poddisruptionbudgets", self.disruption_budgets.is_filled()),
            ("networkpolicies", self.network_policies.is_filled()),
            ("configmaps", self.config_maps.is_filled()),
            ("persistentvolumeclaims", self.claims.is_filled()),
            ("pods", self.pods.is_filled()),
        ];
        if self.has_plans() {
            kinds.push(("usageplans", self.plans.is_filled()));
        }
        kinds
    }

    /// Whether all goes on without that kind. An installation from before it was read may not grant it;
    /// then quotas are told of by what they refuse.
    pub(crate) fn is_spared(plural: &str) -> bool {
        plural == QUOTAS
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
