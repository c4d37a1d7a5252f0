//! What the adapter makes of events, and what it finds wrong with others.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::*;

/// An event of each kind of caller: one request.
fn url() -> Value {
    json!({
        "version": "2.0", "rawPath": "/a", "rawQueryString": "", "headers": { "host": "h" },
        "requestContext": {
            "apiId": "u", "domainName": "u.lambda-url.eu-central-1.on.aws", "stage": "$default",
            "http": { "method": "GET", "path": "/a", "sourceIp": "203.0.113.9" }
        },
        "isBase64Encoded": false
    })
}

fn http_api() -> Value {
    let mut event = url();
    event["requestContext"]["domainName"] = json!("u.execute-api.eu-central-1.amazonaws.com");
    event
}

fn rest_api() -> Value {
    json!({
        "httpMethod": "GET", "path": "/a", "multiValueHeaders": { "host": ["h"] },
        "requestContext": { "apiId": "u", "stage": "prod", "identity": { "sourceIp": "203.0.113.9" } },
        "body": null, "isBase64Encoded": false
    })
}

fn balancer() -> Value {
    json!({
        "httpMethod": "GET", "path": "/a", "headers": { "host": "h" },
        "requestContext": { "elb": { "targetGroupArn": "arn" } }, "body": "", "isBase64Encoded": false
    })
}

/// The event with members put over its own, at places as JSON pointers spell them.
fn with(mut event: Value, members: &[(&str, Value)]) -> Value {
    for (place, value) in members {
        let (parent, name) = place.rsplit_once('/').expect("a place");
        event.pointer_mut(parent).expect("a parent")[name] = value.clone();
    }
    event
}

fn call(event: &Value) -> Call {
    read(event.to_string().as_bytes()).unwrap_or_else(|error| panic!("{event}: {error:?}"))
}

#[test]
fn each_caller_is_told_from_the_others() {
    let address = Some(IpAddr::from([203, 0, 113, 9]));
    let lists = with(balancer(), &[("/multiValueHeaders", json!({ "host": ["h"] }))]);
    for (event, envelope, ip, tls) in [
        (url(), Envelope::Stream, address, true),
        // Emulators name no API.
        (with(url(), &[("/requestContext/apiId", Value::Null)]), Envelope::Stream, address, true),
        (http_api(), Envelope::Cookies, address, true),
        (rest_api(), Envelope::Lists, address, true),
        (lists, Envelope::Lists, None, false),
        (balancer(), Envelope::Single, None, false),
    ] {
        let call = call(&event);
        assert_eq!((call.envelope, call.caller), (envelope, Caller { ip, tls }), "{event}");
        assert_eq!(call.request.method(), Method::GET);
        assert_eq!(call.request.uri(), "/a", "{event}");
        assert_eq!(call.request.headers()[header::HOST], "h", "{event}");
        assert!(!call.request.headers().contains_key(header::CONTENT_LENGTH), "{event}");
    }
}

#[test]
fn the_address_is_the_platforms_alone() {
    let place = "/requestContext/http/sourceIp";
    for (said, ip) in [
        (json!("::ffff:192.0.2.1"), Some(IpAddr::from([192, 0, 2, 1]))),
        (json!("2001:db8::1"), "2001:db8::1".parse().ok()),
        (json!("somebody"), None),
        (Value::Null, None),
    ] {
        let forged = json!({ "host": "h", "x-forwarded-for": "198.51.100.7" });
        let event = with(url(), &[(place, said), ("/headers", forged)]);
        assert_eq!(call(&event).caller.ip, ip, "{event}");
    }
}

#[test]
fn targets() {
    let path = |event, path: &str| with(event, &[("/rawPath", json!(path))]);
    let query = |event, query: &str| with(event, &[("/rawQueryString", json!(query))]);
    let stage = |stage: &str, path: &str| {
        with(http_api(), &[("/requestContext/stage", json!(stage)), ("/rawPath", json!(path))])
    };
    let one = |event, members| with(event, &[("/queryStringParameters", members)]);
    let many = |event, members| with(event, &[("/multiValueQueryStringParameters", members)]);
    for (event, target) in [
        // A function URL hands over what the client wrote; an HTTP API has decoded it.
        (path(url(), "/a%2Fb%20c"), "/a%2Fb%20c"),
        (path(http_api(), "/a b/100%/ü"), "/a%20b/100%25/%C3%BC"),
        (path(http_api(), "/a%2Fb"), "/a%2Fb"),
        (path(url(), ""), "/"),
        (path(url(), "no-slash"), "/no-slash"),
        (path(http_api(), "/what?#"), "/what%3F%23"),
        (query(url(), "a=1&b=%2F&a=2"), "/a?a=1&b=%2F&a=2"),
        (query(url(), "a=b c"), "/a?a=b%20c"),
        (stage("prod", "/prod/a"), "/a"),
        (stage("prod", "/prod"), "/"),
        (stage("prod", "/product/a"), "/product/a"),
        (stage("", "/a"), "/a"),
        (stage("$default", "/$default/a"), "/$default/a"),
        // API Gateway has decoded parameters, a load balancer has not.
        (one(rest_api(), json!({ "a": "1 &=", "b": "ü" })), "/a?a=1%20%26%3D&b=%C3%BC"),
        (one(balancer(), json!({ "a": "1%20%26", "b": "" })), "/a?a=1%20%26&b="),
        (many(rest_api(), json!({ "a": ["2", "1"], "b": ["3"] })), "/a?a=2&a=1&b=3"),
        (one(many(rest_api(), json!({ "a": ["1", "2"] })), json!({ "a": "2" })), "/a?a=1&a=2"),
        (many(one(balancer(), json!({ "a": "1" })), Value::Null), "/a?a=1"),
    ] {
        assert_eq!(call(&event).request.uri(), target, "{event}");
    }
}

