//! Tables of plans and requests; and walks over random arrivals and ends.

use std::collections::VecDeque;

use k8s_openapi::api::authentication::v1::UserInfo;
use proptest::prelude::*;

use super::*;
use crate::review::Identity;
use crate::table::{Key, Rate};

fn rate(name: &str, requests: u64, seconds: u64, burst: u64) -> Rate {
    Rate {
        name: name.into(),
        requests,
        window: Duration::from_secs(seconds),
        burst,
    }
}

fn plan(rates: &[Rate], concurrency: Option<u32>) -> Plan {
    Plan {
        rates: rates.to_vec(),
        concurrency,
        shadow: false,
    }
}

fn policy(uid: &str, plan: Plan) -> Policy {
    Policy {
        holder: Holder::Key(uid.into()),
        plan: Arc::new(plan),
    }
}

fn start() -> StdInstant {
    Instant::now().into_std()
}

#[track_caller]
fn admitted(admission: Admission) -> Ticket {
    match admission {
        Admission::Admitted(ticket) => ticket,
        Admission::Refused(refusal) => panic!("{refusal:?}"),
    }
}

#[track_caller]
fn refused(admission: Admission) -> Refusal {
    match admission {
        Admission::Admitted(ticket) => panic!("{ticket:?}"),
        Admission::Refused(refusal) => refusal,
    }
}

/// As a gateway decides that is alone.
fn admit(limits: &Limits, policies: &[Policy], now: StdInstant) -> Admission {
    let mut fetched: Vec<Fetched> = policies.iter().map(|_| Fetched::default()).collect();
    match decide(limits, policies, &mut fetched, now) {
        Step::Decided(admission, ahead) => {
            assert!(ahead.is_empty());
            admission
        }
        Step::Ask(_, ask) => panic!("{ask:?}"),
    }
}

/// What is left of each limit, by a policy's own count.
fn left(limits: &Limits, policies: &[Policy], now: StdInstant) -> Vec<u64> {
    let mut used = limits.lock();
    let now = used.now(now);
    let alone = Standing::Here { part: 1, whole: 1 };
    let looks = policies
        .iter()
        .flat_map(|policy| look(policy, &used, &alone, now));
    looks.map(|look| look.quota(now).remaining).collect()
}

#[test]
fn without_limits_everything_passes_and_nothing_is_kept() {
    let limits = Limits::default();
    let ticket = admitted(admit(&limits, &[], start()));
    assert!(ticket.headers().is_empty());
    let unlimited = policy("k", Plan::default());
    let ticket = admitted(admit(&limits, &[unlimited], start()));
    assert_eq!((ticket.slots(), limits.buckets()), (0, 0));
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let (limits, start) = (Limits::default(), start());
    let policies = [policy("k", plan(&[rate("per-minute", 60, 60, 2)], None))];
    let first = admitted(admit(&limits, &policies, start));
    assert_eq!(first.quotas[0].remaining, 1);
    let _second = admitted(admit(&limits, &policies, start));
    let refusal = refused(admit(&limits, &policies, start));
    assert_eq!(&*refusal.policy, "per-minute");
    assert_eq!(refusal.retry_after, Duration::from_secs(1));
    assert_eq!(refusal.quotas[0].remaining, 0);
    let later = start + refusal.retry_after;
    let _third = admitted(admit(&limits, &policies, later));
}

#[test]
fn headers_show_all_limits() {
    let limits = Limits::default();
    let plan = plan(&[rate("per-minute", 60, 60, 6)], Some(8));
    let ticket = admitted(admit(&limits, &[policy("k", plan)], start()));
    let shown: Vec<_> = ticket
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    let expect = [
        "ratelimit-policy: \"per-minute\";q=60;w=60, \"inflight\";q=8;qu=\"concurrent-requests\"",
        "ratelimit: \"per-minute\";r=5;t=1",
    ];
    assert_eq!(shown, expect);
}

#[test]
fn as_many_are_in_flight_as_allowed() {
    let (limits, start) = (Limits::default(), start());
    let policies = [policy("k", plan(&[], Some(2)))];
    let first = admitted(admit(&limits, &policies, start));
    let second = admitted(admit(&limits, &policies, start));
    let refusal = refused(admit(&limits, &policies, start));
    assert_eq!(refusal.error().text, "Rate limit \"inflight\" exceeded");
    assert_eq!(refusal.retry_after, Duration::from_secs(1));
    let other = [policy("other", plan(&[], Some(2)))];
    let _other = admitted(admit(&limits, &other, start));
    drop(first);
    let third = admitted(admit(&limits, &policies, start));
    drop((second, third));
    assert_eq!(limits.in_flight(&policies[0].holder), 0);
}

