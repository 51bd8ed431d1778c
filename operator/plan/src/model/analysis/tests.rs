//! Each rule of the verdict by itself, then its properties and how it fares in the long run.

mod properties;
mod simulation;

use std::time::Duration;

use super::*;

fn percent(hundredths: u32) -> Option<Percent> {
    Some(Percent { hundredths })
}

/// Limits of the error rate, in hundredths of a percent, judged from 50 requests on.
fn errors(max: Option<u32>, max_increase: Option<u32>) -> Checks {
    Checks {
        error_rate: Some(ErrorRate {
            max: max.and_then(percent),
            max_increase: max_increase.and_then(percent),
        }),
        ..Checks::default()
    }
}

/// Limits of the 95th percentile, judged from 50 requests on.
fn latency(max: Option<Duration>, max_increase: Option<u32>) -> Checks {
    Checks {
        error_rate: None,
        latency_p95: Some(Latency {
            max,
            max_increase: max_increase.and_then(percent),
        }),
        ..Checks::default()
    }
}

/// So many errors of so many requests.
fn failing(errors: u64, requests: u64) -> Counts {
    Counts {
        ok: requests - errors,
        failed: errors,
        ..Counts::default()
    }
}

/// Successes only, so many per bucket.
fn taking(buckets: &[(usize, u64)]) -> Counts {
    let mut counts = Counts::default();
    for (bucket, count) in buckets {
        counts.ok += count;
        counts.latency.add(*bucket, *count);
    }
    counts
}

fn compared(new: Counts, stable: Counts) -> Compared {
    Compared {
        new,
        stable: Some(stable),
        silent_gateways: 0,
    }
}

fn alone(new: Counts) -> Compared {
    Compared {
        new,
        ..Compared::default()
    }
}

fn result(metric: Metric, verdict: CheckVerdict) -> CheckResult {
    CheckResult {
        metric,
        verdict,
        requests: 100,
        new: String::new(),
        stable: String::new(),
        limit: String::new(),
    }
}

fn ten_before(results: &[CheckResult]) -> Vec<CheckResult> {
    let mut results = results.to_vec();
    for result in &mut results {
        result.requests = result.requests.saturating_sub(10);
    }
    results
}

/// In the order from good to bad, without the words.
fn rank(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Hold(_) => "hold",
        Verdict::Fail(_) => "fail",
    }
}

/// The verdicts of two intervals running with the same counts, of which ten requests are new.
#[track_caller]
fn check(checks: &Checks, counts: &Compared, expect: [&str; 2]) {
    let first = judge(checks, counts, &[]);
    let second = judge(checks, counts, &ten_before(&first.checks));
    assert_eq!(
        [rank(&first.verdict), rank(&second.verdict)],
        expect,
        "{first:?}"
    );
}

#[test]
fn what_is_no_worse_than_stable_passes() {
    let checks = Checks::default();
    check(
        &checks,
        &compared(failing(0, 50), failing(0, 450)),
        ["pass", "pass"],
    );
    check(
        &checks,
        &compared(failing(1, 100), failing(9, 900)),
        ["pass", "pass"],
    );
}

#[test]
fn more_errors_than_stable_fail_in_the_second_interval() {
    let counts = compared(failing(8, 193), failing(11, 3610));
    check(&Checks::default(), &counts, ["hold", "fail"]);
    let before = [result(Metric::ErrorRateIncrease, CheckVerdict::Fail)];
    let Verdict::Fail(violation) = judge(&Checks::default(), &counts, &before).verdict else {
        panic!("not failed");
    };
    assert_eq!(violation.metric, Metric::ErrorRateIncrease);
    assert_eq!(
        violation.message,
        "errorRate 4.1 % of 193, stable 0.3 % of 3,610, limit +1 %, p = 2e-6"
    );
}

#[test]
fn a_first_violation_holds_and_says_so() {
    let judged = judge(
        &Checks::default(),
        &compared(failing(8, 193), failing(12, 3610)),
        &[result(Metric::ErrorRateIncrease, CheckVerdict::Hold)],
    );
    let hold = Hold::Unconfirmed(Metric::ErrorRateIncrease);
    assert_eq!(judged.verdict, Verdict::Hold(hold));
    let expect = CheckResult {
        metric: Metric::ErrorRateIncrease,
        verdict: CheckVerdict::Fail,
        requests: 193,
        new: "4.1%".to_owned(),
        stable: "0.33%".to_owned(),
        limit: "+1%".to_owned(),
    };
    assert_eq!(judged.checks, [expect]);
}

