//! Which credential opens which door.

use core::net::IpAddr;

use super::{closed, lab_with};
use crate::{
    config::Document,
    plugin::Source,
    plugins::{fixture::document, lab::Lab},
    store::Op,
};

const ANY: &str = "/api/v1/anything";

/// One request with a key (empty: none), and the status it comes to; only 200 reaches the origin.
fn check(lab: &mut Lab, method: &str, target: &str, key: &str, status: u16) {
    let fields = [("x-api-key", key)];
    let seen = lab.send(method, target, fields.get(..usize::from(!key.is_empty())).unwrap());
    assert_eq!(seen.status, status, "{method} {target} with `{key}`: {seen:?}");
    let ours = target.starts_with("/gateway/");
    assert_eq!(seen.forwarded, status == 200 && !ours, "{method} {target} with `{key}`");
}

#[test]
fn api_keys() {
    let mut lab = lab_with(closed());
    for (key, status) in [
        ("", 401),
        ("static", 200),
        ("root", 200),
        ("plain", 200),
        ("boss", 200),
        ("off", 401),
        ("old", 401),
        ("nobody", 401),
        ("home", 200),
        ("narrow", 403),
        ("broken", 403),
        ("worker", 403),
    ] {
        check(&mut lab, "GET", ANY, key, status);
    }
    check(&mut lab, "GET", "/api/v1/jobs/stats/queue", "narrow", 200);
    check(&mut lab, "GET", "/health", "", 200);
    lab.peer = IpAddr::from([198, 51, 100, 1]);
    check(&mut lab, "GET", ANY, "home", 403);
    lab.peer = "2001:db8::1".parse().unwrap();
    check(&mut lab, "GET", ANY, "home", 200);
    let seen = lab.send("GET", ANY, &[]);
    assert_eq!(seen.field("www-authenticate"), "Bearer realm=\"acip\"");
    assert!(seen.asked.is_empty());
    let bearer = lab.send("GET", ANY, &[("authorization", "Bearer plain")]);
    assert_eq!(bearer.brief(), (200, true));
}

#[test]
fn admin_doors() {
    let check_all = |document: Document, expected: [(&str, u16); 5]| {
        let mut lab = lab_with(document);
        for path in
            ["/api/v1/admin/stats", "/admin", "/admin/x", "/static/a.js", "/docs", "/redoc", "/openapi.json"]
        {
            for (key, status) in expected {
                check(&mut lab, "GET", path, key, status);
                check(&mut lab, "DELETE", path, key, status);
            }
            lab.now_ms += 120_000;
        }
    };
    let usual = [("", 401), ("root", 200), ("boss", 200), ("plain", 403), ("static", 403)];
    check_all(closed(), usual);
    let mut open = closed();
    open.auth.enabled = false;
    check_all(open, usual);
    let mut switched_off = closed();
    switched_off.plugins.entry("auth-plugin".into()).or_default().enabled = Some(false);
    check_all(switched_off, usual);
    // No token is configured: the door is not open for that.
    check_all(document(), [("", 401), ("root", 401), ("boss", 200), ("plain", 403), ("nobody", 401)]);
}

#[test]
fn authentication_switched_off() {
    let mut document = closed();
    document.auth.enabled = false;
    let mut lab = lab_with(document);
    for key in ["", "nobody", "plain"] {
        check(&mut lab, "GET", ANY, key, 200);
        check(
            &mut lab,
            "GET",
            "/gateway/config",
            key,
            if key.is_empty() || key == "nobody" { 401 } else { 403 },
        );
    }
    assert_eq!(lab.send("GET", "/api/v1/workers/w1/next-job", &[]).brief(), (401, false));
}

#[test]
fn own_pages() {
    let mut lab = lab_with(closed());
    for path in ["/gateway/health", "/gateway/livez", "/gateway/readyz"] {
        check(&mut lab, "GET", path, "", 200);
        check(&mut lab, "HEAD", path, "nobody", 200);
        let refused = lab.send("POST", path, &[]);
        assert_eq!((refused.brief(), refused.field("allow").as_str()), ((405, false), "GET, HEAD"));
        assert!(refused.asked.is_empty());
    }
    for path in [
        "/gateway/metrics",
        "/gateway/plugins",
        "/gateway/plugins/x",
        "/gateway/config",
        "/gateway/health/detailed",
    ] {
        for (key, status) in [("", 401), ("root", 200), ("boss", 403), ("static", 403), ("nobody", 401)] {
            check(&mut lab, "GET", path, key, status);
        }
        check(&mut lab, "PUT", path, "root", 405);
        check(&mut lab, "PATCH", path, "", 401);
    }
    check(&mut lab, "GET", "/gateway/nope", "root", 404);
    check(&mut lab, "GET", "/gateway", "", 404);
    lab.source = Source::Down;
    check(&mut lab, "GET", "/gateway/config", "root", 200);
    check(&mut lab, "GET", "/gateway/config", "nobody", 401);
}

