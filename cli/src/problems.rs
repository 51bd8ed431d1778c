//! What is wrong with a command line: all of it, so that one look is enough. Pure.
//!
//! As `aimass_chassis::args::Problems`, without its environment variables: people type these flags.

use std::fmt::Display;

use crate::outcome::{Exit, Failure};

/// What is wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Adds a problem: flag or argument, the rule in positive form, the value seen.
    pub(crate) fn add(&mut self, flag: &str, rule: impl Display) {
        self.0.push(format!("{flag}: {rule}"));
    }

    /// Takes the value out of a result, or notes its error under `flag`.
    pub(crate) fn take<T, E: Display>(&mut self, flag: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(flag, error)).ok()
    }

    /// What was made of the arguments of `command`, if nothing is wrong with them and it is there.
    pub(crate) fn finish<T>(self, command: &str, made: Option<T>) -> Result<T, Failure> {
        match made {
            Some(made) if self.0.is_empty() => Ok(made),
            Some(_) | None => Err(self.failure(command)),
        }
    }

    fn failure(self, command: &str) -> Failure {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        let all = self.0.join("\n  ");
        Failure {
            exit: Exit::Usage,
            text: format!("the command line of `{command}` has {count} {noun}\n  {all}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_told_together() {
        let mut problems = Problems::default();
        problems.add("--model", "must be given at least once");
        assert_eq!(
            problems.take("--plan", Err::<(), _>("must be a name")),
            None
        );
        let failure = problems.finish("key create", Some(())).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(
            failure.text,
            "the command line of `key create` has 2 problems\n  \
             --model: must be given at least once\n  --plan: must be a name"
        );
    }

    #[test]
    fn without_problems_the_value_is_handed_on() {
        assert_eq!(Problems::default().finish("key list", Some(7)), Ok(7));
    }
}
