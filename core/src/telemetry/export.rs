//! Where spans wait ([`Outbox`]) and how they are sent ([`Exporter`]): values that are told the time. A shell posts what
//! [`Exporter::posts`] gives it and says what came of it; no request ever waits for that.

use alloc::{collections::VecDeque, format, string::String, sync::Arc, vec::Vec};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::{otlp, span::Span, zipkin};
use crate::config::{Document, LogLevel, OtlpProtocol};

/// Collectors of one document.
#[derive(Clone, Debug)]
pub struct Exporter {
    resource: Vec<(String, String)>,
    service: String,
    collectors: Vec<Collector>,
    timeout_ms: u64,
    max_queue: usize,
    max_batch: usize,
    delay_ms: u64,
}

#[derive(Clone, Debug)]
struct Collector {
    uri: Uri,
    headers: HeaderMap,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OtlpJson,
    OtlpProtobuf,
    Zipkin,
}

/// One request to a collector.
#[derive(Clone, Debug)]
pub struct Post {
    /// Whole target.
    pub uri: Uri,
    /// Fields; may hold a secret.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Ms for the answer.
    pub timeout_ms: u64,
}

impl Exporter {
    /// None where nothing is exported.
    pub fn new(document: &Document) -> Option<Arc<Self>> {
        let otel = &document.otel;
        if !otel.is_on() {
            return None;
        }
        let mut collectors = Vec::new();
        if let Some(uri) = otel.otlp_traces_url().and_then(|url| url.parse().ok()) {
            let (form, kind) = match otel.otlp_protocol {
                OtlpProtocol::Json => (Form::OtlpJson, JSON),
                OtlpProtocol::Protobuf => (Form::OtlpProtobuf, PROTOBUF),
            };
            let mut headers = HeaderMap::new();
            for extra in &otel.otlp_headers {
                let name = HeaderName::try_from(extra.name.as_str());
                let value = HeaderValue::try_from(extra.value.expose_secret());
                if let (Ok(name), Ok(mut value)) = (name, value) {
                    value.set_sensitive(true);
                    headers.append(name, value);
                }
            }
            headers.insert(header::CONTENT_TYPE, kind);
            collectors.push(Collector { uri, headers, form });
        }
        if let Some(uri) = otel.zipkin_endpoint.as_deref().and_then(zipkin_uri) {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, JSON)]);
            collectors.push(Collector { uri, headers, form: Form::Zipkin });
        }
        for collector in &mut collectors {
            collector.headers.insert(header::USER_AGENT, AGENT);
        }
        let resource = otlp::resource(document);
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Some(Arc::new(Self {
            service: resource.first().map(|(_, name)| name.clone()).unwrap_or_default(),
            resource,
            collectors,
            timeout_ms: otel.otlp_timeout_ms.into(),
            max_queue: size(otel.max_queue),
            max_batch: size(otel.max_batch),
            delay_ms: otel.schedule_delay_ms.into(),
        }))
    }

    /// The requests that send these spans, one to each collector.
    pub fn posts(&self, spans: &[Span]) -> Vec<Post> {
        let body = |form| match form {
            Form::OtlpJson => otlp::json(&self.resource, spans),
            Form::OtlpProtobuf => otlp::protobuf(&self.resource, spans),
            Form::Zipkin => zipkin::json(&self.service, spans),
        };
        let post = |to: &Collector| Post {
            uri: to.uri.clone(),
            headers: to.headers.clone(),
            body: body(to.form).into(),
            timeout_ms: self.timeout_ms,
        };
        self.collectors.iter().map(post).collect()
    }

    /// Ms between exports where a process lives.
    pub fn delay_ms(&self) -> u64 {
        self.delay_ms
    }

    /// Authorities of the collectors.
    pub fn authorities(&self) -> impl Iterator<Item = &str> {
        self.collectors.iter().filter_map(|to| Some(to.uri.authority()?.as_str()))
    }
}

/// A URL without a path is Zipkin's server: spans have a path of their own there.
fn zipkin_uri(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    if uri.path() == "/" {
        format!("{}/api/v2/spans", url.trim_end_matches('/')).parse().ok()
    } else {
        Some(uri)
    }
}

/// Spans that wait, and what became of the others.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Span>,
    counts: SpanCounts,
    /// The last export failed.
    failing: bool,
}

/// Spans by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// Taken by every collector.
    pub exported: u64,
    /// Found no place in the queue, or were not taken.
    pub dropped: u64,
}

impl Outbox {
    /// Takes a request's spans, as many as there is place for. Whether a whole batch waits.
    pub fn push(&mut self, spans: Vec<Span>, exporter: &Exporter) -> bool {
        for span in spans {
            if self.waiting.len() < exporter.max_queue {
                self.waiting.push_back(span);
            } else {
                self.counts.dropped = self.counts.dropped.saturating_add(1);
            }
        }
        self.waiting.len() >= exporter.max_batch
    }

    /// The next batch; empty if none waits.
    pub fn take(&mut self, exporter: &Exporter) -> Vec<Span> {
        let size = self.waiting.len().min(exporter.max_batch);
        self.waiting.drain(..size).collect()
    }

    /// Notes what came of a batch of so many spans, and why it was not taken, if it was not. A line for the log where that changed.
    pub fn exported(&mut self, spans: usize, failure: Option<&str>) -> Option<Change> {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        let was_failing = core::mem::replace(&mut self.failing, failure.is_some());
        match failure {
            None => {
                self.counts.exported = self.counts.exported.saturating_add(spans);
                was_failing.then_some(Change::Recovered)
            }
            Some(reason) => {
                self.counts.dropped = self.counts.dropped.saturating_add(spans);
                (!was_failing).then(|| Change::Failed(reason.into()))
            }
        }
    }

    /// What became of spans so far.
    pub fn counts(&self) -> SpanCounts {
        self.counts
    }

    /// Spans that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// How exports fare from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// They fail, for this reason.
    Failed(String),
    /// They are taken again.
    Recovered,
}

impl Change {
    /// Level, message and detail for the log.
    pub fn told(&self) -> (LogLevel, &'static str, Option<&str>) {
        match self {
            Self::Failed(reason) => {
                (LogLevel::Warn, "spans are not exported; they are dropped", Some(reason.as_str()))
            }
            Self::Recovered => (LogLevel::Info, "spans are exported again", None),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("acip-gateway/", env!("CARGO_PKG_VERSION")));
