//! Traces: what a request took here, as spans for an OpenTelemetry collector (OTLP over HTTP, protocol buffers).
//!
//! Without an endpoint there are none, and nothing of this runs. Spans are made when a request has ended, from what its
//! record knows. They wait in a bounded queue for a thread of their own; what finds it full is dropped, and a collector
//! that fails is told in the log, never to callers.

mod sender;

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use http::HeaderMap;
use opentelemetry::Context;
pub use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TracerProvider as _,
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};

use self::sender::Sender;
use crate::args::Problems;
use crate::clock;

/// Spans that wait to be sent.
const QUEUE: usize = 2048;
/// Spans that are sent at once.
const BATCH: usize = 512;
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(2);
/// For what still waits when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Flags about traces.
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// OpenTelemetry collector that gets traces over OTLP/HTTP, as in http://collector:4318. Without it there are none.
    #[arg(long, env = "AIMASS_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Share of the requests that are traced where the caller's traceparent does not say, from 0 to 1.
    #[arg(long, env = "AIMASS_TRACE_RATIO", default_value = "0.01")]
    pub trace_ratio: String,
}

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// `http://collector:4318/v1/traces`
    endpoint: String,
    /// From 0 to 1.
    ratio: f64,
}

impl Export {
    /// The address that spans are posted to.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The share of requests that are traced where callers do not say.
    #[must_use]
    pub const fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Judges the flags; `None` if no traces are wanted.
    pub fn of(args: &TraceArgs, problems: &mut Problems) -> Option<Self> {
        let ratio = args.trace_ratio.parse::<f64>().ok();
        let Some(ratio) = ratio.filter(|ratio| (0.0..=1.0).contains(ratio)) else {
            let rule = format!("must be between 0 and 1, is {:?}", args.trace_ratio);
            problems.add("--trace-ratio", &rule);
            return None;
        };
        let text = args
            .otlp_endpoint
            .as_deref()
            .filter(|text| !text.is_empty())?;
        let endpoint = endpoint(text).ok_or_else(|| {
            format!(
                "must be as in http://collector:4318 or https://collector/v1/traces, is {text:?}"
            )
        });
        let endpoint = problems.take("--otlp-endpoint", endpoint)?;
        Some(Self { endpoint, ratio })
    }
}

/// The address with its path: OpenTelemetry's, unless there is one.
fn endpoint(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(())?;
    uri.host().filter(|host| !host.is_empty())?;
    uri.query().is_none().then_some(())?;
    let base = text.trim_end_matches('/');
    Some(match uri.path() {
        "" | "/" => format!("{base}/v1/traces"),
        _ => text.to_owned(),
    })
}

/// Which trace a request belongs to, as its caller says (W3C Trace Context).
#[derive(Clone, Debug, Default)]
pub struct Caller(Option<SpanContext>);

impl Caller {
    /// From `traceparent` and `tracestate`; what is invalid is as if it were not there.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key("traceparent") {
            return Self(None);
        }
        let context = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let caller = context.span().span_context().clone();
        Self(caller.is_valid().then_some(caller))
    }

    /// 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        self.0.as_ref().map(|caller| caller.trace_id().to_string())
    }
}

