//! What clients see: storing, reusing, sharing, conditions. Sections are of RFC 9111 unless they say
//! otherwise.

use alloc::{format, string::String, vec::Vec};

use super::sim::{Origin, Sim, ok, reused, says};
use crate::{plugin::Source, store::Op};

const KEY: (&str, &str) = ("x-api-key", "one");

#[test]
fn which_answers_are_stored() {
    const FAR: &str = "Thu, 01 Jan 2026 01:00:00 GMT";
    const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    // Section, path, status, fields, stored.
    type Case = (&'static str, &'static str, u16, &'static [(&'static str, &'static str)], bool);
    let cases: &[Case] = &[
        ("§4.2.1 max-age", "/x", 200, &[("cache-control", "max-age=60")], true),
        ("§5.2 case", "/x", 200, &[("cache-control", "MAX-AGE=60")], true),
        ("§5.2 quoted", "/x", 200, &[("cache-control", "max-age=\"60\"")], true),
        ("§4.2.1 nothing said, no ttl", "/x", 200, &[], false),
        ("§3.5 public alone is no lifetime", "/x", 200, &[("cache-control", "public")], false),
        ("ttl of the route", "/own/x", 200, &[], true),
        ("ttl is for 200 alone", "/own/x", 203, &[], false),
        ("§4.2.1 the origin's word over the ttl", "/own/x", 200, &[("cache-control", "max-age=0")], false),
        ("§5.3 Expires", "/x", 200, &[("expires", FAR)], true),
        ("§5.3 Expires before Date", "/own/x", 200, &[("date", FAR), ("expires", DATE)], false),
        ("§5.3 invalid Expires is past", "/own/x", 200, &[("expires", "0")], false),
        ("§4.2.1 two Expires", "/own/x", 200, &[("expires", FAR), ("expires", DATE)], false),
        ("§5.3 RFC 850", "/x", 200, &[("expires", "Thursday, 01-Jan-26 01:00:00 GMT")], true),
        ("§5.3 asctime", "/x", 200, &[("expires", "Thu Jan  1 01:00:00 2026")], true),
        ("§5.3 max-age over Expires", "/x", 200, &[("cache-control", "max-age=9"), ("expires", "0")], true),
        ("§5.2.2.10 s-maxage over max-age", "/x", 200, &[("cache-control", "s-maxage=9, max-age=0")], true),
        ("§5.2.2.10 s-maxage=0", "/x", 200, &[("cache-control", "max-age=9, s-maxage=0")], false),
        ("§5.2.2.5 no-store", "/own/x", 200, &[("cache-control", "max-age=60, no-store")], false),
        ("§5.2.2.7 private", "/own/x", 200, &[("cache-control", "private, max-age=60")], false),
        ("§5.2.2.7 private field", "/own/x", 200, &[("cache-control", "private=\"a\", max-age=60")], false),
        ("§5.2.2.4 no-cache without validator", "/own/x", 200, &[("cache-control", "no-cache")], false),
        (
            "§5.2 two lines",
            "/own/x",
            200,
            &[("cache-control", "max-age=60"), ("cache-control", "no-store")],
            false,
        ),
        ("§4.2.1 contradiction", "/x", 200, &[("cache-control", "max-age=60, max-age=90")], false),
        ("§4.2.1 repetition", "/x", 200, &[("cache-control", "max-age=60, max-age=60")], true),
        ("§4.2.1 no number", "/own/x", 200, &[("cache-control", "max-age=1.5")], false),
        ("§4.2.1 negative", "/own/x", 200, &[("cache-control", "max-age=-1")], false),
        ("§1.2.2 overflow", "/x", 200, &[("cache-control", "max-age=99999999999999999999")], true),
        ("§5.2 unclosed quote hides nothing", "/own/x", 200, &[("cache-control", "a=\", no-store")], false),
        ("§5.2 quoted comma", "/x", 200, &[("cache-control", "a=\"b, no-store\", max-age=9")], true),
        ("§5.2 comments are none", "/own/x", 200, &[("cache-control", "a=(, no-store, max-age=9")], false),
        ("§7.3 cookies", "/x", 200, &[("cache-control", "max-age=60"), ("set-cookie", "a=1")], false),
        ("§4.1 Vary: *", "/x", 200, &[("cache-control", "max-age=60"), ("vary", "*")], false),
        ("§4.1 Vary: a, *", "/x", 200, &[("cache-control", "max-age=60"), ("vary", "accept, *")], false),
        (
            "§4.1 varies on our fields",
            "/x",
            200,
            &[("cache-control", "max-age=60"), ("vary", "X-Request-ID")],
            false,
        ),
        ("§3.3 parts", "/x", 206, &[("cache-control", "max-age=60")], false),
        (
            "RFC 9110 §14.4 a range that is none",
            "/x",
            200,
            &[("cache-control", "max-age=60"), ("content-range", "bytes 0-1/5")],
            true,
        ),
        ("streams", "/own/x", 200, &[("content-type", "Text/Event-Stream; charset=utf-8")], false),
        ("no length", "/own/x", 200, &[("content-type", "text/plain")], true),
        ("301", "/x", 301, &[("cache-control", "max-age=60"), ("location", "/y")], true),
        ("308", "/x", 308, &[("cache-control", "max-age=60"), ("location", "/y")], true),
        ("203", "/x", 203, &[("cache-control", "max-age=60")], true),
        ("302", "/x", 302, &[("cache-control", "max-age=60"), ("location", "/y")], true),
        ("204", "/x", 204, &[("cache-control", "max-age=60")], true),
        ("a status of the origin's own", "/x", 299, &[("cache-control", "max-age=60")], true),
        ("404", "/x", 404, &[("cache-control", "max-age=60")], true),
        ("410", "/x", 410, &[("cache-control", "max-age=60")], true),
        ("500", "/x", 500, &[("cache-control", "max-age=60")], true),
        ("503", "/x", 503, &[("expires", FAR)], true),
        ("errors without a word: 404", "/own/x", 404, &[], false),
        ("errors without a word: 503", "/own/x", 503, &[], false),
        ("about one client: 401", "/x", 401, &[("cache-control", "max-age=60")], false),
        ("about one client: 429", "/x", 429, &[("cache-control", "max-age=60")], false),
        ("§5.2.2.3 not understood", "/x", 599, &[("cache-control", "max-age=60, must-understand")], false),
        ("§5.2.2.3 understood", "/x", 404, &[("cache-control", "max-age=60, must-understand")], true),
        ("§4.2.3 already old", "/x", 200, &[("cache-control", "max-age=60"), ("age", "60")], false),
        ("§4.2.3 young enough", "/x", 200, &[("cache-control", "max-age=60"), ("age", "59")], true),
        ("§5.1 several ages", "/x", 200, &[("cache-control", "max-age=60"), ("age", "5, 99")], false),
        ("§5.1 two ages", "/x", 200, &[("cache-control", "max-age=60"), ("age", "5"), ("age", "5")], false),
        ("§5.1 age that is none", "/x", 200, &[("cache-control", "max-age=60"), ("age", "-5")], false),
        (
            "§4.2.3 old date",
            "/x",
            200,
            &[("cache-control", "max-age=60"), ("date", "Wed, 31 Dec 2025 23:59:00 GMT")],
            false,
        ),
        (
            "a length that is wrong",
            "/x",
            200,
            &[("cache-control", "max-age=60"), ("content-length", "99")],
            false,
        ),
        ("pages of the operator", "/api/v1/admin/x", 200, &[("cache-control", "max-age=60")], false),
        ("health", "/health", 200, &[("cache-control", "max-age=60")], false),
        (
            "a worker's own calls",
            "/api/v1/workers/w/next-job",
            200,
            &[("cache-control", "max-age=60")],
            false,
        ),
        ("queue stats", "/api/v1/queue/stats", 200, &[], true),
    ];
    for (name, path, status, fields, expected) in cases {
        assert_eq!(reused(path, &[KEY], says(*status, fields, "first")), *expected, "{name}");
    }
}

#[test]
fn which_requests_may_use_the_store() {
    // Request fields, seconds since the answer with max-age=60, expected line.
    type Case = (&'static [(&'static str, &'static str)], u64, &'static str);
    let cases: &[Case] = &[
        (&[], 0, "HIT first"),
        (&[], 59, "HIT first"),
        (&[], 60, "MISS second"),
        (&[("cache-control", "no-cache")], 1, "MISS second"),
        (&[("pragma", "no-cache")], 1, "MISS second"),
        (&[("pragma", "no-cache"), ("cache-control", "max-age=9")], 1, "HIT first"),
        (&[("cache-control", "no-store")], 1, "BYPASS second"),
        (&[("cache-control", "max-age=0")], 0, "MISS second"),
        (&[("cache-control", "max-age=5")], 5, "HIT first"),
        (&[("cache-control", "max-age=5")], 6, "MISS second"),
        (&[("cache-control", "max-age=x")], 0, "MISS second"),
        (&[("cache-control", "min-fresh=10")], 50, "HIT first"),
        (&[("cache-control", "min-fresh=10")], 51, "MISS second"),
        (&[("cache-control", "only-if-cached")], 1, "HIT first"),
        (&[("range", "bytes=0-1")], 1, "HIT fi"),
        (&[("range", "bytes=0-1")], 60, "BYPASS second"),
        (&[("range", "bytes=0-1, 3-4")], 1, "BYPASS second"),
        (&[("if-match", "\"a\"")], 1, "BYPASS second"),
        (&[("if-unmodified-since", "Thu, 01 Jan 2026 00:00:00 GMT")], 1, "BYPASS second"),
        (&[("content-length", "3")], 1, "BYPASS second"),
        (&[("content-length", "0")], 1, "HIT first"),
        (&[("transfer-encoding", "chunked")], 1, "BYPASS second"),
        (&[("connection", "close")], 1, "HIT first"),
        (&[("connection", "accept-language")], 1, "BYPASS second"),
    ];
    for (fields, seconds, expected) in cases {
        let mut sim = Sim::new();
        sim.get("/x", &[KEY], ok(&[("cache-control", "max-age=60")], "first"));
        sim.wait(*seconds);
        let request: Vec<_> = fields.iter().copied().chain([KEY]).collect();
        let seen = sim.get("/x", &request, ok(&[], "second"));
        assert_eq!(seen.line(), *expected, "{fields:?} after {seconds} s");
    }
}

#[test]
fn parts_are_cut_from_what_is_stored() {
    const TAG: &str = "\"v1\"";
    const WEAK: &str = "W/\"v1\"";
    const THEN: &str = "Wed, 31 Dec 2025 00:00:00 GMT";
    // RFC 9110 §14.1.2, §14.2, §13.1.5, §15.3.7. `Range`, `If-Range`, expected line, `Content-Range`.
    let cases: &[(&str, &str, &str, &str)] = &[
        ("bytes=0-1", "", "HIT 01", "bytes 0-1/10"),
        ("Bytes=3-", "", "HIT 3456789", "bytes 3-9/10"),
        ("bytes=9-99", "", "HIT 9", "bytes 9-9/10"),
        ("bytes=-3", "", "HIT 789", "bytes 7-9/10"),
        ("bytes=-99", "", "HIT 0123456789", "bytes 0-9/10"),
        // Outside of it, several, or none that can be read: the origin's affair.
        ("bytes=10-", "", "BYPASS second", ""),
        ("bytes=-0", "", "BYPASS second", ""),
        ("bytes=2-1", "", "BYPASS second", ""),
        ("bytes=0-1,4-5", "", "BYPASS second", ""),
        ("bytes=+1-2", "", "BYPASS second", ""),
        ("bytes=-", "", "BYPASS second", ""),
        ("bytes=99999999999999999999-", "", "BYPASS second", ""),
        ("lines=0-1", "", "BYPASS second", ""),
        ("bytes=0-1", TAG, "HIT 01", "bytes 0-1/10"),
        ("bytes=0-1", "\"v2\"", "HIT 0123456789", ""),
        ("bytes=0-1", WEAK, "HIT 0123456789", ""),
        ("bytes=0-1", THEN, "HIT 01", "bytes 0-1/10"),
        ("bytes=0-1", "Tue, 30 Dec 2025 00:00:00 GMT", "HIT 0123456789", ""),
    ];
    for (range, if_range, expected, told) in cases {
        let mut sim = Sim::new();
        let fields = [("cache-control", "max-age=60"), ("etag", TAG), ("last-modified", THEN)];
        sim.get("/x", &[KEY], ok(&fields, "0123456789"));
        let condition = [("if-range", *if_range)].into_iter().filter(|(_, value)| !value.is_empty());
        let request: Vec<_> = condition.chain([KEY, ("range", *range)]).collect();
        let seen = sim.get("/x", &request, says(206, &[], "second"));
        assert_eq!(seen.line(), *expected, "{range} {if_range}");
        assert_eq!(seen.field("content-range"), *told, "{range} {if_range}");
        let status = if expected.ends_with("0123456789") && told.is_empty() { 200 } else { 206 };
        assert_eq!(seen.status, status, "{range} {if_range}");
    }
    // A weak tag cannot tell that the bytes are the same; who has the answer needs no part of it.
    let mut sim = Sim::new();
    sim.get("/x", &[KEY], ok(&[("cache-control", "max-age=60"), ("etag", WEAK)], "0123456789"));
    let part = ("range", "bytes=0-1");
    assert_eq!(sim.get("/x", &[KEY, part, ("if-range", WEAK)], Origin::Silent).status, 200);
    assert_eq!(sim.get("/x", &[KEY, part, ("if-none-match", WEAK)], Origin::Silent).status, 304);
    assert_eq!(sim.send("HEAD", "/x", &[KEY, part], ok(&[], "")).line(), "BYPASS ");
    sim.source = Source::Down;
    assert_eq!(sim.get("/x", &[KEY, part], says(206, &[], "01")).line(), "MISS 01");
}

#[test]
fn guesses_are_made_where_a_route_asks_for_them() {
    // §4.2.2. The origin's `Date` is now; seconds since it was modified, seconds later, reused.
    type Fields = &'static [(&'static str, &'static str)];
    let cases: &[(u16, Fields, &str, u64, bool)] = &[
        (200, &[], "/guess/x", 359, true),
        (200, &[], "/guess/x", 360, false),
        (200, &[], "/all/y", 60, false),
        (404, &[], "/guess/x", 359, true),
        (403, &[], "/guess/x", 0, false),
        (403, &[("cache-control", "public")], "/guess/x", 359, true),
        (503, &[], "/guess/x", 0, false),
        (200, &[("cache-control", "max-age=5")], "/guess/x", 5, false),
        (200, &[("cache-control", "no-cache")], "/guess/x", 0, false),
    ];
    for (status, fields, path, seconds, expected) in cases {
        let mut document = crate::plugins::fixture::document();
        document.routes.push(crate::config::RouteRule {
            path: "/guess/*".into(),
            cache: Some(crate::config::RouteCache::Shared { ttl_seconds: None, heuristic: true }),
            ..Default::default()
        });
        let mut sim = Sim::with(document);
        let (date, modified) = (sim.date(0), "Wed, 31 Dec 2025 23:00:00 GMT");
        let fields: Vec<_> =
            fields.iter().copied().chain([("date", date.as_str()), ("last-modified", modified)]).collect();
        sim.get(path, &[], says(*status, &fields, "first"));
        sim.wait(*seconds);
        let seen = sim.get(path, &[], ok(&[], "second"));
        assert_eq!(seen.asked.is_none(), *expected, "{status} {fields:?} {path} {seconds}");
    }
}

#[test]
fn only_if_cached_never_asks() {
    for (fields, status) in [(&["only-if-cached"][..], 504), (&["only-if-cached, no-store"], 504)] {
        let mut sim = Sim::new();
        let request = [KEY, ("cache-control", fields[0])];
        assert_eq!(sim.get("/x", &request, Origin::Silent).status, status);
        sim.source = Source::Down;
        assert_eq!(sim.get("/x", &request, Origin::Silent).status, status);
    }
}

#[test]
fn hits_say_so() {
    let mut sim = Sim::new();
    sim.delay_ms = 2000;
    let fields = [("cache-control", "max-age=60"), ("etag", "\"v1\""), ("age", "3"), ("x-own", "kept")];
    let seen = sim.get("/x?a=1", &[KEY], ok(&fields, "body"));
    assert_eq!(seen.field("x-gateway-cache"), "MISS");
    assert_eq!(seen.field("cache-status"), "acip; fwd=uri-miss; stored");
    assert_eq!(seen.events, ["gateway:cache:miss", "gateway:cache:stored"]);
    sim.wait(10);
    let seen = sim.get("/x?a=1", &[KEY], Origin::Silent);
    // §4.2.3: 3 s when it came, 2 s on the way, 10 s here.
    for (name, expected) in [
        ("age", "15"),
        ("x-gateway-cache", "HIT"),
        ("cache-status", "acip; hit; ttl=45"),
        ("etag", "\"v1\""),
        ("x-own", "kept"),
        ("via", "1.1 acip"),
        ("cache-control", "max-age=60"),
    ] {
        assert_eq!(seen.field(name), expected, "{name}");
    }
    assert_eq!((seen.status, seen.body.as_str()), (200, "body"));
    assert_eq!(seen.events, ["gateway:cache:hit"]);
    // A clock that goes back makes nothing younger than it was.
    sim.now_ms -= 3_600_000;
    assert_eq!(sim.get("/x?a=1", &[KEY], Origin::Silent).field("age"), "5");
}

#[test]
fn entries_are_of_one_credential_and_one_target() {
    let fresh = || ok(&[("cache-control", "max-age=60")], "first");
    // First request, second request, reused.
    type Request = (&'static str, &'static [(&'static str, &'static str)]);
    let one = &[KEY][..];
    let cases: &[(Request, Request, bool)] = &[
        (("/x", one), ("/x", &[("x-api-key", "two")]), false),
        (("/x", one), ("/x", &[]), false),
        (("/x", &[]), ("/x", one), false),
        (("/all/x", one), ("/all/x", &[("x-api-key", "two")]), true),
        (("/all/x", one), ("/all/x", &[]), true),
        (("/all/x", &[]), ("/all/x", &[("host", "other.example")]), false),
        (("/x", &[]), ("/x", &[("host", "other.example")]), false),
        (("/x", one), ("/x", &[KEY, ("host", "other.example")]), true),
        (("/x", one), ("/x?", one), false),
        (("/x?a=1", one), ("/x?a=2", one), false),
        (("/x", one), ("/X", one), false),
        (("/%7euser/%c3%a9", one), ("/~user/%C3%A9", one), true),
        (("/a%2Bb", one), ("/a+b", one), false),
        (("/api/v1/queue/stats", one), ("/api/v1/jobs/stats/queue", &[]), true),
        // A host that a stranger puts into a field is not believed, and so makes no other entry.
        (("/all/x", &[]), ("/all/x", &[("x-forwarded-host", "evil.example")]), true),
    ];
    for (first, second, expected) in cases {
        let mut sim = Sim::new();
        sim.get(first.0, first.1, fresh());
        let seen = sim.get(second.0, second.1, ok(&[], "second"));
        assert_eq!(seen.asked.is_none(), *expected, "{first:?} {second:?}");
    }
}

#[test]
fn store_keys_hide_what_they_are_of() {
    let mut sim = Sim::new();
    sim.get("/secret-path", &[KEY], ok(&[], ""));
    let [key] = &sim.keys[..] else { panic!("{:?}", sim.keys) };
    let inner = key.strip_prefix("gateway:cache:{").unwrap().strip_suffix('}').unwrap();
    assert!(inner.len() == 64 && inner.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
}

#[test]
fn an_unknown_authorization_keeps_an_answer_out_of_the_common_entry() {
    // §3.5.
    let basic = [("authorization", "Basic YTpi")];
    for (control, expected) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("max-age=60, must-revalidate", true),
        ("s-maxage=60", true),
    ] {
        assert_eq!(reused("/x", &basic, ok(&[("cache-control", control)], "a")), expected, "{control}");
        // The key is the gateway's business, the password the origin's.
        let both = [KEY, basic[0]];
        assert_eq!(reused("/x", &both, ok(&[("cache-control", control)], "a")), expected, "{control}");
        let bearer = [KEY, ("authorization", "bearer one")];
        assert!(reused("/x", &bearer, ok(&[("cache-control", control)], "a")), "{control}");
    }
    // A rule that shares an open route says nothing of a credential that nobody here has looked at.
    let fresh = || ok(&[("cache-control", "max-age=60")], "a");
    assert!(!reused("/all/x", &basic, fresh()));
    // One that shares a guarded route means those who may pass.
    assert!(reused("/api/v1/queue/stats", &[("authorization", "bearer one")], ok(&[], "a")));
    assert!(!reused("/api/v1/queue/stats", &[KEY, basic[0]], ok(&[], "a")));
}

#[test]
fn vary_chooses() {
    let fields = [("cache-control", "max-age=60"), ("vary", "Accept-Language, X-Mode"), ("vary", "accept")];
    // First request's fields, second's, reused (§4.1).
    type Fields = &'static [(&'static str, &'static str)];
    let cases: &[(Fields, Fields, bool)] = &[
        (&[("accept-language", "de, en")], &[("accept-language", "de,en")], true),
        (&[("accept-language", "de"), ("accept-language", "en")], &[("accept-language", "de, en")], true),
        (&[("accept-language", "DE")], &[("accept-language", "de")], true),
        (&[("accept-language", "de, en")], &[("accept-language", "en, de")], false),
        (&[("x-mode", "A")], &[("x-mode", "a")], false),
        (&[("x-mode", "\"a,b\"")], &[("x-mode", "\"a, b\"")], false),
        (&[("x-mode", "\u{e9}")], &[("x-mode", "\u{e8}")], false),
        (&[("x-mode", "\u{e9}")], &[("x-mode", "\u{e9}")], true),
        (&[("x-mode", "")], &[], true),
        (&[], &[("x-mode", "a")], false),
        (&[("x-other", "a")], &[("x-other", "b")], true),
    ];
    for (first, second, expected) in cases {
        let mut sim = Sim::new();
        sim.get("/all/x", first, ok(&fields, "first"));
        let seen = sim.get("/all/x", second, ok(&[], "second"));
        assert_eq!(seen.asked.is_none(), *expected, "{first:?} {second:?}");
        if !expected {
            assert_eq!(seen.field("cache-status"), "acip; fwd=vary-miss; stored");
        }
    }
}

#[test]
fn four_variants_live_beside_each_other() {
    let mut sim = Sim::new();
    let bodies = ["a", "b", "c", "d", "e"];
    for body in bodies {
        sim.get("/all/x", &[("x-mode", body)], ok(&[("vary", "x-mode")], body));
        sim.now_ms += 1;
    }
    for body in &bodies[1..] {
        assert_eq!(sim.get("/all/x", &[("x-mode", body)], Origin::Silent).line(), format!("HIT {body}"));
    }
    assert!(sim.get("/all/x", &[("x-mode", "a")], ok(&[], "")).asked.is_some(), "the oldest had to go");
}

#[test]
fn credentials_in_vary_do_not_reach_the_store() {
    let mut sim = Sim::new();
    let fields = [("cache-control", "max-age=60"), ("vary", "X-API-Key, Cookie")];
    sim.get("/x", &[("x-api-key", "k-123-secret"), ("cookie", "s-456-secret")], ok(&fields, "a"));
    let [Op::Set { key, value, ttl_ms, .. }] = &sim.writes[..] else { panic!("{:?}", sim.writes) };
    let bytes = [key.as_bytes(), value].concat();
    assert!(!bytes.windows(6).any(|part| part == b"secret"));
    assert_eq!(*ttl_ms, Some(60_000));
}

#[test]
fn head_reads_what_get_stored() {
    let mut sim = Sim::new();
    let head = |sim: &mut Sim, origin| sim.send("HEAD", "/x", &[KEY], origin);
    let fresh = || ok(&[("cache-control", "max-age=60")], "first");
    assert_eq!(head(&mut sim, fresh()).line(), "MISS first");
    assert!(sim.writes.is_empty(), "what HEAD brings is not stored");
    sim.get("/x", &[KEY], fresh());
    assert_eq!(head(&mut sim, Origin::Silent).line(), "HIT first");
    sim.wait(61);
    assert_eq!(head(&mut sim, says(404, &[], "")).status, 404);
    assert!(sim.writes.is_empty());
}

#[test]
fn clients_with_the_answer_get_304() {
    let fields = [
        ("cache-control", "max-age=60"),
        ("etag", "W/\"v1\""),
        ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"),
        ("content-type", "text/plain"),
        ("vary", "accept"),
    ];
    type Fields = &'static [(&'static str, &'static str)];
    // RFC 9110 §13.1.2, §13.1.3, §13.2.2.
    let cases: &[(Fields, u16)] = &[
        (&[("if-none-match", "\"v1\"")], 304),
        (&[("if-none-match", "W/\"v1\"")], 304),
        (&[("if-none-match", "\"v0\", \"v1\"")], 304),
        (&[("if-none-match", "\"v0\""), ("if-none-match", "\"v1\"")], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"v0\"")], 200),
        (&[("if-none-match", "v1")], 200),
        (&[("if-none-match", "\"a, W/\\\"v1\\\"\"")], 200),
        (&[("if-modified-since", "Wed, 31 Dec 2025 00:00:00 GMT")], 304),
        (&[("if-modified-since", "Wednesday, 31-Dec-25 00:00:00 GMT")], 304),
        (&[("if-modified-since", "Tue, 30 Dec 2025 23:59:59 GMT")], 200),
        (&[("if-modified-since", "yesterday")], 200),
        // The first rules the second out.
        (&[("if-none-match", "\"v0\""), ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT")], 200),
    ];
    for (conditions, status) in cases {
        let mut sim = Sim::new();
        sim.get("/x", &[KEY], ok(&fields, "first"));
        let request: Vec<_> = conditions.iter().copied().chain([KEY]).collect();
        let seen = sim.get("/x", &request, Origin::Silent);
        assert_eq!(seen.status, *status, "{conditions:?}");
        let expected: [&str; 6] = match status {
            304 => ["", "", "W/\"v1\"", "max-age=60", "accept", "0"],
            _ => ["first", "text/plain", "W/\"v1\"", "max-age=60", "accept", "0"],
        };
        let names = ["content-type", "etag", "cache-control", "vary", "age"];
        let mut shown: Vec<String> = Vec::from([seen.body.clone()]);
        shown.extend(names.map(|name| seen.field(name)));
        assert_eq!(shown, expected, "{conditions:?}");
        assert_eq!(seen.field("x-gateway-cache"), "HIT");
    }
}

#[test]
fn a_condition_that_the_store_cannot_judge_goes_on() {
    let mut sim = Sim::new();
    let seen = sim.get("/x", &[KEY, ("if-none-match", "\"v1\"")], says(304, &[("etag", "\"v1\"")], ""));
    assert_eq!((seen.status, seen.sent("if-none-match").as_str()), (304, "\"v1\""));
    assert!(sim.writes.is_empty());
}
