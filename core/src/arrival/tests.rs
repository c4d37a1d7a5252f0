//! Heads in, requests or refusals out.

use alloc::{string::String, vec, vec::Vec};
use http::Version;

use crate::{
    ErrorCode, Facts, RequestHead, ResponseHead, Step, Verdict,
    arrival::Arrival,
    config::Document,
    plugins::fixture::{answered, document, facts, field, gateway, head},
    refusal::Refusal,
    request::Request,
    routes::RouteKind,
};

fn read(document: &Document, head: RequestHead, facts: Facts) -> (Request, Option<Refusal>) {
    Arrival::compile(document).unwrap().read(head, facts)
}

fn request(target: &str, fields: &[(&str, &str)]) -> Request {
    read(&document(), head("GET", target, fields), facts()).0
}

/// One head, and the status it is refused with (0: it passes) and whether the connection closes.
fn check(head: RequestHead, status: u16, close: bool) {
    let what = alloc::format!("{head:?}");
    let (request, refusal) = read(&document(), head, facts());
    let seen = refusal.map_or((0, false), |refusal| (refusal.code.status().as_u16(), refusal.close));
    assert_eq!(seen, (status, close), "{what}");
    assert!(!request.id.is_empty() && request.trace.span_id != [0; 8]);
}

#[test]
fn paths_with_more_than_one_meaning() {
    for target in [
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%00",
        "/a%0a",
        "/a%7f",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/../a",
        "/a/..",
        "/a/./b",
        "/a/%2e%2e/b",
        "/a/%2E/b",
        "/a/.%2e",
        "/a/..;x/b",
        "//a",
        "/a//b",
        "/a//",
        "/%ff",
        "/%c0%af",
        "/a/%252e%252e/b",
        "/a%252fb",
        "/API/v1/admin/x",
    ] {
        check(head("GET", target, &[]), 400, false);
    }
    for target in ["/", "/a?b=%", "/a%20b", "/a/.../b", "/a.b", "/%E2%82%AC", "/a:b", "/a?x=../..", "/a/b/"] {
        check(head("GET", target, &[]), 0, false);
    }
    check(head("OPTIONS", "*", &[]), 400, false);
    check(head("GET", "/caf\u{e9}", &[]), 400, false);
}

#[test]
fn framing_and_addressing() {
    let post = |fields: &[(&str, &str)]| head("POST", "/api/v1/jobs", fields);
    check(post(&[("content-length", "5")]), 0, false);
    check(post(&[("content-length", "5"), ("content-length", "6")]), 400, true);
    check(post(&[("content-length", "5, 5")]), 400, true);
    check(post(&[("content-length", "+5")]), 400, true);
    check(post(&[("content-length", "-1")]), 400, true);
    check(post(&[("content-length", "")]), 400, true);
    check(post(&[("content-length", "99999999999999999999999")]), 413, true);
    check(post(&[("content-length", "104857600")]), 0, false);
    check(post(&[("content-length", "104857601")]), 413, true);
    check(post(&[("transfer-encoding", "chunked")]), 0, false);
    check(post(&[("transfer-encoding", "chunked"), ("content-length", "5")]), 400, true);
    check(post(&[("transfer-encoding", "gzip, chunked")]), 501, true);
    check(post(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]), 501, true);
    check(post(&[("content-type", "a/b"), ("content-type", "a/c")]), 400, true);
    check(post(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]), 400, true);
    check(post(&[("x-api-key", "a"), ("x-api-key", "b")]), 400, true);
    check(post(&[("x-api-key", "a"), ("x-api-key", "a")]), 0, false);
    let host = |target: &str, hosts: &[&str]| {
        let fields: Vec<(&str, &str)> = hosts.iter().map(|host| ("host", *host)).collect();
        head("GET", target, &fields)
    };
    check(host("/", &[""]), 400, true);
    check(host("/", &["a", "a"]), 400, true);
    check(host("/", &["a b"]), 400, true);
    check(host("/", &["user@a"]), 400, true);
    check(host("/", &["a:http"]), 400, true);
    check(host("/", &["[::1]:80"]), 0, false);
    check(host("http://a/", &["A:80"]), 0, false);
    check(host("https://a:443/", &["a"]), 0, false);
    check(host("http://a/", &["b"]), 400, true);
    check(host("http://a:81/", &["a"]), 400, true);
    let version = |version, mut head: RequestHead| {
        head.version = version;
        head
    };
    check(version(Version::HTTP_10, host("/", &[""])), 0, false);
    check(version(Version::HTTP_2, host("https://a/", &[""])), 0, false);
    check(version(Version::HTTP_2, host("/", &[""])), 400, true);
    check(version(Version::HTTP_10, post(&[("transfer-encoding", "chunked")])), 400, true);
}

