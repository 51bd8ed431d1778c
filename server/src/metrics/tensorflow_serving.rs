//! TensorFlow Serving's own series, `:tensorflow:serving:…`, so that dashboards made for it keep working.
//!
//! Counted by `routes/record.rs`, for the routes of `/v1` alone; shown on the admin port, and on the data ports where
//! `--monitoring_config_file` says so. The text is written here, because names that begin with a colon and buckets in
//! microseconds are not what the registry writes. Every label is of a closed set, but the model's one name.
//! Source: tensorflow_serving/servables/tensorflow/util.cc (series), util/prometheus_exporter.cc (text).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What TensorFlow Serving calls the ends of a request.
const STATUSES: [&str; 9] = [
    "OK",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "UNKNOWN",
];
/// As in the URL, which is the label of a request; and as in the method's name, which is the label of a run.
const APIS: [(&str, &str); 3] = [
    ("predict", "Predict"),
    ("classify", "Classify"),
    ("regress", "Regress"),
];
/// Finite buckets: 10·1.8ⁿ µs.
const BUCKETS: usize = 33;

/// The series of one model.
#[derive(Default)]
pub struct Series {
    requests: [AtomicU64; STATUSES.len()],
    request_latency: [Latency; APIS.len()],
    runtime_latency: [Latency; APIS.len()],
}

#[derive(Default)]
struct Latency {
    /// The last two are beyond all finite buckets; arrays above 32 have no default, so there are two.
    low: [AtomicU64; 32],
    high: [AtomicU64; 2],
    sum_us: AtomicU64,
}

impl Series {
    /// Counts an answer of `/v1/models/M:method`; how long it took in all, and in the engine, counts if it is a 200.
    pub fn count(&self, method: &str, status: u16, took: Duration, ran: Option<Duration>) {
        let Some(api) = APIS.iter().position(|(name, _)| *name == method) else {
            return;
        };
        let name = status_name(status);
        let counter = STATUSES.iter().position(|status| *status == name);
        if let Some(counter) = counter.and_then(|index| self.requests.get(index)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if status != 200 {
            return;
        }
        if let Some(latency) = self.request_latency.get(api) {
            latency.observe(took);
        }
        if let (Some(latency), Some(ran)) = (self.runtime_latency.get(api), ran) {
            latency.observe(ran);
        }
    }

    /// The page.
    pub fn page(&self, model: &str) -> String {
        let model = model.replace('\\', "\\\\").replace('"', "\\\"");
        let name = ":tensorflow:serving:request_count";
        let mut text = format!("# TYPE {name} counter\n");
        for (status, count) in STATUSES.iter().zip(&self.requests) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                line(
                    &mut text,
                    format_args!("{name}{{model_name=\"{model}\",status=\"{status}\"}} {count}"),
                );
            }
        }
        let name = ":tensorflow:serving:request_latency";
        line(&mut text, format_args!("# TYPE {name} histogram"));
        for ((api, _), latency) in APIS.iter().zip(&self.request_latency) {
            let labels = format!("model_name=\"{model}\",API=\"{api}\",entrypoint=\"REST\"");
            latency.write(&mut text, name, &labels);
        }
        let name = ":tensorflow:serving:runtime_latency";
        line(&mut text, format_args!("# TYPE {name} histogram"));
        for ((_, api), latency) in APIS.iter().zip(&self.runtime_latency) {
            let labels = format!("model_name=\"{model}\",API=\"{api}\",runtime=\"aimass\"");
            latency.write(&mut text, name, &labels);
        }
        text
    }
}

impl Latency {
    fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let within = |limit: f64| took.as_secs_f64() * 1e6 <= limit;
        let bucket = limits().position(within).unwrap_or(BUCKETS);
        let counter = self.buckets().nth(bucket);
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    fn buckets(&self) -> impl Iterator<Item = &AtomicU64> {
        self.low.iter().chain(&self.high)
    }

