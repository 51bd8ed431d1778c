//! Flags that every process has, and the way in which all problems with flags are told at once.

use clap::{Args, ValueEnum};

/// How a process logs.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Form of the log lines on stdout.
    #[arg(long, env = "AIMASS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or directives such as `info,aimass_server=debug`.
    #[arg(long, env = "AIMASS_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people at a terminal.
    Text,
}

/// Where probes and metrics are answered.
#[derive(Args, Clone, Debug)]
pub struct AdminArgs {
    /// Port of /livez, /readyz and /metrics.
    #[arg(long, env = "AIMASS_ADMIN_PORT", default_value_t = 8502)]
    pub admin_port: u16,
}

/// The exit code of a process whose flags are wrong.
pub const EXIT_USAGE: u8 = 64;

/// What is wrong with a configuration: all of it, so that one look is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem: `--flag (AIMASS_FLAG)`, the rule in positive form, the value seen.
    pub fn add(&mut self, flag: &str, rule: &str) {
        let variable = flag
            .trim_start_matches('-')
            .replace('-', "_")
            .to_uppercase();
        self.0.push(format!("{flag} (AIMASS_{variable}): {rule}"));
    }

    /// Takes the value out of a result, or notes its error under `flag`.
    pub fn take<T, E: std::fmt::Display>(&mut self, flag: &str, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|error| self.add(flag, &error.to_string()))
            .ok()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole text for stderr, headed by the program's name.
    #[must_use]
    pub fn describe(&self, program: &str) -> String {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        format!(
            "{program}: the configuration has {count} {noun}\n  {}",
            self.0.join("\n  ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_told_together() {
        let mut problems = Problems::new();
        problems.add("--https-port", "must be between 1 and 65535, is 0");
        assert_eq!(
            problems.take("--plain", Err::<(), _>("must be redirect or serve")),
            None
        );
        assert_eq!(
            problems.describe("aimass-gateway"),
            "aimass-gateway: the configuration has 2 problems\n  \
             --https-port (AIMASS_HTTPS_PORT): must be between 1 and 65535, is 0\n  \
             --plain (AIMASS_PLAIN): must be redirect or serve"
        );
    }
}