#[test]
fn parameters_keep_their_order() {
    let event = rest_api().to_string();
    let last = event.replacen('{', r#"{"queryStringParameters":{"z":"1","a":"2","m":"3"},"#, 1);
    let call = read(last.as_bytes()).expect("a request");
    assert_eq!(call.request.uri(), "/a?z=1&a=2&m=3");
}

#[test]
fn fields_and_cookies() {
    let lines = |event: &Value, name: &str| {
        let call = call(event);
        let lines = call.request.headers().get_all(name).iter();
        lines.map(|line| line.to_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let single = |event, fields| with(event, &[("/headers", fields)]);
    let lists = |event, fields| with(event, &[("/multiValueHeaders", fields)]);
    let cookies = |event| with(event, &[("/cookies", json!(["s=1", "t=2"]))]);
    let none: [&str; 0] = [];
    for (event, name, expected) in [
        (single(url(), json!({ "X-A": "1,2" })), "x-a", &["1,2"][..]),
        (single(url(), json!({ "x-a": null, "x-b": "1" })), "x-a", &none),
        (lists(rest_api(), json!({ "X-A": ["1", "2"], "x-b": null })), "x-a", &["1", "2"]),
        (lists(balancer(), json!({ "x-a": ["1", "2"] })), "x-a", &["1", "2"]),
        (single(lists(rest_api(), json!({ "x-a": ["1", "2"] })), json!({ "x-a": "2" })), "x-a", &["1", "2"]),
        // An empty object of lists says nothing.
        (single(lists(rest_api(), json!({})), json!({ "x-a": "2" })), "x-a", &["2"]),
        (cookies(url()), "cookie", &["s=1; t=2"]),
        // Named in both places they are the same cookies.
        (cookies(single(url(), json!({ "cookie": "s=1; t=2" }))), "cookie", &["s=1; t=2"]),
        (single(balancer(), json!({ "cookie": "s=1; t=2" })), "cookie", &["s=1; t=2"]),
        (single(url(), json!({})), "host", &["u.lambda-url.eu-central-1.on.aws"]),
        // The event holds the whole body.
        (single(url(), json!({ "transfer-encoding": "chunked" })), "transfer-encoding", &none),
        (single(url(), json!({ "content-length": "9" })), "content-length", &["0"]),
    ] {
        assert_eq!(lines(&event, name), expected, "{event}");
    }
}

#[tokio::test]
async fn bodies() {
    let encoded = STANDARD.encode([0_u8, 255, 10]);
    let text = |event, text: &str| with(event, &[("/body", json!(text))]);
    let binary =
        |event, text: &str| with(event, &[("/body", json!(text)), ("/isBase64Encoded", json!(true))]);
    for event in [url(), http_api(), rest_api(), balancer()] {
        for (event, expected) in [
            (event.clone(), &b""[..]),
            (text(event.clone(), "{\"a\":\"\u{fc}\\n\"}"), "{\"a\":\"\u{fc}\\n\"}".as_bytes()),
            (binary(event.clone(), &encoded), &[0, 255, 10]),
            (binary(event.clone(), ""), b""),
        ] {
            let request = call(&event).request;
            let length = request.headers().get(header::CONTENT_LENGTH).cloned();
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(body, expected, "{event}");
            let said = length.and_then(|length| length.to_str().ok()?.parse().ok());
            assert_eq!(said.unwrap_or(0), body.len(), "{event}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_in_the_callers_shape() {
    let at = |event, place: &str, value: Value| with(event, &[(place, value)]).to_string();
    let host_and = |name: &str, value: &str| json!({ "host": "h", name: value });
    for (event, envelope, reason) in [
        (String::new(), Envelope::Stream, "EOF"),
        ("[1]".into(), Envelope::Stream, "invalid"),
        ("{}".into(), Envelope::Stream, "missing field `requestContext`"),
        ("\u{0}".into(), Envelope::Stream, "expected value"),
        (at(url(), "/headers", json!({ "a": 1 })), Envelope::Stream, "expected a string"),
        (at(url(), "/requestContext/http", json!({})), Envelope::Stream, "missing field `method`"),
        (at(url(), "/rawPath", Value::Null), Envelope::Stream, "`rawPath` is missing"),
        (
            at(http_api(), "/requestContext/http/method", json!("G T")),
            Envelope::Cookies,
            "`G T` is no method",
        ),
        (at(rest_api(), "/httpMethod", Value::Null), Envelope::Lists, "`httpMethod` is missing"),
        (at(rest_api(), "/path", Value::Null), Envelope::Lists, "`path` is missing"),
        (at(url(), "/headers", host_and("a b", "1")), Envelope::Stream, "`a b` is no field name"),
        (
            at(url(), "/headers", host_and("a", "1\n2")),
            Envelope::Stream,
            "the value of `a` is no field value",
        ),
        (at(url(), "/cookies", json!(["a=\u{7f}"])), Envelope::Stream, "`cookies` are no field value"),
        (
            with(balancer(), &[("/body", json!("%")), ("/isBase64Encoded", json!(true))]).to_string(),
            Envelope::Single,
            "`body` is no base64",
        ),
    ] {
        let Err(unreadable) = read(event.as_bytes()) else { panic!("{event} was read") };
        assert!(unreadable.reason.contains(reason), "{event}: {}", unreadable.reason);
        assert_eq!(unreadable.envelope, envelope, "{event}");
    }
}