#[test]
fn another_check_s_violation_confirms_nothing() {
    let judged = judge(
        &Checks::default(),
        &compared(failing(8, 193), failing(12, 3610)),
        &[
            result(Metric::ErrorRate, CheckVerdict::Fail),
            result(Metric::LatencyP95Increase, CheckVerdict::Fail),
        ],
    );
    assert_eq!(rank(&judged.verdict), "hold");
}

#[test]
fn an_interval_with_hardly_a_request_confirms_nothing() {
    let checks = Checks::default();
    let violated = |more: u64| compared(failing(8, 193 + more), failing(11, 3610));
    let first = judge(&checks, &violated(0), &[]);
    let second = judge(&checks, &violated(9), &first.checks);
    let hold = Hold::Unconfirmed(Metric::ErrorRateIncrease);
    assert_eq!(second.verdict, Verdict::Hold(hold));
    assert_eq!(second.checks, first.checks, "or the tenth would never come");
    let third = judge(&checks, &violated(10), &second.checks);
    assert_eq!(rank(&third.verdict), "fail");
    // what passes in between begins anew
    let passed = judge(
        &checks,
        &compared(failing(1, 195), failing(11, 3610)),
        &first.checks,
    );
    assert_eq!(rank(&passed.verdict), "pass");
    assert_eq!(passed.checks[0].verdict, CheckVerdict::Pass);
}

#[test]
fn counts_that_began_anew_confirm_what_was_violated_before() {
    let many = result(Metric::ErrorRateIncrease, CheckVerdict::Fail);
    let before = CheckResult {
        requests: 5000,
        ..many
    };
    let counts = compared(failing(4, 20), failing(0, 180));
    let judged = judge(&Checks::default(), &counts, &[before]);
    assert_eq!(rank(&judged.verdict), "fail");
}

#[test]
fn a_dead_revision_fails_at_once() {
    let counts = compared(failing(10, 10), failing(0, 180));
    check(&Checks::default(), &counts, ["fail", "fail"]);
    let violation = alarm(&Checks::default(), &counts).unwrap();
    assert_eq!(
        violation.message,
        "errorRate 100 % of 10, stable 0 % of 180, limit +1 %, p = 8e-17"
    );
    // by its own limit too, with nothing to compare with
    check(
        &errors(Some(100), None),
        &alone(failing(10, 10)),
        ["fail", "fail"],
    );
}

#[test]
fn what_needs_a_second_interval_is_no_alarm() {
    let worse = compared(failing(8, 193), failing(12, 3610));
    assert_eq!(alarm(&Checks::default(), &worse), None);
    let fine = compared(failing(0, 193), failing(12, 3610));
    assert_eq!(alarm(&Checks::default(), &fine), None);
}

#[test]
fn slow_answers_are_never_decided_at_once() {
    let counts = compared(taking(&[(60, 1000)]), taking(&[(20, 1000)]));
    let checks = latency(Some(Duration::from_millis(10)), Some(2000));
    check(&checks, &counts, ["hold", "fail"]);
    assert_eq!(alarm(&checks, &counts), None);
}

#[test]
fn fewer_than_ten_requests_are_not_judged() {
    let counts = compared(failing(9, 9), failing(0, 10_000));
    check(&Checks::default(), &counts, ["hold", "hold"]);
    assert_eq!(alarm(&Checks::default(), &counts), None);
    let judged = judge(&Checks::default(), &counts, &[]);
    let hold = Hold::NewRequests { have: 9, want: 50 };
    assert_eq!(judged.verdict, Verdict::Hold(hold));
    assert_eq!(judged.checks[0].verdict, CheckVerdict::Hold);
}

#[test]
fn fewer_requests_than_asked_for_can_fail_but_not_pass() {
    let stable = failing(0, 400);
    check(
        &Checks::default(),
        &compared(failing(0, 49), stable.clone()),
        ["hold", "hold"],
    );
    check(
        &Checks::default(),
        &compared(failing(4, 49), stable),
        ["hold", "fail"],
    );
}

