//! Cases of metrics and their text, and of access lines.

use alloc::{string::String, sync::Arc, vec, vec::Vec};
use std::{format, io::Write as _, process::Command};

use http::{Method, StatusCode};

use super::*;
use crate::{
    config::{Document, LogLevel, Ratio},
    event::Event,
    origins::OriginId,
    outcome::{AccessRecord, End, Epilogue, Outcome, Try, TryEnd},
    plugins::fixture,
    telemetry::{Attempts, access},
    verdict::OriginFailure,
};

fn epilogue(pattern: &str, method: Method, status: u16, events: Vec<Event>) -> Epilogue {
    let gateway = fixture::gateway(fixture::document());
    let (request, _) = gateway.arrival.read(fixture::head("GET", "/x", &[]), fixture::facts());
    let mut route = (*request.route).clone();
    route.pattern = pattern.into();
    let record = AccessRecord {
        start_ms: fixture::NOW_MS,
        request_id: "r1".into(),
        method,
        route: Some(Arc::new(route)),
        path: "/x".into(),
        status: StatusCode::from_u16(status).unwrap(),
        client: "192.0.2.1".into(),
        outcome: Outcome {
            now_ms: fixture::NOW_MS,
            total_us: 1_500,
            origin_us: 1_460,
            origin: Some(OriginId(1)),
            ..Outcome::default()
        },
        ..AccessRecord::default()
    };
    Epilogue { events, record, ..Epilogue::default() }
}

fn sample() -> Metrics {
    let document = fixture::document();
    let mut metrics = Metrics::default();
    let all = vec![
        Event::CacheMiss,
        Event::CacheHit { stale: true },
        Event::LimitExceeded { limit: "default".into() },
        Event::AuthRejected { reason: "unknown" },
        Event::RouterFailover { from: OriginId(0) },
        Event::PluginError { plugin: "cache-plugin", detail: "".into() },
    ];
    metrics.record(&epilogue("/api/v1/jobs/{id}", Method::GET, 200, all), &document);
    metrics.record(&epilogue("/api/v1/jobs/{id}", Method::GET, 200, vec![]), &document);
    let odd = epilogue("quote\"back\\slash\n", Method::from_bytes(b"BREW").unwrap(), 418, vec![]);
    metrics.record(&odd, &document);
    metrics.tell_workers(Some([("us-west".into(), 2), ("unknown".into(), 1)].into()));
    metrics
}

fn gauges() -> Gauges {
    Gauges {
        spans: SpanCounts { exported: 7, dropped: 2 },
        attempts: String::new(),
        active_connections: Some(4),
        store_round_trips: 7,
        store_errors: 1,
        target: "native",
    }
}

#[test]
fn every_sample_of_the_contract_is_there() {
    let text = sample().render(&gauges(), false);
    for line in [
        r#"gateway_requests_total{method="GET",route="/api/v1/jobs/{id}",status="200"} 2"#,
        r#"gateway_requests_total{method="OTHER",route="quote\"back\\slash\n",status="418"} 1"#,
        r#"gateway_request_duration_seconds_bucket{method="GET",route="/api/v1/jobs/{id}",le="0.001"} 0"#,
        r#"gateway_request_duration_seconds_bucket{method="GET",route="/api/v1/jobs/{id}",le="0.005"} 2"#,
        r#"gateway_request_duration_seconds_sum{method="GET",route="/api/v1/jobs/{id}"} 0.003"#,
        r#"gateway_overhead_seconds_bucket{le="0.000025"} 0"#,
        r#"gateway_overhead_seconds_bucket{le="0.00005"} 3"#,
        "gateway_overhead_seconds_count 3",
        "gateway_active_connections 4",
        "gateway_cache_hits_total 1",
        "gateway_cache_misses_total 1",
        "gateway_ratelimit_rejected_total 1",
        r#"gateway_auth_failures_total{reason="unknown"} 1"#,
        r#"gateway_workers_online{region="us-west"} 2"#,
        r#"gateway_workers_online{region="unknown"} 1"#,
        r#"gateway_proxy_errors_total{target="a"} 1"#,
        r#"gateway_plugin_errors_total{plugin="cache-plugin"} 1"#,
        "gateway_store_round_trips_total 7",
        "gateway_store_errors_total 1",
        "gateway_spans_exported_total 7",
        "gateway_spans_dropped_total 2",
    ] {
        assert!(text.lines().any(|found| found == line), "missing `{line}` in\n{text}");
    }
    assert!(text.contains("gateway_build_info{version="));
}

