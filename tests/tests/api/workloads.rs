//! What the crash and fault plans are run over: create, scale, model change, switch, delete.

use aimass_tests::models;
use aimass_tests::normal::Normal;
use aimass_tests::workload::{MODEL, Workload};
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// The one ModelDeployment of all workloads.
const NAME: &str = "iris";

/// `kubectl apply` of a new model.
pub(crate) const CREATE: Workload = Workload {
    name: "create",
    before: |_| Box::pin(async {}),
    prepared: |_| Ok(()),
    act: |ns| {
        Box::pin(async {
            let model = models::model(NAME, 2);
            models::apply(ns, &model).await.expect("the model is valid");
        })
    },
    done: |state| serves(state, 1, 1, 2),
};

/// `kubectl scale` up, and down again.
pub(crate) const SCALE: Workload = Workload {
    name: "scale",
    before: CREATE.act,
    prepared: CREATE.done,
    act: |ns| {
        Box::pin(async {
            for replicas in [4, 1] {
                let spec = json!({"replicas": replicas});
                models::merge(ns, NAME, &spec)
                    .await
                    .expect("the number is valid");
            }
        })
    },
    done: |state| serves(state, 3, 1, 1),
};

/// New files in the ConfigMap that the model refers to.
pub(crate) const CHANGE: Workload = Workload {
    name: "change",
    before: CREATE.act,
    prepared: CREATE.done,
    act: |ns| {
        Box::pin(async {
            let other = [MODEL, b" of another kind"].concat();
            models::files(ns, models::FILES, &[("model.onnx", &other)]).await;
        })
    },
    done: |state| serves(state, 1, 2, 2),
};

/// The same change where all requests move at once, from one whole set of pods to another.
pub(crate) const SWITCH: Workload = Workload {
    name: "switch",
    before: |ns| {
        Box::pin(async {
            let rollout = json!({"strategy": "BlueGreen", "blueGreen": {"keepOld": "0s"}});
            let model = models::with(models::model(NAME, 2), "/spec/rollout", rollout);
            models::apply(ns, &model).await.expect("the model is valid");
        })
    },
    prepared: CREATE.done,
    act: CHANGE.act,
    done: CHANGE.done,
};

/// `kubectl delete`.
pub(crate) const DELETE: Workload = Workload {
    name: "delete",
    before: CREATE.act,
    prepared: CREATE.done,
    act: |ns| {
        Box::pin(async {
            let params = DeleteParams::background();
            let deleted = models::api(ns).delete(NAME, &params).await;
            deleted.expect("an object that exists can be deleted");
        })
    },
    done: |state| {
        let left: Vec<&String> = state
            .keys()
            .filter(|key| !key.ends_with(models::FILES))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("still there: {left:?}"))
        }
    },
};

/// Complains unless the model serves: its generation seen, this revision stable, so many pods ready.
fn serves(state: &Normal, generation: i64, number: i64, pods: i64) -> Result<(), String> {
    let model = state
        .get(&format!("ModelDeployment/{NAME}"))
        .ok_or("no model")?;
    let status = &model["status"];
    let condition = |kind: &str| -> Value {
        let all = status["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .find(|c| c["type"] == kind)
            .unwrap_or_default()["status"]
            .clone()
    };
    let found = json!({
        "observedGeneration": status["observedGeneration"], "number": status["stable"]["number"],
        "replicas": status["replicas"], "readyReplicas": status["readyReplicas"],
        "Ready": condition("Ready"), "RolledOut": condition("RolledOut"),
        "Reconciling": condition("Reconciling"),
    });
    let wanted = json!({
        "observedGeneration": generation, "number": number, "replicas": pods,
        "readyReplicas": pods, "Ready": "True", "RolledOut": "True", "Reconciling": null,
    });
    if found == wanted {
        Ok(())
    } else {
        Err(format!("should be {wanted}\nis        {found}\n{status}"))
    }
}
