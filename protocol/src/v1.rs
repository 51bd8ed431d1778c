//! TensorFlow Serving REST, `/v1`: URLs, requests and answers of the three methods, model status, metadata.
//!
//! Pure. Called by the server's routes, in this order: [`parse_path`], [`parse()`] or [`parse_examples`], (the engine),
//! [`write()`], [`write_classes`] or [`write_regressions`].

mod columns;
mod examples;
mod feature;
mod metadata;
mod parse;
mod results;
mod rows;
mod url;
mod value;
mod write;

pub use examples::{Examples, parse_examples};
pub use metadata::{State, VersionStatus, metadata_document, models_document, status_document};
pub use parse::{Form, Predict, parse};
pub use results::{Classes, Results, classes, regressions, write_classes, write_regressions};
pub(crate) use url::percent_decode;
pub use url::{Pick, Route, Target, parse_path};
pub use write::write;

use crate::error::{Error, Kind, cut};

/// The only signature of a model.
pub const SIGNATURE: &str = "serving_default";

/// No model, or no version of it, answers to `target` on an inference or metadata route.
pub fn unknown_servable(target: &Target) -> Error {
    let model = cut(&target.model);
    match &target.pick {
        Pick::Any => Error::new(
            Kind::UnknownModel,
            format!("Servable not found for request: Latest({model})"),
        ),
        Pick::Version(version) => Error::new(
            Kind::UnknownVersion,
            format!("Servable not found for request: Specific({model}, {version})"),
        ),
        Pick::Label(label) => {
            let text = format!("Unrecognized servable version label: {}", cut(label));
            Error::new(Kind::UnknownLabel, text)
        }
    }
}

/// No model, or no version of it, answers to `target` on the status route.
pub fn unknown_status(target: &Target) -> Error {
    let model = cut(&target.model);
    match &target.pick {
        Pick::Any => Error::new(
            Kind::UnknownModel,
            format!("Could not find any versions of model {model}"),
        ),
        Pick::Version(version) => Error::new(
            Kind::UnknownVersion,
            format!("Could not find version {version} of model {model}"),
        ),
        Pick::Label(_) => unknown_servable(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pick: Pick, servable: (u16, &str), status: (u16, &str)) {
        let target = Target {
            model: "m".to_owned(),
            pick,
        };
        let error = unknown_servable(&target);
        assert_eq!((error.kind.status(), error.text.as_str()), servable);
        let error = unknown_status(&target);
        assert_eq!((error.kind.status(), error.text.as_str()), status);
    }

    #[test]
    fn what_does_not_exist_is_named_as_tensorflow_serving_names_it() {
        check(
            Pick::Any,
            (404, "Servable not found for request: Latest(m)"),
            (404, "Could not find any versions of model m"),
        );
        check(
            Pick::Version(9),
            (404, "Servable not found for request: Specific(m, 9)"),
            (404, "Could not find version 9 of model m"),
        );
        let label = (400, "Unrecognized servable version label: L");
        check(Pick::Label("L".to_owned()), label, label);
    }
}
