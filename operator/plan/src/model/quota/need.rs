//! What one more pod counts for in a quota.
//!
//! Pure. Called for the template of each revision that may get further pods. Containers are added up
//! as Kubernetes does it, with what the API server fills in when it makes a pod from the template.
//! Source: component-helpers `resource/helpers.go`, `AggregateContainerRequests`.

use std::collections::BTreeMap;

use aimass_crds::quantity::Amount;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

type Amounts = BTreeMap<String, Amount>;

/// What one more pod counts for, and what scopes go by.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    requests: Amounts,
    limits: Amounts,
    /// No container asks for CPU or memory.
    pub(super) is_best_effort: bool,
    /// `activeDeadlineSeconds` is set.
    pub(super) is_terminating: bool,
    /// `None`: the cluster's default, if it has one.
    pub(super) priority_class: Option<String>,
}

impl Need {
    /// That of a pod made from `template`. What no resource can be is left out: the API server refuses it.
    #[must_use]
    pub fn of(template: &PodTemplateSpec) -> Self {
        let spec = template.spec.as_ref();
        let main = spec.map(|spec| &*spec.containers).unwrap_or_default();
        let init = spec.and_then(|spec| spec.init_containers.as_deref());
        let init = init.unwrap_or_default();
        let asks = |container: &Container| {
            let asked = requests(container);
            let of = |resource: &str| asked.get(resource).is_some_and(|asked| !asked.is_zero());
            of("cpu") || of("memory")
        };
        Self {
            requests: total(main, init, requests),
            limits: total(main, init, limits),
            is_best_effort: !main.iter().chain(init).any(asks),
            is_terminating: spec.is_some_and(|spec| spec.active_deadline_seconds.is_some()),
            priority_class: spec.and_then(|spec| spec.priority_class_name.clone()),
        }
    }

    /// What it counts for in one resource of a quota; `None`: it is not counted there.
    pub(super) fn of_resource(&self, resource: &str) -> Option<Amount> {
        match kind(resource)? {
            Kind::Pods => Amount::parse("1"),
            Kind::Requests(name) => self.requests.get(name).copied(),
            Kind::Limits(name) => self.limits.get(name).copied(),
        }
    }
}

/// What a resource of a quota adds up.
enum Kind<'a> {
    Pods,
    Requests(&'a str),
    Limits(&'a str),
}

/// `None`: something else than pods, or than what they ask for.
fn kind(resource: &str) -> Option<Kind<'_>> {
    if let "pods" | "count/pods" = resource {
        return Some(Kind::Pods);
    }
    if let Some(name) = resource.strip_prefix("limits.") {
        return is_native(name).then_some(Kind::Limits(name));
    }
    if let Some(name) = resource.strip_prefix("requests.") {
        // `storage` is that of claims
        let is_of_pods = is_native(name) || is_huge(name) || name.contains('/');
        return is_of_pods.then_some(Kind::Requests(name));
    }
    (is_native(resource) || is_huge(resource)).then_some(Kind::Requests(resource))
}

fn is_native(name: &str) -> bool {
    ["cpu", "memory", "ephemeral-storage"].contains(&name)
}

fn is_huge(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether a resource of a quota counts pods or what they ask for.
pub(super) fn counts_pods(resource: &str) -> bool {
    kind(resource).is_some()
}

/// The field of `spec.runtime.resources` by which a pod counts for less.
pub(super) fn lowered_by(resource: &str) -> Option<&'static str> {
    match kind(resource)? {
        Kind::Pods => None,
        Kind::Requests(_) => Some("requests"),
        Kind::Limits(_) => Some("limits"),
    }
}

/// What the containers ask for together: those that run beside each other, or one that runs before
/// them beside those sidecars that have started by then, whichever is more.
fn total(main: &[Container], init: &[Container], of: fn(&Container) -> Amounts) -> Amounts {
    let mut running = Amounts::new();
    for container in main {
        join(&mut running, &of(container), Amount::plus);
    }
    let (mut sidecars, mut most) = (Amounts::new(), Amounts::new());
    for container in init {
        let own = of(container);
        let mut starting = sidecars.clone();
        join(&mut starting, &own, Amount::plus);
        join(&mut most, &starting, Amount::or_more);
        if container.restart_policy.as_deref() == Some("Always") {
            join(&mut running, &own, Amount::plus);
            sidecars = starting;
        }
    }
    join(&mut running, &most, Amount::or_more);
    running
}

fn join(into: &mut Amounts, from: &Amounts, with: fn(Amount, Amount) -> Amount) {
    for (resource, amount) in from {
        let joined = into
            .get(resource)
            .map_or(*amount, |held| with(*held, *amount));
        into.insert(resource.clone(), joined);
    }
}

/// A limit without a request is the request as well: so the API server fills it in.
fn requests(container: &Container) -> Amounts {
    let resources = container.resources.as_ref();
    let mut all = limits(container);
    all.extend(amounts(
        resources.and_then(|resources| resources.requests.as_ref()),
    ));
    all
}

fn limits(container: &Container) -> Amounts {
    let resources = container.resources.as_ref();
    amounts(resources.and_then(|resources| resources.limits.as_ref()))
}

fn amounts(quantities: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    let read = |(resource, quantity): (&String, &Quantity)| {
        Some((resource.clone(), Amount::read(&quantity.0)?))
    };
    quantities.into_iter().flatten().filter_map(read).collect()
}
