//! Traces: what a collector gets from each build, and that no request ever depends on one.

use acip_tests::{Collector, Feature, KEY, Stand, Target, collector_hex as hex, root, supported, wait_for};
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value as Any,
    trace::v1::{Span, span::SpanKind},
};
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn stand(collector: &Collector, more: &[(&str, &str)]) -> Stand {
    let url = collector.url();
    let variables = [("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
    Stand::start(&[&variables, DELAY, more].concat())
}

/// Where a process lives, spans wait for company.
const DELAY: &[(&str, &str)] = &[("OTEL_BSP_SCHEDULE_DELAY", "20")];

fn attribute(span: &Span, name: &str) -> Option<String> {
    let value = span.attributes.iter().find(|it| it.key == name)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        other => panic!("{name}: {other:?}"),
    })
}

fn of_kind(spans: &[Span], kind: SpanKind, has: &str) -> Span {
    let found = spans.iter().find(|span| span.kind == kind as i32 && attribute(span, has).is_some());
    found.unwrap_or_else(|| panic!("no {kind:?} span with {has}: {spans:?}")).clone()
}

/// `traceparent` of the last request that the origin saw on this path.
async fn sent(stand: &Stand, path: &str) -> String {
    let reached = stand.reached(path).await;
    let fields = reached.last().expect("it came")["headers"].as_array().expect("fields").clone();
    let field = fields.iter().find(|field| field[0] == "traceparent").expect("a traceparent");
    field[1].as_str().expect("text").to_owned()
}

