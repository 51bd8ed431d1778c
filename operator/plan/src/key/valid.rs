//! The only rejection of an APIKey: a spec that breaks a rule stops here.
//!
//! Pure. Called by [`super::plan`] first. The API server has checked the same rules already, but an
//! object may be older than a rule. What concerns *another* object (the plan, the models, keys with
//! the same id) is no rejection but a condition or a message.

use aimass_crds::APIKey;
use aimass_crds::api_key::{APIKeySpec, Credential};

use crate::fields::{checked, count, label, unique};
use crate::rejection::Rejection;

/// A spec that breaks no rule: what of it is not judged by `aimass_crds::api_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Valid {
    /// The UsagePlan that it names.
    pub(super) plan: Option<String>,
}

/// Checks every rule, one after the other; the first that is broken is the answer.
pub(super) fn valid(key: &APIKey) -> Result<Valid, Rejection> {
    let APIKeySpec {
        owner,
        description,
        models: names,
        plan,
        credentials,
        expires_at: _, // any time
        disabled: _,
        allowed_cidrs,
    } = &key.spec;
    let texts = [
        ("spec.owner", owner, 253, "at most 253 characters"),
        (
            "spec.description",
            description,
            256,
            "at most 256 characters",
        ),
    ];
    for (path, text, most, rule) in texts {
        let text = text.as_deref().unwrap_or_default();
        checked(text.chars().count() <= most, path, rule, text)?;
    }
    models(names)?;
    count("spec.credentials", credentials.len(), (1, 2))?;
    for credential in credentials {
        check(credential)?;
    }
    let ids = credentials.iter().map(|credential| &credential.id);
    unique("spec.credentials", "id", ids)?;
    let ranges = allowed_cidrs.as_deref().unwrap_or_default();
    count("spec.allowedCIDRs", ranges.len(), (0, 16))?;
    for range in ranges {
        let rule = "CIDRs such as 10.0.0.0/8 or 2001:db8::/32";
        checked(range.get().is_some(), "spec.allowedCIDRs", rule, &range.0)?;
    }
    let plan = plan.as_deref().map(|plan| label("spec.plan", plan));
    Ok(Valid {
        plan: plan.transpose()?,
    })
}

fn models(names: &[String]) -> Result<(), Rejection> {
    count("spec.models", names.len(), (1, 16))?;
    if names.len() > 1 && names.iter().any(|name| name == "*") {
        return Err(Rejection::StarAmongNames);
    }
    for name in names.iter().filter(|name| *name != "*") {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let legal = name.len() <= 52
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(inner)
            && !name.ends_with('-');
        let rule = "names of ModelDeployments (a letter first, at most 52 of a-z, 0-9 and '-')";
        checked(legal, "spec.models", rule, name)?;
    }
    Ok(())
}

fn check(credential: &Credential) -> Result<(), Rejection> {
    let Credential {
        id,
        sha256,
        not_after: _, // any time
    } = credential;
    let legal = id.len() == 12 && id.chars().all(|c| c.is_ascii_alphanumeric());
    checked(legal, "spec.credentials[].id", "12 letters and digits", id)?;
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let legal = sha256.len() == 64 && sha256.chars().all(hex);
    let rule = "64 hexadecimal digits in lower case";
    checked(legal, "spec.credentials[].sha256", rule, sha256)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn credential(id: &str) -> Value {
        json!({"id": id, "sha256": "ab".repeat(32)})
    }

    /// A good key, with `value` in place of `field`.
    fn with(field: &str, value: Value) -> APIKey {
        let mut spec = json!({
            "models": ["iris"], "plan": "free", "credentials": [credential("7GmYq2TbX0aZ")],
        });
        spec[field] = value;
        let key = json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey",
            "metadata": {"name": "ana", "namespace": "team-a"}, "spec": spec,
        });
        serde_json::from_value(key).unwrap()
    }

    #[track_caller]
    fn check(field: &str, value: Value, expect: &str) {
        let rejection = valid(&with(field, value)).unwrap_err();
        assert_eq!(rejection.to_string(), expect, "{field}");
    }

    #[test]
    fn a_good_key_names_its_plan() {
        let plan = valid(&with("models", json!(["*"]))).unwrap().plan;
        assert_eq!(plan.as_deref(), Some("free"));
        assert_eq!(valid(&with("plan", Value::Null)).unwrap().plan, None);
        let two = json!([credential("7GmYq2TbX0aZ"), credential("8GmYq2TbX0aZ")]);
        assert!(valid(&with("credentials", two)).is_ok());
    }

    #[test]
    fn every_rule_rejects_what_breaks_it() {
        check(
            "models",
            json!([]),
            "spec.models must hold 1 to 16 items, holds 0",
        );
        check(
            "models",
            json!(["*", "iris"]),
            "spec.models must be names, or '*' alone",
        );
        check(
            "models",
            json!(["Iris"]),
            "spec.models must be names of ModelDeployments (a letter first, at most 52 of a-z, 0-9 and '-'), is \"Iris\"",
        );
        check(
            "plan",
            json!("a.b"),
            "spec.plan must be at most 63 of a-z, 0-9 and '-', not at the ends, is \"a.b\"",
        );
        check(
            "credentials",
            json!([]),
            "spec.credentials must hold 1 to 2 items, holds 0",
        );
        check(
            "credentials",
            json!([credential("short")]),
            "spec.credentials[].id must be 12 letters and digits, is \"short\"",
        );
        check(
            "credentials",
            json!([credential("7GmYq2TbX0aZ"), credential("7GmYq2TbX0aZ")]),
            "spec.credentials must hold each id once, \"7GmYq2TbX0aZ\" is there twice",
        );
        check(
            "credentials",
            json!([{"id": "7GmYq2TbX0aZ", "sha256": "AB"}]),
            "spec.credentials[].sha256 must be 64 hexadecimal digits in lower case, is \"AB\"",
        );
        check(
            "allowedCIDRs",
            json!(["10.0.0.0/8", "10.0.0.1"]),
            "spec.allowedCIDRs must be CIDRs such as 10.0.0.0/8 or 2001:db8::/32, is \"10.0.0.1\"",
        );
        check(
            "allowedCIDRs",
            json!(vec!["10.0.0.0/8"; 17]),
            "spec.allowedCIDRs must hold 0 to 16 items, holds 17",
        );
        let long = "a".repeat(254);
        let expect = format!("spec.owner must be at most 253 characters, is {long:?}");
        check("owner", json!(long), &expect);
    }
}
