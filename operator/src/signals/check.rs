//! What a line may say: its place in the stream, and how large its numbers may be.
//!
//! Pure. Called by `reader` for each line; what leaves here may be added up. Whoever sends is known by
//! its token and still not trusted: one defective gateway must not decide how many pods there are.

use std::collections::BTreeSet;

use aimass_crds::signals::{
    BUCKETS, Full, Hello, KEYS, Keys, Load, MODELS, Message, Report, SPAN_MS, VERSION, Wake,
    is_revision, is_uid,
};

use super::broken::Broken;

/// Requests that one gateway has on the pods of one revision, or in its queue.
const REQUESTS: u64 = 1_000_000;
/// Requests that came or ended within one report: as many, each second of the longest span.
const COUNT: u32 = 60_000_000;
/// Milliseconds between reports: a gateway that says less often is silent all the time.
const INTERVAL: std::ops::RangeInclusive<u32> = 100..=2000;
/// Parts of a `full`: as many lines as all models together have.
const PARTS: u32 = 1000;
/// Revisions of one model. There are ten at most (`status.revisions`), and some may just have gone.
const REVISIONS: usize = 32;
/// Microseconds of one request: a day. None takes longer than an hour, but a WebSocket may.
const SERVICE: u64 = 86_400_000_000;

/// The place in a stream, after `hello`.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The number of the last line.
    seq: u64,
    /// Parts of the `full` that has begun: the last one, and how many there are.
    full: Option<(u32, u32)>,
}

/// A line that makes sense where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A part of all models; whether it is the last one.
    Full(Full, bool),
    /// What a second brought.
    Report(Report),
    /// Somebody waits.
    Wake(Wake),
    /// Keys that were used.
    Keys(Keys),
    /// The gateway ends, or the connection has had its time.
    Bye,
}

/// Reads the first line.
///
/// # Errors
/// It is none, or from another gateway than the one that was called.
pub(super) fn hello(line: &[u8], gateway: &str) -> Result<Hello, Broken> {
    let Message::Hello(hello) = message(line)? else {
        return Err(Broken::OutOfRange("the first line must say hello"));
    };
    must(hello.v == VERSION, "hello must have version 1")?;
    must(
        INTERVAL.contains(&hello.interval_ms),
        "intervalMs must be between 100 and 2000",
    )?;
    if hello.gateway != gateway {
        return Err(Broken::Stranger);
    }
    Ok(hello)
}

impl Place {
    /// Reads a further line.
    ///
    /// # Errors
    /// It does not follow the last one, is no message, or has a number that nobody would have.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Told, Broken> {
        let told = match message(line)? {
            Message::Hello(_) => return Err(Broken::OutOfRange("hello must be said once")),
            Message::Full(full) => {
                self.follows(full.seq)?;
                let last = self.part(&full)?;
                check_full(&full)?;
                Told::Full(full, last)
            }
            Message::Report(report) => {
                self.follows(report.seq)?;
                check_report(&report)?;
                Told::Report(report)
            }
            Message::Wake(wake) => {
                self.follows(wake.seq)?;
                check_uid(&wake.uid)?;
                check_revision(&wake.revision)?;
                check_requests(wake.queued.into())?;
                Told::Wake(wake)
            }
            Message::Keys(keys) => {
                self.follows(keys.seq)?;
                must(keys.used.len() <= KEYS, "keys must name at most 5000")?;
                keys.used.iter().try_for_each(|uid| check_uid(uid))?;
                Told::Keys(keys)
            }
            Message::Bye => Told::Bye,
        };
        Ok(told)
    }

    fn follows(&mut self, seen: u64) -> Result<(), Broken> {
        let expected = self.seq.saturating_add(1);
        if seen != expected {
            return Err(Broken::Gap { expected, seen });
        }
        self.seq = seen;
        Ok(())
    }

    /// Whether it is the last part of a `full`.
    fn part(&mut self, full: &Full) -> Result<bool, Broken> {
        let Full { part, parts, .. } = *full;
        let expected = self.full.map_or(1, |(last, _)| last.saturating_add(1));
        let same = self.full.is_none_or(|(_, all)| all == parts);
        let in_order = part == expected && same && (1..=PARTS).contains(&parts) && part <= parts;
        must(in_order, "the parts of a full must come in order")?;
        self.full = (part < parts).then_some((part, parts));
        Ok(part == parts)
    }
}

