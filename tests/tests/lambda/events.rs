//! Events of every kind of caller, and answers in the shape each takes. Events are files in `tests/events`; adding one needs no Rust.

use std::fs;

use acip_tests::{Answer, Gateway, KEY, Stand, root, wait_for};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::is_lambda;

/// The host's invoke API: the event goes to the function as it is, and what the function posts comes back.
async fn invoke(gateway: &Gateway, event: impl ToString) -> Answer {
    let path = "/2015-03-31/functions/_/invocations";
    let call = gateway.http().call(http::Method::POST, path).body(event.to_string());
    call.send().await
}

/// An answer in the shape that a caller takes, read as that caller reads it.
struct Read {
    status: Value,
    headers: Value,
    cookies: Vec<String>,
    body: Vec<u8>,
    /// None for a stream, which is of bytes.
    base64: Option<bool>,
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|it| it.as_str().expect("text").to_owned()).collect()
}

fn read(envelope: &str, posted: &[u8]) -> Read {
    if envelope == "stream" {
        let end = posted.windows(8).position(|window| window == [0; 8]).expect("an end of the prelude");
        let prelude: Value = serde_json::from_slice(&posted[..end]).expect("a prelude");
        return Read {
            status: prelude["statusCode"].clone(),
            headers: prelude["headers"].clone(),
            cookies: texts(&prelude["cookies"]),
            body: posted[end + 8..].to_vec(),
            base64: None,
        };
    }
    let whole: Value = serde_json::from_slice(posted).expect("JSON");
    let text = whole["body"].as_str().expect("a body");
    let body =
        if whole["isBase64Encoded"] == true { STANDARD.decode(text).expect("base64") } else { text.into() };
    let (headers, cookies) = match envelope {
        "cookies" => (whole["headers"].clone(), texts(&whole["cookies"])),
        "lists" => {
            assert!(whole.get("headers").is_none(), "{whole}");
            (whole["multiValueHeaders"].clone(), texts(&whole["multiValueHeaders"]["set-cookie"]))
        }
        "single" => {
            let cookie = whole["headers"]["set-cookie"].as_str().map(str::to_owned);
            (whole["headers"].clone(), cookie.into_iter().collect())
        }
        other => panic!("`{other}` is no envelope"),
    };
    Read {
        status: whole["statusCode"].clone(),
        headers,
        cookies,
        body,
        base64: whole["isBase64Encoded"].as_bool(),
    }
}

/// Holds a body against what an event's file says of it: a text, the hash of bytes, or `"seen"` for the origin's own words about the
/// request.
fn check_body(name: &str, expected: &Value, read: &Read, seen: &Value) {
    let text = String::from_utf8_lossy(&read.body);
    if expected == "seen" {
        let told: Value =
            serde_json::from_slice(&read.body).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
        for part in ["method", "path", "query", "headers"] {
            assert_eq!(told[part], seen[part], "{name}: {part} in the answer");
        }
    } else if let Some(hash) = expected["sha256"].as_str() {
        let told: String = Sha256::digest(&read.body).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (json!(read.body.len()), told.as_str()),
            (expected["bytes"].clone(), hash),
            "{name}: {text}"
        );
        assert!(read.base64.is_none_or(|it| it), "{name}: bytes go in base64");
    } else {
        assert_eq!(json!(text), *expected, "{name}: the answer's body");
        assert!(read.base64.is_none_or(|it| !it), "{name}: text goes as it is");
    }
}

