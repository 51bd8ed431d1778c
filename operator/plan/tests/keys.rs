//! Properties of what is said about APIKeys, over random keys and random facts about them.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; clippy allows both in functions marked as such only"
)]

use std::time::Duration;

use aimass_crds::api_key::{APIKeySpec, Credential, KeyState, credential_end, key_state};
use aimass_crds::condition::ConditionType;
use aimass_crds::{APIKey, APIKeyStatus};
use aimass_plan::key::{Observed, PlanReference, Taken, events, next, plan, status};
use aimass_plan::model::Failure;
use aimass_plan::next::Next;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A time around now, in milliseconds: the API server keeps what a user wrote.
fn end() -> impl Strategy<Value = Option<Time>> {
    let around = prop_oneof![
        -3000_i64..3000,
        Just(0_i64),
        -100_000_000_i64..100_000_000_000
    ];
    prop::option::of(around)
        .prop_map(|offset| offset.map(|offset| Time(now() + SignedDuration::from_millis(offset))))
}

fn credential() -> impl Strategy<Value = Credential> {
    ("[A-Za-z0-9]{12}", end()).prop_map(|(id, not_after)| Credential {
        id,
        sha256: "ab".repeat(32),
        not_after,
    })
}

fn keys() -> impl Strategy<Value = APIKey> {
    let credentials = prop::collection::vec(credential(), 0..4);
    let plan = prop::option::of("[a-z]{1,8}");
    let model = prop_oneof![5 => "[a-z]{1,3}", 1 => Just("*".to_owned())];
    let models = prop::collection::vec(model, 0..3);
    let disabled = prop::option::of(any::<bool>());
    (credentials, end(), disabled, plan, models).prop_map(
        |(credentials, expires_at, disabled, plan, models)| {
            let spec = APIKeySpec {
                credentials,
                expires_at,
                disabled,
                plan,
                models,
                ..APIKeySpec::default()
            };
            let mut key = APIKey::new("ana", spec);
            key.metadata.generation = Some(1);
            key
        },
    )
}

fn facts() -> impl Strategy<Value = Observed> {
    let plan = prop::sample::select(vec![
        PlanReference::NotNeeded,
        PlanReference::Exists,
        PlanReference::Absent,
        PlanReference::Unknown,
    ]);
    let taken = ("[a-z]{3}", prop::option::of("[a-z]{3}")).prop_map(|(id, by)| Taken { id, by });
    let taken = prop::collection::vec(taken, 0..2);
    let unknown_models = prop::collection::vec("[a-z]{1,52}", 0..17);
    let last_used = prop::option::of(0_i64..1000)
        .prop_map(|hours| hours.map(|hours| now() - SignedDuration::from_hours(hours)));
    let facts = (plan, taken, unknown_models, last_used);
    facts.prop_map(|(plan, taken, unknown_models, last_used)| Observed {
        now: now(),
        plan,
        taken,
        unknown_models,
        last_used,
    })
}

fn report(key: &APIKey, observed: &Observed, now: Timestamp) -> APIKeyStatus {
    let outcome = plan(key, observed);
    status(key, outcome.as_ref().map_err(Failure::from), now)
}

/// As the API server gives back what was written.
fn stored(status: &APIKeyStatus) -> APIKeyStatus {
    serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn a_status_is_a_fixed_point_whatever_the_clock(
        key in keys(), observed in facts(), later in 0_u64..10_000_000,
    ) {
        let once = report(&key, &observed, now());
        let key = APIKey { status: Some(stored(&once)), ..key };
        let again = report(&key, &observed, now() + Duration::from_millis(later));
        prop_assert_eq!(&again, &stored(&once));
        prop_assert!(events(&once, &again).is_empty());
    }

    #[test]
    fn what_is_ready_opens_something_and_the_gateway_agrees(key in keys(), observed in facts()) {
        let status = report(&key, &observed, now());
        let ready = ConditionType::Ready.find(&status.conditions).unwrap();
        if ready.status == "True" {
            prop_assert_eq!(key_state(&key, now()), KeyState::Active);
            let enabled = |credential: &Credential| {
                KeyState::of(false, credential_end(&key, credential), now()) == KeyState::Active
            };
            prop_assert!(key.spec.credentials.iter().any(enabled));
            prop_assert!(observed.taken.is_empty());
        }
        prop_assert!(status.conditions.iter().all(|condition| condition.message.len() <= 1024));
    }

    #[test]
    fn nothing_changes_before_it_is_looked_at_again(
        key in keys(), observed in facts(), part in 0_u32..1000,
    ) {
        let Ok(outlook) = plan(&key, &observed) else { return Ok(()) };
        let wait = match next(&outlook, now()) {
            Next::AwaitChange => Duration::from_secs(10_000_000),
            Next::Requeue(wait) => {
                prop_assert!(wait >= Duration::from_millis(50) && wait <= Duration::from_secs(86_400));
                wait
            }
        };
        // At most 50 ms too long; whole seconds are all that anybody sees.
        let just_before = wait.saturating_sub(Duration::from_millis(50)) * part / 1000;
        let then = Observed { now: now() + just_before, ..observed.clone() };
        prop_assert_eq!(report(&key, &then, now()), report(&key, &observed, now()));
    }
}
