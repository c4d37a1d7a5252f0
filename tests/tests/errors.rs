//! Errors that the gateway makes, in both shapes; those of the origin pass as they are.

use std::collections::BTreeSet;

use acip_tests::{ADMIN, Answer, Call, Feature, Gateway, KEY, OTHER_KEY, Origin, raw, supported};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

struct Case {
    name: &'static str,
    call: fn(&Gateway) -> Call,
    status: u16,
    code: &'static str,
}

/// What can be provoked at a gateway with a small body limit, a short timeout and one request a minute for `OTHER_KEY`.
const CASES: &[Case] = &[
    Case {
        name: "credentials that differ",
        call: |gateway| gateway.http().get("/_test/echo").key(KEY).bearer("other"),
        status: 400,
        code: "BAD_REQUEST",
    },
    Case {
        name: "no credential",
        call: |gateway| gateway.http().get("/_test/echo"),
        status: 401,
        code: "UNAUTHORIZED",
    },
    Case {
        name: "no admin",
        call: |gateway| gateway.http().get("/docs").key(KEY),
        status: 403,
        code: "FORBIDDEN",
    },
    Case {
        name: "no such page",
        call: |gateway| gateway.http().get("/gateway/nothing").bearer(ADMIN),
        status: 404,
        code: "NOT_FOUND",
    },
    Case {
        name: "a method that is not served",
        call: |gateway| gateway.http().call(Method::TRACE, "/_test/echo").key(KEY),
        status: 405,
        code: "METHOD_NOT_ALLOWED",
    },
    Case {
        name: "a large body",
        call: |gateway| gateway.http().call(Method::POST, "/_test/upload").key(KEY).body(vec![b'x'; 20_000]),
        status: 413,
        code: "PAYLOAD_TOO_LARGE",
    },
    Case {
        name: "past the limit",
        call: |gateway| gateway.http().get("/limited").key(OTHER_KEY),
        status: 429,
        code: "RATE_LIMIT_EXCEEDED",
    },
    Case {
        name: "a slow origin",
        call: |gateway| gateway.http().get("/_test/slow?ms=20000").key(KEY),
        status: 504,
        code: "GATEWAY_TIMEOUT",
    },
    Case {
        name: "a broken origin",
        call: |gateway| gateway.http().post("/_test/cut?head=false", &Value::Null).key(KEY),
        status: 502,
        code: "BAD_GATEWAY",
    },
    Case {
        name: "a loop",
        call: |gateway| {
            gateway.http().get("/_test/echo").key(KEY).header("via", "1.1 acip, 1.1 acip, 1.1 acip")
        },
        status: 508,
        code: "LOOP_DETECTED",
    },
];

const LIMITED: &str = "[[routes]]\npath = \"/limited\"\nlimit = { max_requests = 1, window_ms = 60000 }\n";

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn check_common(case: &Case, answer: &Answer, id: &Value) {
    assert_eq!(answer.status, case.status, "{}", case.name);
    assert_eq!(id, answer.header("x-request-id"), "{}", case.name);
    for (field, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
        assert_eq!(answer.header(field), value, "{}", case.name);
    }
    assert_eq!(answer.header("www-authenticate").is_empty(), case.status != 401, "{}", case.name);
    assert_eq!(answer.header("allow").is_empty(), case.status != 405, "{}", case.name);
    let failed = matches!(case.status, 502 | 504);
    assert_eq!(answer.header("proxy-status").starts_with("acip; error="), failed, "{}", case.name);
}

fn retry_after(case: &Case, answer: &Answer, told: &Value) {
    let seconds = answer.header("retry-after").parse::<u64>().ok();
    assert_eq!(seconds, told.as_u64(), "{}", case.name);
    assert_eq!(seconds.is_some(), case.status == 429, "{}", case.name);
}

