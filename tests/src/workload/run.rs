//! One run of a workload: a namespace, its pods, and an operator that is started anew when it dies.
//!
//! Knows nothing of what is right; [`super`] judges, and tests do with checks of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{DIED, MODEL, REST, SILENCE, STORM, Workload};
use crate::audit;
use crate::cluster::{Cluster, Namespace};
use crate::eventually::within;
use crate::faults::Faults;
use crate::faults::plan::Plan;
use crate::faults::point::revision_of;
use crate::normal::{self, CHILDREN, Normal};
use crate::operator::{Operator, Settings};
use crate::pods::Kubelet;

/// One run: a namespace with a kubelet's stand-in and an operator that is started anew when it dies.
pub struct Run {
    /// Where it happens.
    pub ns: Namespace,
    /// What happens.
    pub faults: Faults,
    /// Plays the pods, where no kubelet does.
    pub kubelet: Kubelet,
    /// The instance that lives now.
    pub operator: Option<Operator>,
    /// How the next one is set up.
    pub settings: Settings,
    /// How often it was started anew.
    pub restarts: u32,
}

impl Run {
    /// A namespace with the files of the first example, an operator and a stand-in for the kubelet.
    pub async fn start(cluster: &Cluster, test: &str, settings: Settings) -> Self {
        let ns = cluster.namespace(test).await;
        crate::models::files(&ns, crate::models::FILES, &[("model.onnx", MODEL)]).await;
        let kubelet = Kubelet::start(&ns);
        let faults = Faults::default();
        let operator = Operator::start(&ns, faults.clone(), settings.clone()).await;
        Self {
            ns,
            faults,
            kubelet,
            operator: Some(operator),
            settings,
            restarts: 0,
        }
    }

    /// As [`Run::start`], on a cluster with a node of its own: the pods are real.
    pub async fn start_real(cluster: &Cluster, test: &str, settings: Settings) -> Self {
        let ns = cluster.namespace_on_node(test).await;
        let faults = Faults::default();
        let operator = Operator::start(&ns, faults.clone(), settings.clone()).await;
        Self {
            kubelet: Kubelet::absent(),
            ns,
            faults,
            operator: Some(operator),
            settings,
            restarts: 0,
        }
    }

    /// Looks until `check` is content with the end state; starts the operator anew when it dies.
    ///
    /// # Errors
    /// The last complaint, when `deadline` has passed since the last death.
    pub async fn reach(
        &mut self,
        deadline: Duration,
        check: impl Fn(&Normal) -> Result<(), String>,
    ) -> Result<Normal, String> {
        loop {
            let (client, name) = (self.ns.client.clone(), self.ns.name.clone());
            let look = || async {
                let objects = normal::objects(&client, &name)
                    .await
                    .map_err(|e| e.to_string())?;
                let state = normal::normal(&name, &objects);
                check(&state).map(|()| state)
            };
            let reached = tokio::select! {
                reached = within(deadline, look) => Some(reached),
                () = self.faults.death() => None,
            };
            match reached {
                Some(reached) => return reached,
                None => self.restart().await,
            }
        }
    }

    /// As [`Self::reach`], in a storm, which ends after [`STORM`] at the latest. What the back-off may
    /// take is then bounded: a pause that began in the storm is about as long as the storm was. In a
    /// storm without an end it would be for chance to decide.
    ///
    /// # Errors
    /// The last complaint, when `deadline` has passed since the end of the storm and of that pause.
    pub async fn outlast(
        &mut self,
        deadline: Duration,
        check: impl Fn(&Normal) -> Result<(), String>,
    ) -> Result<Normal, String> {
        if let Ok(state) = self.reach(STORM, &check).await {
            return Ok(state);
        }
        self.faults.arm(Plan::default());
        self.reach(STORM * 3 / 2 + deadline, check).await
    }

    /// Ends the instance as a crash does, and starts another one.
    pub async fn restart(&mut self) {
        self.faults.kill();
        if let Some(operator) = self.operator.take() {
            operator.crash();
        }
        self.faults = self.faults.reborn();
        self.restarts = self.restarts.saturating_add(1);
        let settings = self.settings.clone();
        let operator = Operator::start(&self.ns, self.faults.clone(), settings).await;
        self.operator = Some(operator);
    }

    /// Waits until the operator has written nothing for [`SILENCE`].
    ///
    /// # Errors
    /// What it wrote last, when `deadline` has passed.
    pub async fn silence(&mut self, deadline: Duration) -> Result<(), String> {
        let faults = self.faults.clone();
        let look = || async {
            let Some(last) = faults.last_write() else {
                return Ok(());
            };
            if last.elapsed() >= SILENCE {
                return Ok(());
            }
            let writes = faults.writes();
            let tail = writes.iter().rev().take(5).map(|r| r.point.as_str());
            Err(format!("still writing: {:?}", tail.collect::<Vec<_>>()))
        };
        tokio::select! {
            rest = within(deadline, look) => rest,
            () = faults.death() => Err(DIED.to_owned()),
        }
    }

    /// How often each child was created and deleted since the namespace was made, once the audit
    /// log has every call of the operator.
    pub async fn counts(&self, hashes: &[String]) -> BTreeMap<String, u32> {
        let records = self.faults.records();
        let ids: BTreeSet<String> = records.into_iter().filter_map(|r| r.audit_id).collect();
        let entries = self.ns.audited(&ids).await;
        audit::counts(&entries, &CHILDREN, |name| match revision_of(name) {
            Some(_) => normal::without_hashes(name, hashes),
            None => name.to_owned(),
        })
    }

    /// Does what the workload does before the faults, and waits for rest.
    pub(super) async fn prepare(&mut self, workload: &Workload) -> Result<(), String> {
        (workload.before)(&self.ns).await;
        self.reach(REST, workload.prepared).await?;
        self.silence(REST).await
    }

    /// The objects now, with the revisions that they have.
    pub(super) async fn state(&self) -> Result<(Normal, Vec<String>), String> {
        let objects = normal::objects(&self.ns.client, &self.ns.name).await;
        let objects = objects.map_err(|e| e.to_string())?;
        Ok((
            normal::normal(&self.ns.name, &objects),
            normal::hashes(&objects),
        ))
    }

    /// No panic in the operator, but those that the fault layer ordered.
    ///
    /// # Errors
    /// The panics.
    pub fn no_panic(&self) -> Result<(), String> {
        let mut panics = crate::operator::panics(&self.ns.name);
        panics.retain(|text| !text.contains(crate::faults::PANIC));
        if panics.is_empty() {
            Ok(())
        } else {
            Err(format!("the operator panicked: {panics:?}"))
        }
    }
}
