//! What holds for any counts.

use proptest::option::of;
use proptest::prelude::*;

use super::*;

fn checks() -> impl Strategy<Value = Checks> {
    let share = || prop_oneof![Just(0_u32), 1_u32..200, 1_u32..1_000_000];
    let bound = move || of(share()).prop_map(|share| share.and_then(percent));
    let error_rate = of((bound(), bound()))
        .prop_map(|pair| pair.map(|(max, max_increase)| ErrorRate { max, max_increase }));
    let latency = move || {
        let max = of((1_u64..600_000).prop_map(Duration::from_millis));
        of((max, bound()))
            .prop_map(|pair| pair.map(|(max, max_increase)| Latency { max, max_increase }))
    };
    (1_u32..300, error_rate, latency(), latency()).prop_map(
        |(min_requests, error_rate, latency_p95, latency_p99)| Checks {
            min_requests,
            error_rate,
            latency_p95,
            latency_p99,
        },
    )
}

/// Mostly what a step sees, sometimes what only a forged report says.
fn count(usual: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..usual,
        2 => 0..usual * 1000,
        1 => any::<u64>(),
    ]
}

fn counts() -> impl Strategy<Value = Counts> {
    let latency = proptest::collection::vec((0..BUCKETS + 2, count(300)), 0..8);
    (count(500), count(20), count(5), count(5), latency).prop_map(
        |(ok, failed, rejected, rerouted, buckets)| {
            let latency = Histogram::default();
            let mut counts = Counts {
                ok,
                failed,
                rejected,
                rerouted,
                latency,
            };
            for (bucket, count) in buckets {
                counts.latency.add(bucket, count);
            }
            counts
        },
    )
}

fn all_counts() -> impl Strategy<Value = Compared> {
    (
        counts(),
        of(counts()),
        prop_oneof![4 => Just(0_u32), 1 => 1_u32..4],
    )
        .prop_map(|(new, stable, silent_gateways)| Compared {
            new,
            stable,
            silent_gateways,
        })
}

fn last() -> impl Strategy<Value = Vec<CheckResult>> {
    proptest::collection::vec((0..Metric::ALL.len(), any::<bool>()), 0..6).prop_map(|found| {
        let verdict = |fails| {
            if fails {
                CheckVerdict::Fail
            } else {
                CheckVerdict::Pass
            }
        };
        found
            .into_iter()
            .map(|(metric, fails)| result(Metric::ALL[metric], verdict(fails)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Property 16, and more: it does not turn Hold into Fail either.
    #[test]
    fn turning_an_error_into_a_success_never_fails_a_revision(
        (checks, before, last) in (checks(), all_counts(), last()),
        kind in 0..3,
    ) {
        let mut after = before.clone();
        let errors = match kind {
            0 => &mut after.new.failed,
            1 => &mut after.new.rejected,
            _ => &mut after.new.rerouted,
        };
        prop_assume!(*errors > 0 && after.new.ok < u64::MAX);
        *errors -= 1;
        after.new.ok += 1;
        let [was, is] = [&before, &after].map(|counts| judge(&checks, counts, &last));
        prop_assert!(
            rank(&was.verdict) == "fail" || rank(&is.verdict) != "fail",
            "{:?} became {:?}", was, is
        );
        prop_assert!(alarm(&checks, &before).is_some() || alarm(&checks, &after).is_none());
    }

    /// Property 8.
    #[test]
    fn without_data_nothing_passes(
        (checks, mut counts, last) in (checks(), all_counts(), last()),
        is_silent in any::<bool>(),
    ) {
        if is_silent {
            counts.silent_gateways = 1;
        } else {
            counts.new = Counts::default();
        }
        let judged = judge(&checks, &counts, &last);
        prop_assert!(rank(&judged.verdict) != "pass", "{:?}", judged);
    }

    #[test]
    fn fewer_requests_than_asked_for_never_pass(
        (checks, counts, last) in (checks(), all_counts(), last()),
    ) {
        let judged = judge(&checks, &counts, &last);
        let too_few = judged.checks.iter().any(|found| found.requests < checks.least());
        prop_assert!(!too_few || rank(&judged.verdict) != "pass", "{:?}", judged);
    }

    #[test]
    fn what_goes_to_status_is_bounded_and_in_order(
        (checks, counts, last) in (checks(), all_counts(), last()),
    ) {
        let judged = judge(&checks, &counts, &last);
        prop_assert!(judged.checks.len() <= 6);
        prop_assert!(judged.checks.is_sorted_by(|one, next| one.metric < next.metric));
        for found in &judged.checks {
            for text in [&found.new, &found.stable, &found.limit] {
                prop_assert!(text.chars().count() <= 16, "{text}");
            }
        }
        if let Verdict::Fail(violation) = &judged.verdict {
            prop_assert!(violation.message.len() <= 160, "{}", violation.message);
        }
    }

    #[test]
    fn an_alarm_is_a_fail(
        (checks, counts, last) in (checks(), all_counts(), last()),
    ) {
        let alarm = alarm(&checks, &counts);
        let judged = judge(&checks, &counts, &last);
        prop_assert!(alarm.is_none() || rank(&judged.verdict) == "fail", "{:?}", judged);
    }

    #[test]
    fn without_a_violation_before_only_an_alarm_fails(
        (checks, counts) in (checks(), all_counts()),
    ) {
        let judged = judge(&checks, &counts, &[]);
        let failed = rank(&judged.verdict) == "fail";
        prop_assert_eq!(failed, alarm(&checks, &counts).is_some());
    }
}
