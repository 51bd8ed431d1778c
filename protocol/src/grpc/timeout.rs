//! The header `grpc-timeout`: how long a call may take.
//!
//! Pure. Read by the server and the gateway, written by the gateway. Source: gRPC over HTTP/2, "Timeout".

use std::time::Duration;

/// The most digits that a time may have.
const MAX_DIGITS: usize = 8;

/// Reads at most eight digits and a unit; `None` for anything else.
pub fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse::<u64>().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.checked_mul(3600)?),
        "M" => Duration::from_secs(number.checked_mul(60)?),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Writes a time in milliseconds, rounded down but to 1 at least; in seconds where eight digits are too few for that.
pub fn timeout_text(time: Duration) -> String {
    let most = 10_u128.pow(8) - 1;
    match time.as_millis() {
        milliseconds if milliseconds <= most => format!("{}m", milliseconds.max(1)),
        milliseconds => format!("{}S", (milliseconds / 1000).min(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_digits_and_a_unit() {
        for (text, expect) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("200m", Duration::from_millis(200)),
            ("99999999u", Duration::from_micros(99_999_999)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parse_timeout(text), Some(expect), "{text}");
        }
        for bad in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789m", "1é"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_never_longer() {
        let us = Duration::from_micros;
        for (time, text) in [
            (Duration::ZERO, "1m"),
            (us(999), "1m"),
            (us(1_999), "1m"),
            (us(4_200_000), "4200m"),
            (Duration::from_secs(3600), "3600000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(timeout_text(time), text);
            assert!(parse_timeout(text).is_some_and(|read| read <= time.max(us(1000))));
        }
    }
}