#[test]
fn sizes() {
    let long = "x".repeat(65_536);
    check(head("GET", "/", &[("x-long", &long)]), 431, true);
    let names: Vec<String> = (0..130).map(|number| alloc::format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    check(head("GET", "/", &many), 431, true);
    check(head("GET", "/", many.get(..100).unwrap()), 0, false);
}

#[test]
fn methods_upgrades_loops() {
    check(head("TRACE", "/", &[]), 405, false);
    check(head("CONNECT", "/", &[]), 405, false);
    check(head("PURGE", "/", &[]), 0, false);
    let upgrade = || head("GET", "/ws", &[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]);
    check(upgrade(), 0, false);
    let (_, refusal) = read(&document(), upgrade(), Facts { can_upgrade: false, ..facts() });
    assert_eq!(refusal.unwrap().code, ErrorCode::NotImplemented);
    check(head("GET", "/", &[("via", "1.1 acip, 1.1 ACIP (x, 1.1 acip)")]), 0, false);
    check(head("GET", "/", &[("via", "1.1 acip"), ("via", "HTTP/2 acip, 1.1 b, 1.1 acip")]), 508, false);
    check(head("GET", "/", &[("via", "1.1 acip2, 1.1 acip.example, 1.1 xacip, 1.1 acip")]), 0, false);
}

#[test]
fn ids() {
    let id = |fields: &[(&str, &str)]| request("/", fields).id;
    assert_eq!(id(&[("x-request-id", "abc-1")]), "abc-1");
    let made = id(&[]);
    assert_eq!(made, "019b76da-a800-7707-8707-070707070707");
    let long = "x".repeat(129);
    for bad in ["", "a b", "\u{e9}", long.as_str()] {
        assert_eq!(id(&[("x-request-id", bad)]), made, "{bad}");
    }
    assert_eq!(id(&[("x-request-id", "a"), ("x-request-id", "b")]), made);
}

#[test]
fn traces() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";
    let continued = |lines: &[&str]| {
        let fields: Vec<(&str, &str)> = lines.iter().map(|line| ("traceparent", *line)).collect();
        let trace = request("/", &fields).trace;
        assert_eq!(trace.span_id, [9; 8]);
        let same = crate::hex::hex(&trace.trace_id) == TRACE;
        assert_eq!(same, crate::hex::hex(&trace.parent_id) == SPAN);
        (same, trace.flags)
    };
    let line = |version: &str, flags: &str| alloc::format!("{version}-{TRACE}-{SPAN}-{flags}");
    assert_eq!(continued(&[&line("00", "01")]), (true, 1));
    assert_eq!(continued(&[&line("00", "02")]), (true, 0));
    assert_eq!(continued(&[&line("cc", "01-what-ever")]), (true, 1));
    assert_eq!(continued(&[&line("cc", "01")]), (true, 1));
    for bad in [line("ff", "01"), line("00", "01-x"), line("00", "1"), line("0", "01"), line("00", "0X")] {
        assert!(!continued(&[&bad]).0, "{bad}");
    }
    assert!(!continued(&[&line("00", "01").to_uppercase()]).0);
    assert!(!continued(&[&alloc::format!("00-{}-{SPAN}-01", "0".repeat(32))]).0);
    assert!(!continued(&[&alloc::format!("00-{TRACE}-{}-01", "0".repeat(16))]).0);
    assert!(!continued(&[&line("00", "01"), &line("00", "01")]).0);
    assert!(!continued(&[]).0);
}

