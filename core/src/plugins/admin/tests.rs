mod audit;
mod keys;

use alloc::{format, string::String, string::ToString, sync::Arc, vec::Vec};
use serde_json::{Value, json};

use crate::{
    config::{Document, Format, Platform, Source},
    control::Followed,
    plugins::{
        fixture::NOW_MS,
        lab::{Lab, Origin, Seen},
    },
};

const DOCUMENT: &str = r#"
[auth]
admin_token = "the-admin-token"
api_keys = ["alice:alice-key-01"]
[rate_limit]
max_requests = 50
[signing]
"#;

fn lab() -> Lab {
    let text = DOCUMENT.replace("[signing]\n", "");
    let source = Source { name: "gateway.toml", text: &text, format: Format::Toml };
    Lab::new(Document::read(Some(source), [], Platform::Native).unwrap())
}

fn say(lab: &mut Lab, method: &str, target: &str, tag: Option<&str>, body: &Value) -> Seen {
    let mut fields = Vec::from([("authorization", "Bearer the-admin-token")]);
    fields.extend(tag.map(|tag| ("if-match", tag)));
    lab.exchange(method, target, &fields, &body.to_string(), Origin(200, json!({})))
}

/// The version of the lab's change of this number: its clock stands still.
fn version(change: u32) -> u64 {
    NOW_MS + u64::from(change) - 1
}

/// Its entity tag.
fn tag(change: u32) -> String {
    format!("\"{}\"", version(change))
}

/// As a shell does when the store says that there is another version.
fn follow(lab: &mut Lab) -> Vec<String> {
    let text = lab.get("gateway:config").unwrap_or_default();
    let followed = Followed::new(&lab.gateway, text.as_bytes());
    lab.gateway = Arc::clone(&followed.gateway);
    followed.errors
}

#[test]
fn a_change_is_stored_followed_listed_and_taken_back() {
    let mut lab = lab();
    let key = [("x-api-key", "alice-key-01")];
    assert_eq!(lab.send("GET", "/api/v1/x", &key).field("x-ratelimit-limit"), "50");

    let seen = say(&mut lab, "PATCH", "/gateway/config", None, &json!({"rate_limit": {"max_requests": 7}}));
    assert_eq!((seen.status, seen.field("etag")), (200, tag(1)), "{:?}", seen.body);
    assert_eq!(seen.json()["rate_limit"]["max_requests"], 7);
    assert_eq!(seen.json()["auth"]["admin_token"], "***");
    let begins = format!("{{\"version\":{},\"at\":", version(1));
    assert!(lab.get("gateway:config").unwrap().starts_with(&begins));
    assert_eq!(follow(&mut lab), Vec::<String>::new());
    assert_eq!(lab.send("GET", "/api/v1/x", &key).field("x-ratelimit-limit"), "7");

    let plugin = json!({"enabled": true, "implementation": "token-bucket", "config": {"window_ms": 1000}});
    let seen = say(&mut lab, "PATCH", "/gateway/plugins/rate-limit-plugin", Some(&tag(1)), &plugin);
    assert_eq!((seen.status, seen.field("etag")), (200, tag(2)), "{:?}", seen.body);
    assert_eq!(seen.json()["implementation"], "token-bucket");
    follow(&mut lab);
    assert_eq!(lab.gateway.document().rate_limit.window_ms, 1000);

    // What is asked for is there already.
    let seen = say(&mut lab, "PATCH", "/gateway/plugins/rate-limit-plugin", None, &plugin);
    assert_eq!((seen.status, seen.field("etag")), (200, tag(2)));
    // Null gives the word back to file and environment.
    let seen =
        say(&mut lab, "PATCH", "/gateway/config", None, &json!({"rate_limit": {"max_requests": null}}));
    assert_eq!((seen.status, &seen.json()["rate_limit"]["max_requests"]), (200, &json!(50)));

    let history = say(&mut lab, "GET", "/gateway/config/history", None, &json!({})).json();
    let told: Vec<_> = history["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            assert_eq!(version["by"], "ADMIN_TOKEN");
            (version["version"].as_u64().unwrap(), version["changed"].to_string())
        })
        .collect();
    assert_eq!(
        told,
        [
            (3, "[\"rate_limit.max_requests\"]"),
            (2, "[\"plugins.rate-limit-plugin.enabled\",\"rate_limit.algorithm\",\"rate_limit.window_ms\"]"),
            (1, "[\"rate_limit.max_requests\"]"),
        ]
        .map(|(change, paths)| (version(change), paths.to_string()))
    );

    let back = say(&mut lab, "POST", "/gateway/config/rollback", None, &json!({"version": version(1)}));
    assert_eq!((back.status, back.field("etag")), (200, tag(4)), "{:?}", back.body);
    follow(&mut lab);
    let limit = &lab.gateway.document().rate_limit;
    assert_eq!((limit.max_requests, limit.window_ms), (7, 60_000));
    assert_eq!(lab.gateway.version(), version(4));
    say(&mut lab, "POST", "/gateway/config/rollback", None, &json!({"version": 0}));
    follow(&mut lab);
    assert_eq!(lab.gateway.document().rate_limit.max_requests, 50);
}

