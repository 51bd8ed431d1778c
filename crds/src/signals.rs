//! What a gateway tells the operator: the lines of `GET /signals` on its admin port, one JSON object each.
//!
//! Pure. Written by the gateway once a second and when somebody waits for a model at zero; read by
//! the operator's leader, which scales and judges rollouts by it. Integers only: a number that is
//! not one cannot be expressed. A line has at most [`LINE`] bytes; what does not fit goes on in the
//! next part. Whoever reads must not trust: uids may be unknown, numbers huge, lines missing.

use serde::{Deserialize, Serialize};

/// The media type of the stream.
pub const CONTENT_TYPE: &str = "application/x-ndjson";
/// Bytes of a line, at most.
pub const LINE: usize = 256 << 10;
/// The version of these messages, in [`Hello::v`].
pub const VERSION: u32 = 1;
/// Audience of the token by which the operator shows itself to a gateway, and a gateway to another one.
pub const GATEWAY_AUDIENCE: &str = "aimass-gateway";
/// Audience of the token by which a gateway shows itself to the operator, in [`Hello::token`].
pub const OPERATOR_AUDIENCE: &str = "aimass-operator";
/// Buckets of a latency histogram.
pub const BUCKETS: u8 = 80;
/// Models in a line, at most.
pub const MODELS: usize = 4096;
/// Keys in a line, at most.
pub const KEYS: usize = 5000;
/// Milliseconds that a report may speak of, at most.
pub const SPAN_MS: u32 = 60_000;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Message {
    /// The first one: who speaks.
    Hello(Hello),
    /// Every model that the gateway routes, after `hello`.
    Full(Full),
    /// What a second brought.
    Report(Report),
    /// Somebody waits for a revision that has no pod.
    Wake(Wake),
    /// Keys that were used in the last minute.
    Keys(Keys),
    /// The last one: the gateway ends, or the connection has had its time.
    Bye,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// [`VERSION`].
    pub v: u32,
    /// `metadata.uid` of the gateway's pod.
    pub gateway: String,
    /// The gateway's own ServiceAccount token, bound to its pod, for audience [`OPERATOR_AUDIENCE`].
    pub token: String,
    /// Another one after each start of the process.
    pub boot: String,
    /// Milliseconds between reports.
    pub interval_ms: u32,
    /// Version of the table that is current.
    pub table: u64,
}

/// Every model that the gateway routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Full {
    /// Counted up by one with every line after `hello`.
    pub seq: u64,
    /// Which part this is, from 1.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// Version of the table.
    pub table: u64,
    /// The models.
    pub deployments: Vec<Taken>,
}

/// A model and the traffic of it that a gateway has taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// `metadata.uid` of the ModelDeployment.
    pub uid: String,
    /// `namespace/name`, for people.
    pub name: String,
    /// The `status.trafficVersion` that every request obeys from now on: no request goes by an older one.
    pub traffic_version: i64,
}

/// What a second brought. Models and revisions that are absent were idle, and are as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Counted up by one with every line after `hello`.
    pub seq: u64,
    /// Milliseconds that it speaks of: more than one interval if the reader was slow.
    pub span_ms: u32,
    /// Version of the table that is current.
    pub table: u64,
    /// Objects that the table leaves aside or keeps as they were, because they make no sense.
    pub nacks: u32,
    /// The models.
    pub deployments: Vec<Seen>,
}

/// What a second brought for one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// `metadata.uid` of the ModelDeployment.
    pub uid: String,
    /// `namespace/name`, for people.
    pub name: String,
    /// As in [`Taken`].
    pub traffic_version: i64,
    /// Its revisions.
    pub revisions: Vec<Load>,
}

/// What a second brought for one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Load {
    /// Eight characters.
    pub revision: String,
    /// Requests that wait for it or are on its pods, at the end of the span.
    pub assigned: u32,
    /// Thousandths of requests on its pods, as a mean over time.
    pub in_flight_milli: u64,
    /// Thousandths of requests that wait, as a mean over time; they are not in flight.
    pub queued_milli: u64,
    /// The most that waited at once.
    pub queued_peak: u32,
    /// How long the oldest one has waited by now.
    pub oldest_ms: u32,
    /// Requests that were given to it.
    pub arrived: u32,
    /// Answers that say nothing against it: successes, and what is the callers' own fault. Requests that
    /// name a revision are not among these four, nor in `latency`.
    pub ok: u32,
    /// Answers by which the model's engine refused the input.
    pub rejected: u32,
    /// Errors of its pods, connections that broke, time that ran out after a pod was chosen.
    pub failed: u32,
    /// Requests that were meant for it and had to go to another revision.
    pub rerouted: u32,
    /// Microseconds from the choice of a pod to the last byte, of all completed requests together.
    pub service_us: u64,
    /// Requests that ended.
    pub completed: u32,
    /// The same for one request, as a mean that outlives the pods; 0 = not known.
    pub mean_service_us: u64,
    /// Pairs of a bucket and how many answers were in it; see [`bucket`].
    pub latency: Vec<(u8, u32)>,
    /// Pods that may be chosen, and pods that are left out for having failed.
    pub endpoints: (u32, u32),
}

