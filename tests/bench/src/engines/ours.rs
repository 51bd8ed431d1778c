//! The engines of the server, as it loads them: a further one is a line of [`ENGINES`].

use std::collections::BTreeMap;
use std::path::Path;

use aimass_server::check::{Surroundings, check};
use aimass_server::engine::Engine;
use aimass_server::engine::tract::{Limits, Source, Tract};
use anyhow::Context as _;

/// Loads a model file into an engine.
pub(super) type Load = fn(&Path) -> anyhow::Result<Box<dyn Engine>>;

/// Their names and how they are loaded.
pub(super) const ENGINES: [(&str, Load); 1] = [("tract", tract)];

/// What one constant may take.
const BUDGET: u64 = 16 << 30;

fn tract(model: &Path) -> anyhow::Result<Box<dyn Engine>> {
    let bytes =
        std::fs::read(model).with_context(|| format!("failed to read {}", model.display()))?;
    let surroundings = Surroundings {
        files: &BTreeMap::new(),
        budget_bytes: BUDGET,
    };
    let signature = check(&bytes, &surroundings)?;
    let limits = Limits {
        max_plans: 8,
        budget_bytes: None,
    };
    let folder = super::folder_of(model);
    let engine = Tract::load(&Source::Bytes(&bytes), folder, vec![], signature, limits)?;
    Ok(Box::new(engine))
}