#[test]
fn client_addresses() {
    let mut document = document();
    document.server.trusted_proxies =
        vec!["192.0.2.0/24".parse().unwrap(), "2001:db8:ffff::/48".parse().unwrap()];
    let client = |fields: &[(&str, &str)]| {
        let (request, _) = read(&document, head("GET", "/", fields), facts());
        alloc::format!("{}", request.client)
    };
    for (fields, expected) in [
        (&[][..], "192.0.2.1"),
        (&[("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
        (&[("x-forwarded-for", "6.6.6.6, 203.0.113.9, 192.0.2.7")], "203.0.113.9"),
        (&[("x-forwarded-for", "6.6.6.6, nonsense, 192.0.2.7")], "192.0.2.7"),
        (&[("x-forwarded-for", "192.0.2.8, 192.0.2.7")], "192.0.2.8"),
        (&[("x-forwarded-for", "203.0.113.9:1234")], "203.0.113.9"),
        (&[("x-forwarded-for", "[2001:db8::1]:1234")], "2001:db8::1"),
        (&[("x-forwarded-for", "::ffff:203.0.113.9")], "203.0.113.9"),
        (&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
        (&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "\u{e9}")], "192.0.2.1"),
        (&[("forwarded", "for=6.6.6.6, FOR=\"203.0.113.9:80\";proto=https")], "203.0.113.9"),
        (&[("forwarded", "for=\"[2001:db8::1]:4711\";by=\"a, for=6.6.6.6\"")], "2001:db8::1"),
        (&[("forwarded", "for=6.6.6.6, for=unknown")], "192.0.2.1"),
        (&[("forwarded", "for=6.6.6.6, for=_hidden")], "192.0.2.1"),
        (&[("forwarded", "for=6.6.6.6;for=7.7.7.7")], "192.0.2.1"),
        (&[("forwarded", "for=1.1.1.1, for=\"[2001:db8:ffff::5]\"")], "1.1.1.1"),
        (&[("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "203.0.113.9")], "192.0.2.1"),
        (&[("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
    ] {
        assert_eq!(client(fields), expected, "{fields:?}");
    }
    // Nobody is trusted by default, and a platform is believed before any header.
    let spoof = [("x-forwarded-for", "6.6.6.6")];
    assert_eq!(alloc::format!("{}", request("/", &spoof).client), "192.0.2.1");
    let mut facts = facts();
    facts.hints.client = Some("198.51.100.4".parse().unwrap());
    let (request, _) = read(&document, head("GET", "/", &spoof), facts);
    assert_eq!(alloc::format!("{}", request.client), "198.51.100.4");
    assert!(!request.via_trusted_proxy);
}

#[test]
fn regions() {
    let region = |trusted: bool, own: Option<&str>, hint: Option<&str>, fields: &[(&str, &str)]| {
        let mut document = document();
        document.identity.region = own.map(Into::into);
        if trusted {
            document.server.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
        }
        let mut facts = facts();
        facts.hints.region = hint.map(Into::into);
        read(&document, head("GET", "/", fields), facts).0.region
    };
    let some = |name: &str| Some(String::from(name));
    assert_eq!(region(false, None, None, &[("cf-ipcountry", "DE")]), None);
    assert_eq!(region(true, None, None, &[("cf-ipcountry", "DE")]), some("eu-central"));
    assert_eq!(region(true, None, None, &[("cf-ipcountry", "DE"), ("x-region", "US-West")]), some("us-west"));
    assert_eq!(region(true, Some("us-west"), None, &[("x-region", "mars")]), some("us-west"));
    assert_eq!(region(false, Some("us-west"), Some("DE"), &[]), some("eu-central"));
    assert_eq!(region(false, Some("us-west"), Some("ZZ,hk"), &[]), some("ap-east"));
    assert_eq!(region(false, Some("us-west"), Some("DE,hk"), &[]), some("eu-central"));
    assert_eq!(region(false, Some("us-west"), Some("ZZ,FRA"), &[]), some("us-west"));
}

#[test]
fn resources_have_one_name() {
    let id = |text: &str| request(&alloc::format!("/api/v1/jobs/{text}"), &[]).job_id;
    let plain = "0af76519-16cd-43dd-8448-eb211c80319c";
    for text in [
        plain,
        "0AF76519-16CD-43DD-8448-EB211C80319C",
        "0af7651916cd43dd8448eb211c80319c",
        "%7B0af76519-16cd-43dd-8448-eb211c80319c%7D",
        "urn:uuid:0af76519-16cd-43dd-8448-eb211c80319c",
        "0af7-651916cd43dd8448eb211c80319c",
    ] {
        assert_eq!(id(text).as_deref(), Some(plain), "{text}");
    }
    assert_eq!(id("not-a-uuid").as_deref(), Some("not-a-uuid"));
    check(head("GET", "/api/v1/jobs/0_f7651916cd43dd8448eb211c80319c", &[]), 400, false);
    check(head("GET", "/api/v1/jobs/%EF%BC%91af7651916cd43dd8448eb211c80319c", &[]), 400, false);
    let worker = request("/api/v1/workers/0AF76519-16CD-43DD-8448-EB211C80319C/config", &[]);
    assert_eq!((worker.worker_id.as_deref(), worker.job_id), (Some(plain), None));
}

#[test]
fn sync_jobs_wait_as_long_as_they_say() {
    for (query, timeout_ms) in
        [("", 70_000), ("?timeout=5", 15_000), ("?a=b&timeout=9999", 610_000), ("?timeout=x", 70_000)]
    {
        let head = head("POST", &alloc::format!("/api/v1/jobs/sync{query}"), &[]);
        let (request, _) = read(&document(), head, facts());
        assert_eq!((request.route.kind, request.route.timeout_ms), (RouteKind::JobSubmitSync, timeout_ms));
    }
    assert_eq!(request("/", &[]).route.timeout_ms, 30_000);
}

#[test]
fn problems() {
    for (accept, expected) in [
        ("application/json", false),
        ("text/html, application/problem+json;q=0.5", true),
        ("application/problem+json; q=0.0", false),
        ("*/*", false),
    ] {
        assert_eq!(request("/", &[("accept", accept)]).wants_problem, expected, "{accept}");
    }
}

#[test]
fn a_refusal_that_closes_says_so_to_the_driver() {
    let fields = [("transfer-encoding", "chunked"), ("content-length", "5"), ("x-request-id", "mine")];
    let answer = answered(document(), head("POST", "/api/v1/jobs", &fields), facts());
    assert_eq!((answer.status.as_u16(), answer.close), (400, true));
    assert_eq!(
        (field(&answer.headers, "x-request-id").as_str(), field(&answer.headers, "via").as_str()),
        ("mine", "")
    );
    let answer = answered(document(), head("TRACE", "/", &[]), facts());
    assert!(!answer.close && !field(&answer.headers, "allow").is_empty());
}

proptest::proptest! {
    /// Whatever comes, there is an answer or a request that no origin can read in two ways, and no panic.
    #[test]
    fn any_head_is_settled(
        method in "GET|POST|OPTIONS|[!-~]{1,8}",
        target in "/(api/v1/|gateway/)?[a-zA-Z/.%;0-9]{0,20}|/[!-~]{0,12}",
        names in proptest::collection::vec(proptest::sample::select(FIELDS), 0..6),
        values in proptest::collection::vec("[ -~]{0,40}|upgrade|websocket|chunked|for=1.2.3.4|\\PC{0,12}", 6),
        version in 0..3_u8,
    ) {
        let (Ok(method), Ok(uri)) = (http::Method::from_bytes(method.as_bytes()), target.parse()) else {
            return Ok(());
        };
        let version = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2][usize::from(version)];
        let mut headers = http::HeaderMap::new();
        headers.append("host", http::HeaderValue::from_static("gateway.example"));
        for (name, value) in names.iter().zip(&values) {
            if let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(*name, value);
            }
        }
        let mut document = document();
        document.server.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
        let gateway = gateway(document);
        match gateway.begin(RequestHead { method, uri, version, headers }, facts()) {
            Step::Settled(Verdict::Forward(forward)) => {
                let alone = |name: &str| forward.headers.get_all(name).iter().count() <= 1;
                let single = ["content-length", "cookie", "x-forwarded-for", "forwarded", "x-request-id", "traceparent"];
                proptest::prop_assert!(single.into_iter().all(alone));
                let hops = ["transfer-encoding", "keep-alive", "host", "expect", "x-real-ip"];
                proptest::prop_assert!(hops.iter().all(|name| !forward.headers.contains_key(*name)));
                proptest::prop_assert_eq!(forward.headers.contains_key("connection"), forward.upgrade);
                let path = forward.attempts.first().unwrap().uri.path();
                proptest::prop_assert!(!path.contains("//") && !path.contains("/../") && !path.contains('\\'));
                let head = ResponseHead { status: http::StatusCode::OK, headers: http::HeaderMap::new() };
                proptest::prop_assert!(forward.seal(0, head, 0, 0).head.headers.contains_key("x-request-id"));
            }
            Step::Settled(Verdict::Reply(reply)) => proptest::prop_assert!(reply.answer.status.as_u16() >= 204),
            _ => proptest::prop_assert!(false, "neither answered nor forwarded"),
        }
    }
}

const FIELDS: &[&str] = &[
    "host",
    "connection",
    "upgrade",
    "via",
    "forwarded",
    "x-forwarded-for",
    "traceparent",
    "tracestate",
    "cookie",
    "content-length",
    "transfer-encoding",
    "x-request-id",
    "origin",
    "access-control-request-method",
    "access-control-request-headers",
    "accept",
    "te",
    "x-region",
];
