//! Whole requests, and the spans that they leave.

use std::{string::ToString, vec, vec::Vec};

use http::StatusCode;
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    OriginFailure,
    config::{OtlpProtocol, Ratio, Sampler},
    hex::hex,
    origins::OriginId,
    plugins::fixture::{self, NOW_MS},
    telemetry::export::{Change, Exporter, Outbox},
    verdict::ResponseHead,
};

fn document() -> Document {
    let mut document = fixture::document();
    document.otel.enabled = true;
    document.otel.otlp_endpoint = Some("http://collector:4318/".into());
    document
}

const PARENT: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
const UNSAMPLED: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");

/// A request whose first origin fails and whose second one answers. What was sent to each, and the spans.
fn spans(document: Document, target: &str, fields: &[(&str, &str)]) -> (Vec<String>, Vec<Span>) {
    let mut forward = fixture::forwarded(document, fixture::head("GET", target, fields), fixture::facts());
    let traced = forward.is_traced();
    let mut sent = Vec::new();
    for attempt in 0..2 {
        forward.depart(attempt);
        sent.push(fixture::field(&forward.headers, "traceparent"));
    }
    let head = ResponseHead { status: StatusCode::OK, headers: http::HeaderMap::new() };
    let seal = forward.seal(1, head, NOW_MS, NOW_MS);
    let tried = |origin, from_us, until_us, end| Try { origin: OriginId(origin), from_us, until_us, end };
    let tries = vec![
        tried(0, 100, 300, TryEnd::Failed(OriginFailure::Unreachable)),
        tried(1, 400, 900, TryEnd::Answered(StatusCode::OK)),
    ];
    let tries = if traced { tries } else { Vec::new() };
    let outcome = Outcome { now_ms: NOW_MS + 1, total_us: 1000, origin_us: 700, tries, ..Outcome::default() };
    (sent, seal.closing.finish(outcome).spans)
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    span.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| match value {
        Value::Word(word) => (*word).to_string(),
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
    })
}

