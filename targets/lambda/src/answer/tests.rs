//! Answers in the shapes that callers take: cookies, bytes that are no text, and what has no end.

use serde_json::json;

use super::*;

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn cookies_stand_where_the_caller_looks_for_them() {
    let headers = fields(&[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-a", "1"), ("x-a", "2")]);
    for (envelope, place, expected) in [
        (Envelope::Cookies, "/cookies", json!(["a=1", "b=2"])),
        (Envelope::Cookies, "/headers", json!({ "x-a": "1, 2" })),
        (Envelope::Lists, "/multiValueHeaders", json!({ "set-cookie": ["a=1", "b=2"], "x-a": ["1", "2"] })),
        // It has room for one.
        (Envelope::Single, "/headers", json!({ "set-cookie": "a=1", "x-a": "1, 2" })),
    ] {
        let answer = shape(envelope, 200, &headers, b"ok");
        assert_eq!(answer.pointer(place), Some(&expected), "{envelope:?}");
    }
}

#[test]
fn what_is_no_text_goes_in_base64() {
    let plain = fields(&[("content-type", "text/plain")]);
    let packed = fields(&[("content-type", "text/plain"), ("content-encoding", "gzip")]);
    for (headers, body, told, expected) in [
        (&plain, "ü".as_bytes(), false, "ü"),
        (&plain, &[0xff, 0xfe, 0x00], true, "//4A"),
        (&packed, b"looks like text", true, "bG9va3MgbGlrZSB0ZXh0"),
    ] {
        for envelope in [Envelope::Cookies, Envelope::Lists, Envelope::Single] {
            let answer = shape(envelope, 200, headers, body);
            assert_eq!((&answer["isBase64Encoded"], &answer["body"]), (&json!(told), &json!(expected)));
        }
    }
}

#[test]
fn what_has_no_end_is_an_error_as_the_client_wants_it() {
    let headers = fields(&[("x-request-id", "r-1"), ("content-type", "text/plain"), ("set-cookie", "a=1")]);
    for (problem, kind, expected) in [
        (
            false,
            "application/json",
            json!({ "error": { "code": "BAD_GATEWAY", "message": "why", "requestId": "r-1" } }),
        ),
        (
            true,
            "application/problem+json",
            json!({ "type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": "why",
                "code": "BAD_GATEWAY", "requestId": "r-1" }),
        ),
    ] {
        let answer = broken(Envelope::Single, problem, &headers, "why".into());
        assert_eq!(answer["statusCode"], 502);
        assert_eq!(answer["headers"], json!({ "content-type": kind, "x-request-id": "r-1" }));
        let body: Value = serde_json::from_str(answer["body"].as_str().expect("text")).expect("JSON");
        assert_eq!(body, expected);
    }
}
