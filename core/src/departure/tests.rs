//! What goes to the origin and what goes to the client.

use alloc::{boxed::Box, string::String, vec, vec::Vec};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{dress, duration_header, sign::signature};
use crate::{
    Flow, Forward, OriginFailure, RequestHead, ResponseHead, Seal,
    arrival::Arrival,
    config::{Document, RouteRule, Secret},
    departure::Departure,
    flow::NamedSpend,
    origins::OriginId,
    outcome::CacheStatus,
    plugins::fixture::{NOW_MS, document, facts, field, forwarded, gateway, head},
    store::Spend,
    verdict::{Answer, RequestBody},
};

fn sent(fields: &[(&str, &str)]) -> HeaderMap {
    forwarded(document(), head("GET", "/v1/x", fields), facts()).headers
}

#[test]
fn fields_of_the_connection_end_here() {
    let headers = sent(&[
        ("connection", "keep-alive, X-Mine, content-length"),
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eDp5"),
        ("te", "trailers, deflate"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("expect", "100-continue"),
        ("x-mine", "1"),
        ("content-length", "0"),
        ("x-api-key", "k"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ]);
    for gone in
        ["connection", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "http2-settings"]
    {
        assert_eq!(field(&headers, gone), "", "{gone}");
    }
    assert_eq!(field(&headers, "x-mine"), "");
    assert_eq!(field(&headers, "expect"), "");
    assert_eq!(field(&headers, "host"), "");
    assert_eq!(field(&headers, "te"), "trailers");
    assert_eq!(field(&headers, "content-length"), "0");
    assert_eq!(field(&headers, "x-api-key"), "k");
    assert_eq!(field(&headers, "cookie"), "a=1; b=2");
}

#[test]
fn provenance_is_rebuilt() {
    let spoofs = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "6.6.6.6"),
        ("x-gateway-version", "spoof"),
        ("x-gateway-role", "admin"),
        ("x-signature", "spoof"),
        ("x-timestamp", "1"),
        ("via", "1.0 edge"),
    ];
    let headers = sent(&spoofs);
    for (name, expected) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "gateway.example"),
        ("forwarded", "for=192.0.2.1;host=\"gateway.example\";proto=http"),
        ("x-forwarded-port", ""),
        ("x-real-ip", ""),
        ("x-gateway-version", env!("CARGO_PKG_VERSION")),
        ("x-gateway-role", ""),
        // Nothing is signed here.
        ("x-signature", "spoof"),
        ("x-timestamp", "1"),
        ("via", "1.0 edge, 1.1 acip"),
    ] {
        assert_eq!(field(&headers, name), expected, "{name}");
    }
    let mut document = document();
    document.server.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    let chain = [("x-forwarded-for", "6.6.6.6, 2001:db8::1, 192.0.2.9"), spoofs[1], spoofs[2]];
    let headers = forwarded(document, head("GET", "/", &chain), facts()).headers;
    assert_eq!(field(&headers, "x-forwarded-for"), "2001:db8::1, 192.0.2.9, 192.0.2.1");
    assert_eq!(
        field(&headers, "forwarded"),
        "for=\"[2001:db8::1]\";host=\"evil.example\";proto=https, for=192.0.2.9, for=192.0.2.1"
    );
    assert_eq!(field(&headers, "x-forwarded-proto"), "https");
}

#[test]
fn traces_go_on() {
    let headers = sent(&[
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=1 , b@x=2"),
        ("tracestate", "c=3"),
        ("x-request-id", "mine"),
    ]);
    // The span of the attempt: neither the caller's nor the gateway's own.
    let expected = "00-0af7651916cd43dd8448eb211c80319c-9cebde21f45561d3-01";
    assert_eq!(field(&headers, "traceparent"), expected);
    assert_eq!(field(&headers, "tracestate"), "a=1,b@x=2,c=3");
    assert_eq!(field(&headers, "x-request-id"), "mine");
    let many: Vec<String> = (0..33).map(|number| alloc::format!("k{number}=1")).collect();
    for (parent, state) in [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1,a=2"),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "A=1"),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1,b"),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", many.join(",").as_str()),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1"),
    ] {
        let headers = sent(&[("traceparent", parent), ("tracestate", state)]);
        assert_eq!(field(&headers, "tracestate"), "", "{parent} {state}");
    }
}

fn uris(forward: &Forward) -> Vec<String> {
    forward.attempts.iter().map(|attempt| alloc::format!("{}", attempt.uri)).collect()
}

