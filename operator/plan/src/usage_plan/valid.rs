//! The only rejection of a UsagePlan: a spec that breaks a rule stops here.
//!
//! Pure. Called by [`super::plan`] first. The API server has checked the same rules already, but an
//! object may be older than a rule.

use aimass_crds::UsagePlanSpec;
use aimass_crds::scalars::Duration;
use aimass_crds::usage_plan::Rate;

use crate::fields::{checked, count, integer, label, unique};
use crate::rejection::Rejection;

/// Checks every rule, one after the other; the first that is broken is the answer.
pub(super) fn valid(spec: &UsagePlanSpec) -> Result<(), Rejection> {
    let UsagePlanSpec {
        rates,
        concurrency,
        mode: _, // every value is legal
    } = spec;
    if rates.is_none() && concurrency.is_none() {
        return Err(Rejection::NoLimit);
    }
    if let Some(concurrency) = concurrency {
        integer("spec.concurrency", i64::from(*concurrency), (1, 100_000))?;
    }
    let Some(rates) = rates else { return Ok(()) };
    count("spec.rates", rates.len(), (1, 8))?;
    unique("spec.rates", "name", rates.iter().map(|rate| &rate.name))?;
    rates.iter().try_for_each(check)
}

fn check(rate: &Rate) -> Result<(), Rejection> {
    let Rate {
        name,
        requests,
        window,
        burst,
    } = rate;
    label("spec.rates[].name", name)?;
    let rule = "another name than inflight, the limit of concurrency in the RateLimit headers";
    checked(name != "inflight", "spec.rates[].name", rule, name)?;
    let path = |field: &str| format!("spec.rates[{name}].{field}");
    integer(path("requests"), *requests, (1, 1_000_000_000))?;
    if let Some(burst) = burst {
        integer(path("burst"), *burst, (1, 1_000_000))?;
    }
    let (min, max) = ("1s", "24h");
    let bound = |text: &str| Duration(text.to_owned()).get();
    match window.get() {
        Some(value) if bound(min) <= Some(value) && Some(value) <= bound(max) => Ok(()),
        _ => Err(Rejection::Range {
            path: path("window"),
            min,
            max,
            value: window.0.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(spec: Value, expect: Option<&str>) {
        let spec: UsagePlanSpec = serde_json::from_value(spec).unwrap();
        let found = valid(&spec).err().map(|rejection| rejection.to_string());
        assert_eq!(found.as_deref(), expect);
    }

    fn rate(field: &str, value: Value) -> Value {
        let mut rate = json!({"name": "per-minute", "requests": 60, "window": "1m"});
        rate[field] = value;
        json!({"rates": [rate]})
    }

    #[test]
    fn one_kind_of_limit_is_enough() {
        check(json!({"concurrency": 4}), None);
        check(rate("burst", json!(60)), None);
        check(
            json!({"mode": "Shadow"}),
            Some("at least one of rates, concurrency must be set in spec"),
        );
    }

    #[test]
    fn every_rule_rejects_what_breaks_it() {
        check(
            json!({"concurrency": 0}),
            Some("spec.concurrency must be between 1 and 100000, is 0"),
        );
        check(
            json!({"rates": []}),
            Some("spec.rates must hold 1 to 8 items, holds 0"),
        );
        let twice = rate("burst", Value::Null)["rates"][0].clone();
        check(
            json!({"rates": [twice, twice]}),
            Some("spec.rates must hold each name once, \"per-minute\" is there twice"),
        );
        check(
            rate("name", json!("Per minute")),
            Some(
                "spec.rates[].name must be at most 63 of a-z, 0-9 and '-', not at the ends, is \"Per minute\"",
            ),
        );
        check(
            rate("name", json!("inflight")),
            Some(
                "spec.rates[].name must be another name than inflight, the limit of concurrency in the RateLimit headers, is \"inflight\"",
            ),
        );
        check(
            rate("requests", json!(0)),
            Some("spec.rates[per-minute].requests must be between 1 and 1000000000, is 0"),
        );
        check(
            rate("burst", json!(1_000_001)),
            Some("spec.rates[per-minute].burst must be between 1 and 1000000, is 1000001"),
        );
        check(
            rate("window", json!("25h")),
            Some("spec.rates[per-minute].window must be between 1s and 24h, is \"25h\""),
        );
    }
}