/// A request that has ended.
pub struct Request {
    /// Of few different values: `oip infer`.
    pub name: String,
    /// From its head to its answer.
    pub took: Duration,
    /// Why it failed, if that was our fault.
    pub failure: Option<&'static str>,
    /// More about it.
    pub attributes: Vec<KeyValue>,
    /// The parts of its way that are known, in their order. What was between them is not: they are shown one right
    /// after the other up to the end of the request.
    pub phases: Vec<(&'static str, Duration)>,
}

/// Makes spans and sends them.
#[derive(Clone, Debug)]
pub struct Traces {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
}

impl Traces {
    /// Traces of the process `service`, all of which have `attributes`. Called on the runtime that sends them.
    ///
    /// # Errors
    /// `https`, and the system has no certificate authorities; or no thread.
    pub fn start(
        export: &Export,
        service: &'static str,
        attributes: Vec<KeyValue>,
    ) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new(export.endpoint.starts_with("https:"))?)
            .with_endpoint(&export.endpoint)
            .with_timeout(sender::TIMEOUT)
            .build()
            .context("failed to start traces")?;
        let bounds = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attributes(attributes);
        let root = Sampler::TraceIdRatioBased(export.ratio);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::new(exporter, bounds))
            .with_sampler(Sampler::ParentBased(Box::new(root)))
            .with_resource(resource.build())
            .build();
        tracing::info!(
            endpoint = export.endpoint,
            ratio = export.ratio,
            "traces are sent"
        );
        Ok(Self {
            tracer: provider.tracer(service),
            provider,
        })
    }

    /// Notes a request that ends now; the id of its trace if it is in one.
    pub fn end(&self, caller: &Caller, request: Request) -> Option<String> {
        let end = SystemTime::from(clock::now());
        let before = |took| end.checked_sub(took).unwrap_or(end);
        let root = Context::new();
        let parent = match &caller.0 {
            Some(caller) => root.with_remote_span_context(caller.clone()),
            None => root,
        };
        let mut builder = SpanBuilder::from_name(request.name)
            .with_kind(SpanKind::Server)
            .with_start_time(before(request.took))
            .with_attributes(request.attributes);
        if let Some(failure) = request.failure {
            builder
                .attributes
                .get_or_insert_default()
                .push(KeyValue::new("error.type", failure));
        }
        let span = builder.start_with_context(&self.tracer, &parent);
        let context = parent.with_span(span);
        let span = context.span();
        if !span.is_recording() {
            return caller.trace_id();
        }
        if let Some(failure) = request.failure {
            span.set_status(Status::error(failure));
        }
        let mut from = before(request.phases.iter().map(|(_, took)| *took).sum());
        for (name, took) in request.phases {
            let builder = SpanBuilder::from_name(name).with_start_time(from);
            let mut phase = builder.start_with_context(&self.tracer, &context);
            from = from.checked_add(took).unwrap_or(end);
            opentelemetry::trace::Span::end_with_timestamp(&mut phase, from);
        }
        span.end_with_timestamp(end);
        Some(span.span_context().trace_id().to_string())
    }

    /// Sends what still waits, for as long as an ending process can wait for it.
    pub async fn stop(self) {
        let stop = move || self.provider.shutdown_with_timeout(LAST_WORDS);
        let stopped = tokio::time::timeout(LAST_WORDS, tokio::task::spawn_blocking(stop)).await;
        if !matches!(stopped, Ok(Ok(Ok(())))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(endpoint: Option<&str>, ratio: &str) -> Result<Option<Export>, String> {
        let args = TraceArgs {
            otlp_endpoint: endpoint.map(str::to_owned),
            trace_ratio: ratio.to_owned(),
        };
        let mut problems = Problems::new();
        let export = Export::of(&args, &mut problems);
        if problems.is_empty() {
            Ok(export)
        } else {
            Err(problems.describe("s"))
        }
    }

    #[test]
    fn an_endpoint_gets_the_path_of_traces() {
        let to = |endpoint| export(Some(endpoint), "1").unwrap().unwrap().endpoint;
        assert_eq!(to("http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(to("http://c:4318/"), "http://c:4318/v1/traces");
        assert_eq!(to("https://c/otlp/v1/traces"), "https://c/otlp/v1/traces");
        assert_eq!(export(None, "1"), Ok(None));
        assert_eq!(export(Some(""), "1"), Ok(None));
    }

    #[test]
    fn what_is_no_endpoint_or_no_share_is_refused() {
        for endpoint in ["c:4318", "grpc://c:4317", "http://", "http://c/?a=b", "x y"] {
            let error = export(Some(endpoint), "1").unwrap_err();
            assert!(
                error.contains("--otlp-endpoint (AIMASS_OTLP_ENDPOINT)"),
                "{error}"
            );
        }
        for ratio in ["", "2", "-0.1", "NaN", "all"] {
            let error = export(None, ratio).unwrap_err();
            assert!(error.contains("--trace-ratio"), "{error}");
        }
    }

    #[test]
    fn a_callers_trace_is_taken_if_it_is_valid() {
        let caller = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            Caller::of(&headers).trace_id()
        };
        let id = "0af7651916cd43dd8448eb211c80319c";
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(caller(valid).as_deref(), Some(id));
        for invalid in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(caller(invalid), None, "{invalid}");
        }
        assert_eq!(Caller::of(&HeaderMap::new()).trace_id(), None);
    }
}
