//! What depends on the route, the body and the store: jobs, whole bodies, unsafe methods, a store that is
//! down.

use alloc::format;

use super::sim::{Origin, Sim, ok, owned, reused, says};
use crate::{
    config::{RouteCache, RouteRule},
    outcome::End,
    plugin::Source,
    plugins::fixture,
};

const KEY: (&str, &str) = ("x-api-key", "one");

#[test]
fn jobs_are_stored_once_they_are_over() {
    for (body, expected) in [
        (r#"{"id":"a","status":"completed","result":{"status":"running"}}"#, true),
        (r#"{"status":"failed"}"#, true),
        (r#"{"status":"cancelled"}"#, true),
        (r#"{"status":"running"}"#, false),
        (r#"{"status":"queued","result":{"status":"completed"}}"#, false),
        (r#"{"status":"running","status":"completed"}"#, false),
        (r#"{"status":"completed""#, false),
        (r#"["completed"]"#, false),
        ("", false),
    ] {
        for control in ["max-age=600", "x-nothing"] {
            let stored = reused("/api/v1/jobs/a", &[KEY], ok(&[("cache-control", control)], body));
            assert_eq!(stored, expected, "{body} {control}");
        }
    }
    let mut sim = Sim::new();
    let over = || ok(&[], r#"{"status":"completed"}"#);
    assert_eq!(
        sim.get("/api/v1/jobs/a", &[KEY], over()).field("cache-status"),
        "acip; fwd=uri-miss",
        "not promised before the body is read"
    );
    sim.get("/api/v1/jobs/a", &[("x-api-key", "two")], over());
    assert_eq!(sim.writes.len(), 1, "another client has an entry of its own");
}

#[test]
fn only_whole_bodies_are_stored() {
    let fields = owned(&[("cache-control", "max-age=60")]);
    for end in [End::ClientLeft, End::OriginBroke] {
        let mut sim = Sim::new();
        sim.get("/x", &[KEY], Origin::Breaks(end, fields.clone()));
        assert!(sim.writes.is_empty(), "{end:?}");
    }
    let mut document = fixture::document();
    document.cache.max_body_bytes = 5;
    for (body, declared, expected) in [("12345", false, 1), ("123456", false, 0), ("123456", true, 0)] {
        let mut sim = Sim::with(document.clone());
        let mut fields = owned(&[("cache-control", "max-age=60")]);
        if declared {
            fields.push(("content-length", format!("{}", body.len())));
        }
        sim.get("/x", &[KEY], Origin::Says(200, fields, body.into()));
        assert_eq!(sim.writes.len(), expected, "{body}");
    }
}

#[test]
fn unsafe_methods_make_room() {
    // §4.4.
    for (method, path, status, expected) in [
        ("DELETE", "/x", 204, false),
        ("POST", "/x", 200, false),
        ("PUT", "/x", 303, false),
        ("PATCH", "/x", 200, false),
        ("PURGE", "/x", 200, false),
        ("POST", "/x", 400, true),
        ("POST", "/x", 500, true),
        ("OPTIONS", "/x", 200, true),
        ("POST", "/y", 200, true),
        ("DELETE", "/all/x", 200, false),
        ("DELETE", "/api/v1/jobs/a", 200, false),
    ] {
        let mut sim = Sim::new();
        let read = if path == "/y" { "/x" } else { path };
        let fields = [("cache-control", "max-age=60")];
        sim.get(read, &[KEY], ok(&fields, r#"{"status":"completed"}"#));
        let seen = sim.send(method, path, &[KEY], says(status, &[], ""));
        assert_eq!(seen.cache, None);
        assert!(sim.keys.is_empty(), "nothing is asked for {method}");
        let kept = sim.get(read, &[KEY], ok(&[], "")).asked.is_none();
        assert_eq!(kept, expected, "{method} {path} {status}");
    }
    // What the answer names, where it is of this host.
    for (name, value, expected) in [
        ("location", "/all/x", false),
        ("content-location", "/all/x", false),
        ("location", "http://gateway.test/all/x#part", false),
        ("location", "http://other.test/all/x", true),
        ("location", "//gateway.test/all/x", true),
        ("location", "x", true),
        ("location", "/all/%zz", true),
        ("x-location", "/all/x", true),
    ] {
        let mut sim = Sim::new();
        let host = ("host", "gateway.test");
        sim.get("/all/x", &[KEY, host], ok(&[("cache-control", "max-age=60")], ""));
        sim.send("POST", "/api/v1/jobs", &[KEY, host], says(201, &[(name, value)], ""));
        let kept = sim.get("/all/x", &[KEY, host], ok(&[], "")).asked.is_none();
        assert_eq!(kept, expected, "{name}: {value}");
    }
    // Calls that could never make an entry invalid cost the store nothing.
    let mut sim = Sim::new();
    sim.send("POST", "/api/v1/workers/w/heartbeat", &[KEY], says(200, &[], ""));
    assert!(sim.writes.is_empty());
}

#[test]
fn without_the_store_nothing_is_read_or_written() {
    for source in [Source::Down, Source::Fallback] {
        let mut sim = Sim::new();
        sim.get("/x", &[KEY], ok(&[("cache-control", "max-age=60")], "first"));
        sim.source = source;
        let seen = sim.get("/x", &[KEY], ok(&[("cache-control", "max-age=60")], "second"));
        assert_eq!(seen.line(), "MISS second");
        assert_eq!(seen.field("cache-status"), "acip; fwd=miss; detail=store-unavailable");
        assert!(sim.writes.is_empty());
    }
}

#[test]
fn routes_that_are_off_are_not_asked() {
    let mut document = fixture::document();
    let rule =
        |path: &str, cache| RouteRule { path: path.into(), cache: Some(cache), ..RouteRule::default() };
    document.routes.push(rule("/off/*", RouteCache::Off));
    document.routes.push(rule("/api/*", RouteCache::Shared { ttl_seconds: Some(60), heuristic: false }));
    for (method, path, asked) in [
        ("GET", "/other", 1),
        ("GET", "/off/x", 0),
        ("GET", "/api/v1/models", 1),
        // A rule that merely covers them does not cache what hands out work or secrets.
        ("GET", "/api/v1/workers/w/next-job", 0),
        ("GET", "/api/v1/workers/w/config", 0),
        ("GET", "/health", 0),
        ("GET", "/docs", 0),
        ("OPTIONS", "/api/v1/models", 0),
    ] {
        let mut sim = Sim::with(document.clone());
        let seen = sim.send(method, path, &[KEY], ok(&[("cache-control", "max-age=60")], ""));
        assert_eq!((sim.keys.len(), seen.cache.is_some()), (asked, asked == 1), "{method} {path}");
    }
}
