//! One row per rule of the decider.

use super::look::Found;
use super::*;

const RETRIES: Retries = Retries {
    max: 2,
    interval: Duration::from_secs(60),
};

fn print(text: &str) -> Print {
    Print(text.to_owned())
}

/// Versions that are settled, and those that are not, all with print "a".
fn found(settled: &[i64], moving: &[i64]) -> BTreeMap<i64, Sight> {
    let sight = |settled| {
        move |version: &i64| {
            let print = print("a");
            (*version, Sight { print, settled })
        }
    };
    settled
        .iter()
        .map(sight(true))
        .chain(moving.iter().map(sight(false)))
        .collect()
}

fn failed(version: i64, retry_at: Option<Instant>) -> BTreeMap<i64, Failed> {
    let failed = Failed {
        print: print("a"),
        attempts: 1,
        retry_at,
    };
    BTreeMap::from([(version, failed)])
}

#[track_caller]
fn check(situation: &Situation, expect: Step) {
    check_by(Policy::Latest, situation, expect);
}

#[track_caller]
fn check_by(policy: Policy, situation: &Situation, expect: Step) {
    assert_eq!(next(situation, policy, Instant::now()), expect);
}

fn serving(served: i64, settled: &[i64], moving: &[i64]) -> Situation {
    Situation {
        found: found(settled, moving),
        served: Some(served),
        ..Situation::default()
    }
}

fn starting(settled: &[i64], moving: &[i64]) -> Situation {
    Situation {
        found: found(settled, moving),
        ..Situation::default()
    }
}

#[test]
fn the_highest_version_is_loaded_first() {
    check(&starting(&[1, 2, 123], &[]), Step::Load(123));
}

#[test]
fn without_a_version_it_waits() {
    check(&starting(&[], &[]), Step::Wait(None));
}

#[test]
fn a_higher_version_is_loaded_beside_what_is_served() {
    check(&serving(2, &[1, 2, 3], &[]), Step::Load(3));
}

#[test]
fn at_rest_there_is_nothing_to_do() {
    check(&serving(3, &[1, 2, 3], &[]), Step::Wait(None));
}

#[test]
fn a_version_that_still_changes_is_not_loaded() {
    check(&serving(2, &[2], &[3]), Step::Wait(None));
    check(&starting(&[], &[3]), Step::Wait(None));
}

#[test]
fn while_the_highest_is_copied_a_start_takes_the_next() {
    check(&starting(&[1, 2], &[3]), Step::Load(2));
}

#[test]
fn a_policy_allows_one_version_only() {
    let specific = Policy::Specific(2);
    check_by(specific, &starting(&[1, 2, 3], &[]), Step::Load(2));
    check_by(specific, &serving(2, &[1, 2, 3], &[]), Step::Wait(None));
    check_by(specific, &starting(&[1, 3], &[]), Step::Wait(None));
}

#[test]
fn no_load_begins_while_another_version_drains() {
    let mut situation = serving(2, &[2, 3], &[]);
    situation.draining = true;
    check(&situation, Step::Wait(None));
}

#[test]
fn what_was_refused_leaves_the_old_serving() {
    let mut situation = serving(2, &[2, 3], &[]);
    situation.failed = failed(3, None);
    check(&situation, Step::Wait(None));
}

#[test]
fn what_was_refused_is_tried_again_when_its_files_change() {
    let mut situation = serving(2, &[2, 3], &[]);
    situation.failed = failed(3, None);
    situation.failed.get_mut(&3).unwrap().print = print("b");
    check(&situation, Step::Load(3));
}

#[test]
fn a_version_above_a_refused_one_is_loaded() {
    let mut situation = serving(2, &[2, 3, 4], &[]);
    situation.failed = failed(3, None);
    check(&situation, Step::Load(4));
}

#[test]
fn what_could_not_be_read_is_tried_again_at_its_time() {
    let now = Instant::now();
    let later = now + Duration::from_secs(60);
    let mut situation = serving(2, &[2, 3], &[]);
    situation.failed = failed(3, Some(later));
    assert_eq!(
        next(&situation, Policy::Latest, now),
        Step::Wait(Some(later))
    );
    assert_eq!(next(&situation, Policy::Latest, later), Step::Load(3));
}

#[test]
fn a_start_takes_the_version_below_one_that_failed() {
    let mut situation = starting(&[1, 2, 3], &[]);
    situation.failed = failed(3, None);
    check(&situation, Step::Load(2));
    situation.failed = failed(3, Some(Instant::now() + Duration::from_secs(60)));
    check(&situation, Step::Load(2));
}

#[test]
fn a_start_gives_up_when_nothing_can_be_loaded() {
    let mut situation = starting(&[2, 3], &[]);
    situation.failed = failed(3, None);
    situation.failed.extend(failed(2, None));
    check(&situation, Step::GiveUp(3));
}

#[test]
fn a_start_does_not_give_up_while_something_may_still_come() {
    let later = Instant::now() + Duration::from_secs(60);
    let mut situation = starting(&[2, 3], &[]);
    situation.failed = failed(3, None);
    situation.failed.extend(failed(2, Some(later)));
    check(&situation, Step::Wait(Some(later)));
    let mut situation = starting(&[3], &[2]);
    situation.failed = failed(3, None);
    check(&situation, Step::Wait(None));
}