    /// Nothing, if nothing was observed.
    fn write(&self, text: &mut String, name: &str, labels: &str) {
        let limits = limits().map(short).chain(["+Inf".to_owned()]);
        let mut buckets = String::new();
        let mut count = 0_u64;
        for (limit, bucket) in limits.zip(self.buckets()) {
            count = count.saturating_add(bucket.load(Ordering::Relaxed));
            line(
                &mut buckets,
                format_args!("{name}_bucket{{{labels},le=\"{limit}\"}} {count}"),
            );
        }
        if count == 0 {
            return;
        }
        text.push_str(&buckets);
        let sum = self.sum_us.load(Ordering::Relaxed);
        line(text, format_args!("{name}_sum{{{labels}}} {sum}"));
        line(text, format_args!("{name}_count{{{labels}}} {count}"));
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = writeln!(text, "{line}");
}

fn limits() -> impl Iterator<Item = f64> {
    std::iter::successors(Some(10.0), |limit| Some(limit * 1.8)).take(BUCKETS)
}

/// The code that TensorFlow Serving would have answered with.
const fn status_name(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 => "UNAVAILABLE",
        400..=498 => "INVALID_ARGUMENT",
        500 => "INTERNAL",
        _ => "UNKNOWN",
    }
}

/// Six significant digits, as C's `%g` writes them: labels of buckets must be the same texts as TensorFlow Serving's.
fn short(number: f64) -> String {
    let scientific = format!("{number:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: usize = exponent.parse().unwrap_or_default();
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < 6 {
        trim(&format!("{number:.*}", 5 - exponent))
    } else {
        format!("{}e+{exponent:02}", trim(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_tensorflow_serving_writes_them() {
        let limits: Vec<String> = limits().map(short).collect();
        assert_eq!(limits.len(), 33);
        assert_eq!(
            limits.get(..8).unwrap().join(" "),
            "10 18 32.4 58.32 104.976 188.957 340.122 612.22"
        );
        assert_eq!(limits.get(19).unwrap(), "708235");
        assert_eq!(limits.get(20).unwrap(), "1.27482e+06");
        assert_eq!(limits.last().unwrap(), "1.47476e+09");
    }

    #[test]
    fn a_page_without_requests_has_types_only() {
        let text = Series::default().page("m");
        assert!(
            text.lines()
                .all(|line| line.starts_with("# TYPE :tensorflow:serving:"))
        );
    }

    #[test]
    fn requests_and_their_times_are_shown_by_model_and_method() {
        let series = Series::default();
        let us = Duration::from_micros;
        series.count("predict", 200, us(20), Some(us(5)));
        series.count("predict", 200, us(40), Some(us(5)));
        series.count("predict", 400, us(7), None);
        series.count("metadata", 200, us(7), None);
        series.count("regress", 200, Duration::from_secs(10_000), None);
        let page = series.page("a\"b");
        for expect in [
            "# TYPE :tensorflow:serving:request_count counter\n",
            ":tensorflow:serving:request_count{model_name=\"a\\\"b\",status=\"OK\"} 3\n",
            ":tensorflow:serving:request_count{model_name=\"a\\\"b\",status=\"INVALID_ARGUMENT\"} 1\n",
            "# TYPE :tensorflow:serving:request_latency histogram\n",
            ":tensorflow:serving:request_latency_bucket{model_name=\"a\\\"b\",API=\"predict\",entrypoint=\"REST\",le=\"18\"} 0\n",
            ":tensorflow:serving:request_latency_bucket{model_name=\"a\\\"b\",API=\"predict\",entrypoint=\"REST\",le=\"32.4\"} 1\n",
            ":tensorflow:serving:request_latency_bucket{model_name=\"a\\\"b\",API=\"predict\",entrypoint=\"REST\",le=\"+Inf\"} 2\n",
            ":tensorflow:serving:request_latency_sum{model_name=\"a\\\"b\",API=\"predict\",entrypoint=\"REST\"} 60\n",
            ":tensorflow:serving:request_latency_count{model_name=\"a\\\"b\",API=\"predict\",entrypoint=\"REST\"} 2\n",
            ":tensorflow:serving:request_latency_bucket{model_name=\"a\\\"b\",API=\"regress\",entrypoint=\"REST\",le=\"1.47476e+09\"} 0\n",
            ":tensorflow:serving:request_latency_bucket{model_name=\"a\\\"b\",API=\"regress\",entrypoint=\"REST\",le=\"+Inf\"} 1\n",
            ":tensorflow:serving:runtime_latency_count{model_name=\"a\\\"b\",API=\"Predict\",runtime=\"aimass\"} 2\n",
        ] {
            assert!(page.contains(expect), "{expect} is missing in {page}");
        }
        assert!(!page.contains("classify"));
    }
}
