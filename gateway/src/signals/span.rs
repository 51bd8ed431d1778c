//! What a span of time brought, and how two of them that follow each other are one.
//!
//! Pure. Made by `beat`; kept by `pending` for each reader, which merges what a slow one has not taken in time; told as lines that
//! are never too long.

use std::collections::BTreeMap;

use aimass_crds::signals::{LINE, Load, MODELS, Message, Report, Seen};
use serde::Serialize;

/// Bytes of a line that are not its list.
const FRAME: usize = 1 << 10;

/// A span, and what it brought. Models and revisions that were idle are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// How long it was.
    pub(super) ms: u32,
    /// The version of the table at its end.
    pub(super) table: u64,
    /// What was not obeyed at its end.
    pub(super) nacks: u32,
    /// The models, by uid.
    pub(super) seen: BTreeMap<String, Seen>,
}

impl Span {
    /// Both spans; `next` begins where this one ends.
    pub(super) fn merge(&mut self, next: Self) {
        let Self {
            ms,
            table,
            nacks,
            mut seen,
        } = next;
        let lengths = (u64::from(self.ms), u64::from(ms));
        for (uid, first) in &mut self.seen {
            let mut later = Vec::new();
            if let Some(second) = seen.remove(uid) {
                (first.name, first.traffic_version) = (second.name, second.traffic_version);
                later = second.revisions;
            }
            merge_revisions(&mut first.revisions, later, lengths);
        }
        for (uid, mut second) in seen {
            let later = std::mem::take(&mut second.revisions);
            merge_revisions(&mut second.revisions, later, lengths);
            self.seen.insert(uid, second);
        }
        (self.ms, self.table, self.nacks) = (self.ms.saturating_add(ms), table, nacks);
    }

    /// Takes out as many models, whole, as fit into a line, which has no number yet. To be called once at least, because that
    /// nothing happened is worth to be known, and then until no model is left. Only the first line has the length: what goes on
    /// in another one is of no time of its own.
    pub(super) fn line(&mut self) -> Message {
        let (mut deployments, mut room) = (Vec::new(), Room::default());
        while let Some(seen) = self.seen.first_entry()
            && room.takes(seen.get())
        {
            deployments.push(seen.remove());
        }
        Message::Report(Report {
            seq: 0,
            span_ms: std::mem::take(&mut self.ms),
            table: self.table,
            nacks: self.nacks,
            deployments,
        })
    }

    /// Whether all models are in lines.
    pub(super) fn is_told(&self) -> bool {
        self.seen.is_empty()
    }
}

fn merge_revisions(first: &mut Vec<Load>, second: Vec<Load>, lengths: (u64, u64)) {
    let named = |load: Load| (load.revision.clone(), load);
    let mut later: BTreeMap<String, Load> = second.into_iter().map(named).collect();
    for load in &mut *first {
        let next = later.remove(&load.revision);
        *load = merge_loads(std::mem::take(load), next, lengths);
    }
    for (revision, load) in later {
        let nothing = Load {
            revision,
            ..Load::default()
        };
        first.push(merge_loads(nothing, Some(load), lengths));
    }
}

/// Sums, maxima, means by length; and what is true at an end is what is true at the end of the second one. A revision that is not
/// in that was idle, and is as it was.
fn merge_loads(first: Load, second: Option<Load>, lengths: (u64, u64)) -> Load {
    let idle = || Load {
        assigned: first.assigned,
        mean_service_us: first.mean_service_us,
        endpoints: first.endpoints,
        ..Load::default()
    };
    let second = second.unwrap_or_else(idle);
    let mean = |of: fn(&Load) -> u64| {
        let weighed = |load, length| u128::from(of(load)) * u128::from(length);
        let sum = weighed(&first, lengths.0) + weighed(&second, lengths.1);
        let length = u128::from(lengths.0) + u128::from(lengths.1);
        u64::try_from(sum / length.max(1)).unwrap_or(u64::MAX)
    };
    let sum = |of: fn(&Load) -> u32| of(&first).saturating_add(of(&second));
    let mut latency: BTreeMap<u8, u32> = first.latency.iter().copied().collect();
    for (bucket, answers) in &second.latency {
        let both = latency.entry(*bucket).or_default();
        *both = both.saturating_add(*answers);
    }
    Load {
        in_flight_milli: mean(|load| load.in_flight_milli),
        queued_milli: mean(|load| load.queued_milli),
        queued_peak: first.queued_peak.max(second.queued_peak),
        arrived: sum(|load| load.arrived),
        ok: sum(|load| load.ok),
        rejected: sum(|load| load.rejected),
        failed: sum(|load| load.failed),
        rerouted: sum(|load| load.rerouted),
        completed: sum(|load| load.completed),
        service_us: first.service_us.saturating_add(second.service_us),
        latency: latency.into_iter().collect(),
        assigned: second.assigned,
        oldest_ms: second.oldest_ms,
        mean_service_us: second.mean_service_us,
        endpoints: second.endpoints,
        revision: first.revision,
    }
}

/// Cuts a list so that each piece fits into a line. One piece at least, which may be empty.
pub(super) fn parts<T: Serialize>(items: impl Iterator<Item = T>) -> Vec<Vec<T>> {
    let mut parts = Vec::new();
    let (mut part, mut room) = (Vec::new(), Room::default());
    for item in items {
        if !room.takes(&item) {
            parts.push(std::mem::take(&mut part));
            room = Room::with(&item);
        }
        part.push(item);
    }
    parts.push(part);
    parts
}

/// What a line has so far.
#[derive(Default)]
struct Room {
    models: usize,
    bytes: usize,
}

