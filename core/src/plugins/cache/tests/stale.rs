//! What happens past an answer's freshness: validation, serving meanwhile, standing in for errors. Sections
//! are of RFC 9111 unless they say otherwise.

use alloc::{format, string::String};

use super::sim::{Origin, Sim, ok, says};
use crate::{store::Op, verdict::OriginFailure};

const KEY: (&str, &str) = ("x-api-key", "one");

/// An answer with this `Cache-Control` and an `ETag`, `seconds` ago.
fn aged(control: &str, seconds: u64) -> Sim {
    let mut sim = Sim::new();
    let date = sim.date(0);
    let fields = [("cache-control", control), ("etag", "\"v1\""), ("date", date.as_str()), ("x-part", "old")];
    sim.get("/x", &[KEY], ok(&fields, "first"));
    sim.wait(seconds);
    sim
}

#[test]
fn a_304_gives_a_new_life() {
    let mut sim = aged("max-age=60", 61);
    let date = sim.date(0);
    let fields = [
        ("date", date.as_str()),
        ("x-part", "new"),
        ("content-length", "77"),
        ("content-type", "a/b"),
        ("digest", "d"),
    ];
    let seen = sim.get("/x", &[KEY], says(304, &fields, ""));
    assert_eq!((seen.status, seen.line().as_str()), (200, "HIT first"));
    assert_eq!(seen.sent("if-none-match"), "\"v1\"");
    for (name, expected) in [
        ("cache-status", "acip; fwd=stale; fwd-status=304; stored"),
        ("x-part", "new"),
        ("etag", "\"v1\""),
        ("content-length", "5"),
        ("content-type", "a/b"),
        ("digest", ""),
        ("via", "1.1 acip"),
    ] {
        assert_eq!(seen.field(name), expected, "{name}");
    }
    assert_eq!(seen.events, ["gateway:cache:hit", "gateway:cache:stored"]);
    sim.wait(59);
    let seen = sim.get("/x", &[KEY], Origin::Silent);
    assert_eq!((seen.line().as_str(), seen.field("age").as_str()), ("HIT first", "59"));
    assert_eq!(seen.field("x-part"), "new");
}

#[test]
fn validators_go_to_the_origin() {
    let modified = "Wed, 31 Dec 2025 00:00:00 GMT";
    for (fields, tag, since) in [
        (&[("etag", "W/\"a\"")][..], "W/\"a\"", ""),
        (&[("last-modified", modified)], "", modified),
        (&[("etag", "\"a\""), ("last-modified", modified)], "\"a\"", modified),
        (&[], "\"client\"", ""),
    ] {
        let mut sim = Sim::new();
        let mut all = fields.to_vec();
        all.push(("cache-control", "max-age=1, stale-if-error=60"));
        sim.get("/x", &[KEY], ok(&all, "first"));
        sim.wait(2);
        let seen = sim.get("/x", &[KEY, ("if-none-match", "\"client\"")], ok(&[], "second"));
        let sent = (seen.sent("if-none-match"), seen.sent("if-modified-since"));
        assert_eq!(sent, (tag.into(), since.into()), "{fields:?}");
    }
}

#[test]
fn the_clients_condition_is_judged_on_the_outcome() {
    // What the client has, what the origin says, what the client gets.
    for (has, origin, status, body) in [
        ("\"v1\"", says(304, &[], ""), 304, ""),
        ("\"v0\"", says(304, &[], ""), 200, "first"),
        ("\"v1\"", ok(&[("etag", "\"v2\"")], "second"), 200, "second"),
    ] {
        let mut sim = aged("max-age=60", 61);
        let seen = sim.get("/x", &[KEY, ("if-none-match", has)], origin);
        assert_eq!(seen.sent("if-none-match"), "\"v1\"");
        assert_eq!((seen.status, seen.body.as_str()), (status, body), "{has}");
    }
}

#[test]
fn what_replaces_a_stored_answer() {
    let fresh = [("cache-control", "max-age=60")];
    // What the origin says to the validation, the next line 1 s later when it says `third`.
    for (name, origin, expected) in [
        ("another answer", ok(&fresh, "second"), "HIT second"),
        ("an error leaves it", says(500, &[], "oops"), "MISS third"),
        ("one that must not be stored", ok(&[("cache-control", "no-store")], "second"), "MISS third"),
        ("304 about another answer", says(304, &[("etag", "\"v9\""), fresh[0]], ""), "MISS third"),
        ("304 that forbids storing", says(304, &[("cache-control", "no-store")], ""), "MISS third"),
        ("304 with cookies", says(304, &[("set-cookie", "a=1")], ""), "MISS third"),
    ] {
        let mut sim = aged("max-age=60", 61);
        sim.get("/x", &[KEY], origin);
        sim.wait(1);
        let seen = sim.get("/x", &[KEY], ok(&[], "third"));
        assert_eq!(seen.line(), expected, "{name}");
        let still_there = seen.sent("if-none-match") == "\"v1\"";
        assert_eq!(still_there, name == "an error leaves it", "{name}");
    }
}