#[test]
fn parents_chain_from_the_caller_to_each_origin() {
    let (sent, spans) = spans(document(), "/health?token=secret", &[PARENT]);
    let [own, first, second] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((own.kind, own.name.as_str()), (SpanKind::Server, "GET /health"));
    assert_eq!(hex(&own.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(own.parent_id.map(|id| hex(&id)).as_deref(), Some("00f067aa0ba902b7"));
    for (span, sent) in [(first, &sent[0]), (second, &sent[1])] {
        assert_eq!((span.kind, span.parent_id), (SpanKind::Client, Some(own.span_id)));
        assert_eq!(*sent, format!("00-{}-{}-01", hex(&own.trace_id), hex(&span.span_id)));
    }
    assert_ne!(first.span_id, second.span_id);
    assert_eq!(attribute(own, "url.path").as_deref(), Some("/health"));
    assert_eq!(attribute(own, "http.route").as_deref(), Some("/health"));
    assert_eq!(attribute(own, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(own, "server.address").as_deref(), Some("gateway.example"));
    assert_eq!(attribute(own, "client.address").as_deref(), Some("192.0.2.1"));
    assert_eq!(attribute(first, "error.type").as_deref(), Some("unreachable"));
    assert_eq!(attribute(second, "http.request.resend_count").as_deref(), Some("1"));
    assert_eq!(attribute(second, "url.full").as_deref(), Some("http://127.0.0.1:8001/health"));
    assert!(first.failed && !second.failed && !own.failed);
    let start = NOW_MS * 1000;
    assert_eq!((own.start_us, own.end_us), (start, start + 1000));
    assert_eq!((second.start_us, second.end_us), (start + 400, start + 900));
    assert!(!format!("{spans:?}").contains("secret"), "a query is not told");
}

#[test]
fn samplers_decide_as_their_names_say() {
    let check = |sampler, share: &str, fields: &[(&str, &str)], expected: bool| {
        let mut document = document();
        document.otel.sampler = sampler;
        document.otel.sampler_arg = Ratio::parse(share).unwrap();
        let (sent, spans) = spans(document, "/health", fields);
        let flag = if expected { "-01" } else { "-00" };
        assert!(sent[0].ends_with(flag), "{sampler:?} {share} {fields:?}: {}", sent[0]);
        assert_eq!(!spans.is_empty(), expected, "{sampler:?} {share} {fields:?}");
    };
    let none: &[(&str, &str)] = &[];
    for (sampler, alone, with, without) in [
        (Sampler::AlwaysOn, true, true, true),
        (Sampler::AlwaysOff, false, false, false),
        (Sampler::ParentBasedAlwaysOn, true, true, false),
        (Sampler::ParentBasedAlwaysOff, false, true, false),
    ] {
        check(sampler, "1", none, alone);
        check(sampler, "1", &[PARENT], with);
        check(sampler, "1", &[UNSAMPLED], without);
    }
    // The fixture's trace id is all eights: 0x0808… of 2^64 is 3.1 %.
    check(Sampler::Ratio, "0.04", none, true);
    check(Sampler::Ratio, "0.03", none, false);
    check(Sampler::Ratio, "0.5", &[PARENT], false);
    check(Sampler::Ratio, "0.7", &[UNSAMPLED], true);
    check(Sampler::ParentBasedRatio, "0", &[PARENT], true);
    check(Sampler::ParentBasedRatio, "1", &[UNSAMPLED], false);
    check(Sampler::ParentBasedRatio, "0", none, false);
}

#[test]
fn nothing_is_made_while_traces_are_off() {
    let off = |change: fn(&mut Document)| {
        let mut document = document();
        change(&mut document);
        let (sent, spans) = spans(document.clone(), "/health", &[PARENT]);
        // The caller's trace goes on all the same.
        assert!(sent[0].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent[0].ends_with("-01"));
        assert!(spans.is_empty() && spans.capacity() == 0);
        assert!(Exporter::new(&document).is_none());
    };
    off(|document| document.otel.enabled = false);
    off(|document| document.otel.sdk_disabled = true);
    off(|document| document.otel.otlp_endpoint = None);
}

#[test]
fn a_host_is_split_into_name_and_port() {
    let check = |host, expected| assert_eq!(split(host), expected);
    check("a.example", ("a.example", None));
    check("a.example:80", ("a.example", Some(80)));
    check("[::1]:80", ("[::1]", Some(80)));
    check("[::1]", ("[::1]", None));
}

fn exporter(change: impl FnOnce(&mut Document)) -> std::sync::Arc<Exporter> {
    let mut document = document();
    change(&mut document);
    Exporter::new(&document).unwrap()
}

#[test]
fn otlp_is_json_with_hexadecimal_ids_and_numbers_as_text() {
    let (_, spans) = spans(document(), "/health", &[PARENT]);
    let exporter = exporter(|document| {
        let attribute = |key: &str, value: &str| crate::config::ResourceAttribute {
            key: key.into(),
            value: value.into(),
        };
        document.otel.resource_attributes =
            vec![attribute("service.name", "named"), attribute("place", "here")];
        document.otel.otlp_headers = vec![crate::config::ExportHeader {
            name: "api-key".into(),
            value: crate::config::Secret::new("MARKED"),
        }];
    });
    let posts = exporter.posts(&spans);
    let [post] = posts.as_slice() else { panic!("{posts:?}") };
    assert_eq!(post.uri.to_string(), "http://collector:4318/v1/traces");
    assert_eq!(fixture::field(&post.headers, "content-type"), "application/json");
    assert_eq!(fixture::field(&post.headers, "api-key"), "MARKED");
    assert!(!format!("{post:?} {exporter:?}").contains("MARKED"), "a secret is shown");
    let whole: Json = serde_json::from_slice(&post.body).unwrap();
    let of = &whole["resourceSpans"][0];
    let resource = of["resource"]["attributes"].to_string();
    for fact in [r#"{"key":"service.name","value":{"stringValue":"named"}}"#, r#""place""#, "service.version"]
    {
        assert!(resource.contains(fact), "{resource} lacks {fact}");
    }
    let own = &of["scopeSpans"][0]["spans"][0];
    assert_eq!(own["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(own["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(own["kind"], 2);
    assert_eq!(own["startTimeUnixNano"], (NOW_MS * 1_000_000).to_string());
    assert_eq!(own["flags"], 0x301);
    let status = json!({ "key": "http.response.status_code", "value": { "intValue": "200" } });
    assert!(own["attributes"].as_array().unwrap().contains(&status), "{own}");
    assert_eq!(of["scopeSpans"][0]["spans"][1]["status"], json!({ "code": 2 }));
}

#[test]
fn zipkin_has_times_in_microseconds_and_tags_of_text() {
    let (_, spans) = spans(document(), "/health", &[PARENT]);
    let exporter = exporter(|document| {
        document.otel.otlp_endpoint = None;
        document.otel.zipkin_endpoint = Some("http://zipkin:9411".into());
        document.otel.service_name = "Gate".into();
    });
    let posts = exporter.posts(&spans);
    let [post] = posts.as_slice() else { panic!("{posts:?}") };
    assert_eq!(post.uri.to_string(), "http://zipkin:9411/api/v2/spans");
    let whole: Json = serde_json::from_slice(&post.body).unwrap();
    let own = &whole[0];
    assert_eq!(own["id"].as_str().map(str::len), Some(16));
    assert_eq!((&own["kind"], &own["name"]), (&json!("SERVER"), &json!("get /health")));
    assert_eq!((&own["timestamp"], &own["duration"]), (&json!(NOW_MS * 1000), &json!(1000)));
    assert_eq!(own["localEndpoint"], json!({ "serviceName": "gate" }));
    assert_eq!(own["tags"]["http.response.status_code"], "200");
    assert_eq!(whole[1]["tags"]["error"], "unreachable");
    assert_eq!(whole[1]["remoteEndpoint"], json!({ "serviceName": "a", "port": 8000 }));
}

#[test]
fn protobuf_goes_by_its_own_name() {
    let exporter = exporter(|document| document.otel.otlp_protocol = OtlpProtocol::Protobuf);
    let posts = exporter.posts(&spans(document(), "/health", &[]).1);
    assert_eq!(fixture::field(&posts[0].headers, "content-type"), "application/x-protobuf");
    assert_eq!(posts[0].body.first(), Some(&0x0a));
}

#[test]
fn the_outbox_is_bounded_and_counts_what_it_drops() {
    let exporter = exporter(|document| {
        document.otel.max_queue = 4;
        document.otel.max_batch = 3;
    });
    let mut outbox = Outbox::default();
    let three = || spans(document(), "/health", &[]).1;
    assert!(outbox.push(three(), &exporter), "a batch waits");
    outbox.push(three(), &exporter);
    assert_eq!((outbox.len(), outbox.counts().dropped), (4, 2));
    assert_eq!(outbox.take(&exporter).len(), 3);
    assert_eq!(outbox.exported(3, Some("why")), Some(Change::Failed("why".into())));
    assert_eq!(outbox.exported(1, Some("why")), None, "told once");
    assert_eq!(outbox.exported(5, None), Some(Change::Recovered));
    assert_eq!(outbox.exported(1, None), None);
    assert_eq!((outbox.counts().dropped, outbox.counts().exported), (6, 6));
    assert_eq!(outbox.take(&exporter).len(), 1);
    assert!(outbox.take(&exporter).is_empty() && outbox.is_empty());
}