fn message(line: &[u8]) -> Result<Message, Broken> {
    // What the error says may repeat what was sent.
    serde_json::from_slice(line).map_err(|error| Broken::NotAMessage {
        column: error.column(),
    })
}

fn check_full(full: &Full) -> Result<(), Broken> {
    must(
        full.deployments.len() <= MODELS,
        "a line must name at most 4096 models",
    )?;
    let mut known = BTreeSet::new();
    for taken in &full.deployments {
        check_uid(&taken.uid)?;
        must(known.insert(&taken.uid), "a line must name each model once")?;
        must(
            taken.traffic_version >= 0,
            "trafficVersion must be at least 0",
        )?;
    }
    Ok(())
}

fn check_report(report: &Report) -> Result<(), Broken> {
    must(report.span_ms <= SPAN_MS, "spanMs must be at most 60000")?;
    must(
        report.deployments.len() <= MODELS,
        "a line must name at most 4096 models",
    )?;
    let mut models = BTreeSet::new();
    for seen in &report.deployments {
        check_uid(&seen.uid)?;
        must(models.insert(&seen.uid), "a line must name each model once")?;
        must(
            seen.traffic_version >= 0,
            "trafficVersion must be at least 0",
        )?;
        must(
            seen.revisions.len() <= REVISIONS,
            "a model must have at most 32 revisions",
        )?;
        let mut revisions = BTreeSet::new();
        for load in &seen.revisions {
            must(
                revisions.insert(&load.revision),
                "a line must name each revision once",
            )?;
            check_load(load)?;
        }
    }
    Ok(())
}

fn check_load(load: &Load) -> Result<(), Broken> {
    let Load {
        revision,
        assigned,
        in_flight_milli,
        queued_milli,
        queued_peak,
        oldest_ms: _, // whether it is 0 is all that matters
        arrived,
        ok,
        rejected,
        failed,
        rerouted,
        service_us,
        completed,
        mean_service_us,
        latency,
        endpoints: _, // for people
    } = load;
    check_revision(revision)?;
    check_requests((*assigned).into())?;
    check_requests((*queued_peak).into())?;
    check_requests(in_flight_milli / 1000)?;
    check_requests(queued_milli / 1000)?;
    let counts = [arrived, ok, rejected, failed, rerouted, completed];
    must(
        counts.into_iter().all(|count| *count <= COUNT),
        "a count must be at most 60000000",
    )?;
    let longest = u64::from(*completed).saturating_mul(SERVICE);
    must(
        *service_us <= longest && *mean_service_us <= SERVICE,
        "a request must take at most a day",
    )?;
    must(
        latency.len() <= usize::from(BUCKETS)
            && latency
                .iter()
                .all(|(bucket, answers)| *bucket < BUCKETS && *answers <= COUNT),
        "latency must have at most 80 buckets",
    )
}

fn check_requests(requests: u64) -> Result<(), Broken> {
    must(
        requests <= REQUESTS,
        "at most 1000000 requests may be in flight or wait",
    )
}

fn check_uid(uid: &str) -> Result<(), Broken> {
    must(is_uid(uid), "a uid must have 1 to 64 characters")
}

fn check_revision(revision: &str) -> Result<(), Broken> {
    must(is_revision(revision), "a revision must have 8 characters")
}

fn must(holds: bool, rule: &'static str) -> Result<(), Broken> {
    if holds {
        Ok(())
    } else {
        Err(Broken::OutOfRange(rule))
    }
}

#[cfg(test)]
mod tests;
