//! Holds a pod's namespaces while its containers come and go, and ends when it is told to.
//!
//! The image `aimass.test/pause:1` of the project's own cluster; other clusters bring theirs.

use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> ExitCode {
    // The first process of a namespace gets no signal that it has no handler for.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
        return ExitCode::FAILURE;
    };
    signals.forever().next();
    ExitCode::SUCCESS
}
