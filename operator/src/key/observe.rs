//! What an APIKey is judged from beside itself: older keys, its plan, its models. Facts, no judgement.
//!
//! Reads only, and only the caches: what concerns a key announces it, so that it is judged anew once
//! they know more. Called by `key::reconcile` first.

use aimass_crds::APIKey;
use aimass_plan::key::{Observed, PlanReference, Taken};

use crate::cache::{Key, key_of};
use crate::context::Context;

/// Sees everything that concerns `key`.
pub(crate) fn observe(ctx: &Context, key: &APIKey) -> Observed {
    let own = key_of(key);
    Observed {
        now: ctx.now(),
        plan: plan(ctx, key.spec.plan.as_deref()),
        taken: taken(ctx, &own, key),
        unknown_models: unknown_models(ctx, &own, &key.spec.models),
        last_used: ctx
            .used
            .last(key.metadata.uid.as_deref().unwrap_or_default()),
    }
}

fn plan(ctx: &Context, name: Option<&str>) -> PlanReference {
    match name {
        None => PlanReference::NotNeeded,
        Some(_) if !ctx.caches.has_plans() => PlanReference::Unknown,
        Some(name) if ctx.caches.holders.has_plan(name) => PlanReference::Exists,
        Some(_) => PlanReference::Absent,
    }
}

fn taken(ctx: &Context, own: &Key, key: &APIKey) -> Vec<Taken> {
    let ids = key.spec.credentials.iter().map(|credential| &credential.id);
    ids.filter_map(|id| {
        let owner = ctx.caches.holders.owner(id).filter(|owner| owner != own)?;
        let neighbour = owner.namespace == own.namespace;
        Some(Taken {
            id: id.clone(),
            by: neighbour.then_some(owner.name),
        })
    })
    .collect()
}

fn unknown_models(ctx: &Context, own: &Key, names: &[String]) -> Vec<String> {
    let named = names.iter().filter(|name| *name != "*");
    let unknown = named.filter(|name| {
        !ctx.caches.holders.has_model(&Key {
            namespace: own.namespace.clone(),
            name: (*name).clone(),
        })
    });
    unknown.cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transcript::context;

    fn key(namespace: &str, name: &str, plan: Option<&str>) -> APIKey {
        serde_json::from_value(json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey",
            "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace} {name}")},
            "spec": {
                "models": ["iris", "rose"], "plan": plan,
                "credentials": [{"id": "7GmYq2TbX0aZ", "sha256": "00"}],
            },
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn what_it_names_is_looked_for() {
        let (ctx, transcript) = context([]);
        let holders = &ctx.caches.holders;
        let ana = key("a", "ana", Some("free"));
        holders.key(&ana);
        let seen = observe(&ctx, &ana);
        assert_eq!(seen.plan, PlanReference::Absent);
        assert_eq!(seen.unknown_models, ["iris", "rose"]);
        assert_eq!(seen.taken, []);
        holders.plan("free", true);
        holders.model(
            &Key {
                namespace: "a".to_owned(),
                name: "iris".to_owned(),
            },
            true,
        );
        let seen = observe(&ctx, &ana);
        assert_eq!(seen.plan, PlanReference::Exists);
        assert_eq!(seen.unknown_models, ["rose"]);
        assert_eq!(
            observe(&ctx, &key("a", "ana", None)).plan,
            PlanReference::NotNeeded
        );
        assert_eq!(transcript.lines(), Vec::<String>::new(), "no request");
    }

    #[tokio::test]
    async fn an_older_key_is_named_to_its_neighbours_only() {
        let (ctx, _) = context([]);
        let ana = key("a", "ana", None);
        ctx.caches.holders.key(&ana);
        for (namespace, by) in [("a", Some("ana")), ("b", None)] {
            let ben = key(namespace, "ben", None);
            ctx.caches.holders.key(&ben);
            let taken = observe(&ctx, &ben).taken;
            assert_eq!(taken.len(), 1, "the lesser uid came first");
            assert_eq!(taken[0].by.as_deref(), by);
        }
        assert_eq!(observe(&ctx, &ana).taken, []);
    }
}
