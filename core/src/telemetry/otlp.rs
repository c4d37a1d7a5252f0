//! Spans as OTLP writes them (`ExportTraceServiceRequest`): JSON, where ids are hexadecimal and 64-bit numbers are text,
//! and protocol buffers. The field numbers are those of `opentelemetry/proto/trace/v1/trace.proto`.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use serde_json::{Value as Json, json};

use super::span::{Span, SpanKind, Value};
use crate::hex::hex;

/// As JSON. `resource`: facts about the process.
pub(super) fn json(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let facts: Vec<Json> = resource
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } }))
        .collect();
    let spans: Vec<Json> = spans.iter().map(span_json).collect();
    let whole = json!({ "resourceSpans": [{
        "resource": { "attributes": facts },
        "scopeSpans": [{ "scope": { "name": SCOPE, "version": VERSION }, "spans": spans }],
    }] });
    whole.to_string().into_bytes()
}

fn span_json(span: &Span) -> Json {
    let value = |value: &Value| match value {
        Value::Word(word) => json!({ "stringValue": word }),
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
    };
    let attributes: Vec<Json> =
        span.attributes.iter().map(|(key, it)| json!({ "key": key, "value": value(it) })).collect();
    json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "parentSpanId": span.parent_id.map(|id| hex(&id)).unwrap_or_default(),
        "flags": flags(span),
        "name": span.name,
        "kind": kind(span.kind),
        "startTimeUnixNano": nanos(span.start_us).to_string(),
        "endTimeUnixNano": nanos(span.end_us).to_string(),
        "attributes": attributes,
        "status": if span.failed { json!({ "code": ERROR }) } else { json!({}) },
    })
}

/// As protocol buffers.
pub(super) fn protobuf(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut about = Message::default();
    for (key, value) in resource {
        about.message(1, &attribute(key, &Value::Text(value.clone())));
    }
    let mut scope = Message::default();
    scope.text(1, SCOPE);
    scope.text(2, VERSION);
    let mut of_scope = Message::default();
    of_scope.message(1, &scope);
    for span in spans {
        of_scope.message(2, &span_message(span));
    }
    let mut of_resource = Message::default();
    of_resource.message(1, &about);
    of_resource.message(2, &of_scope);
    let mut whole = Message::default();
    whole.message(1, &of_resource);
    whole.0
}

fn span_message(span: &Span) -> Message {
    let mut message = Message::default();
    message.bytes(1, &span.trace_id);
    message.bytes(2, &span.span_id);
    if let Some(parent) = &span.parent_id {
        message.bytes(4, parent);
    }
    message.text(5, &span.name);
    message.number(6, kind(span.kind));
    message.fixed64(7, nanos(span.start_us));
    message.fixed64(8, nanos(span.end_us));
    for (key, value) in &span.attributes {
        message.message(9, &attribute(key, value));
    }
    if span.failed {
        let mut status = Message::default();
        status.number(3, ERROR);
        message.message(15, &status);
    }
    message.fixed32(16, flags(span));
    message
}

fn attribute(key: &str, value: &Value) -> Message {
    let mut any = Message::default();
    match value {
        Value::Word(word) => any.text(1, word),
        Value::Text(text) => any.text(1, text),
        Value::Number(number) => any.number(3, number.cast_unsigned()),
    }
    let mut pair = Message::default();
    pair.text(1, key);
    pair.message(2, &any);
    pair
}

/// A message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.key(field, 0);
        self.varint(number);
    }

    fn fixed64(&mut self, field: u64, number: u64) {
        self.key(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn fixed32(&mut self, field: u64, number: u32) {
        self.key(field, 5);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }
}

/// Sampled, and whether the parent is another process's.
fn flags(span: &Span) -> u32 {
    let remote = span.parent_is_remote && span.parent_id.is_some();
    SAMPLED | KNOWS_PARENT | if remote { PARENT_IS_REMOTE } else { 0 }
}

fn kind(kind: SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    }
}

fn nanos(us: u64) -> u64 {
    us.saturating_mul(1000)
}

/// Facts about the process that every collector expects.
pub(super) fn resource(document: &crate::config::Document) -> Vec<(String, String)> {
    let otel = &document.otel;
    let given =
        |key: &str| otel.resource_attributes.iter().find(|it| it.key == key).map(|it| it.value.clone());
    let unnamed = otel.service_name == crate::config::Otel::default().service_name;
    let name = given(SERVICE_NAME).filter(|_| unnamed).unwrap_or_else(|| otel.service_name.clone());
    let mut facts: Vec<(String, String)> = [
        (SERVICE_NAME, name),
        ("service.version", VERSION.to_string()),
        ("telemetry.sdk.name", SCOPE.to_string()),
        ("telemetry.sdk.language", "rust".to_string()),
        ("telemetry.sdk.version", VERSION.to_string()),
    ]
    .map(|(key, value)| (key.to_string(), value))
    .into();
    for it in &otel.resource_attributes {
        match facts.iter_mut().find(|(key, _)| *key == it.key) {
            Some((key, _)) if key == SERVICE_NAME => {}
            Some((_, value)) => *value = it.value.clone(),
            None => facts.push((it.key.clone(), it.value.clone())),
        }
    }
    facts
}

const SERVICE_NAME: &str = "service.name";
const SCOPE: &str = "acip-gateway";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;
const SAMPLED: u32 = 1;
const KNOWS_PARENT: u32 = 1 << 8;
const PARENT_IS_REMOTE: u32 = 1 << 9;