#[test]
fn open_metrics_names_families_without_suffix_and_ends() {
    let text = sample().render(&gauges(), true);
    assert!(text.contains("# TYPE gateway_requests counter\n") && text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn promtool_finds_nothing_to_say() {
    lint(&sample().render(&gauges(), false));
}

/// Where Prometheus is installed, its own linter reads the page.
fn lint(page: &str) {
    let mut command = Command::new("promtool");
    command
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing; `cargo xtask test` installs it");
        return;
    };
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn threads_add_up() {
    let mut sum = sample();
    sum.merge(&sample());
    let text = sum.render(&gauges(), false);
    for line in [
        r#"gateway_requests_total{method="GET",route="/api/v1/jobs/{id}",status="200"} 4"#,
        "gateway_overhead_seconds_count 6",
        "gateway_cache_hits_total 2",
        r#"gateway_proxy_errors_total{target="a"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "missing `{line}` in\n{text}");
    }
}

#[test]
fn label_sets_are_bounded() {
    let (mut metrics, document) = (Metrics::default(), Document::default());
    let template = epilogue("/x", Method::GET, 200, vec![]);
    for index in 0..2_000_u16 {
        let mut epilogue = template.clone();
        let mut route = (**epilogue.record.route.as_ref().unwrap()).clone();
        route.pattern = format!("/{index}");
        epilogue.record.route = Some(Arc::new(route));
        epilogue.record.status = StatusCode::from_u16(100 + index % 900).unwrap();
        metrics.record(&epilogue, &document);
    }
    let text = metrics.render(&gauges(), false);
    let requests = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(requests("gateway_requests_total{"), 512 + 48 + 1);
    let rest = r#"gateway_requests_total{method="GET",route="overflow",status="other"}"#;
    assert_eq!(requests(rest), 1);
    assert_eq!(requests("gateway_request_duration_seconds_count{"), 513);
}

#[test]
fn an_access_line_says_what_happened_and_no_more() {
    let mut record = epilogue("/api/v1/jobs/{id}", Method::GET, 200, vec![]).record;
    record.identity = Some("key_1".into());
    let line = access::json_line(&record, &fixture::document());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&value["origin"], &value["status"]), (&"b".into(), &200.into()));
    assert_eq!((&value["route"], &value["duration_us"]), (&"/api/v1/jobs/{id}".into(), &1_500.into()));
    // Who reads the log may read neither a second line nor a colour into a path.
    record.path = "/a\"b\n\u{1b}[31m".into();
    let odd = access::json_line(&record, &fixture::document());
    let value: serde_json::Value = serde_json::from_str(&odd).unwrap();
    assert_eq!(value["path"], record.path.as_str());
    for line in [odd, access::pretty_line(&record, &fixture::document())] {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    record.path = "/x".into();
    let pretty = access::pretty_line(&record, &fixture::document());
    assert!(pretty.contains("200 GET \"/x\" 1.500ms") && pretty.contains("identity=key_1"), "{pretty}");
}

#[test]
fn workers_are_those_that_the_store_tells_of() {
    let samples = |regions: Option<&[(&str, u64)]>| {
        let mut metrics = Metrics::default();
        let regions =
            regions.map(|told| told.iter().map(|(region, count)| ((*region).into(), *count)).collect());
        metrics.tell_workers(regions);
        let text = metrics.render(&gauges(), false);
        let lines = text.lines().filter_map(|line| line.strip_prefix("gateway_workers_online{region="));
        lines.map(String::from).collect::<Vec<_>>()
    };
    // Who did not ask knows nothing; who was told of none says so.
    assert_eq!(samples(None), [""; 0]);
    assert_eq!(samples(Some(&[])), ["\"unknown\"} 0"]);
    assert_eq!(samples(Some(&[("eu", 2), ("us", 1)])), ["\"eu\"} 2", "\"us\"} 1"]);
    let long = "x".repeat(65);
    assert_eq!(samples(Some(&[(&long, 3)])), ["\"other\"} 3"]);
    let many: Vec<_> = (0..100).map(|number| format!("r{number:03}")).collect();
    let many: Vec<_> = many.iter().map(|region| (region.as_str(), 1)).collect();
    let shown = samples(Some(&many));
    assert_eq!((shown.len(), shown[0].as_str()), (65, "\"other\"} 36"));
}

#[test]
fn origins_that_fail_are_counted_and_broken_waits_are_not_ours() {
    let cases = [
        (200, End::Complete, vec![], 1, None),
        (200, End::OriginBroke, vec![], 0, Some("b")),
        (499, End::ClientLeft, vec![], 0, None),
        (101, End::Complete, vec![], 0, None),
        (502, End::Complete, vec![Event::RouterFailover { from: OriginId(0) }], 1, Some("a")),
    ];
    for (status, end, events, overheads, target) in cases {
        let mut seen = epilogue("/x", Method::GET, status, events);
        seen.record.outcome.end = end;
        let mut metrics = Metrics::default();
        metrics.record(&seen, &fixture::document());
        let text = metrics.render(&gauges(), false);
        let has = |line: &str| text.lines().any(|found| found == line);
        assert!(has(&format!("gateway_overhead_seconds_count {overheads}")), "{status} {end:?}\n{text}");
        for name in ["a", "b"] {
            let line = format!("gateway_proxy_errors_total{{target=\"{name}\"}} 1");
            assert_eq!(has(&line), target == Some(name), "{status} {end:?} {name}\n{text}");
        }
    }
}

#[test]
fn buckets_name_the_last_trace_that_fell_into_them() {
    let (mut metrics, document) = (Metrics::default(), Document::default());
    let mut traced = epilogue("/x", Method::GET, 200, vec![]);
    traced.record.sampled = true;
    for (trace_id, at_ms, us) in [("aa", 2_000, 3_000), ("bb", 1_000, 4_000), ("cc", 3_000, 400_000_000)] {
        traced.record.trace_id = trace_id.into();
        (traced.record.outcome.now_ms, traced.record.outcome.total_us) = (at_ms, us);
        metrics.record(&traced, &document);
    }
    traced.record.sampled = false;
    metrics.record(&traced, &document);
    let mut sum = Metrics::default();
    sum.merge(&metrics);
    let text = sum.render(&gauges(), true);
    for line in [
        r#"gateway_request_duration_seconds_bucket{method="GET",route="/x",le="0.005"} 2 # {trace_id="aa"} 0.003 2.0"#,
        r#"gateway_request_duration_seconds_bucket{method="GET",route="/x",le="+Inf"} 4 # {trace_id="cc"} 400.0 3.0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "missing `{line}` in\n{text}");
    }
    assert!(!sum.render(&gauges(), false).contains(" # {"), "the plain format knows no exemplars");
}

/// The conventions' names, labels and buckets (OpenTelemetry semantic conventions 1.43, HTTP metrics).
#[test]
fn requests_and_attempts_by_the_names_of_the_conventions() {
    let document = fixture::document();
    let (mut metrics, mut attempts) = (Metrics::default(), Attempts::default());
    let answered = |status| TryEnd::Answered(StatusCode::from_u16(status).unwrap());
    let cases = [
        ("/a/{id}", "GET", 200, false, End::Complete, vec![(0, answered(200))]),
        (
            "/a/{id}",
            "GET",
            502,
            true,
            End::Complete,
            vec![(0, TryEnd::Failed(OriginFailure::Timeout)), (1, answered(502))],
        ),
        ("/a/{id}", "GET", 200, true, End::OriginBroke, vec![(1, answered(200))]),
        ("other", "BREW", 404, false, End::Complete, vec![(0, answered(404))]),
        ("/a/{id}", "GET", 499, false, End::ClientLeft, vec![(0, TryEnd::Left), (77, TryEnd::Left)]),
    ];
    for (pattern, method, status, tls, end, tries) in cases {
        let mut seen = epilogue(pattern, Method::from_bytes(method.as_bytes()).unwrap(), status, vec![]);
        seen.record.tls = tls;
        seen.record.outcome.end = end;
        (seen.record.outcome.total_us, seen.record.outcome.origin_us) = (60_000, 60_000);
        let tries = tries.into_iter();
        let tried = |(origin, end)| Try { origin: OriginId(origin), from_us: 1_000, until_us: 61_000, end };
        seen.record.outcome.tries = tries.map(tried).collect();
        metrics.record(&seen, &document);
        attempts.record(&seen.record, &document);
    }
    let mut all = Attempts::default();
    all.merge(&attempts);
    all.merge(&attempts);
    let text = metrics.render(&Gauges { attempts: all.render(false), ..gauges() }, false);
    let counts = |name: &str| -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("_count")).collect()
    };
    assert_eq!(
        counts("http_server_request_duration_seconds"),
        [
            r#"{http_request_method="GET",url_scheme="http",http_response_status_code="200",http_route="/a/{id}"} 1"#,
            r#"{http_request_method="GET",url_scheme="https",http_response_status_code="502",http_route="/a/{id}",error_type="502"} 1"#,
            r#"{http_request_method="GET",url_scheme="https",http_response_status_code="200",http_route="/a/{id}",error_type="origin_broke"} 1"#,
            r#"{http_request_method="GET",url_scheme="http",http_response_status_code="499",http_route="/a/{id}"} 1"#,
            r#"{http_request_method="_OTHER",url_scheme="http",http_response_status_code="404"} 1"#,
        ]
    );
    let to = |origin: usize| {
        let url = &document.origins[origin].url;
        let scheme = if url.tls { "https" } else { "http" };
        format!(r#"url_scheme="{scheme}",server_address="{}",server_port="{}""#, url.host, url.port)
    };
    let (a, b) = (to(0), to(1));
    assert_eq!(
        counts("http_client_request_duration_seconds"),
        [
            format!(r#"{{http_request_method="GET",{a},http_response_status_code="200"}} 2"#),
            format!(r#"{{http_request_method="GET",{a},error_type="timeout"}} 2"#),
            format!(
                r#"{{http_request_method="_OTHER",{a},http_response_status_code="404",error_type="404"}} 2"#
            ),
            format!(r#"{{http_request_method="GET",{a},error_type="client_left"}} 2"#),
            format!(
                r#"{{http_request_method="GET",{b},http_response_status_code="502",error_type="502"}} 2"#
            ),
            format!(r#"{{http_request_method="GET",{b},http_response_status_code="200"}} 2"#),
        ]
    );
    for name in ["http_server_request_duration_seconds", "http_client_request_duration_seconds"] {
        let first = format!("{name}_bucket");
        let bounds: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&first)?.rsplit_once("le=\"")?.1.split('"').next())
            .take(15)
            .collect();
        let advised = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 +Inf";
        assert_eq!(bounds.join(" "), advised, "{name}");
    }
    // One page, and the requests of both kinds add up.
    assert!(
        text.contains(r#"gateway_requests_total{method="GET",route="/a/{id}",status="200"} 2"#),
        "{text}"
    );
    assert!(
        text.contains(r#"gateway_request_duration_seconds_count{method="GET",route="/a/{id}"} 4"#),
        "{text}"
    );
    lint(&text);
}

#[test]
fn attempts_are_bounded() {
    let mut document = fixture::document();
    let mut attempts = Attempts::default();
    let mut seen = epilogue("/x", Method::GET, 200, vec![]);
    for number in 0..1_000_u16 {
        document.origins[0].url.port = number;
        let end = TryEnd::Answered(StatusCode::from_u16(100 + number % 900).unwrap());
        let of = |origin| Try { origin: OriginId(origin), from_us: 0, until_us: 1, end };
        seen.record.outcome.tries = vec![of(0), of(1)];
        attempts.record(&seen.record, &document);
    }
    let text = attempts.render(false);
    let lines = text.lines().filter(|line| line.contains("_count{"));
    // The first origin's ports, and for the second its statuses and what found no place.
    assert_eq!(lines.count(), 255 + 64 + 1);
    assert!(text.contains("error_type=\"_OTHER\"} 872"), "{text}");
}

#[test]
fn a_sample_of_lines_keeps_what_went_wrong() {
    let mut document = Document::default();
    document.log.sample = Ratio::parse("0.5").unwrap();
    let check = |document: &Document, trace_id: &str, status: u16, end: End, expected: bool| {
        let mut record = epilogue("/x", Method::GET, status, vec![]).record;
        record.trace_id = trace_id.into();
        record.outcome.end = end;
        assert_eq!(access::is_written(&record, document), expected, "{trace_id} {status} {end:?}");
    };
    let (low, high) = ("ffffffffffffffff0fffffffffffffff", "0000000000000000ffffffffffffffff");
    check(&document, low, 200, End::Complete, true);
    check(&document, high, 200, End::Complete, false);
    check(&document, high, 404, End::Complete, true);
    check(&document, high, 200, End::OriginBroke, true);
    document.log.sample = Ratio::ALL;
    check(&document, high, 200, End::Complete, true);
    document.log.level = LogLevel::Warn;
    check(&document, low, 500, End::Complete, false);
}

/// Every metric that Prometheus, its rules and Grafana are told of is there.
#[test]
fn what_is_watched_is_shown() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/observability");
    let page = sample().render(&gauges(), false);
    let mut found = 0;
    for file in ["alerts.yml", "alerts_test.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for word in text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_' && char != ':') {
            if word.starts_with("gateway_") {
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
                let name = format!("# TYPE {} ", family.unwrap_or(word));
                assert!(page.contains(&name), "{file} names `{word}`, which is not shown");
                found += 1;
            }
        }
    }
    assert!(found > 20, "{found} names");
    // What the rules say is well formed, and each alert fires when it should.
    for (what, file) in [("check", "alerts.yml"), ("test", "alerts_test.yml")] {
        match Command::new("promtool").args([what, "rules"]).arg(folder.join(file)).output() {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
            }
            Err(_) => {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "promtool is missing; `cargo xtask test` installs it"
                );
            }
        }
    }
}
