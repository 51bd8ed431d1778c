//! What a command has to say, and how it ended. Printed by `main` alone, after everything else.

use std::io::Write as _;
use std::process::ExitCode;

use aimass_chassis::args::EXIT_USAGE;

/// How a command ended; the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As it was meant to.
    Done,
    /// It could not be done: the cluster refused, a file or an address is wrong.
    Failed,
    /// The model's side refused the request: the same request will be refused again.
    Refused,
    /// The model's side gave no answer now: the same request may be answered later.
    Unanswered,
    /// The command line is wrong.
    Usage,
}

impl Exit {
    /// The exit code; told in `aimass predict --help`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::Unanswered => 3,
            Self::Usage => EXIT_USAGE,
        }
    }
}

/// What a command has to say, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What a program would read.
    pub stdout: String,
    /// What only a person reads.
    pub stderr: String,
    /// How it ended.
    pub exit: Exit,
}

/// Why a command ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Without the program's name and without a full stop.
    pub(crate) text: String,
}

impl Failure {
    /// It could not be done, because of `text`.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            text: text.into(),
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self {
            stdout: String::new(),
            stderr: format!("aimass: {}\n", failure.text),
            exit: failure.exit,
        }
    }
}

impl Outcome {
    /// It was done; both texts end with a line break, or are empty.
    pub(crate) fn done(stdout: String, stderr: String) -> Self {
        Self {
            stdout,
            stderr,
            exit: Exit::Done,
        }
    }

    /// It could not be done, because of `text`.
    #[must_use]
    pub fn failed(text: &str) -> Self {
        Failure::new(text).into()
    }

    /// Prints it.
    #[must_use]
    pub fn print(&self) -> ExitCode {
        let mut stdout = std::io::stdout().lock();
        let printed = stdout
            .write_all(self.stdout.as_bytes())
            .and_then(|()| stdout.flush());
        let mut stderr = std::io::stderr().lock();
        // Nobody is left to be told when even standard error is closed.
        let _closed = stderr.write_all(self.stderr.as_bytes());
        let exit = match printed {
            Ok(()) => self.exit,
            Err(error) => {
                let _closed = writeln!(stderr, "aimass: failed to write the output: {error}");
                Exit::Failed
            }
        };
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_what_the_help_says() {
        let exits = [
            Exit::Done,
            Exit::Failed,
            Exit::Refused,
            Exit::Unanswered,
            Exit::Usage,
        ];
        assert_eq!(exits.map(Exit::code), [0, 1, 2, 3, 64]);
    }

    #[test]
    fn a_failure_names_the_program_on_standard_error() {
        let outcome = Outcome::failed("failed to read F");
        assert_eq!(outcome.stdout, "");
        assert_eq!(outcome.stderr, "aimass: failed to read F\n");
        assert_eq!(outcome.exit, Exit::Failed);
    }
}