#[test]
fn no_cache_answers_are_always_validated() {
    let mut sim = aged("no-cache", 0);
    for _ in 0..2 {
        let seen = sim.get("/x", &[KEY], says(304, &[], ""));
        assert_eq!((seen.line().as_str(), seen.sent("if-none-match").as_str()), ("HIT first", "\"v1\""));
    }
    let seen = sim.get("/x", &[KEY, ("cache-control", "max-stale")], says(304, &[], ""));
    assert!(seen.asked.is_some());
}

#[test]
fn stale_answers_for_those_who_want_them() {
    // Stored, request, seconds, expected (§5.2.1.2, §4.2.4).
    for (stored, wants, seconds, expected) in [
        ("max-age=60", "max-stale", 500, "STALE first"),
        ("max-age=60", "max-stale=10", 70, "STALE first"),
        ("max-age=60", "max-stale=10", 71, "MISS second"),
        ("max-age=60", "max-stale=x", 61, "MISS second"),
        ("max-age=60", "max-stale, no-cache", 61, "MISS second"),
        ("max-age=60", "max-stale, max-age=65", 62, "STALE first"),
        ("max-age=60", "max-stale, max-age=65", 66, "MISS second"),
        ("max-age=60, must-revalidate", "max-stale", 61, "MISS second"),
        ("max-age=60, proxy-revalidate", "max-stale", 61, "MISS second"),
        ("s-maxage=60", "max-stale", 61, "MISS second"),
    ] {
        let mut sim = aged(stored, seconds);
        let seen = sim.get("/x", &[KEY, ("cache-control", wants)], ok(&[], "second"));
        assert_eq!(seen.line(), expected, "{stored} / {wants} after {seconds} s");
        assert!(!seen.behind);
    }
}