impl Room {
    fn with(item: &impl Serialize) -> Self {
        let mut room = Self::default();
        room.takes(item);
        room
    }

    /// Puts one more in, if it fits. The first one always does: it has names of Kubernetes, and ten revisions.
    fn takes(&mut self, item: &impl Serialize) -> bool {
        let text = serde_json::to_vec(item).unwrap_or_default();
        // With its comma.
        let bytes = self.bytes.saturating_add(text.len()).saturating_add(1);
        let takes = self.models == 0 || (bytes <= LINE - FRAME && self.models < MODELS);
        if takes {
            (self.models, self.bytes) = (self.models.saturating_add(1), bytes);
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(revision: &str, in_flight_milli: u64) -> Load {
        Load {
            revision: revision.to_owned(),
            in_flight_milli,
            ..Load::default()
        }
    }

    fn span(ms: u32, models: Vec<(&str, i64, Vec<Load>)>) -> Span {
        let seen = |(uid, traffic_version, revisions): (&str, i64, Vec<Load>)| {
            let seen = Seen {
                uid: uid.to_owned(),
                name: format!("shop/{uid}"),
                traffic_version,
                revisions,
            };
            (uid.to_owned(), seen)
        };
        Span {
            ms,
            table: u64::from(ms),
            nacks: ms,
            seen: models.into_iter().map(seen).collect(),
        }
    }

    fn lines(mut span: Span) -> Vec<Message> {
        let mut lines = vec![span.line()];
        while !span.is_told() {
            lines.push(span.line());
        }
        lines
    }

    #[test]
    fn counts_add_up_and_peaks_stay() {
        let first = Load {
            assigned: 3,
            queued_peak: 9,
            oldest_ms: 700,
            arrived: 10,
            ok: 5,
            rejected: 1,
            failed: 2,
            rerouted: 3,
            service_us: 1000,
            completed: 8,
            mean_service_us: 40,
            latency: vec![(3, 5), (7, 1)],
            endpoints: (2, 0),
            ..load("a", 2000)
        };
        let second = Load {
            assigned: 1,
            queued_peak: 4,
            oldest_ms: 200,
            arrived: 1,
            ok: u32::MAX,
            rejected: 1,
            failed: 1,
            rerouted: 1,
            service_us: u64::MAX,
            completed: 2,
            mean_service_us: 50,
            latency: vec![(2, 1), (7, 1)],
            endpoints: (1, 1),
            ..load("a", 4000)
        };
        let expect = Load {
            assigned: 1,
            queued_peak: 9,
            oldest_ms: 200,
            arrived: 11,
            ok: u32::MAX,
            rejected: 2,
            failed: 3,
            rerouted: 4,
            service_us: u64::MAX,
            completed: 10,
            mean_service_us: 50,
            latency: vec![(2, 1), (3, 5), (7, 2)],
            endpoints: (1, 1),
            ..load("a", 3500)
        };
        let mut both = span(1000, vec![("u", 1, vec![first])]);
        both.merge(span(3000, vec![("u", 2, vec![second])]));
        let mut expected = span(4000, vec![("u", 2, vec![expect])]);
        (expected.table, expected.nacks) = (3000, 3000);
        assert_eq!(both, expected);
    }

    #[test]
    fn who_was_idle_in_one_of_them_counts_for_nothing_there() {
        let lasting = Load {
            mean_service_us: 40,
            endpoints: (1, 0),
            ..load("a", 1000)
        };
        let mut both = span(
            1000,
            vec![("u", 1, vec![lasting.clone()]), ("v", 1, vec![])],
        );
        both.merge(span(1000, vec![("w", 5, vec![load("c", 800)])]));
        both.merge(span(2000, vec![("v", 2, vec![load("b", 4000)])]));
        let mean = |uid: &str| {
            let seen = &both.seen[uid];
            let load = seen.revisions.first().unwrap();
            (seen.traffic_version, load.in_flight_milli)
        };
        assert_eq!(mean("u"), (1, 250));
        assert_eq!(mean("v"), (2, 2000));
        assert_eq!(mean("w"), (5, 200));
        let load = both.seen["u"].revisions.first().unwrap();
        assert_eq!((load.mean_service_us, load.endpoints), (40, (1, 0)));
    }

    #[test]
    fn lines_are_never_too_long_and_lose_nothing() {
        let long = Load {
            latency: (0..80).map(|bucket| (bucket, u32::MAX)).collect(),
            service_us: u64::MAX,
            ..load("aaaaaaaa", u64::MAX)
        };
        let name = |number: usize| format!("{number:0>36}{}", "\u{1}".repeat(400));
        let names: Vec<String> = (0..200).map(name).collect();
        let models = names.iter().map(|uid| (&**uid, 1, vec![long.clone(); 10]));
        let all = span(1000, models.collect());
        let lines = lines(all.clone());
        assert!(lines.len() > 5, "{}", lines.len());
        let (mut told, mut spans) = (Vec::new(), Vec::new());
        for line in &lines {
            assert!(serde_json::to_vec(line).unwrap().len() < LINE);
            let Message::Report(report) = line else {
                panic!("{line:?}");
            };
            spans.push(report.span_ms);
            told.extend(report.deployments.clone());
        }
        assert_eq!(told, all.seen.into_values().collect::<Vec<_>>());
        assert_eq!((spans.first(), spans.iter().sum()), (Some(&1000), 1000));
    }

    #[test]
    fn nothing_is_told_as_nothing() {
        assert_eq!(lines(span(1000, vec![])).len(), 1);
    }
}
