//! How rows are run together: the flags, and TensorFlow Serving's file of the same meaning.
//!
//! Pure, but for reading that file. Called by `config.rs`. A flag that is not at its default wins over the file, and
//! `--enable-batching=false` over both.

mod file;

use std::time::Duration;

use super::{Checker, source};
use crate::state::Batching;
use file::BatchingFile;

/// The largest batch that a user may ask for.
const MAX_BATCH_SIZE: usize = 1024;
/// The longest time that requests may be made to wait for others.
const MAX_QUEUE_DELAY: Duration = Duration::from_secs(1);
/// Full batches that may wait for each thread, where the user says nothing.
const QUEUED_BATCHES: usize = 10;
/// Rows that may wait at least.
const LEAST_QUEUE_ROWS: usize = 64;
/// Rows that may wait at most.
const MOST_QUEUE_ROWS: usize = 100_000_000;

/// What the command line says.
pub(super) struct Flags<'a> {
    pub(super) enable_batching: bool,
    pub(super) max_batch_size: &'a str,
    pub(super) max_queue_delay: &'a str,
    pub(super) max_queue_rows: &'a str,
    pub(super) engine_workers: &'a str,
    pub(super) parameters_file: Option<&'a str>,
}

/// What becomes of it.
pub(super) struct Described {
    pub(super) batching: Batching,
    /// Threads that run the engine.
    pub(super) workers: usize,
    /// Rows that may wait for them.
    pub(super) queue_rows: usize,
}

/// Judges all of it; `cpus` threads run the engine where nothing is said.
pub(super) fn describe(p: &mut Checker<'_>, flags: &Flags<'_>, cpus: usize) -> Described {
    let file = p.batching_file(flags.parameters_file);
    let workers = p.number("--engine-workers", flags.engine_workers, 0..=256);
    let size = p.number("--max-batch-size", flags.max_batch_size, 0..=MAX_BATCH_SIZE);
    let delay = p.at_most("--max-queue-delay", flags.max_queue_delay, MAX_QUEUE_DELAY);
    let rows = p.number(
        "--max-queue-rows",
        flags.max_queue_rows,
        0..=MOST_QUEUE_ROWS,
    );

    let workers = first([workers, file.num_batch_threads.unwrap_or(0), cpus]);
    let batching = Batching {
        max_batch_size: if flags.enable_batching {
            first([size, file.max_batch_size.unwrap_or(0), 0])
        } else {
            1
        },
        max_queue_delay: if delay.is_zero() {
            Duration::from_micros(file.batch_timeout_micros.unwrap_or(0))
        } else {
            delay
        },
        allowed_batch_sizes: file.allowed_batch_sizes,
    };
    let batches = file.max_enqueued_batches.unwrap_or(0);
    let batches = first([batches, QUEUED_BATCHES.saturating_mul(workers), 1]);
    let enough = batches.saturating_mul(batching.largest());
    Described {
        queue_rows: first([rows, enough.clamp(LEAST_QUEUE_ROWS, MOST_QUEUE_ROWS), 1]),
        batching,
        workers,
    }
}

/// The first that says something.
fn first(values: [usize; 3]) -> usize {
    values.into_iter().find(|value| *value > 0).unwrap_or(0)
}

impl Checker<'_> {
    fn batching_file(&mut self, path: Option<&str>) -> BatchingFile {
        let Some(path) = path else {
            return BatchingFile::default();
        };
        let read = |text: String| {
            file::read(&text).map_err(|error| format!("must be understood: {error}"))
        };
        let file = source::read_file(path).and_then(read);
        let flag = "--batching-parameters-file";
        self.0.take(flag, file).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use aimass_chassis::args::Problems;

    use super::*;

    fn described(text: &str, change: impl FnOnce(&mut Flags<'_>)) -> Described {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut flags = Flags {
            enable_batching: true,
            max_batch_size: "0",
            max_queue_delay: "0s",
            max_queue_rows: "0",
            engine_workers: "0",
            parameters_file: file.path().to_str(),
        };
        change(&mut flags);
        let mut problems = Problems::new();
        let described = describe(&mut Checker(&mut problems), &flags, 2);
        assert!(problems.is_empty(), "{}", problems.describe("test"));
        described
    }

    const FILE: &str = "max_batch_size { value: 32 } batch_timeout_micros { value: 1500 }
        num_batch_threads { value: 3 } max_enqueued_batches { value: 7 } allowed_batch_sizes: [8, 32]";

    #[test]
    fn the_file_says_what_the_flags_leave_open() {
        let Described {
            batching,
            workers,
            queue_rows,
        } = described(FILE, |_| {});
        assert_eq!((workers, queue_rows), (3, 7 * 32));
        assert_eq!(batching.sizes(), [1, 8, 32]);
        assert_eq!(batching.max_queue_delay, Duration::from_micros(1500));
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let described = described(FILE, |flags| {
            flags.max_batch_size = "16";
            flags.max_queue_delay = "2ms";
            flags.max_queue_rows = "100";
            flags.engine_workers = "1";
        });
        assert_eq!((described.workers, described.queue_rows), (1, 100));
        assert_eq!(described.batching.sizes(), [1, 8]);
        assert_eq!(described.batching.max_queue_delay, Duration::from_millis(2));
    }

    #[test]
    fn without_both_it_is_measured_and_bounded() {
        let described = described("", |_| {});
        assert_eq!(described.batching, Batching::default());
        assert_eq!((described.workers, described.queue_rows), (2, 10 * 64 * 2));
        let off = self::described(FILE, |flags| flags.enable_batching = false);
        assert_eq!((off.batching.sizes(), off.queue_rows), (vec![1], 64));
    }
}
