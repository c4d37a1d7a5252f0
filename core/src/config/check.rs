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
    rules,
    store_url::RedisServers,
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

    let is_cluster = document.store.redis().is_some_and(|it| matches!(it.servers, RedisServers::Cluster(_)));
    if is_cluster && document.store.db != 0 {
        let place = place("store.db", faults);
        faults.note(place, "a cluster has only database 0: unset it");
    }

    rest(document, env, places, faults);
    rules::refer(document, faults);

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

/// What belongs together where the store is reached over HTTP.
fn rest(document: &Document, env: &BTreeMap<String, String>, places: &Places, faults: &mut Faults<'_>) {
    let store = &document.store;
    let set = |name| variables::value(env, name);
    let variable = |name: &str| Place::Variable(name.to_string());
    let (plain, named) = (set("REDIS_URL"), set("UPSTASH_REDIS_REST_URL"));
    if plain.is_some() && named.is_some() && plain != named {
        let place = variable("UPSTASH_REDIS_REST_URL");
        faults.note(place, "`REDIS_URL` names another store: set only one of them");
    }
    let (ours, other) = (set("UPSTASH_REDIS_REST_TOKEN"), set("REDIS_REST_TOKEN"));
    if ours.is_some() && other.is_some() && ours != other {
        let place = variable("REDIS_REST_TOKEN");
        faults.note(place, "differs from `UPSTASH_REDIS_REST_TOKEN`: set only one of them");
    }
    if store.rest().is_some() && store.rest_token.is_none() && ours.or(other).is_none() {
        let place = match (plain, named) {
            (None, Some(_)) => variable("UPSTASH_REDIS_REST_URL"),
            _ => places.get("store.url").cloned().unwrap_or_else(|| faults.place("store.url", None)),
        };
        faults.note(place, "a REST endpoint wants a token: set `UPSTASH_REDIS_REST_TOKEN`");
    }
    // A URL that was refused has been told of already.
    let refused = store.url.is_none() && plain.or(named).is_some();
    if store.rest_token.is_some() && store.rest().is_none() && !refused {
        let place = match (ours, other) {
            (None, Some(_)) => variable("REDIS_REST_TOKEN"),
            _ => places
                .get("store.rest_token")
                .cloned()
                .unwrap_or_else(|| faults.place("store.rest_token", None)),
        };
        let message = "the store is no REST endpoint: set `UPSTASH_REDIS_REST_URL`, or unset the token";
        faults.note(place, message);
    }
}

/// First segments under `/gateway/` that are taken.
const OWN_PAGES: &[&str] =
    &["health", "livez", "readyz", "plugins", "config", "keys", "cache", "events", "ui"];
