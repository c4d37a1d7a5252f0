//! Whatever comes, reading answers: it never panics.

use std::{format, string::String, vec::Vec};

use proptest::prelude::*;

use super::{json, read, scalars, toml};

proptest! {
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