#[test]
fn what_is_wrong_with_a_change_is_told_at_once_and_nothing_is_stored() {
    let mut lab = lab();
    let mut check = |method: &str, target: &str, body: Value, status: u16, says: &[&str]| {
        let seen = say(&mut lab, method, target, None, &body);
        let text = String::from_utf8(seen.body.to_vec()).unwrap();
        assert_eq!(seen.status, status, "{method} {target} {body}: {text}");
        for says in says {
            assert!(text.contains(says), "{target} {body}: {text}");
        }
        assert_eq!(lab.get("gateway:config"), None, "{target} {body}");
    };
    let config = "/gateway/config";
    let two = json!({"router": {"strategy": "round-robbin"}, "cache": {"ttl_seconds": -1}});
    check(
        "PATCH",
        config,
        two,
        400,
        &[
            "change: router.strategy: `round-robbin` is not accepted: write one of",
            "did you mean `round-robin`?",
            "change: cache.ttl_seconds: `-1` is not accepted",
        ],
    );
    check("PATCH", config, json!({"rate_limits": {}}), 200, &[]);
    check("PATCH", config, json!({"rate_limits": {"x": 1}}), 400, &["change: rate_limits: unknown key"]);
    check(
        "PATCH",
        config,
        json!({"server": {"port": 1}}),
        400,
        &["change: server.port: this counts only when a gateway starts: set `GATEWAY_PORT`"],
    );
    for secret in ["admin_token", "token_salt", "api_keys"] {
        check(
            "PATCH",
            config,
            json!({"auth": {secret: "hunter2"}}),
            400,
            &["a secret is not kept where every change is"],
        );
    }
    check("PATCH", config, json!({"store": {"url": "redis://a"}}), 400, &["set `REDIS_URL`"]);
    check("PATCH", config, json!([1]), 400, &["no JSON object"]);
    check("PATCH", config, json!({"origins": []}), 400, &["origins: there must be an origin"]);
    check(
        "PATCH",
        config,
        json!({"rules": [{"when": "requst.path == ''"}]}),
        400,
        &["rules[0].when", "did you mean `request.path`?"],
    );
    check("PATCH", config, json!({"routes": [{"path": "/a"}, {"path": "/a"}]}), 400, &[]);

    let plugin = |name: &str| format!("/gateway/plugins/{name}");
    check("PATCH", &plugin("nobody-plugin"), json!({"enabled": false}), 404, &["no plugin has this name"]);
    check("PATCH", &plugin("auth-plugin"), json!({}), 400, &["write `enabled`"]);
    check("PATCH", &plugin("auth-plugin"), json!({"enable": false}), 400, &["did you mean `enabled`?"]);
    check(
        "PATCH",
        &plugin("auth-plugin"),
        json!({"enabled": "maybe"}),
        400,
        &["plugins.auth-plugin.enabled: `maybe` is not accepted"],
    );
    check("PATCH", &plugin("router-plugin"), json!({"implementation": "fastest"}), 400, &["router.strategy"]);
    check("PATCH", &plugin("cors-plugin"), json!({"implementation": "other"}), 400, &["is the only one"]);
    check(
        "PATCH",
        &plugin("cache-plugin"),
        json!({"implementation": "other"}),
        400,
        &["cache.backend", "`store`, `memory`"],
    );
    check("PATCH", &plugin("health-plugin"), json!({"config": {}}), 400, &["has no settings"]);
    check("POST", "/gateway/config/rollback", json!({"version": 4}), 404, &["version 4 is not kept"]);
    check(
        "POST",
        "/gateway/config/rollback",
        json!({"versions": 4}),
        400,
        &["did you mean `version`?", "write the number"],
    );
    check("POST", config, json!({}), 405, &[]);
}

