//! `docs/reference`: the fields of each kind, its conditions and reasons.
//!
//! Reads two source files of aimass-crds, whose docstrings become the descriptions. Called by
//! [`super::run`].

mod docstrings;
mod fields;

use std::fs;

use aimass_crds::all;
use aimass_crds::condition::ConditionType;
use aimass_crds::reason::Reason;
use anyhow::{Context as _, Result, ensure};

use self::docstrings::Item;
use super::{Generated, markdown_header};
use crate::places::Places;

/// One page per kind, and one for conditions and reasons.
pub(super) fn files(places: &Places) -> Result<Vec<Generated>> {
    let mut files = Vec::new();
    for (_, definition) in all::custom_resource_definitions() {
        let definition = serde_json::to_value(&definition).context("a definition is plain JSON")?;
        let (name, page) = fields::page(&definition).context("the definition lacks its schema")?;
        files.push(Generated {
            path: format!("docs/reference/{name}.md"),
            text: markdown_header("crds/src") + &page,
        });
    }
    files.push(Generated {
        path: "docs/reference/conditions.md".to_owned(),
        text: markdown_header("crds/src/condition.rs and crds/src/reason.rs")
            + &conditions(places)?,
    });
    Ok(files)
}

fn conditions(places: &Places) -> Result<String> {
    let read = |path: &str| {
        fs::read_to_string(places.repository().join(path))
            .with_context(|| format!("failed to read {path}"))
    };
    let (types, reasons) = (read("crds/src/condition.rs")?, read("crds/src/reason.rs")?);
    let types = docstrings::items(&types, "pub enum ConditionType {");
    let reasons = docstrings::items(&reasons, "reasons! {");
    // A page that lacks one would be worse than none.
    let known = ConditionType::ALL.map(ConditionType::as_str);
    ensure!(
        types.iter().map(|item| item.name).eq(known),
        "crds/src/condition.rs is not understood"
    );
    let known = Reason::ALL.iter().map(|reason| reason.as_str());
    ensure!(
        reasons.iter().map(|item| item.name).eq(known),
        "crds/src/reason.rs is not understood"
    );
    Ok(page(&types, &reasons))
}

fn page(types: &[Item<'_>], reasons: &[Item<'_>]) -> String {
    let mut text = INTRODUCTION.to_owned();
    text += "\n## Conditions\n\n| type | True means |\n| --- | --- |\n";
    for item in types {
        text += &format!("| `{}` | {} |\n", item.name, item.doc);
    }
    let mut section = "";
    for item in reasons {
        if item.section != section {
            section = item.section;
            text += &format!("\n## Reasons: {section}\n\n| reason | means |\n| --- | --- |\n");
        }
        text += &format!("| `{}` | {} |\n", item.name, item.doc);
    }
    text
}

const INTRODUCTION: &str = "\
# Conditions and reasons

`kubectl describe modeldeployment NAME` shows both, each with a message that says what is, with numbers, and what to do. Reasons are for
programs: they are never renamed. A condition that is absent was never judged; `Unknown` means that we cannot tell any more.
What to do about each failure: [troubleshooting](../troubleshooting.md).
";
