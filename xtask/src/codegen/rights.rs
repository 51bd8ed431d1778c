//! What the operator may do, for the chart.
//!
//! Pure. Called by [`super::run`]. The table itself is the operator's: a plain file of data that is
//! compiled in here, so that this tool does not depend on the operator.

use super::{Generated, yaml_header};

#[path = "../../../operator/src/rbac.rs"]
#[expect(
    unreachable_pub,
    reason = "the file is public where it belongs, in the operator"
)]
mod rbac;

/// `charts/aimass/rules`: lists of rules that the templates take in.
pub(super) fn files() -> Vec<Generated> {
    let lists = [
        ("models", rbac::CLUSTER),
        ("plans", rbac::PLANS),
        ("reviews", rbac::REVIEWS),
        ("gateways", rbac::GATEWAYS),
        ("lease", rbac::LEASE),
    ];
    let file = |(name, rules): (&str, &[rbac::Rule])| Generated {
        path: format!("charts/aimass/rules/{name}.yaml"),
        text: yaml_header("operator/src/rbac.rs") + &rules.iter().map(rule).collect::<String>(),
    };
    lists.map(file).into()
}

fn rule(rule: &rbac::Rule) -> String {
    let rbac::Rule {
        group,
        resource,
        names,
        verbs,
        why,
    } = rule;
    let names = match names {
        [] => String::new(),
        names => format!("  resourceNames: {names:?}\n"),
    };
    format!(
        "# {why}\n- apiGroups: [{group:?}]\n  resources: [{resource:?}]\n{names}  verbs: {verbs:?}\n"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_lists_are_yaml_with_every_rule() {
        let lists = [
            rbac::CLUSTER,
            rbac::PLANS,
            rbac::REVIEWS,
            rbac::GATEWAYS,
            rbac::LEASE,
        ];
        for (file, rules) in files().iter().zip(lists) {
            let parsed: Vec<Value> = serde_saphyr::from_str(&file.text).unwrap();
            assert_eq!(parsed.len(), rules.len(), "{}", file.text);
            assert!(
                parsed
                    .iter()
                    .all(|rule| rule["verbs"].is_array() && rule["apiGroups"].is_array())
            );
        }
    }
}
