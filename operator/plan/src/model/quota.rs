//! For how many more pods the quotas of a namespace have room, and which of them is the tight one.
//!
//! Pure. Quotas are projected by the operator's watch with [`Quota::of`]; [`room`] is asked by its
//! signals task at each decision. In order: `need` says what one more pod counts for, `scope` which
//! quotas count it.
//!
//! It reckons as the API server's admission does, with `status.hard` and `status.used`: a quota that
//! was changed holds from when its status says so. What admission knows besides (defaults of a
//! LimitRange, the overhead of a RuntimeClass, a webhook) is seen when pods are refused. So is a
//! quota whose scope or amounts are not understood here: it is left out, and limits nothing too early.
//! Source: kubernetes `pkg/quota/v1/evaluator/core/pods.go`,
//! `apiserver/pkg/admission/plugin/resourcequota/controller.go`.

mod need;
mod scope;

use std::collections::BTreeMap;

use aimass_crds::quantity::Amount;
use k8s_openapi::api::core::v1::ResourceQuota;

pub use need::Need;
use scope::Scope;

/// Resources that are kept of a quota: more than any cluster has kinds of.
const RESOURCES: usize = 64;
/// Quotas of a namespace that are looked at.
const QUOTAS: usize = 64;
/// Those that are named of many that are equally tight.
const TIGHT: usize = 8;

/// What one ResourceQuota allows pods, and what of it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    name: String,
    /// It counts pods that all of these select.
    scopes: Vec<Scope>,
    bounds: BTreeMap<String, Bound>,
}

/// One resource of a quota.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound {
    hard: Amount,
    used: Amount,
}

/// What there is room for.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// So many more pods.
    pub headroom: i32,
    /// What there is no more room in, the first in order of names first; at least one.
    pub tight: Vec<Tight>,
}

/// A resource of a quota that has the least room.
#[derive(Clone, Debug, PartialEq)]
pub struct Tight {
    /// `metadata.name` of the quota.
    pub quota: String,
    /// `pods`, `requests.cpu` …
    pub resource: String,
    hard: Amount,
    left: Amount,
    /// What one more pod counts for.
    each: Amount,
}

impl Quota {
    /// What of a quota concerns pods.
    #[must_use]
    pub fn of(quota: &ResourceQuota) -> Self {
        let status = quota.status.as_ref();
        let hard = status.and_then(|status| status.hard.as_ref());
        let used = status.and_then(|status| status.used.as_ref());
        let bounds = hard.into_iter().flatten().filter_map(|(resource, hard)| {
            let bound = Bound {
                hard: Amount::read(&hard.0)?,
                used: Amount::read(&used?.get(resource)?.0)?,
            };
            need::counts_pods(resource).then(|| (resource.clone(), bound))
        });
        Self {
            name: quota.metadata.name.clone().unwrap_or_default(),
            scopes: scope::all(quota.spec.as_ref()),
            bounds: bounds.take(RESOURCES).collect(),
        }
    }

    /// How often one more pod of that kind fits into each of its resources.
    fn fits(&self, need: &Need) -> impl Iterator<Item = (i32, Tight)> {
        let counts = self.scopes.iter().all(|scope| scope.selects(need));
        let bounds = self.bounds.iter().filter(move |_| counts);
        bounds.filter_map(|(resource, Bound { hard, used })| {
            let each = need.of_resource(resource)?;
            let left = hard.minus(*used);
            let tight = Tight {
                quota: self.name.clone(),
                resource: resource.clone(),
                hard: *hard,
                left,
                each,
            };
            Some((left.holds(each)?, tight))
        })
    }
}

/// For how many more pods there is room whichever of `needs` each of them has; `None`: no quota limits
/// them. Infallible. O(quotas · resources · needs).
#[must_use]
pub fn room<'a>(quotas: impl IntoIterator<Item = &'a Quota>, needs: &[Need]) -> Option<Room> {
    let mut least: Option<Room> = None;
    for quota in quotas.into_iter().take(QUOTAS) {
        for (headroom, tight) in needs.iter().flat_map(|need| quota.fits(need)) {
            match &mut least {
                Some(room) if headroom == room.headroom => room.add(tight),
                Some(room) if headroom > room.headroom => {}
                least => {
                    let tight = vec![tight];
                    *least = Some(Room { headroom, tight });
                }
            }
        }
    }
    least
}

impl Room {
    fn add(&mut self, tight: Tight) {
        let known = self.tight.iter().any(|known| known.is(&tight));
        if !known && self.tight.len() < TIGHT {
            self.tight.push(tight);
        }
    }
}

impl Tight {
    /// Whether it is the same resource of the same quota.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (&self.quota, &self.resource) == (&other.quota, &other.resource)
    }

    /// What is left, and what to do: `quota aimass has 0 of 20 requests.cpu left: raise it, or lower …`.
    /// `further`: pods that are on their way and not counted yet.
    #[must_use]
    pub fn said(&self, further: i32) -> String {
        let left = self.left.minus(self.each.times(further.max(0)));
        let Self {
            quota,
            resource,
            hard,
            each,
            ..
        } = self;
        let needs = if left.is_zero() {
            String::new()
        } else {
            format!(", and a replica needs {}", each.canonical())
        };
        let (left, hard) = (left.canonical(), hard.canonical());
        let lower = need::lowered_by(resource)
            .map(|field| format!(", or lower spec.runtime.resources.{field}"))
            .unwrap_or_default();
        format!("quota {quota} has {left} of {hard} {resource} left{needs}: raise it{lower}")
    }
}

#[cfg(test)]
mod tests;
