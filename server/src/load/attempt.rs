//! One model on the engine that was chosen, else on the next one; a refusal names what the user can try.
//!
//! Called by `load.rs` on the loading thread. Panics of engines are contained here. What does not fit into the memory is not
//! tried again: the other engine would need it as well, and may not tell before it takes it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::engine::{Because, Choice, Failure, Material, Name, Settings, Wanted};
use crate::fatal::{Fatal, Reason};
use crate::model::Model;

/// Refuses an engine that this process cannot have, before anything is copied or read.
pub(crate) fn available(settings: &Settings) -> Result<(), Fatal> {
    let Wanted::Only(engine) = settings.wanted else {
        return Ok(());
    };
    if !engine.is_compiled_in() {
        let text = format!(
            "engine {engine} is not in this binary: use the server's image with the tag suffix -ort, or engine: Auto"
        );
        return Err(Fatal::new(Reason::EngineUnavailable, text));
    }
    #[cfg(feature = "ort")]
    if engine == Name::OnnxRuntime {
        let opened = crate::engine::ort::open(&settings.onnxruntime);
        return opened.map_err(|text| Fatal::new(Reason::EngineUnavailable, text));
    }
    Ok(())
}

/// Loads the model and runs it once.
pub(crate) fn attempt(
    wanted: Wanted,
    choice: Choice,
    material: &Material<'_>,
    digest: &str,
) -> Result<Model, Fatal> {
    let first = match on(choice.engine, choice.because, material, digest) {
        Ok(model) => return Ok(model),
        Err(refusal) => refusal,
    };
    let Some(other) = choice.otherwise.filter(|_| first.is_of_the_engine()) else {
        return Err(first.fatal(wanted));
    };
    tracing::warn!(
        model.engine = choice.engine.as_str(),
        error = %first.text(),
        "the engine refuses the model: {other} is tried"
    );
    let second = match on(other, Because::Refused, material, digest) {
        Ok(model) => return Ok(model),
        Err(refusal) => refusal,
    };
    tracing::warn!(
        model.engine = other.as_str(),
        error = %second.text(),
        "the other engine refuses the model too"
    );
    // The first engine of the list names nodes best.
    let told = if first.engine < second.engine {
        first
    } else {
        second
    };
    Err(told.fatal(wanted))
}

/// Why an engine does not serve a model.
struct Refusal {
    engine: Name,
    /// `None`: it panicked.
    failure: Option<Failure>,
}

impl Refusal {
    fn is_of_the_engine(&self) -> bool {
        let failure = self.failure.as_ref();
        failure.is_none_or(|failure| failure.kind.is_of_the_engine())
    }

    fn text(&self) -> String {
        match &self.failure {
            Some(failure) => failure.to_string(),
            // Its text went to the log by the panic hook; it may hold paths.
            None => {
                "the engine panicked while it loaded the model; the log has the details".to_owned()
            }
        }
    }

    fn fatal(&self, wanted: Wanted) -> Fatal {
        Fatal::new(Reason::ModelLoadFailed, self.advice(wanted))
    }

    /// The text, and which engine to try.
    fn advice(&self, wanted: Wanted) -> String {
        let (text, engine) = (self.text(), self.engine);
        if !self.is_of_the_engine() {
            return text;
        }
        let other = match wanted {
            Wanted::Auto => "OnnxRuntime",
            Wanted::Only(_) => "Auto",
        };
        let by = if text.ends_with("is not supported") {
            format!("by {engine}")
        } else {
            format!("(engine {engine})")
        };
        format!("{text} {by}: try engine: {other}")
    }
}

fn on(
    engine: Name,
    because: Because,
    material: &Material<'_>,
    digest: &str,
) -> Result<Model, Refusal> {
    let load = || {
        let model = Model::new(engine.load(material)?, digest.to_owned()).chosen(because);
        model.warm_up()?;
        Ok(model)
    };
    let failure = match catch_unwind(AssertUnwindSafe(load)) {
        Ok(Ok(model)) => return Ok(model),
        Ok(Err(failure)) => Some(failure),
        Err(_) => None,
    };
    Err(Refusal { engine, failure })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Kind;

    #[track_caller]
    fn check(failure: Option<Failure>, wanted: Wanted, expect: &str) {
        let refusal = Refusal {
            engine: Name::Tract,
            failure,
        };
        assert_eq!(refusal.advice(wanted), expect);
    }

    #[test]
    fn a_refusal_says_which_engine_to_try() {
        check(
            Some(Failure::operator("roi", "RoiAlign")),
            Wanted::Auto,
            "node roi: operator RoiAlign is not supported by Tract: try engine: OnnxRuntime",
        );
        check(
            Some(Failure::operator("roi", "RoiAlign")),
            Wanted::Only(Name::Tract),
            "node roi: operator RoiAlign is not supported by Tract: try engine: Auto",
        );
        check(
            Some(Failure::new("conv1", "cannot unify 3 with 4").of(Kind::Engine)),
            Wanted::Auto,
            "node conv1: cannot unify 3 with 4 (engine Tract): try engine: OnnxRuntime",
        );
    }

    #[test]
    fn what_no_engine_does_better_has_no_such_advice() {
        let text = "one run needs about 900 MiB of memory, and 400 MiB are left below the limit";
        check(
            Some(Failure::new("(graph)", text).of(Kind::Memory)),
            Wanted::Auto,
            &format!("node (graph): {text}"),
        );
        check(
            Some(Failure::new("(inputs)", "shapes are too large")),
            Wanted::Auto,
            "node (inputs): shapes are too large",
        );
    }
}
