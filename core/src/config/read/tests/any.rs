//! Whatever comes, reading answers: it never panics.

use std::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use proptest::prelude::*;
use serde_json::Value;

use super::{Algorithm, json, read, scalars, toml};

/// Values of a kind that one key or another takes, and some that none does.
fn value() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "/a/{id}",
        "http://a",
        "redis://:p@h",
        "us-west",
        "name",
        "GET",
        "on",
        "ip",
        "shared",
        "strict",
        "*",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u64..3000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
        prop::sample::select(Algorithm::NAMES.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let keys = [
            "url",
            "name",
            "region",
            "weight",
            "path",
            "methods",
            "limit",
            "cache",
            "mode",
            "max_requests",
            "window_ms",
            "by",
            "enabled",
            "priority",
            "aliases",
            "distances",
            "from",
            "to",
            "distance",
            "port",
            "cache-plugin",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(keys.to_vec()), inner, 0..4)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_structure_is_read_or_refused(
        top in prop::sample::select(vec!["origins", "routes", "limits", "plugins", "regions", "server", "rate_limit"]),
        value in value(),
    ) {
        let document = serde_json::json!({ top: value }).to_string();
        if let Ok(document) = read(json(&document), &[]) {
            let shown = document.masked().to_string();
            prop_assert!(read(json(&shown), &[]).is_ok(), "{}", shown);
            let shown = document.to_toml_masked();
            prop_assert!(read(toml(&shown), &[]).is_ok(), "{}", shown);
        }
    }

    #[test]
    fn any_file_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = read(toml(&text), &[]);
        let _ = read(json(&text), &[]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = read(toml(&text), &[]);
        let _ = read(json(&text), &[]);
    }

    #[test]
    fn any_variable_is_read_or_refused(index in any::<prop::sample::Index>(), value in any::<String>()) {
        let names: Vec<&str> = scalars().map(|setting| setting.env).collect();
        let _ = read(None, &[(*index.get::<&str>(&names), &value)]);
    }

    #[test]
    fn any_name_is_read_or_refused(name in "(GATEWAY|REDIS|CACHE|X)_\\PC{0,30}", value in any::<String>()) {
        let _ = read(None, &[(&name, &value)]);
    }

    #[test]
    fn any_url_is_read_or_refused(url in "(http|https|redis|rediss|redis\\+unix|redis-sentinel|redis-cluster)://[a-z@:/?#\\[\\]%,;=0-9.é ]{0,40}") {
        let _ = read(None, &[("FASTAPI_URL", &url), ("REDIS_URL", &url), ("CORS_ORIGIN", &url), ("OTEL_ZIPKIN_ENDPOINT", &url)]);
    }

    #[test]
    fn any_value_at_any_key_is_read_or_refused(index in any::<prop::sample::Index>(), value in "(-?[0-9]{1,40}|\"\\PC{0,20}\"|\\[\\]|\\{\\}|true|1e9|[0-9]\\.[0-9])") {
        let keys: Vec<&str> = scalars().map(|setting| setting.key).filter(|key| !key.is_empty()).collect();
        let _ = read(toml(&format!("{} = {value}", index.get::<&str>(&keys))), &[]);
    }
}
