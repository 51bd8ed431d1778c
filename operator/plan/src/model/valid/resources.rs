//! Resources of the container `server`, with their defaults, in canonical form.
//!
//! Pure. Called by `valid`. A memory limit is always there: loading and engine run inside it.

use std::collections::BTreeMap;

use aimass_crds::model_deployment::Resources as Wire;
use aimass_crds::quantity::Amount;
use aimass_crds::scalars::Quantity;

use super::Rejection;

/// Requests and limits by resource, canonical: as the API server keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) requests: BTreeMap<String, String>,
    pub(crate) limits: BTreeMap<String, String>,
}

impl Resources {
    /// CPUs that a pod may count on: the limit, else the request, rounded down.
    pub(super) fn cpus(&self) -> i64 {
        let cpu = self.limits.get("cpu").or_else(|| self.requests.get("cpu"));
        cpu.and_then(|text| Amount::parse(text))
            .map_or(1, Amount::floor)
    }
}

pub(super) fn resources(wire: &Wire) -> Result<Resources, Rejection> {
    let mut requests = amounts("requests", wire.requests.as_ref())?;
    let mut limits = amounts("limits", wire.limits.as_ref())?;
    let fallback = |text: &str| Amount::parse(text).expect("a constant amount");

    if !requests.contains_key("cpu") {
        let cpu = fallback("250m");
        let limit = limits.get("cpu").copied().unwrap_or(cpu);
        requests.insert("cpu".to_owned(), if limit < cpu { limit } else { cpu });
    }
    let limit = limits.get("memory").copied();
    let memory = *requests
        .entry("memory".to_owned())
        .or_insert_with(|| limit.unwrap_or_else(|| fallback("512Mi")));
    limits.entry("memory".to_owned()).or_insert(memory);

    for (resource, request) in &requests {
        if let Some(limit) = limits.get(resource).filter(|limit| request > limit) {
            return Err(Rejection::RequestAboveLimit {
                resource: resource.clone(),
                request: request.canonical(),
                limit: limit.canonical(),
            });
        }
    }
    Ok(Resources {
        requests: canonical(requests),
        limits: canonical(limits),
    })
}

fn amounts(
    kind: &'static str,
    wire: Option<&BTreeMap<String, Quantity>>,
) -> Result<BTreeMap<String, Amount>, Rejection> {
    let parse = |(resource, quantity): (&String, &Quantity)| match Amount::parse(&quantity.0) {
        Some(amount) => Ok((resource.clone(), amount)),
        None => Err(Rejection::Quantity {
            kind,
            resource: resource.clone(),
            value: quantity.0.clone(),
        }),
    };
    wire.into_iter().flatten().map(parse).collect()
}

fn canonical(amounts: BTreeMap<String, Amount>) -> BTreeMap<String, String> {
    amounts
        .into_iter()
        .map(|(resource, amount)| (resource, amount.canonical()))
        .collect()
}
