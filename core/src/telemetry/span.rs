//! One request as spans: what it was for its client, for each origin that was tried, and for the store. Values only;
//! [`super::otlp`] and [`super::zipkin`] write them, [`super::export`] keeps them until they are sent.
//!
//! Names and attributes are those of the OpenTelemetry semantic conventions for HTTP and databases. No query, no field and
//! no body is among them: any may hold a secret. Start at [`Tracer::spans`].

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use http::{Method, StatusCode, Version, header};

use crate::{
    config::{Document, OriginUrl},
    flow::Flow,
    http::trace,
    outcome::{CacheStatus, End, Outcome, Try, TryEnd},
};

/// One span, finished.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Trace.
    pub trace_id: [u8; 16],
    /// This span.
    pub span_id: [u8; 8],
    /// The span that it is a part of.
    pub parent_id: Option<[u8; 8]>,
    /// Whether that one was another process's.
    pub parent_is_remote: bool,
    /// Its role.
    pub kind: SpanKind,
    /// Of low cardinality.
    pub name: String,
    /// Unix time in microseconds.
    pub start_us: u64,
    /// Unix time in microseconds; not before the start.
    pub end_us: u64,
    /// Names and values.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed.
    pub failed: bool,
}

/// Role of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Within the gateway.
    Internal,
    /// A request that was answered.
    Server,
    /// A request that was made.
    Client,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A word of the gateway's or the conventions'.
    Word(&'static str),
    /// Anything else.
    Text(String),
    /// A number.
    Number(i64),
}

/// Makes spans for one document.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    /// Names, and where they are, by [`crate::origins::OriginId`].
    origins: Vec<(String, OriginUrl)>,
    /// Whether the store is Redis rather than memory.
    has_store: bool,
}

impl Tracer {
    /// None where no trace is to be exported.
    pub(crate) fn new(document: &Document) -> Option<Self> {
        let origin = |origin: &crate::config::Origin| (origin.name.clone(), origin.url.clone());
        document.otel.is_on().then(|| Self {
            origins: document.origins.iter().map(origin).collect(),
            has_store: document.store.url.is_some(),
        })
    }

    /// The spans of a request that is over: its own first.
    pub(crate) fn spans(
        &self,
        flow: &Flow,
        status: StatusCode,
        refused: Option<&'static str>,
        outcome: &Outcome,
    ) -> Vec<Span> {
        let mut spans = Vec::with_capacity(outcome.tries.len().saturating_add(2));
        let start_us = if flow.behind {
            outcome.now_ms.saturating_mul(1000).saturating_sub(outcome.total_us)
        } else {
            flow.request.facts.now_ms.saturating_mul(1000)
        };
        spans.push(self.own(flow, status, refused, outcome, start_us));
        if flow.asked && !flow.behind {
            spans.push(self.store(flow, outcome, start_us));
        }
        let tries = outcome.tries.iter().enumerate();
        spans.extend(tries.map(|(place, tried)| self.origin(flow, place, tried, start_us)));
        spans
    }

    fn own(
        &self,
        flow: &Flow,
        status: StatusCode,
        refused: Option<&'static str>,
        outcome: &Outcome,
        start_us: u64,
    ) -> Span {
        let request = &flow.request;
        let trace = &request.trace;
        let route = Some(&request.route).filter(|route| route.pattern.starts_with('/'));
        let mut facts = Vec::with_capacity(16);
        let method = method(&request.head.method, &mut facts);
        facts.push(("url.path", text(request.head.uri.path())));
        facts.push(("url.scheme", Value::Word(if request.facts.peer.tls { "https" } else { "http" })));
        if let Some(route) = route {
            facts.push(("http.route", text(&route.pattern)));
        }
        facts.push(("http.response.status_code", Value::Number(status.as_u16().into())));
        if let Some(host) = host(flow) {
            let (name, port) = split(host);
            facts.push(("server.address", text(name)));
            facts.extend(port.map(|port| ("server.port", Value::Number(port))));
        }
        facts.push(("client.address", Value::Text(request.client.to_string())));
        facts.push(("network.protocol.version", Value::Word(version(request.head.version))));
        facts.push(("gateway.request_id", text(&request.id)));
        if let Some(identity) = &flow.identity {
            facts.push(("gateway.identity", text(&identity.id)));
        }
        facts.extend(flow.cache.map(|cache| ("gateway.cache", Value::Word(CacheStatus::as_str(cache)))));
        facts.extend(refused.map(|reason| ("gateway.refused", Value::Word(reason))));
        let failed = status.is_server_error() || outcome.end == End::OriginBroke;
        match outcome.end {
            End::Complete if failed => facts.push(("error.type", text(status.as_str()))),
            End::Complete => {}
            End::ClientLeft => facts.push(("gateway.end", Value::Word("client_left"))),
            End::OriginBroke => facts.push(("error.type", Value::Word("origin_broke"))),
        }
        let name = match route {
            _ if flow.behind => "cache refresh".to_owned(),
            Some(route) => format!("{method} {}", route.pattern),
            None => method.to_owned(),
        };
        Span {
            trace_id: trace.trace_id,
            span_id: trace.span_id,
            parent_id: (trace.parent_id != [0; 8]).then_some(trace.parent_id),
            parent_is_remote: !flow.behind,
            kind: if flow.behind { SpanKind::Internal } else { SpanKind::Server },
            name,
            start_us,
            end_us: start_us.saturating_add(outcome.total_us),
            attributes: facts,
            failed,
        }
    }

