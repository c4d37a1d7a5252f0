//! The doors that the backend leaves open are closed: its admin API, its documents, and other tenants' jobs.
//! Whose job is whose is in `jobs.rs`, the gateway's own pages in `own_pages.rs`.

use acip_tests::{ADMIN, Feature, KEY, Stand, status_line, supported};
use serde_json::{Value, json};

/// What only an admin may see, with what the origin answers to one.
const DOORS: &[(&str, &str)] = &[
    ("/api/v1/admin/stats", "\"available_workers\""),
    ("/api/v1/admin/enterprises", "["),
    ("/admin", "<"),
    ("/static/admin.js", ""),
    ("/docs", "swagger"),
    ("/redoc", "redoc"),
    ("/openapi.json", "\"openapi\""),
];

/// A key with these fields in its record besides.
fn record(stand: &Stand, key: &str, fields: &[&str]) {
    let stored = acip_core::plugins::auth::stored_form("distributed-gpu-inference-v1", key);
    let name = format!("gateway:key:{{{stored}}}");
    stand.redis().cli(&[&["HSET", &name, "id", key, "enabled", "1"], fields].concat());
}

#[tokio::test]
async fn only_admins_pass_the_doors() {
    let stand = Stand::start(&[("RATE_LIMIT_ENABLED", "false"), ("AUTH_ENABLED", "true")]);
    record(&stand, "plain-record", &["tenant", "t"]);
    record(&stand, "admin-record", &["tenant", "t", "role", "admin"]);
    for (path, _) in DOORS {
        let get = || stand.get(path);
        for (who, call, status, code) in [
            ("nobody", get(), 401, "UNAUTHORIZED"),
            ("a wrong key", get().key("wrong"), 401, "UNAUTHORIZED"),
            ("a plain key", get().key(KEY), 403, "FORBIDDEN"),
            ("a plain key as bearer", get().bearer(KEY), 403, "FORBIDDEN"),
            ("a plain record", get().key("plain-record"), 403, "FORBIDDEN"),
        ] {
            let answer = call.send().await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path} by {who}");
        }
    }
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let call =
            stand.http().call(method.parse().unwrap(), "/api/v1/admin/enterprises").key(KEY).body("{}");
        assert_eq!(call.send().await.status, 403, "{method}");
    }
    assert_eq!(stand.reached_in_all().await, 0);

    for (path, part) in DOORS {
        for call in
            [stand.get(path).bearer(ADMIN), stand.get(path).key(ADMIN), stand.get(path).key("admin-record")]
        {
            let answer = call.send().await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(answer.text().to_ascii_lowercase().contains(part), "{path}: {}", answer.text());
            assert_ne!(answer.header("x-gateway-cache"), "HIT");
        }
    }
    let created =
        stand.post("/api/v1/admin/enterprises", &json!({"name": "acme"})).bearer(ADMIN).send().await;
    assert_eq!((created.status.as_u16(), &created.json()["name"]), (200, &json!("acme")));
}

#[tokio::test]
async fn the_doors_stay_closed_without_authentication_of_clients() {
    let stand = Stand::start(&[("AUTH_ENABLED", "false")]);
    assert_eq!(stand.get("/_test/echo").send().await.status, 200);
    for (path, _) in DOORS {
        assert_eq!(stand.get(path).send().await.status, 401, "{path}");
    }
    assert_eq!(stand.reached("/api/v1/admin/stats").await.len(), 0);
}

/// How a lenient origin might read a path.
fn leniently(path: &str) -> String {
    let mut path = path.to_owned();
    for (escaped, plain) in
        [("%2f", "/"), ("%2e", "."), ("%61", "a"), ("%25", "%"), ("%5c", "/"), ("\\", "/")]
    {
        path = path.to_ascii_lowercase().replace(escaped, plain);
    }
    let mut out: Vec<&str> = Vec::new();
    for part in path.split('/').map(|part| part.split(';').next().unwrap_or_default()) {
        match part {
            "" | "." => {}
            ".." => drop(out.pop()),
            part => out.push(part),
        }
    }
    out.join("/")
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_past_the_doors() {
    let stand = Stand::start(&[("RATE_LIMIT_ENABLED", "false")]);
    for path in [
        "/api/v1/admin/",
        "/api/v1/admin//stats",
        "//api/v1/admin/stats",
        "/api//v1/admin/stats",
        "/api/v1//admin/stats",
        "/api/v1/./admin/stats",
        "/api/v1/jobs/../admin/stats",
        "/api/v1/jobs/%2e%2e/admin/stats",
        "/api/v1/jobs/%2E./admin/stats",
        "/api/v1/jobs/..%2fadmin/stats",
        "/health/../api/v1/admin/stats",
        "/health/..;/api/v1/admin/stats",
        "/api/v1/%61dmin/stats",
        "/api/v1/%2561dmin/stats",
        "/api/v1%2fadmin/stats",
        "/api/v1/admin%2fstats",
        "/api/v1\\admin\\stats",
        "/api/v1/admin;x/stats",
        "/api/v1/admin;x=1",
        "/api/v1;x/admin/stats",
        "/api/v1/ADMIN/stats",
        "/API/V1/admin/stats",
        "/api/v1/admin/stats/",
        "/api/v1/admin%00/stats",
        "/api/v1/admin/../admin/stats",
        "/gateway/../api/v1/admin/stats",
        "/gateway/health/../../api/v1/admin/stats",
        "/Docs",
        "/docs/",
        "/docs/oauth2-redirect",
        "/%64ocs",
        "/openapi.json/",
        "/static/../api/v1/admin/stats",
        "/admin/",
        "/regions/..%2f..%2fadmin",
        "/api/v1/admin/stats?x=/health",
        "/api/v1/admin/stats%3fx",
        "/api/v1/admin/stats#x",
        "http://127.0.0.1/api/v1/admin/stats",
    ] {
        if !path.starts_with('/') && !supported(&[Feature::Wire]) {
            continue;
        }
        let bytes = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {KEY}\r\n\r\n");
        let answer = status_line(stand.gateway.port(), bytes.as_bytes());
        let status: u16 =
            answer.get(9..12).and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{path}: {answer}"));
        assert!((400..500).contains(&status), "{path}: {answer}");
    }
    let seen = stand.origin.seen().await;
    let past: Vec<&Value> = seen
        .iter()
        .filter(|seen| {
            let path = leniently(seen["path"].as_str().unwrap());
            ["api/v1/admin", "admin", "static", "docs", "redoc", "openapi.json"]
                .iter()
                .any(|door| path == *door || path.starts_with(&format!("{door}/")))
        })
        .map(|seen| &seen["path"])
        .collect();
    assert!(past.is_empty(), "reached the origin: {past:?}");
}
