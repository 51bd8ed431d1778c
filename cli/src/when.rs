//! Lengths and times as people type and read them: `90d`, `24h`, `2027-06-30T00:00:00Z`. Pure.

use std::time::Duration;

use aimass_chassis::units;
use jiff::{SignedDuration, Timestamp};

/// A length or a time that cannot be understood, or one that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("must be a length such as 30s, 10m, 24h or 90d, is {0:?}")]
    Length(String),
    #[error(
        "must be a length such as 24h or 90d, or a time such as 2027-06-30T00:00:00Z, is {0:?}"
    )]
    Time(String),
    #[error("must lie in the future, is {0}")]
    Past(String),
    #[error("must lie before the year 10000, is {0:?}")]
    Far(String),
}

/// Parses `250ms`, `30s`, `10m`, `24h`, `90d`: a whole number and one unit.
pub(crate) fn length(text: &str) -> Result<Duration, Invalid> {
    let invalid = || Invalid::Length(cut(text));
    // Days are for people alone: the API's durations have none.
    let Some(days) = text.strip_suffix('d') else {
        return units::duration(text).map_err(|_cause| invalid());
    };
    let digits = !days.is_empty() && days.bytes().all(|byte| byte.is_ascii_digit());
    let days: Option<u64> = days.parse().ok().filter(|_| digits);
    days.and_then(|days| days.checked_mul(86_400))
        .map(Duration::from_secs)
        .ok_or_else(invalid)
}

/// Parses a length from `now` on, or a time; to whole seconds, as Kubernetes keeps it.
pub(crate) fn until(text: &str, now: Timestamp) -> Result<Timestamp, Invalid> {
    let end = match length(text) {
        Ok(length) => after(now, length).ok_or_else(|| Invalid::Far(cut(text)))?,
        // RFC 3339 alone: without an offset it would not be one time.
        Err(_) => text.parse().map_err(|_cause| Invalid::Time(cut(text)))?,
    };
    let end = seconds(end);
    if end <= now {
        return Err(Invalid::Past(show(end)));
    }
    Ok(end)
}

/// `length` after `now`, to whole seconds; `None` after the year 9999.
pub(crate) fn after(now: Timestamp, length: Duration) -> Option<Timestamp> {
    let length = SignedDuration::try_from(length).ok()?;
    now.checked_add(length).ok().map(seconds)
}

/// As Kubernetes writes it: `2027-06-30T00:00:00Z`.
pub(crate) fn show(time: Timestamp) -> String {
    seconds(time).to_string()
}

fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// What is repeated of a wrong value.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_length_is_one_number_and_one_unit() {
        assert_eq!(length("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(length("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(length("90d"), Ok(Duration::from_secs(7_776_000)));
        assert_eq!(length("0s"), Ok(Duration::ZERO));
        for bad in [
            "",
            "d",
            "1",
            "1.5d",
            "-1d",
            "+1d",
            "1w",
            "1d1h",
            "99999999999999999999d",
        ] {
            assert_eq!(length(bad), Err(Invalid::Length(bad.to_owned())), "{bad}");
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Result<&str, Invalid>) {
        let now = time("2026-11-27T12:00:00.75Z");
        assert_eq!(until(text, now), expect.map(time), "{text}");
    }

    #[test]
    fn an_end_is_a_length_from_now_or_a_time() {
        check("90d", Ok("2027-02-25T12:00:00Z"));
        check("1h", Ok("2026-11-27T13:00:00Z"));
        check("2027-06-30T00:00:00Z", Ok("2027-06-30T00:00:00Z"));
        check("2027-06-30T02:00:00.9+02:00", Ok("2027-06-30T00:00:00Z"));
    }

    #[test]
    fn an_end_lies_in_the_future() {
        check("0d", Err(Invalid::Past("2026-11-27T12:00:00Z".to_owned())));
        check(
            "2026-11-27T12:00:00Z",
            Err(Invalid::Past("2026-11-27T12:00:00Z".to_owned())),
        );
        check("9999999d", Err(Invalid::Far("9999999d".to_owned())));
    }

    #[test]
    fn other_texts_name_the_rule() {
        for bad in [
            "",
            "tomorrow",
            "2027-06-30",
            "2027-06-30T00:00:00",
            "30.6.2027",
        ] {
            check(bad, Err(Invalid::Time(bad.to_owned())));
        }
    }

    #[test]
    fn a_time_is_shown_to_the_second() {
        assert_eq!(
            show(time("2026-11-27T12:00:00.75Z")),
            "2026-11-27T12:00:00Z"
        );
    }
}