    fn store(&self, flow: &Flow, outcome: &Outcome, start_us: u64) -> Span {
        let from_us = start_us.saturating_add(outcome.store_at_us);
        let down = flow.events.contains(&crate::event::Event::HealthDegraded);
        let mut facts = Vec::new();
        if self.has_store {
            facts.push(("db.system.name", Value::Word("redis")));
            facts.push(("db.operation.name", Value::Word("EVALSHA")));
        }
        if down {
            facts.push(("error.type", Value::Word("store_down")));
        }
        Span {
            kind: if self.has_store { SpanKind::Client } else { SpanKind::Internal },
            name: if self.has_store { "EVALSHA" } else { "store" }.to_owned(),
            end_us: from_us.saturating_add(outcome.store_us),
            ..self.part(flow, trace::child(&flow.request.trace, trace::Part::Store), from_us, facts, down)
        }
    }

    fn origin(&self, flow: &Flow, place: usize, tried: &Try, start_us: u64) -> Span {
        let mut facts = Vec::with_capacity(8);
        let method = method(&flow.request.head.method, &mut facts).to_owned();
        if let Some((name, url)) = self.origins.get(tried.origin.0) {
            facts.push(("server.address", text(url.host.trim_matches(['[', ']']))));
            facts.push(("server.port", Value::Number(url.port.into())));
            // The conventions ask for the whole URL, and for its secrets to be left out: the query is.
            facts.push(("url.full", text(&format!("{url}{}", flow.request.head.uri.path()))));
            facts.push(("gateway.origin", text(name)));
        }
        if place > 0 {
            facts
                .push(("http.request.resend_count", Value::Number(i64::try_from(place).unwrap_or(i64::MAX))));
        }
        let failed = match tried.end {
            TryEnd::Answered(status) => {
                facts.push(("http.response.status_code", Value::Number(status.as_u16().into())));
                let failed = status.is_client_error() || status.is_server_error();
                facts.extend(failed.then(|| ("error.type", text(status.as_str()))));
                failed
            }
            TryEnd::Failed(failure) => {
                facts.push(("error.type", Value::Word(failure.as_str())));
                true
            }
            TryEnd::Left => {
                facts.push(("gateway.end", Value::Word("client_left")));
                false
            }
        };
        let id = trace::child(&flow.request.trace, trace::Part::Attempt(place));
        Span {
            kind: SpanKind::Client,
            name: method,
            end_us: start_us.saturating_add(tried.until_us.max(tried.from_us)),
            ..self.part(flow, id, start_us.saturating_add(tried.from_us), facts, failed)
        }
    }

    /// A part of the request's own span.
    fn part(
        &self,
        flow: &Flow,
        span_id: [u8; 8],
        start_us: u64,
        attributes: Vec<(&'static str, Value)>,
        failed: bool,
    ) -> Span {
        Span {
            trace_id: flow.request.trace.trace_id,
            span_id,
            parent_id: Some(flow.request.trace.span_id),
            parent_is_remote: false,
            kind: SpanKind::Internal,
            name: String::new(),
            start_us,
            end_us: start_us,
            attributes,
            failed,
        }
    }
}

/// The method for names and the attribute: what nobody knows is `HTTP` and `_OTHER`, so that labels stay few.
fn method(method: &Method, facts: &mut Vec<(&'static str, Value)>) -> &'static str {
    let known = METHODS.into_iter().find(|known| *known == method.as_str());
    facts.push(("http.request.method", Value::Word(known.unwrap_or("_OTHER"))));
    if known.is_none() {
        facts.push(("http.request.method_original", text(method.as_str())));
    }
    known.unwrap_or("HTTP")
}

fn host(flow: &Flow) -> Option<&str> {
    let head = &flow.request.head;
    let named = || Some(head.uri.authority()?.as_str());
    head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).or_else(named)
}

fn split(host: &str) -> (&str, Option<i64>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, None),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// A bounded copy: paths may be as long as heads.
fn text(text: &str) -> Value {
    Value::Text(text.chars().take(MAX_CHARS).collect())
}

const MAX_CHARS: usize = 512;
/// The conventions' list.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

#[cfg(test)]
mod tests;
