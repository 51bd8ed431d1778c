//! A new revision that fails one request in ten, under a constant load: what it costs until it is taken back.
//!
//! It is a table of doubles with too few rows (`aimass_tests::linear`). Numbers come in no order: revisions get their requests by
//! turns of a hundred, and a number that comes each hundredth time would always meet the same one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aimass_tests::client::Caller;
use aimass_tests::gated::{Gated, serve};
use aimass_tests::{linear, load, models};
use anyhow::bail;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::sleep;

use super::delete;
use crate::{Row, count};

const NAME: &str = "canary";
/// Between two requests: 200 a second.
const EVERY: Duration = Duration::from_millis(5);
/// The share of the new revision, in percent, and the rows of its table.
const SHARE: i64 = 10;
const ROWS: u16 = 90;
/// `minRequests` by default: a verdict needs so many.
const MIN_REQUESTS: usize = 50;
/// For how long all is well before the change.
const BEFORE: Duration = Duration::from_secs(5);
/// For the new revision to be rolled back.
const ROLLED_BACK: Duration = Duration::from_secs(120);
/// Between two looks at the status.
const LOOK: Duration = Duration::from_millis(100);

/// One answer, or the lack of one.
#[derive(Clone, Debug)]
struct Answer {
    at: Instant,
    /// Whose it is, if anybody's.
    revision: Option<String>,
    fine: bool,
}

/// When what happened.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// The spec was changed.
    changed: Instant,
    /// The new revision has no share any more.
    returned: Instant,
    /// The rollout says that it is rolled back.
    ended: Instant,
}

/// What the new revision cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    /// Requests from the change to the end, and those of them that failed.
    all: usize,
    failed: usize,
    /// Those that the new revision answered, or did not.
    on_it: usize,
    failed_on_it: usize,
    /// From when it had as many as a verdict needs until its share was gone; `None`: it never had.
    since_enough: Option<Duration>,
}

pub(super) async fn figures(world: &Gated) -> anyhow::Result<Vec<Row>> {
    let rollout = json!({
        "strategy": "Canary",
        "canary": {"steps": [{"weight": SHARE, "duration": "10m"}]},
        "analysis": {"errorRate": {"maxIncrease": "1%"}},
    });
    let model = models::with(linear::public(NAME, 2), "/spec/rollout", rollout);
    serve(&world.run.ns, &model).await;
    let before = {
        let object = models::api(&world.run.ns).get(NAME).await?;
        models::text(&object, "/status/stable/revision").to_owned()
    };
    let over = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(Mutex::new(Vec::new()));
    let sent = send(
        world.gateway.caller(),
        Arc::clone(&answers),
        Arc::clone(&over),
    );
    let happens = async {
        let outcome = happen(world, &before).await;
        over.store(true, Ordering::Relaxed);
        outcome
    };
    let ((), times) = tokio::join!(sent, happens);
    let times = times?;
    delete(world, NAME).await?;
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(rows(cost(&answers, &before, times)))
}

/// Sends requests at a constant rate, until it is over.
async fn send(caller: Caller, answers: Arc<Mutex<Vec<Answer>>>, over: Arc<AtomicBool>) {
    let more = |_| !over.load(Ordering::Relaxed);
    let one = |number| {
        let (caller, answers) = (caller.clone(), Arc::clone(&answers));
        async move {
            let reply = linear::ask(&caller, NAME, number).await;
            let header = reply
                .as_ref()
                .ok()
                .and_then(|r| r.headers.get("aimass-revision"));
            let revision = header
                .and_then(|header| header.to_str().ok())
                .map(revision_of);
            let outcome = reply.and_then(|reply| linear::check(&reply, number));
            let answer = Answer {
                at: Instant::now(),
                revision,
                fine: outcome.is_ok(),
            };
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.push(answer);
            outcome
        }
    };
    load::run(EVERY, more, one).await;
}

/// `abcdefgh` of `canary-abcdefgh`.
fn revision_of(header: &str) -> String {
    let revision = header.rsplit('-').next();
    revision.unwrap_or_default().to_owned()
}

