//! The models inside the ConfigMaps of `examples/*.yaml`.
//!
//! Reads the examples and the models beside them. Called by [`super::run`]. Everything but the
//! model's text is written by hand and kept.

use std::fs;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Generated;
use crate::places::Places;

/// The key whose value is replaced, as it stands in the file.
const KEY: &str = "  model.onnx: ";
/// Characters of base64 on one line.
const WIDTH: usize = 120;

/// Each example that carries a model: `examples/<name>.yaml` with `examples/<name>/<name>.onnx`.
pub(super) fn files(places: &Places) -> Result<Vec<Generated>> {
    let mut files = Vec::new();
    for name in ["linear", "digits"] {
        let path = format!("examples/{name}.yaml");
        let model = places
            .repository()
            .join(format!("examples/{name}/{name}.onnx"));
        let model =
            fs::read(&model).with_context(|| format!("failed to read {}", model.display()))?;
        let manifest = fs::read_to_string(places.repository().join(&path))
            .with_context(|| format!("failed to read {path}"))?;
        let text = with_model(&manifest, &model)
            .with_context(|| format!("{path} has no line that begins with {KEY:?}"))?;
        files.push(Generated { path, text });
    }
    Ok(files)
}

/// `manifest` with the value of [`KEY`] replaced by `model`.
///
/// A long text is broken by backslashes at the ends of its lines: YAML joins these without a space.
fn with_model(manifest: &str, model: &[u8]) -> Option<String> {
    let start = manifest.find(KEY)? + KEY.len();
    let (before, value) = manifest.split_at(start);
    // The value ends with the last line that is indented deeper than its key.
    let deeper = |line: &&str| line.starts_with("    ");
    let mut lines = value.split_inclusive('\n');
    let first = lines.next()?;
    let end = first.len() + lines.take_while(deeper).map(str::len).sum::<usize>();
    let after = value.get(end..)?;
    Some(format!(
        "{before}{}\n{after}",
        text(&STANDARD.encode(model))
    ))
}

fn text(base64: &str) -> String {
    if base64.len() <= WIDTH {
        return base64.to_owned();
    }
    let mut text = "\"\\\n".to_owned();
    let mut rest = base64;
    while let Some((line, after)) = rest
        .split_at_checked(WIDTH)
        .filter(|(_, rest)| !rest.is_empty())
    {
        text += &format!("    {line}\\\n");
        rest = after;
    }
    text + "    " + rest + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(manifest: &str, model: &[u8]) {
        let once = with_model(manifest, model).unwrap();
        assert!(
            once.starts_with("binaryData:\n") && once.ends_with("\nother: 1\n"),
            "{once}"
        );
        assert_eq!(
            with_model(&once, model).unwrap(),
            once,
            "a second time changes nothing"
        );
        let parsed: serde_json::Value = serde_saphyr::from_str(&once).unwrap();
        let value = parsed["binaryData"]["model.onnx"].as_str().unwrap();
        assert_eq!(STANDARD.decode(value).unwrap(), model);
    }

    #[test]
    fn a_model_is_replaced_and_nothing_else() {
        let model: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for manifest in [
            "binaryData:\n  model.onnx: \"\"\nother: 1\n",
            "binaryData:\n  model.onnx: \"\\\n    YWJj\\\n    YWJj\"\nother: 1\n",
        ] {
            check(manifest, &model);
            check(manifest, &model[..90]);
            check(manifest, b"abc");
        }
    }
}
