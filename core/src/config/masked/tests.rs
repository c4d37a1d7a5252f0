//! What is shown: everything that was set, nothing that is secret.

use std::{borrow::ToOwned, format, string::String, vec::Vec};

use crate::config::{Document, Format, Platform, Source};

fn read(text: &str, format: Format, env: &[(&str, &str)]) -> Document {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let source = Source { name: "shown", text, format };
    Document::read(Some(source), env, Platform::Native).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

const FULL: &str = r#"
    workers_format = "backend"
    identity.region = "luna"
    [[origins]]
    url = "https://[::1]:8443/v1"
    name = "one"
    region = "us-west"
    weight = 3
    [[routes]]
    path = "/a/{id}"
    methods = ["GET", "POST"]
    auth = "api-key"
    limit = { max_requests = 5, algorithm = "token-bucket" }
    cache = { mode = "per-credential" }
    [[routes]]
    path = "/b/*"
    limit = false
    cache = false
    [[limits]]
    name = "burst"
    by = "ip"
    limit = 10
    window_ms = 1000
    on_store_error = "deny"
    [plugins.cache-plugin]
    enabled = false
    [regions]
    aliases = { luna = "moon" }
    distances = [{ from = "moon", to = "us-east", distance = 9 }]
"#;

#[test]
fn what_is_shown_reads_as_the_same_document() {
    for text in ["", FULL] {
        let salt = [("AUTH_TOKEN_SALT", "s")];
        let document = read(text, Format::Toml, &salt);
        let json = format!("{}", document.masked());
        let toml = document.to_toml_masked();
        for again in [read(&json, Format::Json, &salt), read(&toml, Format::Toml, &salt)] {
            assert_eq!(format!("{again:?}"), format!("{document:?}"), "{toml}");
        }
    }
}

/// Each secret knob, marked in each of its forms.
const SECRETS: &[(&str, &str)] = &[
    ("REDIS_URL", "redis://user:MARKED@host:1/2?pass=MARKED"),
    ("REDIS_URL", "redis://MARKED@host"),
    ("REDIS_URL", "redis://:MAR/KED@MARKED@host"),
    ("REDIS_URL", "rediss-sentinel://u:MARKED@a,b/main"),
    ("REDIS_PASSWORD", "MARKED"),
    ("UPSTASH_REDIS_REST_TOKEN", "MARKED"),
    ("REDIS_REST_TOKEN", "MARKED"),
    ("AUTH_API_KEYS", "MARKED,alice:MARKED2"),
    ("AUTH_TOKEN_SALT", "MARKED"),
    ("ADMIN_TOKEN", "MARKED"),
    ("SIGNING_SECRET", "MARKED"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=MARKED,other=MARKED"),
];

#[test]
fn no_secret_is_shown() {
    for (name, value) in SECRETS {
        let mut env = Vec::from([((*name).to_owned(), (*value).to_owned())]);
        if name.ends_with("_REST_TOKEN") {
            env.push(("UPSTASH_REDIS_REST_URL".to_owned(), "https://host".to_owned()));
        }
        let shown = match Document::read(None, env, Platform::Native) {
            Ok(document) => format!("{document:?} {} {}", document.masked(), document.to_toml_masked()),
            Err(errors) => format!("{errors} {errors:?}"),
        };
        assert!(!shown.contains("MAR"), "{name}={value}: {shown}");
    }
}

/// A refused value is not shown either, nor by a secret's neighbour.
#[test]
fn no_error_shows_a_secret() {
    let wrong = |value: &str| format!("{value}\u{7}");
    for (name, value) in SECRETS {
        let env = [((*name).to_owned(), wrong(value))];
        let errors = Document::read(None, env, Platform::Native).expect_err(name);
        assert!(!format!("{errors} {errors:?}").contains("MAR"), "{errors}");
    }
    for (name, value) in [
        ("FASTAPI_URL", "http://user:MARKED@host"),
        ("UPSTASH_REDIS_REST_URL", "https://user:MARKED@host"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:MARKED@host"),
        ("REDIS_URL", "redsi://user:MARKED@host"),
        ("AUTH_API_KEYS", "alice:MARKED KED"),
        ("AUTH_API_KEYS", "MARKED,MARKED"),
    ] {
        let errors =
            Document::read(None, [(name.to_owned(), value.to_owned())], Platform::Native).expect_err(name);
        assert!(!format!("{errors} {errors:?}").contains("MAR"), "{errors}");
    }
    let files = [
        ("[store]\nurl = \"redis://:MARKED@a", Format::Toml),
        ("[store]\nurl = redis://:MARKED@a", Format::Toml),
        ("[store]\nurl = [\"redis://:MARKED@a\"]", Format::Toml),
        ("{\"store\": {\"password\": \"MARKED", Format::Json),
        ("{\"store\": {\"password\": MARKED}}", Format::Json),
        ("{\"auth\": {\"api_keys\": [\"a:MARKED KED\", [\"MARKED\"]]}}", Format::Json),
    ];
    for (text, format) in files {
        let errors =
            Document::read(Some(Source { name: "f", text, format }), [], Platform::Native).expect_err(text);
        assert!(!format!("{errors} {errors:?}").contains("MAR"), "{errors}");
    }
}

#[test]
fn the_text_is_for_people() {
    let text: String = read(FULL, Format::Toml, &[("REDIS_URL", "redis://u:p@h")]).to_toml_masked();
    for line in ["[store]", "url = \"redis://u:***@h\"", "token_salt = \"***\"", "[[routes]]", "port = 3000"]
    {
        assert!(text.lines().any(|found| found == line), "`{line}` is missing:\n{text}");
    }
}
