//! From the command line of `inspect` to plain values.
//!
//! Pure. Called by `start.rs`. Nothing in it can be wrong before the model is read.

use std::path::PathBuf;

use crate::args::InspectArgs;
use crate::engine::{Settings, Wanted};

/// What is looked at, and how.
#[derive(Clone, Debug)]
pub struct InspectConfig {
    /// A file or a folder.
    pub model: PathBuf,
    /// Whether engines are timed.
    pub measure: bool,
    /// Whether programs read the answer.
    pub json: bool,
    /// What engines are given.
    pub engines: Settings,
}

/// Plans that are kept at a time: each is measured by itself.
const MAX_PLANS: usize = 2;

impl From<InspectArgs> for InspectConfig {
    fn from(args: InspectArgs) -> Self {
        let InspectArgs {
            model,
            measure,
            json,
            #[cfg(feature = "ort")]
            onnxruntime_library,
        } = args;
        Self {
            model: model.into(),
            measure,
            json,
            engines: Settings {
                wanted: Wanted::Auto,
                max_plans: MAX_PLANS,
                #[cfg(feature = "ort")]
                onnxruntime: onnxruntime_library.into(),
            },
        }
    }
}