/// Changes the spec and watches what becomes of the new revision.
async fn happen(world: &Gated, before: &str) -> anyhow::Result<Times> {
    sleep(BEFORE).await;
    let models = models::api(&world.run.ns);
    let changed = Instant::now();
    linear::change(&world.run.ns, NAME, ROWS).await;
    let (mut had_share, mut returned) = (false, None);
    while changed.elapsed() < ROLLED_BACK {
        sleep(LOOK).await;
        let object = models.get(NAME).await?;
        let shares = linear::shares(&object);
        let has_share = shares
            .iter()
            .any(|(revision, weight)| revision != before && *weight > 0);
        if has_share {
            (had_share, returned) = (true, None);
        } else if had_share {
            returned.get_or_insert_with(Instant::now);
        }
        let rolled = models::condition(&object, "RolledOut").unwrap_or_default();
        let fresh = Some(rolled.observed_generation) == object.metadata.generation;
        if rolled.reason == "RolledBack" && fresh {
            let ended = Instant::now();
            let Some(returned) = returned else {
                bail!(
                    "{} was rolled back without a share: {}",
                    object.name_any(),
                    rolled.message
                );
            };
            return Ok(Times {
                changed,
                returned,
                ended,
            });
        }
    }
    let object = models.get(NAME).await?;
    bail!(
        "it was not rolled back within {ROLLED_BACK:?}: {}",
        models::conditions(&object)
    )
}

/// Adds up what came of the requests from the change to the end.
fn cost(answers: &[Answer], before: &str, times: Times) -> Cost {
    let within = |answer: &&Answer| (times.changed..=times.ended).contains(&answer.at);
    let mut cost = Cost::default();
    for answer in answers.iter().filter(within) {
        cost.all += 1;
        cost.failed += usize::from(!answer.fine);
        let on_it = answer
            .revision
            .as_deref()
            .is_some_and(|revision| revision != before);
        if on_it {
            cost.on_it += 1;
            cost.failed_on_it += usize::from(!answer.fine);
            if cost.on_it == MIN_REQUESTS {
                let since = times.returned.saturating_duration_since(answer.at);
                cost.since_enough = Some(since);
            }
        }
    }
    cost
}

fn rows(cost: Cost) -> Vec<Row> {
    let Cost {
        all,
        failed,
        on_it,
        failed_on_it,
        since_enough,
    } = cost;
    let seconds = since_enough.unwrap_or_default().as_secs_f64();
    let enough = match since_enough {
        Some(_) => format!("since it had {MIN_REQUESTS} requests"),
        None => format!("it had {on_it} requests, fewer than the {MIN_REQUESTS} of minRequests"),
    };
    let share = 100.0 * count(failed) / count(all).max(1.0);
    let elsewhere = count(failed.saturating_sub(failed_on_it));
    vec![
        Row::plain("scale/canary/requests", count(on_it), "requests").against(format!(
            "{failed_on_it} of them failed; its share was {SHARE} % of 200 1/s"
        )),
        Row::at_most("scale/canary/rolled-back", seconds, "s", 30.0).against(enough),
        Row::at_most("scale/canary/failed", share, "%", 0.5).against(format!(
            "{failed} of {all} requests from the change until it was rolled back"
        )),
        Row::at_most("scale/canary/failed-elsewhere", elsewhere, "requests", 0.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whose_it_is() {
        assert_eq!(revision_of("canary-abcdefgh"), "abcdefgh");
        assert_eq!(revision_of("a-b-abcdefgh"), "abcdefgh");
    }

    #[test]
    fn what_it_cost_is_counted_from_the_change_to_the_end() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let answer = |ms, revision: &str, fine| Answer {
            at: at(ms),
            revision: (!revision.is_empty()).then(|| revision.to_owned()),
            fine,
        };
        let mut answers = vec![
            answer(5, "old", false),
            answer(20, "old", true),
            answer(30, "", false),
        ];
        // Sixty for the new one, of which each tenth fails.
        answers.extend((0..60).map(|number| answer(100 + number, "new", number % 10 != 0)));
        answers.push(answer(2000, "new", false));
        let times = Times {
            changed: at(10),
            returned: at(1149),
            ended: at(1500),
        };
        let cost = cost(&answers, "old", times);
        let expect = Cost {
            all: 62,
            failed: 7,
            on_it: 60,
            failed_on_it: 6,
            since_enough: Some(Duration::from_secs(1)),
        };
        assert_eq!(cost, expect);
        let values: Vec<f64> = rows(cost).iter().map(|row| row.value).collect();
        assert!((values[2] - 700.0 / 62.0).abs() < 1e-9);
        assert_eq!((values[0], values[1], values[3]), (60.0, 1.0, 1.0));
    }
}
