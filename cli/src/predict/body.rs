//! What a model is asked: instances as typed, or of a file, made the body of a request.
//!
//! [`wrap`] is pure; [`read`] and [`file()`] read what the command line names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The largest body that any model takes (`spec.traffic.maxRequestBytes`).
const MAX_BYTES: u64 = 256 << 20;

/// The body for `typed`: JSON, `@FILE`, or `-` for standard input.
pub(super) fn read(typed: &str) -> Result<Vec<u8>, String> {
    let text = match (typed, typed.strip_prefix('@')) {
        ("-", _) => bounded(std::io::stdin(), "standard input", MAX_BYTES)?,
        (_, Some(path)) => file(Path::new(path), MAX_BYTES)?,
        (text, None) => text.as_bytes().to_vec(),
    };
    wrap(text)
}

/// The content of a file of at most `most` bytes.
pub(super) fn file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let name = path.display();
    let file = File::open(path).map_err(|error| format!("failed to open {name}: {error}"))?;
    bounded(file, &name.to_string(), most)
}

fn bounded(source: impl Read, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = source.take(most.saturating_add(1)).read_to_end(&mut bytes);
    let length = read.map_err(|error| format!("failed to read {name}: {error}"))?;
    if u64::try_from(length).is_ok_and(|length| length <= most) {
        Ok(bytes)
    } else {
        Err(format!("must have at most {most} bytes, {name} has more"))
    }
}

/// A body that says what is asked.
#[derive(Deserialize)]
struct Asked {
    instances: Option<IgnoredAny>,
    inputs: Option<IgnoredAny>,
}

/// The body for `text`: a list becomes its instances; an object that is a body already stays as it is, byte by byte.
fn wrap(text: Vec<u8>) -> Result<Vec<u8>, String> {
    let json = |error: serde_json::Error| format!("must be JSON, but: {error}");
    match text.trim_ascii_start().first() {
        Some(b'[') => {
            let _list: Vec<IgnoredAny> = serde_json::from_slice(&text).map_err(json)?;
            Ok([br#"{"instances":"#.as_slice(), &text, b"}"].concat())
        }
        Some(b'{') => {
            let Asked { instances, inputs } = serde_json::from_slice(&text).map_err(json)?;
            if instances.is_none() && inputs.is_none() {
                let rule = r#"must have "instances" or "inputs" if it is an object: one instance alone is [{…}]"#;
                return Err(rule.to_owned());
            }
            Ok(text)
        }
        Some(_) | None => {
            let rule = "must be a JSON list such as '[[1],[2]]', an object with \"instances\" or \"inputs\", @FILE or -";
            Err(rule.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expect: &str) {
        assert_eq!(read(given).as_deref(), Ok(expect.as_bytes()), "{given}");
    }

    #[track_caller]
    fn refused(given: &str, expect: &str) {
        let text = read(given).unwrap_err();
        assert!(text.contains(expect), "{given}: {text}");
    }

    #[test]
    fn a_list_becomes_the_instances_as_it_is_written() {
        check("[[1],[2]]", r#"{"instances":[[1],[2]]}"#);
        check(" [1.0, 1e2]\n", "{\"instances\": [1.0, 1e2]\n}");
        check("[]", r#"{"instances":[]}"#);
    }

    #[test]
    fn a_body_is_sent_as_it_is() {
        for body in [
            r#"{"instances": [[1]] }"#,
            r#"{"inputs":{"a":[1]}}"#,
            "\n{\"signature_name\":\"serving_default\",\"inputs\":3.5}",
        ] {
            check(body, body);
        }
    }

    #[test]
    fn anything_else_names_the_rule() {
        refused("", "must be a JSON list such as");
        refused("3", "must be a JSON list such as");
        refused(r#"{"a":1}"#, r#"must have "instances" or "inputs""#);
        refused("[1", "must be JSON, but: EOF");
        refused(r#"{"instances":[1]"#, "must be JSON, but: EOF");
        refused("[NaN]", "must be JSON, but: expected value");
        refused("[1] [2]", "trailing characters");
        refused("@/nonexistent/file", "failed to open /nonexistent/file");
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instances.json");
        std::fs::write(&path, "[[1]]").unwrap();
        check(&format!("@{}", path.display()), r#"{"instances":[[1]]}"#);
        assert_eq!(file(&path, 5).as_deref(), Ok(b"[[1]]".as_slice()));
        let text = file(&path, 4).unwrap_err();
        assert!(text.starts_with("must have at most 4 bytes, ") && text.ends_with(" has more"));
    }
}
