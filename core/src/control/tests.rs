use alloc::{string::String, vec::Vec};
use serde_json::{Map, Value, json};

use super::{Stored, is_news, merge::differing, merge_patch, version_of};
use crate::{
    config::{Document, Format, Platform, Source},
    gateway::Gateway,
    store::NO_VERSION,
};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}"),
    }
}

/// The examples of RFC 7396, appendix A, whose targets are objects; a table of which nothing is left goes, too.
#[test]
fn patches() {
    for (target, patch, expected) in [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({})),
        (json!({"a":{"b":1}}), json!({"a":{"b":null}}), json!({})),
        (json!({"a":5}), json!({"a":{"b":1}}), json!({"a":{"b":1}})),
    ] {
        let mut merged = object(target.clone());
        merge_patch(&mut merged, &object(patch.clone()));
        assert_eq!(Value::Object(merged), expected, "{target} {patch}");
    }
}

#[test]
fn what_differs() {
    let before = object(json!({"a": {"b": 1, "c": [1]}, "d": 2}));
    let after = object(json!({"a": {"b": 1, "c": [2]}, "e": {"f": 0}}));
    assert_eq!(differing(&before, &after), ["a.c", "d", "e.f"]);
}

#[test]
fn versions() {
    for (text, version) in [
        ("", 0),
        ("{\"version\":1,", 1),
        ("{\"version\":42,\"at\":0}", 42),
        ("{\"version\":999999999999999,", 999_999_999_999_999),
        ("{\"version\":9999999999999999,", NO_VERSION),
        ("{\"version\":07,", NO_VERSION),
        ("{\"version\":0,", NO_VERSION),
        ("{\"version\":,", NO_VERSION),
        ("{\"version\":7}", NO_VERSION),
        ("{\"version\": 7,", NO_VERSION),
        (" {\"version\":7,", NO_VERSION),
        ("{\"version\":7x,", NO_VERSION),
    ] {
        assert_eq!(version_of(text.as_bytes()), version, "{text}");
    }
}

#[test]
fn the_stored_text_is_read_as_it_was_written_and_bounded() {
    let mut stored = Stored::default();
    assert_eq!(Stored::parse(b""), Ok(stored.clone()));
    for n in 0..25_u64 {
        let long = "x".repeat(if n > 15 { 60_000 } else { 10 });
        let overlay = object(json!({"identity": {"name": long, "n": n}}));
        let version = 1_700_000_000_000 + n;
        stored = stored.next(overlay, "somebody", version);
        let text = stored.print();
        assert!(text.starts_with(&alloc::format!("{{\"version\":{version},\"at\":")), "{text}");
        assert!(text.len() <= super::MAX_STORED_BYTES);
        assert_eq!(version_of(text.as_bytes()), version);
        assert_eq!(Stored::parse(text.as_bytes()), Ok(stored.clone()));
    }
    assert!((1..20).contains(&stored.history.len()), "{}", stored.history.len());
    for bad in [
        "{",
        "[]",
        "{\"version\":0,\"overlay\":{}}",
        "{\"overlay\":{}, \"version\":3}",
        "{\"version\":-1,\"overlay\":{}}",
    ] {
        assert!(Stored::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

/// Whatever a store forgets, and whatever clocks show.
#[test]
fn a_version_never_comes_again() {
    let overlay = |n: u64| object(json!({"rate_limit": {"max_requests": n}}));
    let first = Stored::default().next(overlay(1), "one", 1_700_000_000_000);
    let second = first.next(overlay(2), "one", 1_700_000_005_000);
    // A clock that is behind, and another change within the same millisecond.
    let third = second.next(overlay(3), "other", 1_700_000_004_000);
    assert_eq!(third.now.version, 1_700_000_005_001);
    // What the second and third said is lost; all of it is lost.
    for left in [first, Stored::default()] {
        let next = left.next(overlay(4), "one", 1_700_000_006_000);
        assert!(next.now.version > third.now.version, "{}", next.now.version);
    }
}

#[test]
fn a_text_that_comes_late_takes_back_nothing() {
    for (seen, asked, version, expected) in
        [(3, 3, 5, true), (3, 3, 2, true), (4, 3, 5, true), (4, 3, 4, false), (5, 3, 4, false)]
    {
        let text = alloc::format!("{{\"version\":{version},\"at\":0}}");
        assert_eq!(is_news(seen, asked, text.as_bytes()), expected, "{seen} {asked} {version}");
    }
    // Nothing is stored any more.
    assert_eq!((is_news(3, 3, b""), is_news(4, 3, b"")), (true, false));
}

#[test]
fn an_overlay_is_laid_over_file_and_environment() {
    let text = "[rate_limit]\nmax_requests = 5\n[plugins.cors-plugin]\npriority = 7\n[[origins]]\nurl = 'http://a:1'\n";
    let source = Source { name: "gateway.toml", text, format: Format::Toml };
    let variables = [("CACHE_TTL_SECONDS".into(), "9".into()), ("FASTAPI_URL".into(), "http://b:1".into())];
    let base = Gateway::compile(Document::read(Some(source), variables, Platform::Native).unwrap()).unwrap();
    let over = |overlay: &str| {
        let text = alloc::format!("{{\"version\":3,\"overlay\":{overlay}}}");
        base.follow(text.as_bytes()).map(|gateway| gateway.document().clone())
    };
    let same = over("{}").unwrap();
    assert_eq!((same.rate_limit.max_requests, same.cache.ttl_seconds), (5, 9));
    let changed = over(r#"{"cache":{"ttl_seconds":2},"origins":[{"url":"http://c:2"}],"plugins":{"cors-plugin":{"enabled":false}}}"#).unwrap();
    assert_eq!((changed.rate_limit.max_requests, changed.cache.ttl_seconds), (5, 2));
    assert_eq!(changed.origins.iter().map(|origin| origin.name.as_str()).collect::<Vec<_>>(), ["c:2"]);
    let cors = &changed.plugins["cors-plugin"];
    assert_eq!((cors.enabled, cors.priority), (Some(false), Some(7)), "what the overlay leaves out stays");
    let errors = over(r#"{"cache":{"ttl_seconds":"x"},"router":{"strategy":"y"}}"#).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn history_hides_what_plugins_are_given() {
    let overlay = json!({"router": {"strategy": "p2c-ewma"}, "plugins": {"x-plugin": {"config": {"token": "hush", "most": 3}}}});
    let Value::Object(overlay) = overlay else { panic!("an object") };
    let page = Stored::default().next(overlay, "ADMIN_TOKEN", 1).page();
    let shown = &page["history"][0]["overlay"];
    assert_eq!(shown["plugins"]["x-plugin"]["config"], json!({"token": "***", "most": 3}));
    assert_eq!(shown["router"]["strategy"], "p2c-ewma");
}
