//! `aimass key list`: the keys of a namespace as a table. [`table()`] is pure.

use aimass_chassis::clock;
use aimass_crds::condition::ConditionType;
use aimass_crds::{APIKey, KeyState, api_key, key_state};
use jiff::Timestamp;
use kube::api::ListParams;

use super::ids;
use crate::args::ListArgs;
use crate::client::{Cluster, Target, answered, printable};
use crate::outcome::{Failure, Outcome};
use crate::problems::Problems;
use crate::{table, when};

const COMMAND: &str = "key list";
/// Keys per request.
const PAGE: u32 = 500;
/// As many keys as gateways take: 100,000.
const MAX_PAGES: usize = 200;
const HEAD: [&str; 6] = ["NAME", "MODELS", "PLAN", "STATE", "EXPIRES", "TOKENS"];

/// Shows the keys.
pub(super) async fn run(args: ListArgs) -> Result<Outcome, Failure> {
    let ListArgs { cluster } = args;
    let mut problems = Problems::default();
    let target = Target::of(cluster, &mut problems);
    let target = problems.finish(COMMAND, Some(target))?;
    let cluster = Cluster::connect(target).await?;
    let keys = all(&cluster).await?;
    if keys.is_empty() {
        let namespace = &cluster.namespace;
        let none = format!("Namespace {namespace} has no APIKey; `aimass key create` makes one.\n");
        return Ok(Outcome::done(String::new(), none));
    }
    Ok(Outcome::done(table(&keys, clock::now()), String::new()))
}

/// All keys of the namespace, by name.
async fn all(cluster: &Cluster) -> Result<Vec<APIKey>, Failure> {
    let api = cluster.keys();
    let mut params = ListParams::default().limit(PAGE);
    let mut keys = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = answered(api.list(&params)).await.map_err(|trouble| {
            let namespace = &cluster.namespace;
            Failure::new(format!(
                "failed to list the APIKeys of namespace {namespace}: {trouble}"
            ))
        })?;
        keys.extend(page.items);
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => return Ok(keys),
        }
    }
    let most = keys.len();
    Err(Failure::new(format!(
        "more than {most} keys: use kubectl get apikeys --selector"
    )))
}

/// One line for each key, under a head.
fn table(keys: &[APIKey], now: Timestamp) -> String {
    let head = HEAD.map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(keys.iter().map(|key| row(key, now)));
    table::lines(&rows)
}

fn row(key: &APIKey, now: Timestamp) -> [String; HEAD.len()] {
    let spec = &key.spec;
    let expires = match api_key::key_end(key) {
        Some(end) => when::show(end),
        None => "never".to_owned(),
    };
    let row = [
        key.metadata.name.clone().unwrap_or_default(),
        spec.models.join(","),
        spec.plan.clone().unwrap_or_else(|| "-".to_owned()),
        state(key, now),
        expires,
        ids(&spec.credentials),
    ];
    row.map(|cell: String| printable(&cell))
}

/// What gateways make of the key; or why the operator thinks that it opens nothing nevertheless.
fn state(key: &APIKey, now: Timestamp) -> String {
    match key_state(key, now) {
        KeyState::Disabled => "Disabled".to_owned(),
        KeyState::Expired => "Expired".to_owned(),
        KeyState::Active => complaint(key).unwrap_or_else(|| "Active".to_owned()),
    }
}

/// The reason of a condition Ready that is False and speaks of this spec.
fn complaint(key: &APIKey) -> Option<String> {
    let ready = ConditionType::Ready.find(&key.status.as_ref()?.conditions)?;
    let current = ready.observed_generation == key.metadata.generation;
    // These two say what was the case at the operator's time: the judgement is made here, at ours.
    let own = matches!(ready.reason.as_str(), "Disabled" | "Expired");
    (ready.status == "False" && current && !own).then(|| ready.reason.clone())
}

#[cfg(test)]
mod tests {
    use aimass_crds::APIKeyStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use serde_json::json;

    use super::super::tests::{NOW, key, object_with, time};
    use super::*;
    use crate::client::tests::cluster;

    #[test]
    fn a_table_has_a_line_for_each_key() {
        let mut ana = key(&[("A00000000000", None)]);
        ana.spec.plan = Some("free".to_owned());
        let mut old = key(&[("B00000000000", Some(NOW))]);
        old.metadata.name = Some("old-key".to_owned());
        old.spec.models = vec!["*".to_owned()];
        assert_eq!(
            table(&[ana, old], time(NOW)),
            "NAME      MODELS   PLAN   STATE     EXPIRES                TOKENS\n\
             ana       iris     free   Active    never                  A00000000000\n\
             old-key   *        -      Expired   2026-11-27T12:00:00Z   B00000000000 (until 2026-11-27T12:00:00Z)\n"
        );
    }

    #[track_caller]
    fn check(disabled: bool, condition: Option<(&str, &str, i64)>, expect: &str) {
        let mut key = key(&[("A00000000000", None)]);
        key.metadata.generation = Some(2);
        key.spec.disabled = Some(disabled);
        let conditions = condition.map(|(status, reason, generation)| Condition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            observed_generation: Some(generation),
            last_transition_time: Time(time(NOW)),
        });
        key.status = Some(APIKeyStatus {
            conditions: conditions.into_iter().collect(),
            ..APIKeyStatus::default()
        });
        assert_eq!(state(&key, time(NOW)), expect);
    }

    #[test]
    fn a_state_is_that_of_the_gateways_unless_the_operator_knows_more() {
        check(false, None, "Active");
        check(false, Some(("True", "Active", 2)), "Active");
        check(
            false,
            Some(("False", "DuplicateKeyID", 2)),
            "DuplicateKeyID",
        );
        check(true, Some(("False", "DuplicateKeyID", 2)), "Disabled");
        check(true, Some(("True", "Active", 1)), "Disabled");
    }

    #[test]
    fn a_complaint_about_an_older_spec_does_not_count() {
        check(false, Some(("False", "PlanNotFound", 1)), "Active");
        check(false, Some(("False", "Disabled", 2)), "Active");
    }

    #[tokio::test]
    async fn all_pages_are_read() {
        let page = |version: &str, more: &str| {
            let list = json!({
                "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKeyList",
                "metadata": {"continue": more}, "items": [object_with(version, &[("A00000000000", None)])],
            });
            (200, list)
        };
        let (cluster, transcript) = cluster([page("1", "next"), page("2", "")]);
        assert_eq!(all(&cluster).await.unwrap().len(), 2);
        let asked = transcript.all();
        let path = "GET /apis/aimass.dev/v1alpha1/namespaces/shop/apikeys?";
        assert!(asked[0].line.starts_with(path) && asked[0].line.contains("limit=500"));
        assert!(asked[1].line.contains("continue=next"), "{}", asked[1].line);
    }
}