/// Somebody waits for a revision that has no pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wake {
    /// Counted up by one with every line after `hello`.
    pub seq: u64,
    /// `metadata.uid` of the ModelDeployment.
    pub uid: String,
    /// Eight characters.
    pub revision: String,
    /// How many wait.
    pub queued: u32,
}

/// Keys that were used in the last minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    /// Counted up by one with every line after `hello`.
    pub seq: u64,
    /// `metadata.uid` of the APIKeys; at most [`KEYS`].
    pub used: Vec<String>,
}

/// Whether a model or a key may have this uid here: 1 to 64 bytes.
#[must_use]
pub const fn is_uid(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64
}

/// Whether a revision may be called so: eight letters of lower case, or digits.
#[must_use]
pub fn is_revision(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() == 8 && text.bytes().all(legal)
}

/// Microseconds that the answers in `bucket` took at most: 0.1 ms × 2^(bucket/4), rounded down. The last
/// bucket has no end.
#[must_use]
pub const fn upper_bound(bucket: u8) -> u64 {
    let quarter = match bucket % 4 {
        0 => 100,
        1 => 118,
        2 => 141,
        _ => 168,
    };
    let last = BUCKETS - 1;
    let bucket = if bucket > last { last } else { bucket };
    quarter << (bucket / 4)
}

/// The bucket of an answer that took so many microseconds.
#[must_use]
pub const fn bucket(microseconds: u64) -> u8 {
    let mut bucket = 0;
    while bucket < BUCKETS - 1 && microseconds > upper_bound(bucket) {
        bucket += 1;
    }
    bucket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_by_a_fifth_and_hold_what_they_say() {
        for number in 1..BUCKETS {
            let (low, high) = (upper_bound(number - 1), upper_bound(number));
            assert!(high > low && high * 100 <= low * 121, "{number}");
            assert_eq!(bucket(high), number);
            assert_eq!(bucket(low + 1), number);
        }
        assert_eq!((bucket(0), bucket(100), bucket(101)), (0, 0, 1));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn names_have_a_form_and_an_end() {
        for (text, uid, revision) in [
            ("", false, false),
            ("7f3k2q5d", true, true),
            ("7f3k2q5", true, false),
            ("7F3K2Q5D", true, false),
            ("7f3k2q5é", true, false),
        ] {
            assert_eq!((is_uid(text), is_revision(text)), (uid, revision), "{text}");
        }
        let longest = "u".repeat(64);
        assert!(is_uid(&longest) && !is_uid(&(longest + "u")));
    }

    #[test]
    fn lines_have_the_form_that_the_documents_show() {
        let wake = Message::Wake(Wake {
            seq: 3,
            uid: "u".to_owned(),
            revision: "7f3k2q5d".to_owned(),
            queued: 1,
        });
        let line = r#"{"kind":"wake","seq":3,"uid":"u","revision":"7f3k2q5d","queued":1}"#;
        assert_eq!(serde_json::to_string(&wake).unwrap(), line);
        assert_eq!(
            serde_json::to_string(&Message::Bye).unwrap(),
            r#"{"kind":"bye"}"#
        );
        let report = r#"{"kind":"report","seq":2,"spanMs":1000,"table":813,"nacks":0,"deployments":[{"uid":"u","name":"shop/iris","trafficVersion":42,"revisions":[{"revision":"7f3k2q5d","assigned":5,"inFlightMilli":4120,"latency":[[35,100],[36,17]],"endpoints":[3,0]}]}]}"#;
        let Message::Report(report) = serde_json::from_str(report).unwrap() else {
            panic!("it is a report");
        };
        let load = report
            .deployments
            .first()
            .unwrap()
            .revisions
            .first()
            .unwrap();
        assert_eq!((load.in_flight_milli, load.queued_milli), (4120, 0));
        assert_eq!(load.latency, [(35, 100), (36, 17)]);
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for bad in ["NaN", "-1", "1.5", "1e400", "\"1\"", "null"] {
            let line =
                format!(r#"{{"kind":"wake","seq":{bad},"uid":"u","revision":"r","queued":1}}"#);
            assert!(serde_json::from_str::<Message>(&line).is_err(), "{bad}");
        }
    }
}