#[test]
fn a_refusal_by_one_limit_charges_no_other() {
    let (limits, start) = (Limits::default(), start());
    let wide = policy("k", plan(&[rate("wide", 100, 100, 100)], Some(10)));
    let narrow = policy("p", plan(&[rate("narrow", 1, 100, 1)], None));
    let policies = [wide, narrow];
    let ticket = admitted(admit(&limits, &policies, start));
    assert_eq!(left(&limits, &policies, start), [99, 9, 0]);
    for _ in 0..10 {
        let refusal = refused(admit(&limits, &policies, start));
        assert_eq!(&*refusal.policy, "narrow");
        assert_eq!(refusal.quotas.len(), 3);
    }
    assert_eq!(left(&limits, &policies, start), [99, 9, 0]);
    drop(ticket);
    assert_eq!(left(&limits, &policies, start), [99, 10, 0]);
}

#[test]
fn of_several_refusals_the_longest_is_told() {
    let (limits, start) = (Limits::default(), start());
    let rates = [rate("hour", 1, 3600, 1), rate("second", 1, 1, 1)];
    let policies = [policy("k", plan(&rates, Some(1)))];
    let _ticket = admitted(admit(&limits, &policies, start));
    let refusal = refused(admit(&limits, &policies, start));
    assert_eq!(&*refusal.policy, "hour");
    assert_eq!(refusal.retry_after, Duration::from_secs(3600));
}

#[test]
fn a_shadow_counts_and_lets_pass() {
    let (limits, start) = (Limits::default(), start());
    let shadow = Plan {
        shadow: true,
        ..plan(&[rate("r", 1, 10, 1)], Some(1))
    };
    let policies = [policy("k", shadow)];
    let first = admitted(admit(&limits, &policies, start));
    assert!(first.shadowed.is_empty());
    let second = admitted(admit(&limits, &policies, start));
    assert_eq!(second.shadowed, [Arc::from("r"), Arc::from("inflight")]);
    assert_eq!(limits.in_flight(&policies[0].holder), 2);
    assert_eq!(left(&limits, &policies, start), [0, 0]);
    let _third = admitted(admit(&limits, &policies, start));
    let later = start + Duration::from_secs(10);
    assert_eq!(left(&limits, &policies, later)[0], 1, "there is no debt");
}

#[test]
fn a_plan_that_is_made_wider_is_so_at_once() {
    let (limits, start) = (Limits::default(), start());
    let narrow = [policy("k", plan(&[rate("r", 1, 3600, 1)], None))];
    let wide = [policy("k", plan(&[rate("r", 100, 1, 10)], None))];
    let _first = admitted(admit(&limits, &narrow, start));
    let _ = refused(admit(&limits, &narrow, start));
    let second = admitted(admit(&limits, &wide, start));
    assert_eq!(second.quotas[0].remaining, 8);
}

#[test]
fn without_room_for_its_bucket_a_request_passes_and_is_counted() {
    let (limits, start) = (Limits::new(1), start());
    let plan = plan(&[rate("r", 1, 3600, 1)], None);
    let policies = |uid: &str| [policy(uid, plan.clone())];
    let _first = admitted(admit(&limits, &policies("a"), start));
    for _ in 0..3 {
        let _ = admitted(admit(&limits, &policies("b"), start));
    }
    assert_eq!((limits.buckets(), limits.full_total()), (1, 3));
    let _ = refused(admit(&limits, &policies("a"), start));
    let later = start + Duration::from_secs(3601);
    limits.sweep(1000, later);
    assert_eq!(limits.buckets(), 0);
}

