//! Reading: each case is a file, an environment and what must come of them.

use std::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::{scalars, *};
use crate::config::{Algorithm, CorsOrigins, Form, Format, LogLevel, OriginUrl, Strategy};

fn toml(text: &str) -> Option<Source<'_>> {
    Some(Source { name: "gateway.toml", text, format: Format::Toml })
}

fn json(text: &str) -> Option<Source<'_>> {
    Some(Source { name: "gateway.json", text, format: Format::Json })
}

fn read(file: Option<Source<'_>>, env: &[(&str, &str)]) -> Result<Document, ConfigErrors> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Document::read(file, env, Platform::Native)
}

fn ok(file: Option<Source<'_>>, env: &[(&str, &str)]) -> Document {
    read(file, env).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors must be exactly these, each given by a part of its line.
#[track_caller]
fn check(file: Option<Source<'_>>, env: &[(&str, &str)], expected: &[&str]) {
    let lines: Vec<String> = match read(file, env) {
        Ok(_) => vec![],
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(expected) {
        assert!(line.contains(part), "`{line}` lacks `{part}`");
    }
}

mod any;
mod otel;
mod structure;

#[test]
fn nothing_reads_as_the_default() {
    let document = ok(None, &[]);
    assert_eq!(format!("{document:?}"), format!("{:?}", Document::default()));
    let edge = Document::read(None, [], Platform::Edge).unwrap();
    assert_eq!((document.store.timeout_ms, edge.store.timeout_ms), (50, 1000));
    let chosen = [("REDIS_TIMEOUT".to_owned(), "70".to_owned())];
    assert_eq!(Document::read(None, chosen, Platform::Edge).unwrap().store.timeout_ms, 70);
}

#[test]
fn empty_variables_are_unset() {
    for setting in scalars() {
        let document = ok(None, &[(setting.env, "")]);
        assert_eq!(format!("{document:?}"), format!("{:?}", Document::default()), "{}", setting.env);
    }
}

/// A text that a knob must refuse, and JSON of a wrong type.
fn wrong(kind: Kind) -> (Vec<String>, &'static str) {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    match kind {
        Kind::Flag => (texts(&["maybe", "2", "tru", " true", "-1"]), "3"),
        Kind::Number { min, max } => {
            let mut bad: Vec<String> = texts(&[
                "1e3",
                "+5",
                " 7",
                "7 ",
                "-1",
                "0x10",
                "1_000",
                "1.0",
                "x",
                "99999999999999999999999",
            ]);
            bad.push((max + 1).to_string());
            bad.extend(min.checked_sub(1).map(|n| n.to_string()));
            (bad, "\"5\"")
        }
        Kind::Share => (texts(&["1.1", "-0.1", "1e-3", "0,5", " 0.5", "half"]), "[1]"),
        Kind::OneOf(words) => (texts(&["nonsense", &(words[0].to_owned() + "x"), " "]), "1"),
        Kind::Text(Form::Address) => (texts(&["nohost", "1.2.3", "1.2.3.4:80", "[::1"]), "true"),
        Kind::Text(Form::Path) => (texts(&["metrics", "/a?b", "/a//b", "/../b", "/a b"]), "7"),
        Kind::Text(Form::Token) => (texts(&["a b", "a/b", "ä", "a\r\nb"]), "7"),
        Kind::Text(Form::Region) => (texts(&["us west", "us/west", "us-wset"]), "7"),
        Kind::Text(Form::HttpUrl) => (
            texts(&[
                "localhost:4318",
                "ftp://a",
                "http://",
                "http://a:0",
                "http://a:99999",
                "http://u:p@a",
                "http://a b",
            ]),
            "7",
        ),
        Kind::Text(Form::StoreUrl) => (
            texts(&[
                "localhost:6379",
                "mysql://a",
                "redis://",
                "redis://a:0",
                "redis://a:70000",
                "redis://a/x",
                "redis://a,b",
                "redis-sentinel://a,b",
                "redis+unix://a",
                "http://a:x",
                "redis://a#b",
                "redis-cluster://a/1",
                "redis://u:%zz@a",
                "redis://u:%ff@a",
                "redis://a\u{7}",
            ]),
            "7",
        ),
        Kind::Text(Form::KeyPrefix) => (texts(&["a{b}", "a b", &"x".repeat(65)]), "7"),
        Kind::Text(Form::HeaderValue) => (texts(&["a b", "a\nb", "ä"]), "7"),
        Kind::Text(_) => (texts(&["a\u{0}b", "a\nb"]), "7"),
        Kind::List(Form::Network) => (texts(&["10.0.0.0/33", "a", "10.0.0.0/8,nope", ","]), "[1]"),
        Kind::List(Form::StaticKeys) => (texts(&["a b", ":k", "n:", "a,a", "sp ace:k", ","]), "{}"),
        Kind::List(Form::BrowserOrigin) => (
            texts(&["*,https://a.example", "a.example", "https://a.example/x", "https://*.a.example", ","]),
            "[true]",
        ),
        Kind::List(Form::HttpMethod) => (texts(&["get", "G T", "CONNECT", "TRACE", ","]), "\"a b\""),
        Kind::List(Form::EventName) => (texts(&["job", "gateway:jobs:*", "gateway:job:*,x", ","]), "7"),
        Kind::List(Form::HeaderPair) => (texts(&["a", "=b", "a b=c", "a=%0a", "a=%ff", "a:=b", ","]), "{}"),
        Kind::List(Form::Attribute) => (texts(&["a", "=b", "a=b,c", "a=%00", "a=%ff", ","]), "{}"),
        Kind::List(_) => (
            texts(&[
                "localhost",
                "http://a:b",
                "http://a;weight=0",
                "http://a;wieght=1",
                "http://a;region",
                "http://a,http://a",
                "http://a;region=us-wset",
                "http://a;weight=1;weight=2",
                ",",
            ]),
            "7",
        ),
    }
}

#[test]
fn every_scalar_refuses_what_it_does_not_mean() {
    for setting in scalars() {
        let (texts, typed) = wrong(setting.kind);
        for text in &texts {
            let errors = read(None, &[(setting.env, text)]).err();
            let errors = errors.unwrap_or_else(|| panic!("{}=`{text}` was taken", setting.env));
            let places: Vec<_> = errors.iter().map(|error| error.place.clone()).collect();
            assert_eq!(places, [Place::Variable(setting.env.to_owned())], "{errors}");
        }
        if setting.key.is_empty() {
            continue;
        }
        let document = match setting.key.split_once('.') {
            Some((section, key)) => format!("{{\"{section}\": {{\"{key}\": {typed}}}}}"),
            None => format!("{{\"{}\": {typed}}}", setting.key),
        };
        let errors = read(json(&document), &[]).err().unwrap_or_else(|| panic!("{document} was taken"));
        assert_eq!(errors.len(), 1, "{errors}");
        assert!(errors.to_string().contains(setting.key), "{errors}");
    }
}

#[test]
fn every_number_takes_its_borders() {
    for setting in scalars() {
        let Kind::Number { min, max } = setting.kind else { continue };
        // What has no key sets what another one shows.
        for n in [min, max].into_iter().filter(|_| !setting.key.is_empty()) {
            let document = ok(None, &[(setting.env, &n.to_string())]);
            assert_eq!((setting.show)(&document), serde_json::Value::from(n), "{}", setting.env);
        }
    }
}

#[test]
fn booleans_have_four_spellings() {
    for (text, expected) in [
        ("TRUE", true),
        ("1", true),
        ("Yes", true),
        ("oN", true),
        ("False", false),
        ("0", false),
        ("no", false),
        ("OFF", false),
    ] {
        assert_eq!(ok(None, &[("AUTH_ENABLED", text)]).auth.enabled, expected, "{text}");
        let file = format!("[auth]\nenabled = \"{text}\"");
        assert_eq!(ok(toml(&file), &[]).auth.enabled, expected, "{text}");
    }
    assert!(!ok(toml("auth.enabled = 0"), &[]).auth.enabled);
    assert!(!ok(json(r#"{"auth":{"enabled":false}}"#), &[]).auth.enabled);
}

#[test]
fn words_in_any_case() {
    let document = ok(toml("log.level = \"Warn\""), &[("ROUTER_STRATEGY", "P2C-EWMA")]);
    assert_eq!((document.log.level, document.router.strategy), (LogLevel::Warn, Strategy::P2cEwma));
    check(
        None,
        &[("LOG_LEVEL", "wran")],
        &["LOG_LEVEL: `wran` is not accepted: write one of `error`, `warn`"],
    );
}

#[test]
fn variables_win_over_the_file() {
    let file = "[server]\nport = 4000\nthreads = 2\n[[origins]]\nurl = \"http://a\"\n[[origins]]\nurl = \"http://b\"";
    let document = ok(toml(file), &[("GATEWAY_PORT", "5000"), ("FASTAPI_URL", "https://c/x/")]);
    assert_eq!(document.server.port, 5000);
    assert_eq!(document.server.threads.map(core::num::NonZero::get), Some(2));
    let urls: Vec<String> = document.origins.iter().map(|origin| origin.url.to_string()).collect();
    assert_eq!(urls, ["https://c/x"]);
    assert_eq!(document.origins[0].name, "c:443");
}

#[test]
fn origins_from_one_variable() {
    let text = "http://Gpu1:8000;region=us-west-2;weight=3;name=one, https://[::1]/v1/ ;region=mars,";
    let document = ok(None, &[("FASTAPI_URL", text)]);
    let [one, two] = document.origins.as_slice() else { panic!("{:?}", document.origins) };
    assert_eq!((one.name.as_str(), one.region.as_deref(), one.weight.get()), ("one", Some("us-west"), 3));
    assert_eq!(one.url, OriginUrl { tls: false, host: "gpu1".into(), port: 8000, prefix: "".into() });
    assert_eq!((two.name.as_str(), two.region.as_deref(), two.weight.get()), ("[::1]:443", Some("mars"), 1));
    assert_eq!(two.url, OriginUrl { tls: true, host: "[::1]".into(), port: 443, prefix: "/v1".into() });
}

#[test]
fn stores_in_all_their_forms() {
    for url in [
        "redis://localhost",
        "redis://localhost:6379/2",
        "rediss://user:p%40ss@h:1/0?protocol=resp3",
        "redis://:pw@[::1]:6379",
        "redis+unix:///run/redis.sock?db=1",
        "redis-cluster://a:1,b:2,c",
        "rediss-cluster://u:p@a,b",
        "redis-sentinel://a:26379,b:26379/mymaster",
        "rediss-sentinel://:p@a/mymaster/3",
    ] {
        let document = ok(None, &[("REDIS_URL", url)]);
        assert_eq!(document.store.url.unwrap().expose_secret(), url);
    }
    let rest = ("UPSTASH_REDIS_REST_URL", "https://x.example");
    for token in ["UPSTASH_REDIS_REST_TOKEN", "REDIS_REST_TOKEN"] {
        let document = ok(None, &[rest, (token, "t")]);
        assert_eq!(document.store.url.unwrap().expose_secret(), "https://x.example");
        assert_eq!(document.store.rest_token.unwrap().expose_secret(), "t");
    }
    ok(None, &[rest, ("REDIS_REST_TOKEN", "t"), ("REDIS_URL", "https://x.example")]);
    let loud = ("UPSTASH_REDIS_REST_URL", "HTTPS://X.example");
    assert!(ok(None, &[loud, ("REDIS_REST_TOKEN", "t")]).store.rest().is_some());
    let cluster = ("REDIS_URL", "redis-cluster://a,b");
    check(None, &[cluster, ("REDIS_DB", "1")], &["REDIS_DB: a cluster has only database 0"]);
    check(None, &[rest], &["UPSTASH_REDIS_REST_URL: a REST endpoint wants a token"]);
    check(None, &[("REDIS_URL", "https://a")], &["REDIS_URL: a REST endpoint wants a token"]);
    check(
        None,
        &[("UPSTASH_REDIS_REST_TOKEN", "a"), ("REDIS_REST_TOKEN", "b")],
        &["REDIS_REST_TOKEN: differs", "UPSTASH_REDIS_REST_TOKEN: the store is no REST endpoint"],
    );
    let token = ("REDIS_REST_TOKEN", "t");
    check(
        None,
        &[rest, token, ("REDIS_URL", "redis://a")],
        &[
            "UPSTASH_REDIS_REST_URL: `REDIS_URL` names another store",
            "REDIS_REST_TOKEN: the store is no REST endpoint",
        ],
    );
    check(None, &[token], &["REDIS_REST_TOKEN: the store is no REST endpoint: set `UPSTASH_REDIS_REST_URL`"]);
    check(None, &[("REDIS_URL", "redis://a"), token], &["REDIS_REST_TOKEN: the store is no REST endpoint"]);
    check(None, &[("UPSTASH_REDIS_REST_URL", "x.example"), token], &["UPSTASH_REDIS_REST_URL: "]);
    for token in ["two words", "line\nend", "t\u{7f}", "t\u{e9}"] {
        for name in ["UPSTASH_REDIS_REST_TOKEN", "REDIS_REST_TOKEN"] {
            check(None, &[rest, (name, token)], &[name]);
        }
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let file = "[server]\nport = 70000\nhots = \"::\"\n\n[rate_limit]\nalgorithm = \"leaky\"\nwindow_ms = \"1m\"\n\
                [[routes]]\npath = \"a\"\nlimit = true\n[plugins.cash-plugin]\n[bogus]\n";
    check(
        toml(file),
        &[("AUTH_ENABLED", "maybe"), ("GATEWAY_PROT", "1"), ("TLS_CERT", "/c.pem"), ("HOME", "/root")],
        &[
            "gateway.toml:2:8: server.port: `70000` is not accepted: write a whole number from 0 to 65535",
            "gateway.toml:3:1: server.hots: unknown key `hots`; did you mean `host`?",
            "gateway.toml:6:13: rate_limit.algorithm: `leaky` is not accepted: write one of `sliding-window`",
            "gateway.toml:7:13: rate_limit.window_ms: a string is not accepted: write a whole number",
            "gateway.toml:9:8: routes[0].path: `a` is not accepted: write a pattern",
            "gateway.toml:10:9: routes[0].limit: a boolean is not accepted: write `false` or a table",
            "gateway.toml:11:10: plugins.cash-plugin: unknown key `cash-plugin`; did you mean `cache-plugin`?",
            "gateway.toml:12:2: bogus: unknown key `bogus`",
            "GATEWAY_PROT: unknown variable; did you mean `GATEWAY_PORT`?",
            "AUTH_ENABLED: `maybe` is not accepted",
            "TLS_CERT: needs its other half: set `TLS_KEY`",
        ],
    );
}

#[test]
fn broken_files() {
    for (file, expected) in [
        (toml("a = "), "gateway.toml:1:"),
        (toml("[server]\nport = 1\nport = 2"), "gateway.toml:3:1: duplicate key"),
        (json("{\n  \"a\": }"), "gateway.json:2:8: expected value"),
        (json("[]"), "gateway.json: an array is not accepted"),
        (
            json(r#"{"log":{"level":"info","level":"warn"}}"#),
            "gateway.json: log.level: this key stands here twice",
        ),
        (json(r#"{"server":{"port":1e3}}"#), "server.port: `1000.0` is not accepted"),
        (toml("server = 1"), "gateway.toml:1:10: server: a number is not accepted: write a table"),
        (toml("routes = 1"), "routes: a number is not accepted: write `[[routes]]` tables"),
        (toml("origins = []"), "origins: there must be an origin"),
        (toml("server.port = 2020-01-01"), "server.port: a date or time is not accepted"),
        (
            toml("server.port = 170141183460469231731687303715884105728"),
            "server.port: `170141183460469231731687303715884105728`",
        ),
    ] {
        check(file, &[], &[expected]);
    }
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(read(toml(&deep), &[]).is_err());
    assert!(read(json(&"[".repeat(100_000)), &[]).is_err());
}

#[test]
fn variables_that_are_ours_and_others() {
    for name in [
        "GATEWAY_X",
        "FASTAPI_URI",
        "REDIS_HOST",
        "AUTH_X",
        "RATE_LIMIT_X",
        "CACHE_X",
        "ROUTER_X",
        "METRICS_X",
        "LOG_X",
        "CORS_X",
        "TLS_X",
        "UPSTASH_REDIS_REST_X",
        "MAX_BODY_BYTE",
        "SIGNING_SECRETS",
        "OTEL_SERVICE_NAMES",
    ] {
        check(None, &[(name, "1")], &[&format!("{name}: unknown variable")]);
    }
    let others = [
        ("GATEWAY_CONFIG", "gateway.toml"),
        ("PATH", "/bin"),
        ("MAX_WORKERS", "3"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOG_LEVEL", "debug"),
        ("REDIS_PORT", "tcp://10.0.0.1:6379"),
        ("REDIS_SERVICE_HOST", "10.0.0.1"),
        ("REDIS_SERVICE_PORT", "6379"),
        ("REDIS_SERVICE_PORT_REDIS", "6379"),
        ("REDIS_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
        ("REDIS_PORT_6379_TCP_ADDR", "10.0.0.1"),
        ("GATEWAY_PORT", "tcp://10.0.0.2:80"),
        ("CACHE_PORT_53_UDP_PROTO", "udp"),
        ("AUTH_TOKEN_SALT", ""),
    ];
    assert_eq!(ok(None, &others).server.port, 3000);
    check(
        None,
        &[("REDIS_PORT", "6379")],
        &["REDIS_PORT: unknown variable; write `REDIS_URL=redis://host:port`"],
    );
}

#[test]
fn cors_and_keys() {
    assert_eq!(ok(None, &[("CORS_ORIGIN", "*")]).cors.origins, CorsOrigins::Any);
    let list = ok(None, &[("CORS_ORIGIN", "https://A.example:443,http://localhost:5173")]).cors.origins;
    assert_eq!(list, CorsOrigins::List(vec!["https://a.example".into(), "http://localhost:5173".into()]));
    let keys = ok(None, &[("AUTH_API_KEYS", "k1, alice:k2,k3,")]).auth.api_keys;
    let keys: Vec<_> = keys.iter().map(|key| (key.name.as_str(), key.key.expose_secret())).collect();
    assert_eq!(keys, [("key-1", "k1"), ("alice", "k2"), ("key-3", "k3")]);
}
