//! What `inspect` says: a document for programs, and the same as a table for people.
//!
//! Pure. Filled by `inspect.rs`.

use std::fmt::Write as _;

use aimass_protocol::{Dim, TensorSpec};
use serde::Serialize;

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The model file, as it was named.
    pub(super) model: String,
    /// `sha256:…` of all files.
    pub(super) digest: String,
    /// How many files belong to it.
    pub(super) files: usize,
    /// Of all files.
    pub(super) bytes: u64,
    pub(super) inputs: Vec<Shown>,
    pub(super) outputs: Vec<Shown>,
    /// By number, most first.
    pub(super) operators: Vec<(String, usize)>,
    /// What `auto` takes; absent if no engine of `auto` serves the model.
    pub(super) engine: Option<&'static str>,
    /// Why, or why not.
    pub(super) because: String,
    /// Only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) measured: Option<Measurements>,
}

/// An input or output.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    name: String,
    datatype: &'static str,
    /// Sizes, names of free dimensions, `?`; absent if the rank is free too.
    shape: Option<Vec<String>>,
}

/// What the engines did.
#[derive(Debug, Serialize)]
pub(super) struct Measurements {
    pub(super) engines: Vec<Row>,
    /// What to set, and why.
    pub(super) advice: String,
}

/// What one engine did.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) engine: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
    pub(super) load_ms: f64,
    pub(super) memory_bytes: u64,
    /// Rows and the median CPU time of a run with so many.
    pub(super) run_us: Vec<(usize, f64)>,
    /// Whether its answers are those of the first engine; absent for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agrees: Option<bool>,
    /// The largest difference, as a part of the largest value; absent where values cannot be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) difference: Option<f64>,
}

impl From<&TensorSpec> for Shown {
    fn from(spec: &TensorSpec) -> Self {
        let dim = |dim: &Dim| match dim {
            Dim::Fixed(size) => size.to_string(),
            Dim::Symbol(name) => name.clone(),
            Dim::Unknown => "?".to_owned(),
        };
        Self {
            name: spec.name.clone(),
            datatype: spec.datatype.oip_name(),
            shape: spec
                .shape
                .as_ref()
                .map(|dims| dims.iter().map(dim).collect()),
        }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shape = self.shape.as_ref().map(|dims| dims.join(","));
        let shape = shape.map_or("of any rank".to_owned(), |dims| format!("[{dims}]"));
        write!(formatter, "{} {} {shape}", self.name, self.datatype)
    }
}

impl Report {
    /// For people.
    pub(super) fn text(&self) -> String {
        let Self {
            model,
            digest,
            files,
            bytes,
            inputs,
            outputs,
            operators,
            engine,
            because,
            measured,
        } = self;
        let list = |shown: &[Shown]| {
            let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
            shown.join("\n           ")
        };
        let counts = operators
            .iter()
            .map(|(name, count)| format!("{name} {count}"));
        let counts: Vec<String> = counts.collect();
        let files = if *files == 1 {
            "1 file".to_owned()
        } else {
            format!("{files} files")
        };
        let mut text = format!(
            "model      {model}: {files}, {bytes} bytes\n\
             digest     {digest}\n\
             inputs     {}\n\
             outputs    {}\n\
             operators  {}\n\
             check      passed\n",
            list(inputs),
            list(outputs),
            counts.join(", "),
        );
        let engine = engine.unwrap_or("none");
        // A string takes what is written to it.
        let _infallible = writeln!(text, "auto       {engine}: {because}");
        if let Some(measured) = measured {
            text.push('\n');
            text.push_str(&measured.text());
        }
        text
    }
}

impl Measurements {
    fn text(&self) -> String {
        let mut text = format!("{:<12}{:>10}{:>12}", "engine", "load ms", "memory MiB");
        let rows = super::measure::ROWS;
        for rows in rows {
            let head = format!("{rows} row{} µs", if rows == 1 { "" } else { "s" });
            let _infallible = write!(text, "{head:>13}");
        }
        text.push_str("  answers\n");
        for row in &self.engines {
            let _infallible = writeln!(text, "{}", row.text(&rows).trim_end());
        }
        let _infallible = writeln!(text, "\n{}", self.advice);
        text
    }
}

impl Row {
    fn text(&self, rows: &[usize]) -> String {
        if let Some(refused) = &self.refused {
            return format!("{:<12}{refused}", self.engine);
        }
        let mebibytes = self.memory_bytes.div_ceil(1 << 20);
        let mut text = format!("{:<12}{:>10.1}{mebibytes:>12}", self.engine, self.load_ms);
        for wanted in rows {
            let time = self.run_us.iter().find(|(rows, _)| rows == wanted);
            let time = time.map_or("-".to_owned(), |(_, time)| format!("{time:.1}"));
            let _infallible = write!(text, "{time:>13}");
        }
        let answers = match (self.agrees, self.difference) {
            (None, _) => "those that the others are compared with".to_owned(),
            (Some(true), Some(difference)) => format!("the same within {difference:.0e}"),
            (Some(true), None) => "the same".to_owned(),
            (Some(false), Some(difference)) => format!("DIFFERENT by {difference:.0e}"),
            (Some(false), None) => "DIFFERENT".to_owned(),
        };
        format!("{text}  {answers}")
    }
}