#[test]
fn all_kinds_of_errors_count() {
    let new = Counts {
        ok: 185,
        failed: 3,
        rejected: 3,
        rerouted: 2,
        ..Counts::default()
    };
    check(
        &Checks::default(),
        &compared(new, failing(12, 3610)),
        ["hold", "fail"],
    );
}

#[test]
fn an_increase_within_the_limit_is_none_however_sure() {
    let counts = compared(failing(190, 10_000), failing(100, 10_000));
    check(&errors(None, Some(100)), &counts, ["pass", "pass"]);
    check(&errors(None, Some(50)), &counts, ["hold", "fail"]);
}

#[test]
fn an_error_rate_above_its_own_limit_fails() {
    check(
        &errors(Some(100), None),
        &alone(failing(4, 200)),
        ["pass", "pass"],
    );
    check(
        &errors(Some(100), None),
        &alone(failing(10, 200)),
        ["hold", "fail"],
    );
    check(
        &errors(Some(0), None),
        &alone(failing(1, 200)),
        ["fail", "fail"],
    );
}

#[test]
fn a_limit_that_stable_breaks_as_well_is_not_held_against_the_new_one() {
    let checks = errors(Some(100), None);
    let stable = failing(200, 4000);
    check(
        &checks,
        &compared(failing(10, 200), stable.clone()),
        ["pass", "pass"],
    );
    check(
        &checks,
        &compared(failing(50, 1000), stable.clone()),
        ["pass", "pass"],
    );
    // but being worse than that is
    check(
        &checks,
        &compared(failing(30, 200), stable),
        ["hold", "fail"],
    );
    // and a stable revision that keeps the limit is no excuse
    check(
        &checks,
        &compared(failing(10, 200), failing(4, 4000)),
        ["hold", "fail"],
    );
}

#[test]
fn without_enough_of_stable_an_increase_holds() {
    let hold = |counts: &Compared| judge(&Checks::default(), counts, &[]).verdict;
    assert_eq!(
        hold(&compared(failing(0, 60), failing(0, 49))),
        Verdict::Hold(Hold::StableRequests { have: 49, want: 50 })
    );
    assert_eq!(
        hold(&alone(failing(0, 60))),
        Verdict::Hold(Hold::StableRequests { have: 0, want: 50 })
    );
    assert_eq!(
        hold(&compared(failing(0, 49), failing(0, 49))),
        Verdict::Hold(Hold::NewRequests { have: 49, want: 50 })
    );
}

#[test]
fn with_a_limit_of_its_own_the_new_revision_passes_without_stable() {
    let checks = errors(Some(100), Some(100));
    check(&checks, &alone(failing(0, 60)), ["pass", "pass"]);
    check(
        &checks,
        &compared(failing(0, 60), failing(0, 3)),
        ["pass", "pass"],
    );
}

#[test]
fn a_silent_gateway_holds_but_hides_no_failure() {
    let silent = |counts| Compared {
        silent_gateways: 1,
        ..counts
    };
    let fine = silent(compared(failing(0, 500), failing(0, 4500)));
    let judged = judge(&Checks::default(), &fine, &[]);
    assert_eq!(judged.verdict, Verdict::Hold(Hold::SilentGateways(1)));
    let bad = silent(compared(failing(8, 193), failing(12, 3610)));
    check(&Checks::default(), &bad, ["hold", "fail"]);
}

/// 0.1 ms × 2^(46/4) = 289.6 ms, 2^(47/4) = 344.4 ms.
#[test]
fn latency_is_judged_at_the_next_bound_above_its_limit() {
    let checks = latency(Some(Duration::from_millis(300)), None);
    check(
        &checks,
        &alone(taking(&[(40, 180), (47, 20)])),
        ["pass", "pass"],
    );
    check(
        &checks,
        &alone(taking(&[(40, 180), (48, 20)])),
        ["pass", "pass"],
    );
    check(
        &checks,
        &alone(taking(&[(40, 170), (48, 30)])),
        ["hold", "fail"],
    );
    let judged = judge(&checks, &alone(taking(&[(40, 170), (48, 30)])), &[]);
    let texts = &judged.checks[0];
    assert_eq!(
        [texts.new.as_str(), &texts.stable, &texts.limit],
        ["410ms", "", "300ms"]
    );
}

