//! The figures of `cargo xtask bench`: what is measured, against what, and whether the goal is met.
//!
//! Never a test: machines differ, so a figure that has a peer is measured beside it in the same run
//! and judged as a ratio. Run by the binary `aimass-bench`, which `cargo xtask bench` builds.

pub mod closed_loop;
pub mod connection;
pub mod engines;
pub mod gateway;
pub mod models;
pub mod objects;
pub mod open_loop;
pub mod peers;
pub mod process;
pub mod scale;
pub mod server;

use serde::Serialize;

/// One figure: a line of the table, an object of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured, as a path of nouns: `server/digits/requests`.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit: `ms`, `MiB`, `1/s`, `ratio`, `requests` …
    pub unit: &'static str,
    /// The goal as text; empty where there is none.
    pub goal: String,
    /// Whether the goal is met; absent without a goal.
    pub met: Option<bool>,
    /// What it was compared with in the same run, with that value; empty where nothing.
    pub against: String,
}

impl Row {
    /// A figure without a goal.
    #[must_use]
    pub fn plain(name: &str, value: f64, unit: &'static str) -> Self {
        let (goal, against) = (String::new(), String::new());
        Self {
            name: name.to_owned(),
            value,
            unit,
            goal,
            met: None,
            against,
        }
    }

    /// A figure that should be at most `goal`.
    #[must_use]
    pub fn at_most(name: &str, value: f64, unit: &'static str, goal: f64) -> Self {
        let row = Self::plain(name, value, unit);
        Self {
            goal: format!("≤ {goal}"),
            met: Some(value <= goal),
            ..row
        }
    }

    /// A figure that should be at least `goal`.
    #[must_use]
    pub fn at_least(name: &str, value: f64, unit: &'static str, goal: f64) -> Self {
        let row = Self::plain(name, value, unit);
        Self {
            goal: format!("≥ {goal}"),
            met: Some(value >= goal),
            ..row
        }
    }

    /// Says what the figure was compared with.
    #[must_use]
    pub fn against(self, against: String) -> Self {
        Self { against, ..self }
    }
}

/// The rows as a table for people, one line each.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<40} {:>12} {:<9} {:<9} {:<5} {}\n",
        "FIGURE", "VALUE", "UNIT", "GOAL", "MET", "AGAINST"
    );
    for row in rows {
        let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
        text.push_str(&format!(
            "{:<40} {:>12.3} {:<9} {:<9} {:<5} {}\n",
            row.name, row.value, row.unit, row.goal, met, row.against
        ));
    }
    text
}

/// The rows as a Markdown table, for docs/benchmarks.md.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut text = "| figure | value | goal | met | against |\n|-|-|-|-|-|\n".to_owned();
    for row in rows {
        let met = row.met.map_or("", |met| if met { "yes" } else { "**no**" });
        text.push_str(&format!(
            "| `{}` | {:.3} {} | {} | {met} | {} |\n",
            row.name, row.value, row.unit, row.goal, row.against
        ));
    }
    text
}

/// The value that `percent` of the sorted `values` do not exceed; 0 without any.
#[must_use]
pub fn percentile(values: &[u32], percent: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the number of values"
    )]
    let index = (f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX)) * percent / 100.0)
        .max(0.0) as usize;
    let index = index.min(values.len().saturating_sub(1));
    f64::from(values.get(index).copied().unwrap_or_default())
}

/// How many, as a figure.
#[must_use]
pub fn count(value: usize) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}

/// The middle one of some values (the upper of the two middle ones).
///
/// # Panics
/// Without values: a figure needs at least one run.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    *values
        .get(values.len() / 2)
        .expect("a figure needs at least one run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_judged_where_there_is_one() {
        assert_eq!(Row::plain("a", 1.0, "ms").met, None);
        assert_eq!(Row::at_most("a", 2.0, "ms", 2.0).met, Some(true));
        assert_eq!(Row::at_least("a", 1.9, "ratio", 2.0).met, Some(false));
        assert!(table(&[Row::at_least("a", 1.9, "ratio", 2.0)]).contains("NO"));
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=100).collect();
        assert!((percentile(&values, 99.0) - 100.0).abs() < 1e-9);
        assert!((percentile(&values, 50.0) - 51.0).abs() < 1e-9);
        assert!((percentile(&[7], 100.0) - 7.0).abs() < 1e-9);
        assert!(percentile(&[], 99.0).abs() < 1e-9);
    }

    #[test]
    fn a_missed_goal_stands_out_in_the_document() {
        let text = markdown(&[Row::at_most("a", 2.0, "ms", 1.0).against("b".to_owned())]);
        assert!(
            text.ends_with("| `a` | 2.000 ms | ≤ 1 | **no** | b |\n"),
            "{text}"
        );
    }

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
