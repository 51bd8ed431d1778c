//! How long a request may take.
//!
//! Pure but for the clock in [`Deadline::left`]. Called by `phase` and `forward`.

use std::time::Duration;

use aimass_protocol::Error;
use aimass_protocol::grpc::parse_timeout;
use axum::http::HeaderMap;
use tokio::time::Instant;

use super::super::grpc::Wire;

const HEADER: &str = "x-request-timeout-ms";
/// That of gRPC, which its clients set by themselves.
const GRPC_HEADER: &str = "grpc-timeout";
/// The longest that a caller may name.
const MOST_MS: u64 = 3_600_000;

/// The time of one request.
#[derive(Clone, Copy, Debug)]
pub(in crate::phase) struct Deadline {
    begun: Instant,
    limit: Duration,
    callers: bool,
}

impl Deadline {
    /// The caller's, if it is shorter than `most`; from `begun` on, when the head had arrived.
    pub(in crate::phase) fn of(
        wire: Wire,
        headers: &HeaderMap,
        begun: Instant,
        most: Duration,
    ) -> Result<Self, Error> {
        let wanted = match (wanted(headers)?, wire) {
            (own, Wire::Plain) => own,
            (None, Wire::Grpc) => wanted_by_grpc(headers)?,
            (Some(own), Wire::Grpc) => {
                Some(wanted_by_grpc(headers)?.map_or(own, |other| own.min(other)))
            }
        };
        let callers = wanted.is_some_and(|wanted| wanted < most);
        Ok(Self {
            begun,
            limit: wanted.unwrap_or(most).min(most),
            callers,
        })
    }

    /// Whether the caller made it shorter than the model has it.
    pub(super) const fn is_the_callers(&self) -> bool {
        self.callers
    }

    /// When it is over.
    pub(in crate::phase) fn at(&self) -> Instant {
        self.begun + self.limit
    }

    /// How long it is in all.
    pub(in crate::phase) const fn limit(&self) -> Duration {
        self.limit
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.at().saturating_duration_since(Instant::now())
    }
}

fn wanted(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.parse::<u64>() {
        Ok(ms) if (1..=MOST_MS).contains(&ms) => Ok(Some(Duration::from_millis(ms))),
        _ => Err(Error::invalid_header(HEADER, &text)),
    }
}

fn wanted_by_grpc(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(GRPC_HEADER) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match parse_timeout(&text) {
        Some(time) => Ok(Some(time)),
        None => Err(Error::invalid_header(GRPC_HEADER, &text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(value: Option<&'static str>) -> Result<(u128, bool), String> {
        let own = value.map(|value| (HEADER, value));
        of(Wire::Plain, own.as_slice())
    }

    fn of(wire: Wire, values: &[(&'static str, &'static str)]) -> Result<(u128, bool), String> {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.insert(*name, value.parse().unwrap());
        }
        let most = Duration::from_secs(60);
        let deadline = Deadline::of(wire, &headers, Instant::now(), most);
        let deadline = deadline.map_err(|error| error.text)?;
        assert_eq!(deadline.at() - deadline.begun, deadline.limit());
        Ok((deadline.limit().as_millis(), deadline.is_the_callers()))
    }

    #[test]
    fn the_shorter_of_both_holds() {
        assert_eq!(deadline(None), Ok((60_000, false)));
        assert_eq!(deadline(Some("200")), Ok((200, true)));
        assert_eq!(deadline(Some("60000")), Ok((60_000, false)));
        assert_eq!(deadline(Some("3600000")), Ok((60_000, false)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["0", "abc", "-1", "3600001", "", "1.5"] {
            let text = format!("Invalid x-request-timeout-ms: \"{bad}\"");
            assert_eq!(deadline(Some(bad)), Err(text));
        }
    }

    #[test]
    fn a_call_may_name_its_time_in_two_ways_and_the_shorter_holds() {
        let grpc = |values: &[(&'static str, &'static str)]| of(Wire::Grpc, values);
        let (own, other) = (HEADER, GRPC_HEADER);
        assert_eq!(grpc(&[]), Ok((60_000, false)));
        assert_eq!(grpc(&[(other, "3S")]), Ok((3000, true)));
        assert_eq!(grpc(&[(other, "9H")]), Ok((60_000, false)));
        assert_eq!(grpc(&[(own, "500")]), Ok((500, true)));
        assert_eq!(grpc(&[(own, "500"), (other, "3S")]), Ok((500, true)));
        assert_eq!(grpc(&[(own, "5000"), (other, "3S")]), Ok((3000, true)));
        let text = "Invalid grpc-timeout: \"soon\"".to_owned();
        assert_eq!(grpc(&[(other, "soon")]), Err(text));
        assert_eq!(of(Wire::Plain, &[(other, "soon")]), Ok((60_000, false)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_becomes_less_and_never_negative() {
        let most = Duration::from_millis(100);
        let headers = HeaderMap::new();
        let deadline = Deadline::of(Wire::Plain, &headers, Instant::now(), most).unwrap();
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(deadline.left(), Duration::from_millis(70));
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(deadline.left(), Duration::ZERO);
    }
}
