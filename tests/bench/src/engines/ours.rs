//! The engines of the server, as it loads them: a further one is a name in [`ENGINES`].

use std::collections::BTreeMap;
use std::path::Path;

use aimass_server::check::{Surroundings, check, features};
use aimass_server::engine::{Engine, Limits, Material, Name, Source};
use anyhow::Context as _;

/// Those that are compiled in everywhere.
pub(super) const ENGINES: [Name; 2] = [Name::Tract, Name::Rten];

/// What one constant may take.
const BUDGET: u64 = 16 << 30;

/// Loads a model file into an engine.
pub(super) fn load(engine: Name, model: &Path) -> anyhow::Result<Box<dyn Engine>> {
    let bytes =
        std::fs::read(model).with_context(|| format!("failed to read {}", model.display()))?;
    let surroundings = Surroundings {
        files: &BTreeMap::new(),
        budget_bytes: BUDGET,
    };
    let material = Material {
        source: Source::Bytes(&bytes),
        folder: super::folder_of(model),
        files: &[],
        features: &features(&bytes)?,
        signature: &check(&bytes, &surroundings)?,
        limits: Limits {
            max_plans: 8,
            budget_bytes: None,
        },
    };
    Ok(engine.load(&material)?)
}
