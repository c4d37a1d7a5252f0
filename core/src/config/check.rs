//! What no value can tell by itself: pairs that go together, names that must be known.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
};

use super::{
    error::{Faults, Place},
    model::Document,
    read::Places,
    secret::Secret,
    variables,
};

/// Notes everything in a document that does not fit together; resolves the gateway's own region.
pub(super) fn across(
    document: &mut Document,
    env: &BTreeMap<String, String>,
    places: &Places,
    faults: &mut Faults<'_>,
) {
    let place =
        |key: &str, faults: &Faults<'_>| places.get(key).cloned().unwrap_or_else(|| faults.place(key, None));

    let server = &document.server;
    for (set, key, missing) in [
        (
            server.tls_cert.is_some() && server.tls_key.is_none(),
            "server.tls_cert",
            "`TLS_KEY` (`server.tls_key`)",
        ),
        (
            server.tls_key.is_some() && server.tls_cert.is_none(),
            "server.tls_key",
            "`TLS_CERT` (`server.tls_cert`)",
        ),
    ] {
        if set {
            let place = place(key, faults);
            faults.note(place, format!("needs its other half: set {missing} too"));
        }
    }

    if let Some(region) = &document.identity.region {
        match document.regions.resolve(region) {
            Ok(region) => document.identity.region = Some(region),
            Err(message) => {
                let place = place("identity.region", faults);
                faults.note(place, message);
            }
        }
    }

    let url = document.store.url.as_ref().map_or("", Secret::expose_secret);
    let cluster = url.starts_with("redis-cluster:") || url.starts_with("rediss-cluster:");
    if cluster && document.store.db != 0 {
        let place = place("store.db", faults);
        faults.note(place, "a cluster has only database 0: unset it");
    }

    if url.starts_with("http") && document.store.rest_token.is_none() {
        let key = if places.contains_key("store.url") { "store.url" } else { "UPSTASH_REDIS_REST_URL" };
        let place = place(key, faults);
        faults.note(place, "a REST endpoint wants a token: set `UPSTASH_REDIS_REST_TOKEN`");
    }
    let token = |name| variables::value(env, name);
    if let (Some(ours), Some(other)) = (token("UPSTASH_REDIS_REST_TOKEN"), token("REDIS_REST_TOKEN"))
        && ours != other
    {
        let place = Place::Variable("REDIS_REST_TOKEN".to_string());
        faults.note(place, "differs from `UPSTASH_REDIS_REST_TOKEN`: set only one of them");
    }

    let first =
        document.metrics.path.strip_prefix("/gateway/").map(|rest| rest.split('/').next().unwrap_or(rest));
    if first.is_some_and(|first| OWN_PAGES.contains(&first)) {
        let place = place("metrics.path", faults);
        faults.note(
            place,
            format!("`{}` is another page of the gateway: choose a free path", document.metrics.path),
        );
    }
}

/// First segments under `/gateway/` that are taken.
const OWN_PAGES: &[&str] =
    &["health", "livez", "readyz", "plugins", "config", "keys", "cache", "events", "ui"];
