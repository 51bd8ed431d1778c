//! C36, R3, R8: at rest nothing is written, and what is read is read with manners.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aimass_tests::cluster::Cluster;
use aimass_tests::eventually;
use aimass_tests::faults::point::Verb;
use aimass_tests::models::{self, condition};
use aimass_tests::pods::Behaviour;
use aimass_tests::workload::Run;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;

/// How long nothing must happen.
const WATCHED: Duration = Duration::from_secs(180);
const OBJECTS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c36_a_hundred_objects_at_rest_cause_no_write_in_three_minutes() {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "c36", Default::default()).await;
    run.kubelet.script(|pod| {
        let of = pod
            .labels()
            .get("aimass.dev/deployment")
            .cloned()
            .unwrap_or_default();
        if of.starts_with("fails") {
            Behaviour::Ends {
                reason: "OOMKilled".to_owned(),
                exit_code: 137,
                message: String::new(),
                restarts: 3,
            }
        } else {
            Behaviour::Ready
        }
    });
    // Of every kind and state: most of them ready.
    for number in 0..OBJECTS {
        let model = match number % 10 {
            0 => models::model(&format!("zero-{number}"), 0),
            1 => models::model(&format!("fails-{number}"), 1),
            2 => {
                let model = models::model(&format!("paused-{number}"), 1);
                models::with(model, "/spec/suspend", json!(true))
            }
            3 => {
                let model = models::model(&format!("missing-{number}"), 1);
                models::with(model, "/spec/model/source/configMap/name", json!("missing"))
            }
            _ => models::model(&format!("ready-{number}"), 1),
        };
        models::apply(&run.ns, &model).await.expect("it is valid");
    }
    let api = models::api(&run.ns);
    let seen = || async {
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        for object in &list {
            let name = object.name_any();
            let ready = condition(object, "Ready").ok_or(format!("{name}: no condition"))?;
            let wanted = if name.starts_with("ready") {
                "True"
            } else {
                "False"
            };
            if ready.status != wanted || ready.reason == "Starting" {
                return Err(format!("{name}: {ready:?}"));
            }
        }
        if list.items.len() == OBJECTS {
            Ok(())
        } else {
            Err(format!("{}", list.items.len()))
        }
    };
    eventually(Duration::from_secs(120), "all of them are told of", seen).await;
    run.silence(Duration::from_secs(60))
        .await
        .expect("it comes to rest");
    // Retries of objects that wait for something have the longest pauses: 2 s of silence is not
    // yet rest for them, a write that repeats what is there would still be one too many.
    let before: BTreeSet<String> = run
        .faults
        .records()
        .into_iter()
        .filter_map(|r| r.audit_id)
        .collect();
    let begun = run.faults.records().len();
    tokio::time::sleep(WATCHED).await;
    let records = run.faults.records();
    let ids: BTreeSet<String> = records.iter().filter_map(|r| r.audit_id.clone()).collect();
    let user = run.ns.user();
    let entries = run.ns.audited(&ids).await;
    let writes: Vec<String> = entries
        .iter()
        .filter(|e| e.user.username == user && e.writes() && !before.contains(&e.audit_id))
        .filter(|e| e.object_ref.resource != "leases")
        .map(|e| format!("{} {}", e.verb, e.uri))
        .collect();
    assert!(
        writes.is_empty(),
        "{} writes at rest: {writes:?}",
        writes.len()
    );
    // Reads: watches that are opened again, the probe, and nothing else.
    let mut reads: BTreeMap<String, usize> = BTreeMap::new();
    for record in records.iter().skip(begun) {
        if record.verb != Verb::Watch && !record.kind.is_empty() && record.kind != "leases" {
            *reads
                .entry(format!("{} {}", record.verb, record.kind))
                .or_default() += 1;
        }
    }
    assert!(reads.is_empty(), "reads at rest: {reads:?}");
    run.no_panic().expect("no panic");
    manners(&run);
}

/// R8: no list without a limit or from the cache, one watch per kind, at most 50 requests a second.
fn manners(run: &Run) {
    let records = run.faults.records();
    for list in records
        .iter()
        .filter(|r| r.verb == Verb::List && !r.kind.is_empty())
    {
        let polite = list.query.contains("limit=") || list.query.contains("resourceVersion=0");
        assert!(
            polite,
            "a list of everything: {} {}",
            list.point, list.query
        );
    }
    let mut watches: BTreeMap<&str, Vec<tokio::time::Instant>> = BTreeMap::new();
    for watch in records.iter().filter(|r| r.verb == Verb::Watch) {
        watches.entry(&watch.kind).or_default().push(watch.at);
    }
    assert!(watches.len() >= 5, "{:?}", watches.keys());
    for (kind, opened) in watches {
        // One after another, each lasts 25 s; two at once would show as two within ten.
        for pair in opened.windows(2) {
            let apart = pair[1] - pair[0];
            assert!(
                apart > Duration::from_secs(10),
                "{kind} is watched twice within {apart:?}"
            );
        }
    }
    // A hundred objects that are applied at once need eight requests each, and their users want them
    // soon: what is bounded is the burst, by concurrency. A mean of 50 a second would make a thousand
    // objects wait for three minutes.
    let window = Duration::from_secs(10);
    let times: Vec<_> = records.iter().map(|r| r.at).collect();
    let mut first = 0;
    for (last, at) in times.iter().enumerate() {
        while *at - times[first] > window {
            first += 1;
        }
        let rate = last - first + 1;
        assert!(rate <= OBJECTS * 10, "{rate} requests in 10 s");
    }
}
