//! The engines that there are: their names for users and programs, and which of them this binary has.
//!
//! Called by `config.rs`, `choose` and `load.rs`. Nothing here knows how an engine works.

use crate::engine::rten::Rten;
use crate::engine::tract::Tract;
use crate::engine::{Engine, Failure, Material};

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// tract, in pure Rust: one plan for each set of shapes.
    Tract,
    /// rten, in pure Rust: any shape without a plan.
    Rten,
    /// onnxruntime, a shared library.
    OnnxRuntime,
}

/// The engine that a user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one that the model's graph speaks for.
    Auto,
    /// This one and no other.
    Only(Name),
}

impl Name {
    /// All of them, in the order of preference.
    pub const ALL: [Self; 3] = [Self::Tract, Self::Rten, Self::OnnxRuntime];

    /// For flags, metrics and metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tract => "tract",
            Self::Rten => "rten",
            Self::OnnxRuntime => "onnxruntime",
        }
    }

    /// For people, as `spec.runtime.builtin.engine` has it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tract => "Tract",
            Self::Rten => "Rten",
            Self::OnnxRuntime => "OnnxRuntime",
        }
    }

    /// Whether this binary has it.
    pub const fn is_compiled_in(self) -> bool {
        match self {
            Self::Tract | Self::Rten => true,
            Self::OnnxRuntime => cfg!(feature = "ort"),
        }
    }

    /// Loads a model.
    ///
    /// # Errors
    /// The engine refuses the model, or is not in this binary.
    pub fn load(self, material: &Material<'_>) -> Result<Box<dyn Engine>, Failure> {
        Ok(match self {
            Self::Tract => Box::new(Tract::load(material)?),
            Self::Rten => Box::new(Rten::load(material)?),
            #[cfg(feature = "ort")]
            Self::OnnxRuntime => Box::new(super::ort::Ort::load(material)?),
            #[cfg(not(feature = "ort"))]
            Self::OnnxRuntime => {
                let failure = Failure::new("(graph)", "onnxruntime is not in this binary");
                return Err(failure.of(super::Kind::Engine));
            }
        })
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.title())
    }
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        Name::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .map(Self::Only)
            .ok_or_else(|| format!("must be auto, tract, rten or onnxruntime, is {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_is_wanted_by_its_name() {
        assert_eq!("auto".parse(), Ok(Wanted::Auto));
        for name in Name::ALL {
            assert_eq!(name.as_str().parse(), Ok(Wanted::Only(name)));
        }
        let rule = "must be auto, tract, rten or onnxruntime, is \"Rten\"";
        assert_eq!("Rten".parse::<Wanted>(), Err(rule.to_owned()));
    }
}
