//! One event as one line: a JSON object for machines, or text for people. Pure. Called by `logs`.

use std::fmt::{Debug, Write as _};

use jiff::Timestamp;
use tracing::Level;
use tracing::field::{Field, Visit};

use crate::args::LogFormat;

/// Longer values are cut: they are often a caller's.
const VALUE_BYTES: usize = 256;
/// These are ours, and of no use when cut.
const LONG: [&str; 4] = ["message", "error", "config", "panic"];
/// Where those are cut.
const LONG_BYTES: usize = 4096;
/// Names that every line has; a field of the same name would hide them.
const OURS: [&str; 3] = ["timestamp", "level", "target"];

/// The fields of an event, each as a JSON value.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// A line that is no event.
    pub(super) fn of(message: &str) -> Self {
        let mut fields = Self::default();
        fields.text("message", message);
        fields
    }

    fn text(&mut self, name: &'static str, value: &str) {
        let limit = if LONG.contains(&name) {
            LONG_BYTES
        } else {
            VALUE_BYTES
        };
        let end = value.floor_char_boundary(limit);
        let cut = value.get(..end).unwrap_or_default();
        let ellipsis = if end < value.len() { "…" } else { "" };
        self.raw(name, json(&format!("{cut}{ellipsis}")));
    }

    /// Adds a value that is JSON already.
    pub(super) fn raw(&mut self, name: &'static str, value: String) {
        self.0.push((name, value));
    }

    fn message(&self) -> &str {
        self.0
            .iter()
            .find(|(name, _)| *name == "message")
            .map_or("\"\"", |(_, value)| value)
    }

    fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(|(name, _)| *name != "message")
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// The whole line with its end.
    pub(super) fn line(
        &self,
        format: LogFormat,
        now: Timestamp,
        level: Level,
        target: &str,
    ) -> String {
        match format {
            LogFormat::Json => self.as_json(now, level, target),
            LogFormat::Text => self.as_text(now, level, target),
        }
    }

    fn as_json(&self, now: Timestamp, level: Level, target: &str) -> String {
        let level = level.as_str().to_ascii_lowercase();
        let (target, message) = (json(target), self.message());
        let mut line = format!(
            r#"{{"timestamp":"{now:.3}","level":"{level}","target":{target},"message":{message}"#
        );
        for (name, value) in self.others() {
            let prefix = if OURS.contains(&name) { "field." } else { "" };
            // Writing to a String cannot fail.
            let _written = write!(line, ",{}:{value}", json(&format!("{prefix}{name}")));
        }
        line.push_str("}\n");
        line
    }

    /// Values stay as in JSON: quoted and escaped, no terminal sees a control character.
    fn as_text(&self, now: Timestamp, level: Level, target: &str) -> String {
        let message = self.message();
        let bare = message
            .strip_prefix('"')
            .and_then(|message| message.strip_suffix('"'));
        let message = bare.unwrap_or(message).replace("\\\"", "\"");
        let mut line = format!("{now:.3} {level:>5} {target}: {message}");
        for (name, value) in self.others() {
            let _written = write!(line, " {name}={value}");
        }
        line.push('\n');
        line
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.raw(field.name(), value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.raw(field.name(), value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.raw(field.name(), value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity: null.
        self.raw(field.name(), serde_json::Value::from(value).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, fields: &Fields) -> String {
        let now = "2026-02-03T04:05:06.789123Z".parse().unwrap();
        fields.line(format, now, Level::WARN, "aimass_server::run")
    }

    #[test]
    fn a_quoted_end_of_a_text_stays() {
        let text = line(LogFormat::Text, &Fields::of("no \"model\""));
        assert!(text.ends_with(": no \"model\"\n"), "{text}");
    }

    fn fields(of: &[(&'static str, &str)]) -> Fields {
        let mut fields = Fields::of("it \"broke\"\nhere");
        for (name, value) in of {
            fields.text(name, value);
        }
        fields
    }

    #[test]
    fn a_line_is_one_object_in_a_fixed_order() {
        let mut fields = fields(&[("request.id", "a\u{1b}[31m")]);
        fields.raw("http.status", "503".to_owned());
        assert_eq!(
            line(LogFormat::Json, &fields),
            concat!(
                r#"{"timestamp":"2026-02-03T04:05:06.789Z","level":"warn","#,
                r#""target":"aimass_server::run","message":"it \"broke\"\nhere","#,
                r#""request.id":"a\u001b[31m","http.status":503}"#,
                "\n"
            )
        );
    }

    #[test]
    fn text_is_one_line_without_control_characters() {
        let fields = fields(&[("request.id", "a\u{1b}[31m\n")]);
        assert_eq!(
            line(LogFormat::Text, &fields),
            concat!(
                r#"2026-02-03T04:05:06.789Z  WARN aimass_server::run: it "broke"\nhere "#,
                r#"request.id="a\u001b[31m\n""#,
                "\n"
            )
        );
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "é".repeat(200);
        let json: serde_json::Value = {
            let fields = fields(&[("model.name", &long), ("error", &long)]);
            serde_json::from_str(&line(LogFormat::Json, &fields)).unwrap()
        };
        assert_eq!(json["model.name"], format!("{}…", "é".repeat(128)));
        assert_eq!(json["error"], long);
    }

    #[test]
    fn no_field_hides_what_every_line_has() {
        let json = line(LogFormat::Json, &fields(&[("level", "x")]));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&json["level"], &json["field.level"]),
            (&"warn".into(), &"x".into())
        );
    }
}
