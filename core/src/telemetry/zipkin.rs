//! Spans as Zipkin's version 2 writes them: a list of JSON objects, times in microseconds, everything else as tags of text.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use serde_json::{Map, Value as Json, json};

use super::span::{Span, SpanKind, Value};
use crate::{gather::gather, hex::hex};

/// As JSON. `service`: the process's name.
pub(super) fn json(service: &str, spans: &[Span]) -> Vec<u8> {
    let spans: Vec<Json> = spans.iter().map(|span| one(service, span)).collect();
    Json::Array(spans).to_string().into_bytes()
}

fn one(service: &str, span: &Span) -> Json {
    let mut out = Map::new();
    let mut set = |key: &str, value: Json| {
        out.insert(key.to_string(), value);
    };
    set("traceId", hex(&span.trace_id).into());
    set("id", hex(&span.span_id).into());
    if let Some(parent) = &span.parent_id {
        set("parentId", hex(parent).into());
    }
    match span.kind {
        SpanKind::Server => set("kind", "SERVER".into()),
        SpanKind::Client => set("kind", "CLIENT".into()),
        SpanKind::Internal => {}
    }
    set("name", span.name.to_lowercase().into());
    set("timestamp", span.start_us.into());
    // Zero stands for unknown.
    set("duration", span.end_us.saturating_sub(span.start_us).max(1).into());
    set("localEndpoint", json!({ "serviceName": service.to_lowercase() }));
    let mut tags: Map<String, Json> =
        gather(span.attributes.iter().map(|(key, value)| ((*key).to_string(), text(value).into())));
    if span.failed {
        let reason = span.attributes.iter().find(|(key, _)| *key == "error.type");
        tags.insert("error".to_string(), reason.map_or_else(String::new, |(_, value)| text(value)).into());
    }
    if let Some(remote) = remote(span) {
        set("remoteEndpoint", remote);
    }
    set("tags", Json::Object(tags));
    Json::Object(out)
}

/// The origin that was asked.
fn remote(span: &Span) -> Option<Json> {
    let of = |name: &str| span.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| text(value));
    if span.kind != SpanKind::Client {
        return None;
    }
    let service = of("gateway.origin").or_else(|| of("db.system.name"))?;
    let mut remote = json!({ "serviceName": service.to_lowercase() });
    if let (Json::Object(remote), Some(port)) =
        (&mut remote, of("server.port").and_then(|port| port.parse::<u16>().ok()))
    {
        remote.insert("port".to_string(), port.into());
    }
    Some(remote)
}

fn text(value: &Value) -> String {
    match value {
        Value::Word(word) => (*word).to_string(),
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
    }
}