#[test]
fn served_while_it_is_refreshed() {
    // RFC 5861 §3.
    let control = "max-age=60, stale-while-revalidate=30";
    let mut sim = aged(control, 75);
    let seen = sim.get("/x", &[KEY], ok(&[("cache-control", control)], "second"));
    assert_eq!(seen.line(), "STALE first");
    assert_eq!((seen.field("age").as_str(), seen.sent("if-none-match").as_str()), ("75", "\"v1\""));
    assert_eq!(seen.field("cache-status"), "acip; hit; ttl=-15");
    assert!(seen.behind);
    assert_eq!(seen.events, ["gateway:cache:hit", "gateway:cache:stored"]);
    assert_eq!(sim.get("/x", &[KEY], Origin::Silent).line(), "HIT second");
    // Or found to hold still.
    sim.wait(61);
    let client = [KEY, ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT")];
    let seen = sim.get("/x", &client, says(200, &[("cache-control", control), ("etag", "\"v3\"")], "third"));
    assert_eq!((seen.line().as_str(), seen.sent("if-modified-since").as_str()), ("STALE second", ""));
    sim.wait(61);
    let seen = sim.get("/x", &[KEY], says(304, &[("etag", "\"v3\"")], ""));
    assert_eq!((seen.line().as_str(), seen.behind), ("STALE third", true));
    assert_eq!(sim.get("/x", &[KEY], Origin::Silent).line(), "HIT third");
}

#[test]
fn when_it_is_not_served_meanwhile() {
    for (control, wants, seconds, expected) in [
        ("max-age=60, stale-while-revalidate=30", "x", 90, "STALE first"),
        ("max-age=60, stale-while-revalidate=30", "x", 91, "MISS second"),
        ("max-age=60, stale-while-revalidate=30", "max-age=90", 75, "MISS second"),
        ("max-age=60, stale-while-revalidate=30", "min-fresh=1", 75, "MISS second"),
        ("max-age=60, stale-while-revalidate=30, must-revalidate", "x", 75, "MISS second"),
        ("s-maxage=60, stale-while-revalidate=30", "x", 75, "MISS second"),
        ("max-age=60, stale-while-revalidate=x", "x", 61, "MISS second"),
    ] {
        let mut sim = aged(control, seconds);
        let seen = sim.get("/x", &[KEY, ("cache-control", wants)], ok(&[], "second"));
        assert_eq!(seen.line(), expected, "{control} / {wants} after {seconds} s");
    }
    let mut sim = aged("max-age=60, stale-while-revalidate=30", 75);
    let seen = sim.get("/x", &[KEY, ("cache-control", "only-if-cached")], Origin::Silent);
    assert_eq!((seen.line().as_str(), seen.behind), ("STALE first", false));
    let seen = sim.send("HEAD", "/x", &[KEY], Origin::Silent);
    assert_eq!((seen.line().as_str(), seen.behind), ("STALE first", false));
}

#[test]
fn stands_in_for_errors() {
    use OriginFailure as Failure;
    let sie = "max-age=60, stale-if-error=30";
    let stale = "STALE first";
    // RFC 5861 §4.
    for (control, wants, seconds, origin, expected) in [
        (sie, "x", 75, Origin::Fails(Failure::Unreachable), stale),
        (sie, "x", 75, Origin::Fails(Failure::Timeout), stale),
        (sie, "x", 75, Origin::Fails(Failure::Broken), stale),
        (sie, "x", 75, says(500, &[], "oops"), stale),
        (sie, "x", 75, says(502, &[], "oops"), stale),
        (sie, "x", 75, says(503, &[], "oops"), stale),
        (sie, "x", 75, says(504, &[], "oops"), stale),
        (sie, "x", 75, says(501, &[], "oops"), "MISS oops"),
        (sie, "x", 75, says(404, &[], "oops"), "MISS oops"),
        (sie, "x", 91, says(500, &[], "oops"), "MISS oops"),
        (sie, "no-cache", 75, says(500, &[], "oops"), "MISS oops"),
        ("max-age=60", "x", 75, says(500, &[], "oops"), "MISS oops"),
        ("max-age=60", "stale-if-error=30", 75, says(500, &[], "oops"), stale),
        ("max-age=60, stale-if-error=30, must-revalidate", "x", 75, says(500, &[], "oops"), "MISS oops"),
        ("s-maxage=60, stale-if-error=30", "x", 75, says(500, &[], "oops"), "MISS oops"),
        ("no-cache, stale-if-error=30", "x", 0, says(500, &[], "oops"), "MISS oops"),
    ] {
        let mut sim = aged(control, seconds);
        let case = format!("{control} / {wants} after {seconds} s, {origin:?}");
        let seen = sim.get("/x", &[KEY, ("cache-control", wants)], origin);
        assert_eq!(seen.line(), expected, "{case}");
        if expected == stale {
            assert_eq!((seen.status, seen.field("age").as_str()), (200, "75"), "{case}");
            assert_eq!(seen.field("via"), "1.1 acip", "{case}");
            assert_eq!(seen.events, ["gateway:cache:hit"], "{case}");
            assert!(sim.writes.is_empty(), "{case}");
        }
    }
    let mut sim = aged("max-age=60", 75);
    assert_eq!(sim.get("/x", &[KEY], Origin::Fails(Failure::Timeout)).status, 504);
}

#[test]
fn nothing_is_kept_for_ever() {
    type Fields = &'static [(&'static str, &'static str)];
    let cases: &[(Fields, Option<u64>)] = &[
        (&[("cache-control", "max-age=60")], Some(60)),
        (&[("cache-control", "max-age=60"), ("age", "20")], Some(40)),
        (&[("cache-control", "max-age=60, stale-if-error=30, stale-while-revalidate=10")], Some(90)),
        (&[("cache-control", "max-age=60, stale-if-error=30, must-revalidate")], Some(60)),
        (&[("cache-control", "max-age=60"), ("etag", "\"a\"")], Some(660)),
        (&[("cache-control", "no-cache"), ("etag", "\"a\"")], Some(600)),
        (&[("cache-control", "max-age=31536000, immutable")], Some(86_400)),
        (&[("cache-control", "max-age=0")], None),
    ];
    for (fields, expected) in cases {
        let mut sim = Sim::new();
        sim.get("/x", &[KEY], ok(fields, "first"));
        let ttl_s = match &sim.writes[..] {
            [Op::Set { ttl_ms: Some(ttl_ms), only_new: false, .. }] => Some(ttl_ms / 1000),
            [] => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(ttl_s, *expected, "{fields:?}");
    }
}

#[test]
fn a_job_that_runs_again_is_forgotten() {
    let mut sim = Sim::new();
    let path = "/api/v1/jobs/a";
    let over = r#"{"status":"completed"}"#;
    sim.get(path, &[KEY], ok(&[("etag", "\"a\"")], over));
    sim.wait(61);
    sim.get(path, &[KEY], ok(&[], r#"{"status":"running"}"#));
    assert!(matches!(&sim.writes[..], [Op::Delete { .. }]), "{:?}", sim.writes);
    assert_eq!(sim.get(path, &[KEY], ok(&[], "")).sent("if-none-match"), String::new());
}

#[test]
fn strangeness_in_the_store_is_a_miss() {
    for value in
        [&b""[..], b"\x00", b"\x01rest", b"3tffffffffffffffff", b"3t0000000000000000", b"{\"json\":1}"]
    {
        let mut sim = Sim::new();
        sim.get("/x", &[KEY], ok(&[], ""));
        let key = sim.keys[0].clone();
        let set = Op::Set { key, value: bytes::Bytes::from_static(value), ttl_ms: None, only_new: false };
        sim.memory.apply(&crate::store::Batch { now_ms: sim.now_ms, ops: alloc::vec![set] });
        assert_eq!(sim.get("/x", &[KEY], ok(&[], "second")).line(), "MISS second");
    }
}
