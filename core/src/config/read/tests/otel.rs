//! The standard's names for where spans go.

use super::*;

const OTLP: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otlp:4318");
const ZIPKIN: (&str, &str) = ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://zipkin:9411");

fn otel(env: &[(&str, &str)]) -> crate::config::Otel {
    ok(None, &[&[("OTEL_ENABLED", "true")], env].concat()).otel
}

#[test]
fn names_for_traces_alone_count_before_those_for_everything() {
    let otel = otel(&[
        OTLP,
        ZIPKIN,
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "6000"),
    ]);
    assert_eq!(otel.zipkin_endpoint.as_deref(), Some("http://zipkin:9411"));
    let headers: Vec<_> =
        otel.otlp_headers.iter().map(|it| (it.name.as_str(), it.value.expose_secret())).collect();
    assert_eq!(headers, [("b", "2")]);
    assert_eq!((otel.otlp_protocol, otel.otlp_timeout_ms), (crate::config::OtlpProtocol::Protobuf, 6000));
    check(None, &[("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0")], &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: `0`"]);
    check(None, &[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")], &["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]);
    let secret = read(None, &[("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "marked")]).unwrap_err();
    assert!(!secret.to_string().contains("marked"), "{secret}");
}

#[test]
fn the_smaller_bound_of_an_export_counts() {
    let timeout = |ms: &str| otel(&[OTLP, ("OTEL_BSP_EXPORT_TIMEOUT", ms)]).otlp_timeout_ms;
    assert_eq!((timeout("30000"), timeout("500")), (10_000, 500));
}

#[test]
fn a_choice_among_the_collectors_that_are_named() {
    let to = |word: &str| {
        let otel = otel(&[OTLP, ZIPKIN, ("OTEL_TRACES_EXPORTER", word)]);
        (otel.otlp_traces_url().is_some(), otel.zipkin_endpoint.is_some(), otel.is_on())
    };
    assert_eq!(to(""), (true, true, true));
    assert_eq!(to("otlp"), (true, false, true));
    assert_eq!(to("Zipkin"), (false, true, true));
    assert_eq!(to("otlp,zipkin"), (true, true, true));
    assert_eq!(to("none"), (false, false, false));
    check(None, &[("OTEL_TRACES_EXPORTER", "console")], &["OTEL_TRACES_EXPORTER: `console`"]);
}

#[test]
fn traces_that_go_nowhere_are_told_of() {
    let warns = |env: &[(&str, &str)]| otel(env).warning().is_some();
    assert!(warns(&[]));
    assert!(warns(&[OTLP, ("OTEL_TRACES_EXPORTER", "zipkin")]));
    for env in [
        &[OTLP][..],
        &[ZIPKIN],
        &[("OTEL_SDK_DISABLED", "true")],
        &[("OTEL_TRACES_EXPORTER", "none")],
        &[("OTEL_ENABLED", "false")],
    ] {
        assert!(!warns(env), "{env:?}");
    }
}

#[test]
fn the_standards_other_names_are_left_alone() {
    ok(
        None,
        &[("OTEL_BLRP_EXPORT_TIMEOUT", "x"), ("OTEL_BLRP_SCHEDULE_DELAY", "x"), ("OTEL_LOGS_EXPORTER", "x")],
    );
}
