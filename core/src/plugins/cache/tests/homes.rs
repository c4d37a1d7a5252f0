//! Where the cache keeps what, by `CACHE_BACKEND`: all of it in one place, and nothing of an earlier place in a later one.

use alloc::{string::String, string::ToString, sync::Arc, vec::Vec};
use serde_json::{Value, json};

use crate::{
    config::{Document, Format, Platform, Source as File},
    control::{Followed, takes_over},
    plugin::Source,
    plugins::lab::{Lab, Origin, Seen},
    store::Op,
};

const DOCUMENT: &str = r#"
[auth]
admin_token = "the-admin-token"
api_keys = ["alice:alice-key-01"]
[rate_limit]
enabled = false
[[routes]]
path = "/own/*"
cache = { mode = "per-credential", ttl_seconds = 60 }
[cache]
backend = "BACKEND"
"#;

fn lab(backend: &str) -> Lab {
    let text = DOCUMENT.replace("BACKEND", backend);
    let source = File { name: "gateway.toml", text: &text, format: Format::Toml };
    Lab::new(Document::read(Some(source), [], Platform::Native).unwrap())
}

fn ask(lab: &mut Lab, method: &str, says: &Value) -> Seen {
    lab.exchange(method, "/own/a", &[("x-api-key", "alice-key-01")], "", Origin(200, says.clone()))
}

/// `Local` or not, and what; of the operations that are about the cache.
fn kinds(ops: &[Op]) -> Vec<(bool, &'static str)> {
    let kind = |op: &Op| {
        let what = match op.bare() {
            Op::Get { key } if key.contains("cache:") => "get",
            Op::Hash { key, .. } if key.contains("cache:") => "purges",
            Op::Set { key, .. } if key.ends_with(":refresh") => "release",
            Op::Set { key, .. } if key.contains("cache:") => "set",
            Op::Delete { key } if key.contains("cache:") => "delete",
            _ => return None,
        };
        Some((matches!(op, Op::Local(_)), what))
    };
    ops.iter().filter_map(kind).collect()
}

#[test]
fn everything_of_the_cache_has_one_home() {
    for (backend, local) in [("store", false), ("memory", true)] {
        let mut lab = lab(backend);
        assert_eq!(lab.gateway.plugin("cache-plugin").unwrap().implementation(), backend);
        let seen = ask(&mut lab, "GET", &json!({"n": 1}));
        assert_eq!(kinds(&seen.asked), [(local, "get"), (local, "purges")], "{backend}");
        assert_eq!(kinds(&seen.written), [(local, "set")], "{backend}");
        let hit = ask(&mut lab, "GET", &json!({"n": 2}));
        assert_eq!((hit.field("x-gateway-cache"), &hit.json()["n"]), ("HIT".into(), &json!(1)), "{backend}");
        let gone = ask(&mut lab, "DELETE", &json!({}));
        assert_eq!(kinds(&gone.written), [(local, "delete")], "{backend}");
    }
}

#[test]
fn only_what_is_in_the_store_goes_with_it() {
    // The lab has one memory for both; with `Down`, it has no row at all.
    for (source, backend, expected) in [
        (Source::Fallback, "store", "MISS"),
        (Source::Down, "store", "MISS"),
        (Source::Fallback, "memory", "HIT"),
    ] {
        let mut lab = lab(backend);
        ask(&mut lab, "GET", &json!({"n": 1}));
        lab.source = source;
        let seen = ask(&mut lab, "GET", &json!({"n": 2}));
        assert_eq!(seen.field("x-gateway-cache"), expected, "{backend} {source:?}");
    }
}

/// What a change tells the store, and a process its own memory.
#[test]
fn where_it_moves_what_was_there_before_counts_no_more() {
    let mut lab = lab("store");
    let change = |lab: &mut Lab, body: Value| {
        let fields = [("authorization", "Bearer the-admin-token")];
        let path = "/gateway/plugins/cache-plugin";
        let seen = lab.exchange("PATCH", path, &fields, &body.to_string(), Origin(200, json!({})));
        assert_eq!(seen.status, 200, "{body}: {:?}", seen.body);
        let text = lab.get("gateway:config").unwrap_or_default();
        let followed = Followed::new(&lab.gateway, text.as_bytes());
        let told = takes_over(&lab.gateway, &followed.gateway, lab.now_ms);
        lab.gateway = Arc::clone(&followed.gateway);
        told.map_or_else(Vec::new, |batch| batch.ops)
    };
    ask(&mut lab, "GET", &json!({"n": 1}));
    let told = |lab: &mut Lab, n: u32| -> (String, Value) {
        let seen = ask(lab, "GET", &json!({"n": n}));
        (seen.field("x-gateway-cache"), seen.json()["n"].clone())
    };
    // The lab has one memory for both: that both are told shows in that nothing is found.
    assert_eq!(change(&mut lab, json!({"config": {"ttl_seconds": 9}})), []);
    assert_eq!(told(&mut lab, 2), ("HIT".into(), json!(1)));
    let kept = change(&mut lab, json!({"implementation": "memory"}));
    assert!(matches!(kept.as_slice(), [Op::Tally { key, .. }] if key == "gateway:cache:purges"), "{kept:?}");
    assert_eq!(told(&mut lab, 3), ("MISS".into(), json!(3)));
    assert_eq!(change(&mut lab, json!({"enabled": true})), []);
    assert_eq!(told(&mut lab, 4), ("HIT".into(), json!(3)));
    assert_eq!(
        change(&mut lab, json!({"implementation": "store"})),
        [],
        "the store was told with the change"
    );
    assert_eq!(told(&mut lab, 5), ("MISS".into(), json!(5)));
    assert_eq!(change(&mut lab, json!({"implementation": "store"})), []);
    assert_eq!(told(&mut lab, 6), ("HIT".into(), json!(5)));
}