#[test]
fn two_who_change_the_same_version() {
    let mut lab = lab();
    let patch = |max: u32| json!({"rate_limit": {"max_requests": max}});
    let several = format!("\"7\", {}", tag(1));
    for (wanted, status, change) in [
        (Some("\"0\""), 200, 1),
        (Some("\"0\""), 412, 1),
        (Some(several.as_str()), 200, 2),
        (Some("*"), 200, 3),
        (None, 200, 4),
        (Some("yesterday"), 400, 0),
    ] {
        let max = if status == 200 { 10 + change } else { 1 };
        let seen = say(&mut lab, "PATCH", "/gateway/config", wanted, &patch(max));
        let etag = if status == 400 { String::new() } else { tag(change) };
        assert_eq!((seen.status, seen.field("etag")), (status, etag), "{wanted:?}");
    }
    // A change of something else that comes between is kept, and so is this one.
    assert_eq!(
        say(&mut lab, "PATCH", "/gateway/config", None, &json!({"cache": {"ttl_seconds": 5}})).status,
        200
    );
    follow(&mut lab);
    assert_eq!(lab.gateway.document().cache.ttl_seconds, 5);
    assert_eq!(lab.gateway.document().rate_limit.max_requests, 14);
}

#[test]
fn the_last_twenty_versions_are_kept() {
    let mut lab = lab();
    for max in 1..=30 {
        let seen =
            say(&mut lab, "PATCH", "/gateway/config", None, &json!({"rate_limit": {"max_requests": max}}));
        assert_eq!(seen.status, 200);
    }
    let history = say(&mut lab, "GET", "/gateway/config/history", None, &json!({})).json();
    let versions: Vec<_> =
        history["history"].as_array().unwrap().iter().map(|it| it["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (11..=30).rev().map(version).collect::<Vec<_>>());
    for (change, status) in [(10, 404), (11, 200)] {
        let back = json!({"version": version(change)});
        let seen = say(&mut lab, "POST", "/gateway/config/rollback", None, &back);
        assert_eq!(seen.status, status, "{change}");
    }
}

#[test]
fn doors_are_not_opened_by_accident() {
    let mut lab = lab();
    let keyless = |lab: &mut Lab| lab.send("GET", "/api/v1/x", &[]).status;
    assert_eq!(keyless(&mut lab), 401);
    let off = json!({"enabled": false});
    assert_eq!(say(&mut lab, "PATCH", "/gateway/plugins/auth-plugin", None, &off).status, 200);
    follow(&mut lab);
    assert_eq!(keyless(&mut lab), 200);
    // The gateway's own pages and the backend's admin pages stay closed.
    for path in ["/gateway/config", "/gateway/plugins", "/docs", "/api/v1/admin/stats"] {
        assert_eq!(lab.send("GET", path, &[]).status, 401, "{path}");
    }
    assert_eq!(
        say(&mut lab, "PATCH", "/gateway/plugins/auth-plugin", None, &json!({"enabled": true})).status,
        200
    );
    follow(&mut lab);
    assert_eq!(keyless(&mut lab), 401);
    let back = say(&mut lab, "POST", "/gateway/config/rollback", None, &json!({"version": version(1)}));
    assert_eq!(back.status, 409, "{:?}", back.body);
    let meant = json!({"version": version(1), "allow_open": true});
    assert_eq!(say(&mut lab, "POST", "/gateway/config/rollback", None, &meant).status, 200);
    for text in
        ["{\"version\":9,", "{\"version\":9,\"overlay\":{\"auth\":{\"enabled\":\"perhaps\"}}}", "nonsense"]
    {
        lab.set("gateway:config", text);
        assert!(!follow(&mut lab).is_empty(), "{text}");
        assert_eq!(keyless(&mut lab), 401, "a bad text changes nothing: {text}");
    }
    let seen = say(&mut lab, "PATCH", "/gateway/config", None, &json!({"cache": {"enabled": false}}));
    assert_eq!(seen.status, 409, "what nobody can read is not written over");
}

#[test]
fn who_may_not() {
    let mut lab = lab();
    for (fields, status) in
        [(&[][..], 401), (&[("x-api-key", "alice-key-01")], 403), (&[("authorization", "Bearer wrong")], 401)]
    {
        for (method, target) in [
            ("PATCH", "/gateway/config"),
            ("PATCH", "/gateway/plugins/cache-plugin"),
            ("POST", "/gateway/config/rollback"),
        ] {
            let seen = lab.exchange(method, target, fields, "{}", Origin(200, json!({})));
            assert_eq!(seen.status, status, "{method} {target} {fields:?}");
        }
    }
}