#[test]
fn a_folder_that_is_gone_gives_way_to_the_highest_left() {
    check(&serving(3, &[1, 2], &[]), Step::Load(2));
}

#[test]
fn without_another_version_what_is_served_stays_although_its_folder_is_gone() {
    check(&serving(3, &[], &[]), Step::Wait(None));
    let mut situation = serving(3, &[2], &[]);
    situation.failed = failed(2, None);
    check(&situation, Step::Wait(None));
}

#[test]
fn failures_to_read_are_tried_again_so_often_and_refusals_never() {
    let now = Instant::now();
    let first = note(None, print("a"), true, RETRIES, now);
    assert_eq!(
        (first.attempts, first.retry_at),
        (1, Some(now + RETRIES.interval))
    );
    let second = note(Some(&first), print("a"), true, RETRIES, now);
    assert_eq!(
        (second.attempts, second.retry_at),
        (2, Some(now + RETRIES.interval))
    );
    let third = note(Some(&second), print("a"), true, RETRIES, now);
    assert_eq!((third.attempts, third.retry_at), (3, None));
    let other = note(Some(&third), print("b"), true, RETRIES, now);
    assert_eq!(other.attempts, 1, "other files begin anew");
    let refused = note(None, print("a"), false, RETRIES, now);
    assert_eq!(refused.retry_at, None);
}

fn seen(version: i64, text: &str, at_rest: bool) -> BTreeMap<i64, Found> {
    let found = Found {
        folder: std::path::PathBuf::new(),
        print: print(text),
        is_empty: text.is_empty(),
        at_rest,
    };
    BTreeMap::from([(version, found)])
}

#[track_caller]
fn settled(before: Option<&BTreeMap<i64, Found>>, now: &BTreeMap<i64, Found>, expect: bool) {
    assert_eq!(
        settle(before, now).get(&1).map(|sight| sight.settled),
        Some(expect)
    );
}

#[test]
fn files_that_are_the_same_in_two_looks_are_settled() {
    settled(Some(&seen(1, "a", false)), &seen(1, "a", false), true);
    settled(Some(&seen(1, "a", true)), &seen(1, "b", true), false);
    settled(Some(&BTreeMap::new()), &seen(1, "a", true), false);
}

#[test]
fn at_the_first_look_a_folder_at_rest_is_settled() {
    settled(None, &seen(1, "a", true), true);
    settled(None, &seen(1, "a", false), false);
}

#[test]
fn an_empty_folder_is_not_there_yet() {
    let empty = seen(1, "", true);
    assert!(settle(None, &empty).is_empty());
    assert!(settle(Some(&empty), &empty).is_empty());
    settled(Some(&empty), &seen(1, "a", true), false);
}

#[test]
fn a_folder_that_is_gone_once_is_not_yet_believed_to_be_gone() {
    let nothing = BTreeMap::new();
    settled(Some(&seen(1, "a", true)), &nothing, false);
    assert!(settle(Some(&nothing), &nothing).is_empty());
}

fn any_sight() -> impl proptest::strategy::Strategy<Value = Sight> {
    use proptest::prelude::*;
    ("[ab]", any::<bool>()).prop_map(|(text, settled)| Sight {
        print: Print(text),
        settled,
    })
}

proptest::proptest! {
    #[test]
    fn what_is_loaded_is_there_settled_allowed_and_not_what_is_served(
        found in proptest::collection::btree_map(0..6_i64, any_sight(), 0..6),
        failures in proptest::collection::btree_map(0..6_i64, ("[ab]", 0..3_u64), 0..6),
        served in proptest::option::of(0..6_i64),
        specific in proptest::option::of(0..6_i64),
    ) {
        let now = Instant::now();
        let failed: BTreeMap<i64, Failed> = failures
            .into_iter()
            .map(|(version, (text, wait))| {
                let at = now + Duration::from_secs(wait);
                let retry_at = (wait > 0).then_some(at);
                (version, Failed { print: Print(text), attempts: 1, retry_at })
            })
            .collect();
        let policy = specific.map_or(Policy::Latest, Policy::Specific);
        let situation = Situation { found, served, draining: false, failed };
        match next(&situation, policy, now) {
            Step::Load(version) => {
                let sight = situation.found.get(&version).unwrap();
                proptest::prop_assert!(sight.settled && policy.allows(version));
                proptest::prop_assert_ne!(situation.served, Some(version));
                // Never down while what is served is still there.
                let stays = situation.served.filter(|served| situation.found.contains_key(served) && policy.allows(*served));
                proptest::prop_assert!(stays.is_none_or(|served| served < version));
                // Once it is served and the rest has failed, nothing is left to do.
                let rest = Situation { served: Some(version), ..situation.clone() };
                let again = next(&rest, policy, now);
                proptest::prop_assert_ne!(again, Step::Load(version));
            }
            Step::Wait(at) => proptest::prop_assert!(at.is_none_or(|at| at > now)),
            Step::GiveUp(version) => {
                proptest::prop_assert!(situation.served.is_none());
                proptest::prop_assert!(situation.failed.contains_key(&version));
            }
        }
    }
}