/// That spans chain from the client's own to what the origin was told; the trace's id.
async fn check_chain(stand: &Stand, collector: &Collector, trace: &str, path: &str) {
    let answer = stand
        .get(&format!("{path}?token=MARKED"))
        .key(KEY)
        .header("traceparent", format!("00-{trace}-{PARENT}-01"))
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let spans = collector.trace(trace, 3).await;
    let server = of_kind(&spans, SpanKind::Server, "http.request.method");
    let client = of_kind(&spans, SpanKind::Client, "http.request.method");
    let store = of_kind(&spans, SpanKind::Client, "db.system.name");
    assert_eq!(hex(&server.parent_span_id), PARENT);
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(store.parent_span_id, server.span_id);
    assert_eq!(sent(stand, path).await, format!("00-{trace}-{}-01", hex(&client.span_id)));
    // Before a function stands what ends TLS, here as there.
    let scheme = if Target::current() == Target::Lambda { "https" } else { "http" };
    for (name, value) in [
        ("http.request.method", "GET"),
        ("url.path", path),
        ("url.scheme", scheme),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(attribute(&server, name).as_deref(), Some(value), "{name}");
    }
    // No rule of the gateway's knows this path, so there is no route to be named by.
    assert_eq!((server.name.as_str(), attribute(&server, "http.route")), ("GET", None));
    let port = stand.origin.port().to_string();
    assert_eq!(attribute(&client, "server.port"), Some(port));
    for part in [&client, &store] {
        assert!(server.start_time_unix_nano <= part.start_time_unix_nano, "{part:?}");
        assert!(part.start_time_unix_nano <= part.end_time_unix_nano, "{part:?}");
        assert!(part.end_time_unix_nano <= server.end_time_unix_nano, "{part:?} after {server:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_chain_from_the_client_to_the_origin() {
    let collector = Collector::start().await;
    let zipkin = collector.url();
    let stand = stand(
        &collector,
        &[
            ("OTEL_ZIPKIN_ENDPOINT", zipkin.as_str()),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%20test"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=let%20me%20in"),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
        ],
    );
    // Not sampled by the caller, and begun here with a sampler that wants none: the chain below would show them.
    stand.get("/_test/echo").key(KEY).header("traceparent", format!("00-{TRACE}-{PARENT}-00")).send().await;
    assert!(sent(&stand, "/_test/echo").await.ends_with("-00"));
    stand.get("/_test/echo").key(KEY).send().await;
    assert!(sent(&stand, "/_test/echo").await.ends_with("-00"));
    check_chain(&stand, &collector, TRACE, "/_test/echo").await;

    wait_for("Zipkin's spans", || async { collector.seen().zipkin.len() >= 3 }).await;
    let seen = collector.seen();
    assert_eq!(seen.spans.len(), 3, "only the sampled request: {:?}", seen.spans);
    assert!(!seen.requests.concat().contains("MARKED"), "a query is told");
    let told = seen.requests.iter().find(|request| request.starts_with("/v1/traces")).expect("OTLP");
    assert!(told.contains("let me in") && told.contains("application/json"), "{told}");
    let facts = format!("{:?}", seen.spans[0].0);
    for fact in ["service.name", "acip-gpu-gateway", "deployment.environment.name", "a test"] {
        assert!(facts.contains(fact), "{facts} lacks {fact}");
    }
    let schema =
        std::fs::read_to_string(root().join("tests/data/zipkin-v2.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let zipkin = Value::from(seen.zipkin);
    let flaws: Vec<String> = validator.iter_errors(&zipkin).map(|error| error.to_string()).collect();
    assert!(flaws.is_empty(), "{flaws:?} in {zipkin}");
    assert!(
        !validator.is_valid(&serde_json::json!([{ "traceId": "x", "id": "y" }])),
        "the schema says nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_is_understood_too() {
    let collector = Collector::start().await;
    let stand = stand(&collector, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    check_chain(&stand, &collector, TRACE, "/_test/echo").await;
    assert!(collector.seen().requests[0].contains("application/x-protobuf"));
    // Another attempt is another span, and what the origin does belongs to it alone.
    let status =
        stand.get("/_test/status/503").key(KEY).header("traceparent", format!("00-{OTHER}-{PARENT}-01"));
    let answer = status.send().await;
    let spans = collector.trace(OTHER, 3).await;
    let client = of_kind(&spans, SpanKind::Client, "http.request.method");
    let status = answer.status.as_u16().to_string();
    assert_eq!(attribute(&client, "http.response.status_code").as_deref(), Some(status.as_str()));
    assert_eq!(attribute(&client, "error.type").as_deref(), Some(status.as_str()));
    assert_eq!(client.status.as_ref().map(|status| status.code), Some(2));
}

const OTHER: &str = "5bf92f3577b34da6a3ce929d0e0e4736";

async fn counter(stand: &Stand, name: &str) -> u64 {
    let page = stand.get("/gateway/metrics").bearer(acip_tests::ADMIN).send().await.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{page}"));
    line.trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_fails_costs_no_request() {
    let collector = Collector::start().await;
    let stand = stand(&collector, &[]);
    collector.answer(503);
    for _ in 0..5 {
        let answer = stand.get("/_test/echo").key(KEY).send().await;
        assert_eq!(answer.status, 200);
        wait_for("an export", || async { counter(&stand, "gateway_spans_dropped_total").await > 0 }).await;
    }
    collector.answer(200);
    stand.get("/_test/echo").key(KEY).send().await;
    wait_for("spans again", || async { !collector.seen().spans.is_empty() }).await;
    wait_for("the count", || async { counter(&stand, "gateway_spans_exported_total").await > 0 }).await;
    let log = stand.gateway.log();
    let told = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    let told = (told("spans are not exported"), told("spans are exported again"));
    // Each instance says it once, and there may be several.
    if supported(&[Feature::OwnCounters]) {
        assert_eq!(told, (1, 1), "{log}");
    } else {
        assert!(told.0 > 0, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_has_its_answer_before_the_collector_has_given_one() {
    let collector = Collector::start().await;
    // Only what the caller samples: readiness has been asked for already.
    let stand = stand(&collector, &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]);
    collector.open(false);
    let call = stand.get("/_test/echo").key(KEY).header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    let answer = call.send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Were the client to wait, the export would have been given up before its answer, and nobody would hold on here.
    wait_for("an export that waits", || async { collector.held() > 0 }).await;
    assert!(collector.seen().spans.is_empty(), "the collector has answered");
    collector.open(true);
    collector.trace(TRACE, 3).await;
}