/// Stable's 95th percentile is 0.1 ms × 2^(40/4) = 102.4 ms. 20 % more reach into bucket 42.
#[test]
fn latency_is_judged_by_stable_s_own() {
    let checks = latency(None, Some(2000));
    let stable = taking(&[(30, 1000), (40, 900), (50, 100)]);
    let new = |slow| taking(&[(30, 100), (42, 100 - slow), (44, slow)]);
    check(
        &checks,
        &compared(new(10), stable.clone()),
        ["pass", "pass"],
    );
    check(
        &checks,
        &compared(new(30), stable.clone()),
        ["hold", "fail"],
    );
    let before = [result(Metric::LatencyP95Increase, CheckVerdict::Fail)];
    let Verdict::Fail(violation) = judge(&checks, &compared(new(30), stable), &before).verdict
    else {
        panic!("not failed");
    };
    assert_eq!(
        violation.message,
        "latencyP95 205 ms of 200, stable 102 ms of 2,000, limit +20 %, p = 6e-7"
    );
}

#[test]
fn the_99th_percentile_sees_what_the_95th_does_not() {
    let limits = Some(Latency {
        max: Some(Duration::from_millis(300)),
        max_increase: percent(5000),
    });
    let checks = Checks {
        error_rate: None,
        latency_p95: limits,
        latency_p99: limits,
        min_requests: 50,
    };
    let new = taking(&[(40, 960), (60, 40)]);
    let judged = judge(&checks, &compared(new, taking(&[(40, 9000)])), &[]);
    let verdicts: Vec<_> = judged.checks.iter().map(|found| found.verdict).collect();
    let (pass, fail) = (CheckVerdict::Pass, CheckVerdict::Fail);
    assert_eq!(verdicts, [pass, pass, fail, fail]);
    let metrics: Vec<_> = judged.checks.iter().map(|found| found.metric).collect();
    assert_eq!(metrics, Metric::ALL[2..]);
}

#[test]
fn without_a_check_only_requests_are_asked_for() {
    let checks = Checks {
        error_rate: None,
        ..Checks::default()
    };
    check(&checks, &alone(failing(5, 49)), ["hold", "hold"]);
    check(&checks, &alone(failing(5, 50)), ["pass", "pass"]);
}

#[test]
fn nothing_asked_for_is_still_one_request() {
    let checks = Checks {
        min_requests: 0,
        ..errors(Some(100), None)
    };
    check(&checks, &Compared::default(), ["hold", "hold"]);
    check(&checks, &alone(failing(0, 1)), ["pass", "pass"]);
}

#[test]
fn holds_are_sentences() {
    let check = |hold: Hold, expect| assert_eq!(hold.to_string(), expect);
    check(Hold::SilentGateways(1), "a live gateway does not report");
    check(Hold::SilentGateways(2), "2 live gateways do not report");
    let (have, want) = (12, 50);
    check(
        Hold::NewRequests { have, want },
        "12 of 50 requests on the new revision",
    );
    check(
        Hold::StableRequests { have, want },
        "12 of 50 requests on the stable revision",
    );
    check(
        Hold::Unconfirmed(Metric::LatencyP99),
        "latencyP99.max is violated: the next interval decides",
    );
}

#[test]
fn what_status_holds_is_read_back() {
    for metric in Metric::ALL {
        assert_eq!(Metric::named(metric.as_str()), Some(metric));
    }
    assert_eq!(Metric::named("errorRate"), None);
    for verdict in [CheckVerdict::Pass, CheckVerdict::Hold, CheckVerdict::Fail] {
        assert_eq!(CheckVerdict::named(verdict.as_str()), Some(verdict));
    }
    assert_eq!(CheckVerdict::named(""), None);
    let text = serde_json::to_string(&result(Metric::ErrorRate, CheckVerdict::Hold)).unwrap();
    assert!(text.starts_with(r#"{"metric":"errorRate.max","verdict":"Hold","requests":100,"#));
}

#[test]
fn counts_of_gateways_add_up_and_saturate() {
    let mut sum = taking(&[(3, 2), (200, 1)]);
    let more = Counts {
        failed: 1,
        rejected: 2,
        rerouted: u64::MAX,
        ..taking(&[(3, 5)])
    };
    sum.add(&more);
    sum.add(&more);
    let expect = Counts {
        ok: 13,
        failed: 2,
        rejected: 4,
        rerouted: u64::MAX,
        latency: taking(&[(3, 12), (BUCKETS - 1, 1)]).latency,
    };
    assert_eq!(sum, expect);
}
