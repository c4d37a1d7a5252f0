//! Cross-origin requests: the gateway alone speaks of them, whatever the origin says.

use acip_tests::{Answer, Call, Feature, Gateway, KEY, Origin, raw, supported};
use http::Method;

const APP: &str = "https://app.example";

fn preflight(gateway: &Gateway, path: &str, origin: &str) -> Call {
    gateway
        .http()
        .call(Method::OPTIONS, path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, x-api-key")
}

fn varies_on_origin(answer: &Answer) -> bool {
    let mut members =
        answer.headers.get_all("vary").iter().flat_map(|line| line.to_str().unwrap_or_default().split(','));
    members.any(|member| member.trim().eq_ignore_ascii_case("origin"))
}

/// One value and no other, or none at all.
fn allowed(answer: &Answer) -> Option<&str> {
    let mut values = answer.headers.get_all("access-control-allow-origin").iter();
    let value = values.next().map(|value| value.to_str().expect("text"));
    assert!(values.next().is_none(), "two values break browsers: {:?}", answer.headers);
    value
}

#[tokio::test]
async fn the_origins_own_fields_are_replaced() {
    let origin = Origin::start();
    let direct = origin.http().get("/_test/echo").header("origin", APP).send().await;
    assert_eq!((allowed(&direct), direct.header("access-control-allow-credentials")), (Some(APP), "true"));

    let gateway = Gateway::start(&[&origin.url()], &[]);
    for key in [KEY, "wrong"] {
        let answer = gateway.http().get("/_test/echo").key(key).header("origin", APP).send().await;
        assert_eq!(allowed(&answer), Some("*"), "errors can be read as well");
        assert!(answer.headers.get("access-control-allow-credentials").is_none(), "never with `*`");
        let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
        assert!(exposed.contains("x-request-id") && exposed.contains("retry-after"), "{exposed}");
    }
    let plain = gateway.http().get("/_test/echo").key(KEY).send().await;
    assert_eq!(allowed(&plain), None);
    let own = gateway.http().get("/gateway/health").header("origin", APP).send().await;
    assert_eq!(allowed(&own), None, "the gateway's pages are no page's business");
}

#[tokio::test]
async fn a_list_admits_its_members_only() {
    let origin = Origin::start();
    let list = "https://app.example,https://other.example";
    let gateway = Gateway::start(&[&origin.url()], &[("CORS_ORIGIN", list), ("CORS_METHODS", "GET,POST")]);
    for (from, expected) in [
        (APP, Some(APP)),
        ("https://other.example", Some("https://other.example")),
        ("https://evil.example", None),
        ("https://app.example.evil.example", None),
        ("http://app.example", None),
        ("null", None),
    ] {
        let answer = gateway.http().get("/_test/echo").key(KEY).header("origin", from).send().await;
        assert_eq!((answer.status.as_u16(), allowed(&answer)), (200, expected), "{from}");
        let credentials = answer.header("access-control-allow-credentials");
        assert_eq!(credentials, if expected.is_some() { "true" } else { "" }, "{from}");
        assert!(varies_on_origin(&answer), "{from}");

        let asked = preflight(&gateway, "/api/v1/jobs", from).send().await;
        assert_eq!((asked.status.as_u16(), allowed(&asked)), (204, expected), "{from}");
        let methods = asked.header("access-control-allow-methods");
        assert_eq!(methods, if expected.is_some() { "GET, POST" } else { "" }, "{from}");
    }
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_reaches_nobody() {
    let origin = Origin::start();
    let gateway = Gateway::start(&[&origin.url()], &[]);
    for path in ["/api/v1/jobs", "/api/v1/jobs/stats/queue", "/api/v1/workers", "/_test/echo"] {
        let answer = preflight(&gateway, path, APP).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len(), allowed(&answer)),
            (204, 0, Some("*")),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, PUT, PATCH, DELETE, OPTIONS");
        let fields = answer.header("access-control-allow-headers").to_ascii_lowercase();
        assert!(fields.contains("authorization") && fields.contains("x-api-key"), "{fields}");
        assert!(answer.header("access-control-max-age").parse::<u32>().is_ok());
    }
    let seen = origin.seen().await;
    assert!(seen.iter().all(|seen| seen["path"] == "/health"), "{seen:?}");
    // Without what makes it a preflight it is a request as any other.
    let options = gateway.http().call(Method::OPTIONS, "/_test/echo").header("origin", APP);
    assert_eq!(options.send().await.status, 401);
    let options = gateway.http().call(Method::OPTIONS, "/_test/echo").key(KEY).send().await;
    assert_eq!((options.status.as_u16(), &options.json()["method"]), (200, &"OPTIONS".into()));
}

/// A page can read why a request was refused whose head was found bad before anything else was looked at.
#[tokio::test]
async fn early_refusals_can_be_read() {
    let origin = Origin::start();
    let gateway = Gateway::start(&[&origin.url()], &[("CORS_ORIGIN", APP), ("MAX_BODY_BYTES", "1000")]);
    for (page, expected) in [(APP, Some(APP)), ("https://other.example", None)] {
        let check = async |status: u16, call: Call| {
            let answer = call.key(KEY).header("origin", page).send().await;
            assert_eq!((answer.status.as_u16(), allowed(&answer)), (status, expected), "{}", answer.text());
            assert!(varies_on_origin(&answer));
        };
        check(400, gateway.http().get("/_test/%zz")).await;
        check(400, gateway.http().get("/_test/echo").header("x-worker-token", "another")).await;
        check(413, gateway.http().call(Method::POST, "/_test/echo").body("x".repeat(2000))).await;
        if !supported(&[Feature::Wire]) {
            continue;
        }
        for (field, status) in [("x-large", "431"), ("x large", "400")] {
            let field = format!("{field}: {}", "x".repeat(if status == "431" { 100_000 } else { 1 }));
            let head = format!("GET / HTTP/1.1\r\nhost: a\r\nOrigin: {page}\r\n{field}\r\n\r\n");
            let answer = raw(gateway.port(), head.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            let told = format!("access-control-allow-origin: {APP}\r\n");
            assert_eq!(answer.contains(&told), expected.is_some(), "{answer}");
        }
    }
}
