//! The two contracts as files: CustomResourceDefinitions and OpenAPI.
//!
//! Pure. Called by [`super::run`].

use aimass_crds::all;
use anyhow::{Context as _, Result};

use super::{Generated, yaml_header};

/// `crds/yaml`, and the same files inside the chart.
pub(super) fn custom_resource_definitions() -> Result<Vec<Generated>> {
    let mut files = Vec::new();
    for (name, definition) in all::custom_resource_definitions() {
        let yaml = serde_saphyr::to_string(&definition)
            .with_context(|| format!("failed to write {name} as YAML"))?;
        let text = yaml_header("crds/src") + yaml.trim_end() + "\n";
        for folder in ["crds/yaml", "charts/aimass/crds"] {
            files.push(Generated {
                path: format!("{folder}/{name}"),
                text: text.clone(),
            });
        }
    }
    Ok(files)
}

/// `protocol/openapi/aimass.json`.
pub(super) fn openapi() -> Result<Vec<Generated>> {
    let document = aimass_protocol::openapi::document();
    let text =
        serde_json::to_string_pretty(&document).context("failed to write OpenAPI as JSON")?;
    Ok(vec![Generated {
        path: "protocol/openapi/aimass.json".to_owned(),
        text: text + "\n",
    }])
}
