//! Lists and tables of the file.

use super::*;
use crate::config::{LimitBy, OnStoreError, RouteAuth, RouteCache, RouteLimit};

#[test]
fn routes_and_limits() {
    let document = ok(
        toml(
            r#"
            [[routes]]
            path = "/api/v1/jobs"
            methods = ["POST"]
            auth = "admin"
            limit = { max_requests = 5, window_ms = 1000, algorithm = "sliding-log" }
            cache = false
            timeout_ms = 9
            retries = 2
            [[routes]]
            path = "/open/*"
            auth = "open"
            limit = false
            cache = { mode = "shared", ttl_seconds = 3 }
            [[limits]]
            name = "burst"
            by = "ip"
            limit = 10
            window_ms = 1000
            algorithm = "token-bucket"
            cost = 2
            on_store_error = "deny"
            [plugins.cache-plugin]
            enabled = false
            priority = 5
            "#,
        ),
        &[],
    );
    let [jobs, open] = document.routes.as_slice() else { panic!("{:?}", document.routes) };
    let limit =
        RouteLimit { max_requests: Some(5), window_ms: Some(1000), algorithm: Some(Algorithm::SlidingLog) };
    assert_eq!(
        (jobs.auth, jobs.limit, jobs.cache),
        (Some(RouteAuth::Admin), Some(limit), Some(RouteCache::Off))
    );
    assert_eq!((jobs.timeout_ms, jobs.retries), (Some(9), Some(2)));
    let unlimited = RouteLimit { max_requests: None, window_ms: None, algorithm: None };
    assert_eq!((open.auth, open.limit), (Some(RouteAuth::Open), Some(unlimited)));
    assert_eq!(open.cache, Some(RouteCache::Shared { ttl_seconds: Some(3), heuristic: false }));
    let burst = &document.limits[0];
    assert_eq!((burst.by, burst.limit, burst.window_ms, burst.cost), (LimitBy::Ip, 10, 1000, 2));
    assert_eq!((burst.algorithm, burst.on_store_error), (Algorithm::TokenBucket, Some(OnStoreError::Deny)));
    let cache = &document.plugins["cache-plugin"];
    assert_eq!((cache.enabled, cache.priority), (Some(false), Some(5)));
}

#[test]
fn structured_parts_are_checked() {
    for (text, expected) in [
        ("[[origins]]\nname = \"a\"", "origins[0]: `url` is missing"),
        (
            "[[origins]]\nurl = \"http://a\"\n[[origins]]\nurl = \"http://a/b\"",
            "4:7: origins[1].url: two origins are called `a:80`",
        ),
        ("[[origins]]\nurl = \"http://a\"\nweight = 0", "origins[0].weight: `0` is not accepted"),
        (
            "[[origins]]\nurl = \"http://a:1\"\nregion = \"us-wset\"",
            "origins[0].region: `us-wset` is not a known region; did you mean `us-west`?",
        ),
        (
            "[[routes]]\npath = \"/a\"\nlimit = { window_ms = 5 }",
            "routes[0].limit: `max_requests` is missing",
        ),
        (
            "[[routes]]\npath = \"/a\"\nlimit = { max_requests = 5, window_ms = 0 }",
            "routes[0].limit.window_ms: `0`",
        ),
        (
            "[[routes]]\npath = \"/a\"\ncache = { mode = \"public\" }",
            "routes[0].cache.mode: `public` is not accepted",
        ),
        (
            "[[routes]]\npath = \"/a\"\nauht = \"open\"",
            "routes[0].auht: unknown key `auht`; did you mean `auth`?",
        ),
        ("[[limits]]\nname = \"a\"\nby = \"key\"\nlimit = 1", "limits[0]: `window_ms` is missing"),
        (
            "[[limits]]\nname=\"a\"\nby=\"key\"\nlimit=1\nwindow_ms=1\n[[limits]]\nname=\"a\"\nby=\"ip\"\nlimit=1\nwindow_ms=1",
            "limits[1].name: two limits are called `a`",
        ),
        ("[plugins.cache-plugin]\npriority = -1", "plugins.cache-plugin.priority: `-1` is not accepted"),
        (
            "metrics.path = \"/gateway/health\"",
            "metrics.path: `/gateway/health` is another page of the gateway",
        ),
        ("server.tls_key = \"k\"", "server.tls_key: needs its other half"),
        ("regions.aliases = { a = \"b\", b = \"a\" }", "these aliases lead in a circle"),
        (
            "[[regions.distances]]\nfrom = \"us-west\"\nto = \"moon\"\ndistance = 1",
            "regions.distances[0].to: `moon` is not a known region",
        ),
    ] {
        check(toml(text), &[], &[expected]);
    }
}

#[test]
fn regions() {
    let text = "identity.region = \"Luna\"\n[regions]\naliases = { luna = \"lx\", lx = \"moon\" }\n\
                distances = [{ from = \"us-west-2\", to = \"luna\", distance = 7 }]";
    let document = ok(toml(text), &[]);
    assert_eq!(document.identity.region.as_deref(), Some("moon"));
    assert_eq!(document.regions.distance("moon", "us-west"), Some(7));
    assert_eq!(document.regions.distance("us-west", "moon"), Some(7));
    assert_eq!(document.regions.distance("moon", "us-east"), None);
    let built_in = Document::default().regions;
    let names: std::collections::BTreeSet<&String> = built_in.aliases.values().collect();
    assert_eq!(names.len(), 12);
    for a in &names {
        for b in &names {
            assert!(built_in.distance(a, b).is_some(), "{a} {b}");
        }
    }
    assert_eq!(built_in.canonical("JP"), Some("asia-east"));
}