#[tokio::test]
async fn every_caller_is_heard_alike() {
    if !is_lambda() {
        return;
    }
    let stand = Stand::start(&[]);
    let files = fs::read_dir(root().join("tests/events")).expect("the events");
    let mut count = 0;
    for file in files {
        let path = file.expect("a file").path();
        let (name, text) = (path.display(), fs::read_to_string(&path).expect("text"));
        let case: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = &case["expected"];
        stand.origin.http().post("/_test/reset", &Value::Null).send().await;
        let answer = invoke(&stand.gateway, &case["event"]).await;
        let read = read(expected["envelope"].as_str().expect("an envelope"), &answer.body);
        let body = String::from_utf8_lossy(&read.body);
        assert_eq!(read.status, expected["status"], "{name}: {body}");
        assert_eq!(json!(read.cookies), expected["cookies"], "{name}");
        assert!(read.headers["x-request-id"].as_str().or(read.headers["x-request-id"][0].as_str()).is_some());
        let seen = stand.origin.seen().await;
        let [seen] = seen.as_slice() else { panic!("{name}: {seen:?}") };
        check_body(&name.to_string(), &expected["body"], &read, seen);
        let wanted = &expected["origin"];
        for part in ["method", "path", "query", "body"] {
            // Some of the origin's pages look at no body.
            let Some(wanted) = wanted.get(part) else { continue };
            assert_eq!(seen[part], *wanted, "{name}: {part}");
        }
        for (field, value) in wanted["fields"].as_object().expect("fields") {
            let lines = seen["headers"].as_array().expect("fields").iter().filter(|line| line[0] == *field);
            let lines: Vec<_> = lines.map(|line| line[1].clone()).collect();
            let value = if value.is_array() { value.clone() } else { json!([value]) };
            assert_eq!(json!(lines), value, "{name}: {field}");
        }
        count += 1;
    }
    assert!(count >= 11, "{count} events");
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_logged() {
    if !is_lambda() {
        return;
    }
    let stand = Stand::start(&[("ACIP_LAMBDA_PROCESSES", "1")]);
    let lists = json!({ "requestContext": { "elb": {} }, "multiValueHeaders": {}, "httpMethod": "GET" });
    let v2 = json!({ "requestContext": { "apiId": "a", "http": { "method": "GET" } }, "rawPath": "/",
        "body": "no base64", "isBase64Encoded": true });
    let queue = json!({ "Records": [{ "eventSource": "aws:sqs", "body": "a message" }] });
    for (event, envelope) in [
        ("no JSON".to_owned(), "stream"),
        ("{}".into(), "stream"),
        ("[1]".into(), "stream"),
        (queue.to_string(), "stream"),
        (lists.to_string(), "lists"),
        (v2.to_string(), "cookies"),
    ] {
        let logged = stand.gateway.log().matches("an event is no HTTP request").count();
        let answer = invoke(&stand.gateway, &event).await;
        let read = read(envelope, &answer.body);
        let body: Value = serde_json::from_slice(&read.body).expect("the contract's error");
        assert_eq!((&read.status, &body["error"]["code"]), (&json!(400), &json!("BAD_REQUEST")), "{event}");
        let told = || async { stand.gateway.log().matches("an event is no HTTP request").count() > logged };
        wait_for("its line in the log", told).await;
    }
    // The one process lives.
    assert_eq!(stand.get("/_test/echo").key(KEY).send().await.status, 200);
}

/// A `GET` from each kind of caller that takes no stream, with its envelope.
fn from_apis(path: &str, query: &[(&str, &str)], accept: &str) -> [(&'static str, Value); 4] {
    let fields = json!({ "host": "a", "x-api-key": KEY, "accept": accept });
    let lists = json!({ "host": ["a"], "x-api-key": [KEY], "accept": [accept] });
    let raw: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let one: Value = query.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let many: Value = query.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let http = json!({ "method": "GET", "sourceIp": "192.0.2.1" });
    [
        (
            "cookies",
            json!({ "requestContext": { "apiId": "a", "http": http }, "rawPath": path,
                "rawQueryString": raw.join("&"), "headers": fields }),
        ),
        (
            "lists",
            json!({ "requestContext": { "apiId": "a", "identity": { "sourceIp": "192.0.2.1" } }, "httpMethod": "GET",
                "path": path, "multiValueHeaders": lists, "multiValueQueryStringParameters": many }),
        ),
        (
            "lists",
            json!({ "requestContext": { "elb": {} }, "httpMethod": "GET", "path": path, "multiValueHeaders": lists,
                "multiValueQueryStringParameters": many }),
        ),
        (
            "single",
            json!({ "requestContext": { "elb": {} }, "httpMethod": "GET", "path": path, "headers": fields,
                "queryStringParameters": one }),
        ),
    ]
}

/// A caller that takes no streams hears of a break by the status; one that does sees the break (`streams.rs`).
#[tokio::test]
async fn what_breaks_off_is_no_answer_of_an_api() {
    if !is_lambda() {
        return;
    }
    let stand = Stand::start(&[]);
    for (envelope, event) in from_apis("/_test/cut", &[("after", "1000"), ("chunked", "true")], "*/*") {
        let read = read(envelope, &invoke(&stand.gateway, &event).await.body);
        let body: Value = serde_json::from_slice(&read.body).expect("the contract's error");
        assert_eq!((&read.status, &body["error"]["code"]), (&json!(502), &json!("BAD_GATEWAY")), "{event}");
        let id = read.headers["x-request-id"].as_str().or(read.headers["x-request-id"][0].as_str());
        assert_eq!(body["error"]["requestId"].as_str(), id, "{event}");
    }
    let problem = "application/problem+json";
    for (envelope, event) in from_apis("/_test/cut", &[("after", "1000"), ("chunked", "true")], problem) {
        let read = read(envelope, &invoke(&stand.gateway, &event).await.body);
        let body: Value = serde_json::from_slice(&read.body).expect("the problem");
        assert_eq!((&body["status"], &body["code"]), (&json!(502), &json!("BAD_GATEWAY")), "{event}");
        let kind = &read.headers["content-type"];
        assert!(*kind == problem || *kind == json!([problem]), "{kind}");
    }
}

#[tokio::test]
async fn what_an_api_cannot_take_whole_is_refused() {
    if !is_lambda() {
        return;
    }
    let stand = Stand::start(&[]);
    for (mb, status) in [("4", 200), ("5", 502)] {
        for (envelope, event) in from_apis("/_test/huge", &[("mb", mb)], "*/*") {
            let read = read(envelope, &invoke(&stand.gateway, &event).await.body);
            assert_eq!(read.status, status, "{mb} MiB as {envelope}");
            if status == 200 {
                assert_eq!(read.body.len(), 4 << 20, "{envelope}");
                continue;
            }
            let body: Value = serde_json::from_slice(&read.body).expect("the contract's error");
            assert_eq!(body["error"]["code"], "BAD_GATEWAY", "{envelope}");
            assert!(
                body["error"]["message"].as_str().is_some_and(|it| it.contains("function URL")),
                "{body}"
            );
        }
    }
}
