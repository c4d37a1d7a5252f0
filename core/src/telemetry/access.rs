//! One line per request for the access log. No query, no credential: a query may hold one.

use alloc::{format, string::String};
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::{Document, LogLevel, Ratio},
    keys::iso8601,
    outcome::{AccessRecord, Audit, CacheStatus, End},
};

/// Whether a request's line is to be written: the level wants it, and it is in the sample or something went wrong. That of
/// a change by an administrator always is: it is the record of it.
pub fn is_written(record: &AccessRecord, document: &Document) -> bool {
    let log = &document.log;
    if record.audit.is_some() {
        return true;
    }
    if log.level < LogLevel::Info {
        return false;
    }
    let well = record.outcome.end == End::Complete && record.status.as_u16() < 400;
    if log.sample == Ratio::ALL || !well {
        return true;
    }
    // The random half of the trace id, so that all that belongs to one trace is kept together.
    let bits = record.trace_id.get(16..).and_then(|half| u64::from_str_radix(half, 16).ok());
    bits.is_none_or(|bits| log.sample.admits(bits))
}

/// One JSON object, without a line end. `document` names the origin.
pub fn json_line(record: &AccessRecord, document: &Document) -> String {
    let outcome = &record.outcome;
    let line = Line {
        timestamp: iso8601(record.start_ms),
        level: "INFO",
        message: "request",
        request_id: &record.request_id,
        trace_id: &record.trace_id,
        client: &record.client,
        identity: record.identity.as_deref(),
        method: record.method.as_str(),
        path: &record.path,
        route: record.route.as_ref().map(|route| route.pattern.as_str()),
        status: record.status.as_u16(),
        refused: record.refused,
        limit: record.limit.as_deref(),
        cache: record.cache.map(CacheStatus::as_str),
        origin: origin(record, document),
        end: end(outcome.end),
        duration_us: outcome.total_us,
        store_us: outcome.store_us,
        origin_us: outcome.origin_us,
        overhead_us: outcome.total_us.saturating_sub(outcome.origin_us),
        request_bytes: outcome.request_bytes,
        response_bytes: outcome.response_bytes,
        audit: record.audit.as_ref(),
    };
    // INVARIANT: texts and numbers under fixed names always serialize.
    serde_json::to_string(&line).unwrap_or_default()
}

/// The fields in their order. Borrowed, and written at once: this runs for every request, on the thread that serves.
#[derive(Serialize)]
struct Line<'r> {
    timestamp: Option<String>,
    level: &'static str,
    message: &'static str,
    request_id: &'r str,
    trace_id: &'r str,
    client: &'r str,
    identity: Option<&'r str>,
    method: &'r str,
    path: &'r str,
    route: Option<&'r str>,
    status: u16,
    refused: Option<&'static str>,
    limit: Option<&'r str>,
    cache: Option<&'static str>,
    origin: Option<&'r str>,
    end: &'static str,
    duration_us: u64,
    store_us: u64,
    origin_us: u64,
    overhead_us: u64,
    request_bytes: u64,
    response_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<&'r Audit>,
}

/// For people, without a line end.
pub fn pretty_line(record: &AccessRecord, document: &Document) -> String {
    let outcome = &record.outcome;
    let time = iso8601(record.start_ms).unwrap_or_default();
    let mut line = format!(
        "{time} {} {} {} {}.{:03}ms {}B",
        record.status.as_u16(),
        record.method,
        Value::from(record.path.as_str()),
        outcome.total_us / 1000,
        outcome.total_us % 1000,
        outcome.response_bytes,
    );
    let facts = [
        ("origin", origin(record, document)),
        ("cache", record.cache.map(CacheStatus::as_str)),
        ("refused", record.refused),
        ("limit", record.limit.as_deref()),
        ("identity", record.identity.as_deref()),
        ("end", (outcome.end != End::Complete).then(|| end(outcome.end))),
        ("id", Some(record.request_id.as_str())),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    if let Some(audit) = record.audit.as_ref().and_then(|audit| serde_json::to_string(audit).ok()) {
        line.push_str(&format!(" audit={audit}"));
    }
    line
}

fn origin<'d>(record: &AccessRecord, document: &'d Document) -> Option<&'d str> {
    let origin = document.origins.get(record.outcome.origin?.0)?;
    Some(origin.name.as_str())
}

fn end(end: End) -> &'static str {
    match end {
        End::Complete => "complete",
        End::ClientLeft => "client_left",
        End::OriginBroke => "origin_broke",
    }
}