#[test]
fn a_caller_has_its_keys_plan_else_the_default_one() {
    let mut table = Table::default();
    for (name, concurrency) in [("gold", 100), ("default", 1)] {
        let plan = plan(&[], Some(concurrency));
        table.plans.insert(name.into(), Arc::new(plan));
    }
    let of = |caller: &Caller, default: Option<&str>| {
        let address = "2001:db8::7".parse().unwrap();
        let policies = policies(&table, caller, address, default);
        let policy = policies.first()?;
        assert_eq!(policies.len(), 1);
        Some((policy.holder.clone(), policy.plan.concurrency?))
    };
    let key = |plan: Option<&str>| {
        let key = Key {
            uid: "uid".into(),
            namespace: "shop".into(),
            name: "till".into(),
            sha256: [0; 32],
            models: Vec::new(),
            plan: plan.map(Into::into),
            not_after: None,
            disabled: false,
            allowed: Vec::new(),
            used: std::sync::atomic::AtomicBool::new(false),
        };
        let (id, key) = ("id".into(), Arc::new(key));
        Caller::Key { id, key }
    };
    let own = Holder::Key("uid".into());
    let default = Some("default");
    assert_eq!(of(&key(Some("gold")), default), Some((own.clone(), 100)));
    assert_eq!(of(&key(Some("gone")), default), Some((own.clone(), 1)));
    assert_eq!(of(&key(None), default), Some((own, 1)));
    assert_eq!(of(&key(None), None), None);
    assert_eq!(of(&key(None), Some("gone")), None);
    let info = UserInfo {
        username: Some("system:serviceaccount:shop:till".to_owned()),
        ..UserInfo::default()
    };
    let account = Caller::Token {
        identity: Arc::new(Identity::new(info).unwrap()),
        allowed: None,
    };
    let user = Holder::User("system:serviceaccount:shop:till".into());
    assert_eq!(of(&account, default), Some((user, 1)));
    assert_eq!(of(&account, None), None);
    let block = Holder::Address("2001:db8::".parse().unwrap());
    assert_eq!(of(&Caller::Anonymous, default), Some((block, 1)));
}

/// Who comes when, as `(milliseconds since the last one, its first or second policy or both, ends the oldest)`.
fn arrivals() -> impl Strategy<Value = Vec<(u64, usize, bool)>> {
    proptest::collection::vec((0_u64..400, 0_usize..3, any::<bool>()), 1..150)
}

proptest! {
    #[test]
    fn no_limit_is_ever_exceeded_and_refusals_change_nothing(arrivals in arrivals()) {
        let (limits, mut now) = (Limits::default(), start());
        let first = policy("a", plan(&[rate("r", 10, 1, 5), rate("s", 20, 10, 9)], Some(3)));
        let second = policy("b", plan(&[rate("r", 3, 1, 2)], Some(2)));
        let both = [first, second];
        let mut tickets: VecDeque<(Ticket, usize)> = VecDeque::new();
        let mut admitted_at: Vec<(StdInstant, usize)> = Vec::new();
        for (step, whose, ends) in arrivals {
            now += Duration::from_millis(step);
            if ends {
                tickets.pop_front();
            }
            let asked = match whose {
                0 => &both[..1],
                1 => &both[1..],
                _ => &both[..],
            };
            let before = left(&limits, &both, now);
            match admit(&limits, asked, now) {
                Admission::Admitted(ticket) => {
                    tickets.push_back((ticket, whose));
                    admitted_at.push((now, whose));
                }
                Admission::Refused(refusal) => {
                    prop_assert_eq!(&left(&limits, &both, now), &before);
                    prop_assert!(refusal.retry_after > Duration::ZERO);
                }
            }
            for (number, policy) in both.iter().enumerate() {
                let theirs = tickets.iter().filter(|(_, whose)| *whose == number || *whose == 2);
                let count = limits.in_flight(&policy.holder);
                prop_assert_eq!(theirs.count(), count as usize);
                prop_assert!(count <= policy.plan.concurrency.unwrap());
            }
        }
        for (number, policy) in both.iter().enumerate() {
            let times: Vec<_> = admitted_at
                .iter()
                .filter(|(_, whose)| *whose == number || *whose == 2)
                .map(|(time, _)| *time)
                .collect();
            for rate in &policy.plan.rates {
                let interval = rate.window.as_nanos().div_ceil(u128::from(rate.requests));
                for (i, from) in times.iter().enumerate() {
                    for (j, to) in times.iter().enumerate().skip(i) {
                        let bound = u128::from(rate.burst) + (*to - *from).as_nanos() / interval;
                        prop_assert!((j - i + 1) as u128 <= bound, "{}", rate.name);
                    }
                }
            }
        }
        tickets.clear();
        prop_assert!(both.iter().all(|policy| limits.in_flight(&policy.holder) == 0));
    }

    #[test]
    fn steps_backwards_of_the_clock_are_harmless(
        times in proptest::collection::vec(0_u64..20_000, 1..100),
    ) {
        let policies = [policy("k", plan(&[rate("r", 1, 1, 3)], None))];
        let (jumping, still, start) = (Limits::default(), Limits::default(), start());
        let mut newest = 0;
        for time in times {
            newest = newest.max(time);
            let at = |ms| start + Duration::from_millis(ms);
            // The first request is the start of time.
            let passes = |limits, ms| {
                matches!(admit(limits, &policies, at(ms)), Admission::Admitted(_))
            };
            prop_assert_eq!(passes(&jumping, time), passes(&still, newest));
        }
    }
}