#[test]
fn targets() {
    let mut document = document();
    document.origins[1].url.prefix = "/base".into();
    document.origins[1].url.tls = true;
    document.origins[1].url.port = 443;
    let go = |target: &str| uris(&forwarded(document.clone(), head("GET", target, &[]), facts()));
    assert_eq!(
        go("/a%20b?x=%zz"),
        ["http://127.0.0.1:8000/a%20b?x=%zz", "https://127.0.0.1/base/a%20b?x=%zz"]
    );
    assert_eq!(go("/api/v1/queue/stats?x=1")[0], "http://127.0.0.1:8000/api/v1/jobs/stats/queue?x=1");
    assert_eq!(go("http://gateway.example/x")[0], "http://127.0.0.1:8000/x");

    // What plugins chose.
    let gateway = gateway(document.clone());
    let (request, _) = gateway.arrival.read(head("GET", "/x", &[("if-none-match", "\"a\"")]), facts());
    let mut flow = Box::new(Flow::new(request));
    flow.outgoing.origins = vec![OriginId(1), OriginId(9)];
    flow.outgoing.path_and_query = Some("/y?z".into());
    flow.outgoing.remove = vec![http::header::IF_NONE_MATCH];
    flow.outgoing.set.insert("x-set", HeaderValue::from_static("1"));
    flow.outgoing.capture_request = 7;
    let crate::Verdict::Forward(forward) = super::forward(&gateway, flow) else { panic!("not forwarded") };
    assert_eq!(uris(&forward), ["https://127.0.0.1/base/y?z"]);
    assert_eq!(
        (field(&forward.headers, "if-none-match"), field(&forward.headers, "x-set")),
        ("".into(), "1".into())
    );
    assert_eq!((forward.capture_request, forward.body), (7, RequestBody::Stream));
}

#[test]
fn retries_follow_the_method_and_the_route() {
    let go = |method: &str, fields: &[(&str, &str)], retries: Option<u32>| {
        let mut document = document();
        document.routes = vec![RouteRule { path: "/*".into(), retries, ..RouteRule::default() }];
        let forward = forwarded(document, head(method, "/v1/x", fields), facts());
        (forward.may_retry, forward.max_reached, forward.upgrade)
    };
    assert_eq!(go("GET", &[], None), (true, 3, false));
    assert_eq!(go("DELETE", &[], Some(5)), (true, 6, false));
    assert_eq!(go("POST", &[], None), (false, 3, false));
    assert_eq!(go("GET", &[], Some(0)), (false, 1, false));
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "x")];
    assert_eq!(go("GET", &upgrade, None), (false, 3, true));
    let headers = sent(&upgrade);
    assert_eq!(field(&headers, "connection"), "upgrade");
    assert_eq!(
        (field(&headers, "upgrade"), field(&headers, "sec-websocket-key")),
        ("websocket".into(), "x".into())
    );
}

#[test]
fn signatures() {
    let body = br#"{"type":"llm","params":{"prompt":"hi"}}"#;
    for (method, path, body, expected) in [
        (
            "POST",
            "/api/v1/jobs",
            &body[..],
            "3d848a91f16ba6957a76f18bba83a79944038d67741b2aa2328585c01ab8349c",
        ),
        ("GET", "/api/v1/jobs/abc", &[], "2f2f64ec967a98a8f7155e2ebfc74cf4776bc478076769fe440312e548929f72"),
    ] {
        assert_eq!(signature(b"s3cret", method, path, body, 1_767_225_600), expected);
        let mut document = document();
        document.upstream.signing_secret = Some(Secret::new("s3cret"));
        document.origins[1].url.prefix = "/elsewhere".into();
        let target = alloc::format!("{path}?query=1");
        let mut forward = forwarded(document, head(method, &target, &[("x-signature", "spoof")]), facts());
        assert_eq!(forward.body, RequestBody::Buffer { max: 1_048_576 });
        assert_eq!(forward.attempts.len(), 1, "the other origin could not verify it");
        forward.sign(body);
        assert_eq!(field(&forward.headers, "x-signature"), expected);
        assert_eq!(field(&forward.headers, "x-timestamp"), "1767225600");
    }
    let mut document = document();
    document.upstream.signing_secret = Some(Secret::new("s3cret"));
    let spoofs = [("x-signature", "spoof"), ("x-timestamp", "1"), ("x-signature-skipped", "no")];
    let mut forward = forwarded(document, head("POST", "/", &spoofs), facts());
    forward.skip_signature();
    assert_eq!(field(&forward.headers, "x-signature-skipped"), "body");
    assert_eq!(field(&forward.headers, "x-signature"), "");
    assert_eq!(field(&forward.headers, "x-timestamp"), "");
}

