//! What is said of a rollout in each of its states, and what is shown of it.

use serde_json::{Value, json};

use super::*;
use crate::client::tests::cluster;
use word::{Refused, decision};

const CALLED: &str = "revision bbbbbbbb (number 2)";

/// The model shop/iris with this rollout of its second revision.
fn object(rollout: &Value) -> Value {
    json!({
        "apiVersion": "aimass.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "iris", "namespace": "shop", "generation": 3, "resourceVersion": "7"},
        "spec": {"model": {"source": {"configMap": {"name": "files"}}}},
        "status": {
            "observedGeneration": 3,
            "stable": {"revision": "aaaaaaaa", "number": 1},
            "target": {"revision": "bbbbbbbb", "number": 2},
            "rollout": rollout,
        },
    })
}

/// A rollout at `step` of its first attempt.
fn at(step: i32) -> Value {
    json!({"revision": "bbbbbbbb", "startedAt": "2026-11-28T12:00:00Z", "attempt": 1, "step": step, "weight": 20})
}

fn failed() -> Value {
    let mut rollout = at(1);
    rollout["failure"] = json!({"attempt": 1, "time": "2026-11-28T12:01:00Z", "reason": "Aborted", "message": "why"});
    rollout
}

fn model(object: Value) -> ModelDeployment {
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_word_names_the_revision_that_it_holds_for() {
    for (word, rollout, action, step, attempt) in [
        (Word::Continue, at(2), "Continue", Some(2), None),
        (Word::Promote, at(0), "Promote", None, None),
        (Word::Abort, at(1), "Abort", None, None),
        (Word::Retry, failed(), "Retry", None, Some(1)),
    ] {
        let said = decision(&model(object(&rollout)), word).unwrap();
        let expect =
            json!({"revision": "bbbbbbbb", "action": action, "step": step, "attempt": attempt});
        assert_eq!(said.decision, expect);
        assert!(said.text.contains(CALLED), "{}", said.text);
    }
}

#[test]
fn a_word_that_means_nothing_is_not_said() {
    let called = CALLED.to_owned();
    let refused = |object: Value, word| decision(&model(object), word).unwrap_err();
    let at = |step| object(&at(step));
    assert_eq!(
        refused(at(0), Word::Continue),
        Refused::NoStep(called.clone())
    );
    assert_eq!(
        refused(at(1), Word::Retry),
        Refused::NotFailed(called.clone())
    );
    let failed = object(&failed());
    assert_eq!(
        refused(failed, Word::Promote),
        Refused::Failed(called.clone())
    );
    let done = object(&Value::Null);
    assert_eq!(refused(done, Word::Abort), Refused::Nothing(called.clone()));
    let mut first = at(1);
    first["status"]["stable"] = Value::Null;
    assert_eq!(refused(first, Word::Abort), Refused::First(called));
    let mut unseen = at(1);
    unseen["metadata"]["generation"] = json!(4);
    assert_eq!(refused(unseen, Word::Abort), Refused::Unseen);
}

#[tokio::test]
async fn a_word_is_written_for_the_version_that_was_read() {
    let read = object(&at(1));
    let (cluster, transcript) = cluster([(200, read.clone()), (200, read)]);
    let decide = |model: &ModelDeployment| {
        let said = decision(model, Word::Abort).unwrap();
        Ok(Change::Write(
            json!({"rollout": {"decision": said.decision}}),
            (),
        ))
    };
    let models = cluster.model_deployments();
    edit(&models, ("iris", "it"), LOST, decide).await.unwrap();
    let body = &transcript.all()[1].body;
    assert_eq!(body["metadata"]["resourceVersion"], "7");
    assert_eq!(body["spec"]["rollout"]["decision"]["action"], "Abort");
}

#[test]
fn shares_and_figures_are_shown() {
    let mut rollout = at(1);
    rollout["checks"] = json!([{
        "metric": "errorRate.maxIncrease", "verdict": "Fail", "requests": 193, "new": "4.1%", "stable": "0.3%", "limit": "1%",
    }]);
    let mut object = object(&rollout);
    object["status"]["conditions"] = json!([{
        "type": "RolledOut", "status": "False", "reason": "Progressing", "message": "1 of 2\npods",
        "lastTransitionTime": "2026-11-28T12:00:00Z", "observedGeneration": 3,
    }]);
    object["status"]["traffic"] =
        json!([{"revision": "bbbbbbbb", "weight": 20}, {"revision": "aaaaaaaa", "weight": 80}]);
    object["status"]["revisions"] = json!([{
        "name": "bbbbbbbb", "number": 2, "role": "Target", "model": "m", "replicas": 1, "readyReplicas": 1, "reason": "Ready",
    }]);
    let expect = "Progressing: 1 of 2 pods\n\n\
        REVISION   NUMBER   ROLE     SHARE   PODS   STATE\n\
        bbbbbbbb   2        Target   20 %    1/1    Ready\n\n\
        CHECK                   VERDICT   REQUESTS   NEW    STABLE   LIMIT\n\
        errorRate.maxIncrease   Fail      193        4.1%   0.3%     1%\n";
    assert_eq!(status::text(&model(object)), expect);
    let mut unseen = self::object(&at(0));
    unseen.as_object_mut().unwrap().remove("status");
    assert!(status::text(&model(unseen)).contains("not looked"));
}