#[tokio::test]
async fn an_error_has_a_code_in_either_shape() {
    let origin = Origin::start();
    let environment = [("MAX_BODY_BYTES", "10000"), ("FASTAPI_TIMEOUT", "300")];
    let gateway = Gateway::with_file(&[&origin.url()], &environment, Some(LIMITED));
    gateway.http().get("/limited").key(OTHER_KEY).send().await;
    for case in CASES {
        let answer = (case.call)(&gateway).send().await;
        assert_eq!(answer.header("content-type"), "application/json", "{}", case.name);
        let body = answer.json();
        assert_eq!(names(&body), BTreeSet::from(["error"]), "{}", case.name);
        let error = &body["error"];
        assert_eq!(error["code"], case.code, "{}", case.name);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", case.name);
        let known = BTreeSet::from(["code", "message", "requestId", "retryAfter", "details"]);
        assert!(names(error).is_subset(&known), "{}: {error}", case.name);
        check_common(case, &answer, &error["requestId"]);
        retry_after(case, &answer, &error["retryAfter"]);

        let accept = "text/html;q=0.1, application/problem+json";
        let answer = (case.call)(&gateway).header("accept", accept).send().await;
        assert_eq!(answer.header("content-type"), "application/problem+json", "{}", case.name);
        let problem = answer.json();
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&json!(case.status), &json!(case.code)),
            "{}",
            case.name
        );
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{}: {problem}", case.name);
        }
        check_common(case, &answer, &problem["requestId"]);
        retry_after(case, &answer, &problem["retryAfter"]);
    }
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_named_so() {
    let mut origin = Origin::start();
    let gateway = Gateway::start(&[&origin.url()], &[]);
    origin.kill();
    let answer = gateway.http().post("/_test/echo", &Value::Null).key(KEY).send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "BAD_GATEWAY"));
    let known = supported(&[Feature::RefusedConnections]);
    let error = if known { "connection_refused" } else { "connection_terminated" };
    assert_eq!(answer.header("proxy-status"), format!("acip; error={error}"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_a_code() {
    if !supported(&[Feature::Wire]) {
        return;
    }
    let origin = Origin::start();
    let gateway = Gateway::start(&[&origin.url()], &[]);
    let large = format!("GET /_test/echo HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n\r\n", "x".repeat(1 << 20));
    let answer = raw(gateway.port(), large.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431") && answer.contains("\"HEADERS_TOO_LARGE\""), "{answer}");
}

#[tokio::test]
async fn a_head_of_http2_that_is_too_large_too() {
    if !supported(&[Feature::H2c]) {
        return;
    }
    let origin = Origin::start();
    let gateway = Gateway::start(&[&origin.url()], &[]);
    for (bytes, has_body) in [(70_000, true), (200_000, true), (400_000, false)] {
        let socket = TcpStream::connect(("127.0.0.1", gateway.port())).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::get(format!("http://127.0.0.1:{}/_test/echo", gateway.port()));
        for at in 0..bytes / 10_000 {
            request = request.header(format!("x-large-{at}"), "x".repeat(10_000));
        }
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 431, "{bytes}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert_eq!(text.contains("\"HEADERS_TOO_LARGE\""), has_body, "{bytes}: {text}");
    }
}

#[tokio::test]
async fn errors_of_the_origin_pass_unchanged() {
    let origin = Origin::start();
    let gateway = Gateway::start(&[&origin.url()], &[]);
    let past = |path: &str, http: acip_tests::Http| {
        http.get(path).key(KEY).header("accept", "application/problem+json").send()
    };
    for path in [
        "/_test/status/400",
        "/_test/status/404",
        "/_test/status/418",
        "/_test/status/429?retry_after=17",
        "/_test/status/500",
        "/_test/status/503?retry_after=3",
        "/api/v1/jobs/malformed",
        "/nothing",
    ] {
        let (direct, answer) = (past(path, origin.http()).await, past(path, gateway.http()).await);
        assert_eq!((answer.status, &answer.body), (direct.status, &direct.body), "{path}");
        for name in ["content-type", "retry-after", "x-origin"] {
            assert_eq!(answer.header(name), direct.header(name), "{path}: {name}");
        }
        assert_eq!(answer.code(), "", "{path}");
        assert!(answer.headers.get("proxy-status").is_none(), "{path}");
    }
}
