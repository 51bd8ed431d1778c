//! Log lines on stdout: JSON for machines, or text for a terminal; bounded in number and length.
//!
//! Called once by each `main`. What a line may contain is the business of who writes it: never
//! payload, keys or header values.

mod cap;
mod line;

use std::error::Error;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use self::cap::Cap;
use self::line::Fields;
use crate::args::{LogArgs, LogFormat};
use crate::clock;

/// What `--log-level` may be besides directives.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Starts logging for the whole process.
///
/// # Errors
/// `--log-level` is no valid filter, or logging was started before.
pub fn init(args: &LogArgs) -> anyhow::Result<()> {
    let lines = Lines {
        format: args.log_format,
        cap: Mutex::default(),
        time: clock::boottime,
        out: to_stdout,
    };
    let subscriber = tracing_subscriber::registry()
        .with(filter(&args.log_level)?)
        .with(lines);
    subscriber.try_init().context("failed to start logging")
}

/// An error and what it comes from, in one line: the outermost text alone often does not say what happened.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // Many repeat the text of their cause.
        match text.contains(&cause) {
            true => text,
            false => format!("{text}: {cause}"),
        }
    })
}

/// Panics are contained at the borders of requests and tasks; what they were goes to the log.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("(no text)");
        let text = text
            .get(..text.floor_char_boundary(256))
            .unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("(unnamed)");
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(
            panic = text,
            panic.place = place,
            panic.thread = thread,
            "a panic"
        );
    }));
}

/// The filter of `--log-level`.
fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    let rule = || {
        format!(
            "--log-level must be off, error, warn, info, debug, trace, or a list such as \
             info,aimass_server=debug, is {text:?}"
        )
    };
    // To the filter any word is a target to log alone: a misspelt level would silence all else.
    let is_known = |part: &str| {
        part.contains('=') || LEVELS.iter().any(|level| part.eq_ignore_ascii_case(level))
    };
    if !text.split(',').all(is_known) {
        bail!(rule());
    }
    EnvFilter::builder().parse(text).with_context(rule)
}

/// Writes each event as one line, as far as the cap admits.
struct Lines<W> {
    format: LogFormat,
    cap: Mutex<Cap>,
    time: fn() -> Duration,
    out: W,
}

fn to_stdout(line: &str) {
    // Nobody is left to be told that stdout is closed.
    let _written = std::io::stdout().lock().write_all(line.as_bytes());
}

impl<W: Fn(&str)> Lines<W> {
    fn write(&self, fields: &Fields, level: Level, target: &str) {
        (self.out)(&fields.line(self.format, clock::now(), level, target));
    }
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let now = (self.time)();
        let admission = self
            .cap
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(*metadata.level(), now);
        for (level, suppressed) in admission.suppressed {
            let mut fields = Fields::of("log lines of this level were left out");
            fields.raw("suppressed", suppressed.to_string());
            self.write(&fields, level, module_path!());
        }
        if admission.write {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.write(&fields, *metadata.level(), metadata.target());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn an_error_and_its_causes_are_said_once_each() {
        let cause = std::io::Error::other("refused");
        let repeats = std::io::Error::other(std::io::Error::other(cause));
        let outer = anyhow::Error::new(repeats).context("failed to connect");
        let error: Box<dyn Error> = outer.into();
        assert_eq!(chain(&*error), "failed to connect: refused");
    }

    /// The time in the only test that tells it.
    static SECONDS: AtomicU64 = AtomicU64::new(10);

    #[test]
    fn a_flood_is_cut_and_counted() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let out = move |line: &str| sink.lock().unwrap().push(line.to_owned());
        let time = || Duration::from_secs(SECONDS.load(Ordering::Relaxed));
        let lines = Lines {
            format: LogFormat::Json,
            cap: Mutex::default(),
            time,
            out,
        };
        let subscriber = tracing_subscriber::registry()
            .with(filter("info").unwrap())
            .with(lines);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..500_u64 {
                tracing::info!(request.number = number, request.id = %"x", "a flood");
                tracing::debug!("not wanted");
            }
            SECONDS.store(11, Ordering::Relaxed);
            tracing::warn!("after the flood");
        });
        let lines = written.lock().unwrap().clone();
        let json = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let first = json(lines.first().unwrap());
        assert_eq!(first["message"], "a flood");
        assert_eq!(
            (&first["request.number"], &first["request.id"]),
            (&0.into(), &"x".into())
        );
        let last: Vec<_> = lines.iter().rev().take(2).map(json).collect();
        assert_eq!(
            (&last[0]["level"], &last[0]["message"]),
            (&"warn".into(), &"after the flood".into())
        );
        let left_out = (&last[1]["level"], &last[1]["suppressed"]);
        assert_eq!(left_out, (&"info".into(), &400.into()));
        assert_eq!(lines.len(), 102);
    }

    #[test]
    fn a_level_or_a_list_is_a_filter() {
        for text in [
            "info",
            "WARN",
            "off",
            "info,aimass_server=debug",
            "warn,hyper=off",
        ] {
            assert!(filter(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        for text in ["", "verbose", "info,debgu", "hyper=loud", "aimass_server"] {
            let error = filter(text).unwrap_err().to_string();
            assert!(error.starts_with("--log-level must be"), "{text}: {error}");
        }
    }
}
