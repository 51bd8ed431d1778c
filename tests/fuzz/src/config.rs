//! Command lines: understood, or every problem named.
//!
//! Input: one argument a line.

use std::ffi::OsString;

use aimass_chassis::units;
use aimass_server::args::{Command, parse};
use aimass_server::config::{Config, FetchConfig};

/// No argument makes the start panic; what is refused says so.
pub fn body(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for line in text.lines() {
        // Total; whether a text is one is the parsers' own tables' business.
        let _ = (units::duration(line), units::bytes(line));
    }
    let words = std::iter::once("aimass-server").chain(text.lines());
    let line = match parse(words.map(OsString::from)) {
        Ok(line) => line,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let problems = match line.command {
        None => Config::try_from(line.serve).err(),
        Some(Command::Fetch(args)) => FetchConfig::try_from(args).err(),
        // Takes whatever is a path.
        Some(Command::Inspect(_)) => None,
    };
    if let Some(problems) = problems {
        assert!(problems.describe("aimass-server").contains("--"));
    }
}