fn response(status: u16, fields: &[(&'static str, &'static str)]) -> ResponseHead {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers }
}

fn sealed(request: RequestHead, head: ResponseHead) -> Seal {
    forwarded(document(), request, facts()).seal(1, head, NOW_MS, NOW_MS + 5)
}

#[test]
fn the_origins_answer_is_cleaned_and_dressed() {
    let origin = response(
        201,
        &[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("access-control-allow-origin", "https://any.example"),
            ("access-control-allow-credentials", "true"),
            ("x-request-id", "origin"),
            ("x-gateway-cache", "HIT"),
            ("x-ratelimit-limit", "5"),
            ("via", "1.1 inner"),
            ("vary", "Accept"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ],
    );
    let seal =
        sealed(head("GET", "/v1/x", &[("x-request-id", "mine"), ("origin", "https://a.example")]), origin);
    for (name, expected) in [
        ("connection", ""),
        ("x-hop", ""),
        ("transfer-encoding", ""),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", ""),
        ("x-request-id", "mine"),
        ("x-gateway-version", env!("CARGO_PKG_VERSION")),
        ("x-gateway-cache", ""),
        ("x-ratelimit-limit", ""),
        ("via", "1.1 inner, 1.1 acip"),
        ("vary", "Accept"),
        ("set-cookie", "a=1, b=2"),
        ("x-frame-options", ""),
    ] {
        assert_eq!(field(&seal.head.headers, name), expected, "{name}");
    }
    assert_eq!((seal.head.status.as_u16(), seal.idle_timeout_ms), (201, 60_000));
}

#[test]
fn hooks_see_the_head_and_may_replace_the_body() {
    let gateway = gateway(document());
    let (request, _) = gateway.arrival.read(head("GET", "/x", &[]), facts());
    let mut flow = Box::new(Flow::new(request));
    flow.on_seal(Box::new(|flow, draft| {
        assert_eq!((draft.origin, draft.sent_ms, draft.received_ms), (OriginId(1), 1, 2));
        draft.head.status = StatusCode::OK;
        draft.replace = Some("stored".into());
        flow.outgoing.capture_response = 9;
        flow.cache = Some(CacheStatus::Hit);
        flow.cache_detail = Some("hit; ttl=30".into());
    }));
    let crate::Verdict::Forward(forward) = super::forward(&gateway, flow) else { panic!("not forwarded") };
    let origin = response(304, &[("content-length", "77"), ("cache-status", "inner; fwd=miss")]);
    let seal = forward.seal(1, origin, 1, 2);
    assert_eq!((seal.head.status, seal.capture_response), (StatusCode::OK, 9));
    assert_eq!(field(&seal.head.headers, "content-length"), "6");
    assert_eq!(field(&seal.head.headers, "x-gateway-cache"), "HIT");
    assert_eq!(field(&seal.head.headers, "cache-status"), "inner; fwd=miss, acip; hit; ttl=30");
}

#[test]
fn only_an_upgrade_switches_protocols() {
    let switched = || {
        response(101, &[("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "x")])
    };
    let seal = sealed(head("GET", "/ws", &[("connection", "upgrade"), ("upgrade", "websocket")]), switched());
    assert_eq!(seal.head.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(field(&seal.head.headers, "upgrade"), "websocket");
    assert_eq!(field(&seal.head.headers, "sec-websocket-accept"), "x");
    let seal = sealed(head("GET", "/ws", &[]), switched());
    assert_eq!(seal.head.status, StatusCode::BAD_GATEWAY);
    assert!(seal.replace.is_some());
}

#[test]
fn failures_say_whose_they_are() {
    use OriginFailure::*;
    for (failure, status, proxy_status, close) in [
        (Unreachable, 502, "acip; error=connection_refused", false),
        (Denied, 502, "acip; error=destination_ip_prohibited", false),
        (Broken, 502, "acip; error=connection_terminated", false),
        (Timeout, 504, "acip; error=http_response_timeout", false),
        (BodyTooLarge, 413, "", true),
        (ClientBody, 400, "", true),
    ] {
        let answer = forwarded(document(), head("GET", "/x", &[]), facts()).fail(failure).answer;
        let seen = (answer.status.as_u16(), field(&answer.headers, "proxy-status"), answer.close);
        assert_eq!(seen, (status, proxy_status.into(), close), "{failure:?}");
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(body.contains("allowed_outbound_hosts"), failure == Denied);
        assert_eq!(field(&answer.headers, "x-content-type-options"), "nosniff");
    }
}

#[test]
fn a_stale_answer_stands_in_for_a_failure() {
    let gateway = gateway(document());
    let (request, _) = gateway.arrival.read(head("GET", "/x", &[]), facts());
    let mut flow = Box::new(Flow::new(request));
    let stale =
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: "stale".into(), close: false };
    flow.on_fail(Box::new(|_, _| None));
    flow.on_fail(Box::new(|flow, failure| {
        assert_eq!(*failure, OriginFailure::Timeout);
        flow.cache = Some(CacheStatus::Stale);
        Some(stale)
    }));
    let crate::Verdict::Forward(forward) = super::forward(&gateway, flow) else { panic!("not forwarded") };
    let answer = forward.fail(OriginFailure::Timeout).answer;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"stale"[..]));
    assert_eq!(field(&answer.headers, "x-gateway-cache"), "STALE");
    assert_eq!(field(&answer.headers, "x-frame-options"), "");
}

fn dressed(document: &Document, edit: impl FnOnce(&mut Flow)) -> HeaderMap {
    let (request, _) = Arrival::compile(document).unwrap().read(head("GET", "/x", &[]), facts());
    let mut flow = Flow::new(request);
    edit(&mut flow);
    let mut headers = HeaderMap::new();
    headers.insert("vary", HeaderValue::from_static("accept-encoding, Origin"));
    dress(&Departure::compile(document).unwrap(), &flow, false, &mut headers);
    headers
}

fn spend(name: &str, admitted: bool, limit: u32, remaining: u32) -> NamedSpend {
    let reset_ms = NOW_MS + 29_001;
    let (retry_after_ms, window_ms, inner) = (0, 60_000, String::new());
    let spend = Spend { admitted, limit, remaining, reset_ms, retry_after_ms, window_ms, name: inner };
    NamedSpend { name: name.into(), spend }
}

#[test]
fn limits_are_told() {
    let told = |spends: Vec<NamedSpend>| {
        let headers = dressed(&document(), |flow| flow.spends = spends);
        let plain = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
        let structured = (field(&headers, "ratelimit"), field(&headers, "ratelimit-policy"));
        (plain.map(|name| field(&headers, name)).join(" "), structured.0, structured.1)
    };
    assert_eq!(
        told(vec![spend("default", true, 100, 50)]),
        ("100 50 1767225630".into(), r#""default";r=50;t=30"#.into(), r#""default";q=100;w=60"#.into())
    );
    let (plain, state, _) = told(vec![spend("a", true, 100, 50), spend("b\"", true, 10, 4)]);
    assert_eq!((plain.as_str(), state.as_str()), ("10 4 1767225630", r#""a";r=50;t=30, "b\"";r=4;t=30"#));
    let (plain, _, _) = told(vec![spend("a", true, 100, 0), spend("b", false, 50, 10)]);
    assert_eq!(plain, "50 10 1767225630");
    assert_eq!(told(vec![]), ("  ".into(), "".into(), "".into()));
}

#[test]
fn caches_and_names_are_told() {
    let told = |name: &str, status, detail: Option<&str>| {
        let mut document = document();
        document.identity.name = name.into();
        field(
            &dressed(&document, |flow| {
                flow.cache = Some(status);
                flow.cache_detail = detail.map(Into::into);
            }),
            "cache-status",
        )
    };
    assert_eq!(told("acip", CacheStatus::Miss, None), "acip; fwd=miss");
    assert_eq!(told("acip", CacheStatus::Bypass, None), "acip; fwd=bypass");
    assert_eq!(told("acip", CacheStatus::Stale, Some("hit; ttl=-3")), "acip; hit; ttl=-3");
    assert_eq!(told("1st", CacheStatus::Hit, None), "\"1st\"; hit");
}

#[test]
fn vary_is_merged_and_other_fields_replaced() {
    let headers = dressed(&document(), |flow| {
        flow.response_headers.insert("vary", HeaderValue::from_static("Origin, X-New"));
        flow.response_headers.insert("x-other", HeaderValue::from_static("1"));
    });
    assert_eq!(field(&headers, "vary"), "accept-encoding, Origin, X-New");
    assert_eq!(field(&headers, "x-other"), "1");
}

#[test]
fn durations() {
    for (us, expected) in [(0, "0ms"), (499, "0ms"), (12_499, "12ms"), (u64::MAX, "18446744073709551ms")] {
        assert_eq!(duration_header(us).1, expected);
    }
}

#[test]
fn an_origin_that_nobody_can_ask() {
    let mut document = document();
    document.origins[0].url.host = "a b".into();
    let error = Departure::compile(&document).unwrap_err();
    assert!(alloc::format!("{error}").contains("`a`"));
}