#[test]
fn own_pages_without_an_admin_token() {
    let mut lab = Lab::new(document());
    check(&mut lab, "GET", "/gateway/config", "", 403);
    check(&mut lab, "PATCH", "/gateway/config", "", 403);
    check(&mut lab, "GET", "/gateway/nope", "", 404);
    for peer in ["127.0.0.1", "::1", "127.9.9.9"] {
        lab.peer = peer.parse().unwrap();
        let mut status = |method: &str, fields: &[(&str, &str)]| {
            let seen = lab.send(method, "/gateway/config", fields);
            assert!(!seen.forwarded && seen.asked.len() <= 1, "{:?}", seen.asked);
            seen.status
        };
        assert_eq!(status("GET", &[("host", "localhost:3000")]), 200);
        assert_eq!(status("GET", &[("host", "[::1]:3000")]), 200);
        assert_eq!(status("GET", &[("host", "127.0.0.1")]), 200);
        assert_eq!(status("GET", &[("host", "rebound.example")]), 403);
        assert_eq!(status("GET", &[("host", "localhost"), ("x-forwarded-for", "192.0.2.9")]), 403);
        assert_eq!(status("GET", &[("host", "localhost"), ("forwarded", "for=192.0.2.9")]), 403);
        assert_eq!(status("PATCH", &[("host", "localhost")]), 403);
    }
    let seen = lab.send("PATCH", "/gateway/config", &[]);
    assert!(seen.json()["error"]["message"].as_str().unwrap().contains("ADMIN_TOKEN"));
}

#[test]
fn failures_are_limited_by_address() {
    let mut lab = lab_with(closed());
    for _ in 0..50 {
        check(&mut lab, "GET", ANY, "", 401);
    }
    for count in 0..20 {
        check(&mut lab, "GET", ANY, &alloc::format!("guess-{count}"), 401);
    }
    let limited = lab.send("GET", ANY, &[("x-api-key", "guess-20")]);
    assert_eq!(limited.brief(), (429, false));
    assert!(!limited.field("retry-after").is_empty());
    assert!(limited.event_names().contains(&"gateway:auth:rejected"));
    check(&mut lab, "GET", "/api/v1/admin/x", "guess", 429);
    check(&mut lab, "GET", ANY, "plain", 200);
    check(&mut lab, "GET", ANY, "static", 200);
    lab.peer = IpAddr::from([192, 0, 2, 2]);
    check(&mut lab, "GET", ANY, "guess", 401);
    lab.peer = IpAddr::from([192, 0, 2, 1]);
    lab.now_ms += 121_000;
    check(&mut lab, "GET", ANY, "guess", 401);
}

#[test]
fn made_up_credentials_make_no_keys_but_their_address_s() {
    let mut lab = lab_with(closed());
    let before = lab.store.usage().limiters;
    for count in 0..10 {
        check(&mut lab, "GET", ANY, &alloc::format!("guess-{count}"), 401);
    }
    assert_eq!(lab.store.usage().limiters, before + 1);
    let seen = lab.send("GET", ANY, &[("x-api-key", "plain")]);
    assert!(seen.asked.iter().any(|op| matches!(op, Op::Record { .. })));
}

#[test]
fn store_down() {
    for source in [Source::Fallback, Source::Down] {
        let mut lab = lab_with(closed());
        lab.source = source;
        for key in ["plain", "nobody", "boss"] {
            check(&mut lab, "GET", ANY, key, 503);
            check(&mut lab, "GET", "/docs", key, 503);
        }
        let refused = lab.send("GET", ANY, &[("x-api-key", "plain")]);
        assert_eq!(refused.json()["error"]["code"], "STORE_UNAVAILABLE");
        assert_eq!(refused.field("retry-after"), "1");
        // What the document itself knows goes on, where its limits can still be counted.
        let status = if source == Source::Fallback { 200 } else { 503 };
        check(&mut lab, "GET", ANY, "static", status);
        check(&mut lab, "GET", "/docs", "root", status);
        check(&mut lab, "GET", ANY, "", 401);
    }
}
