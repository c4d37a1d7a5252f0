//! Browsers asking from elsewhere.

use alloc::vec;

use crate::{
    config::{CorsOrigins, Document},
    plugins::fixture::{answered, document, facts, field, forwarded, head},
};

const A: &str = "https://a.example";

fn listed() -> Document {
    let mut document = document();
    document.cors.origins = CorsOrigins::List(vec![A.into(), "https://b.example".into()]);
    document
}

#[test]
fn preflights_are_answered_without_asking_anybody() {
    let check = |document: Document, path: &str, origin: &str, wanted: &str, expected: [&str; 5]| {
        let fields = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", wanted),
        ];
        let answer = answered(document, head("OPTIONS", path, &fields), facts());
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
        let names = ["allow-origin", "allow-credentials", "allow-methods", "allow-headers", "max-age"];
        let seen = names.map(|name| field(&answer.headers, &alloc::format!("access-control-{name}")));
        assert_eq!(seen, expected, "{path} {origin} {wanted}");
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        assert_eq!(field(&answer.headers, "vary"), vary);
        assert!(!field(&answer.headers, "x-request-id").is_empty());
    };
    let methods = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
    let jobs = "/api/v1/jobs";
    check(
        document(),
        jobs,
        A,
        "X-API-Key, content-type",
        ["*", "", methods, "x-api-key, content-type", "600"],
    );
    check(document(), jobs, A, "bad name, x", ["*", "", methods, "", "600"]);
    check(document(), "/api/v1/admin/x", A, "", ["*", "", methods, "", "600"]);
    check(document(), "/gateway/config", A, "", [""; 5]);
    check(listed(), jobs, A, "authorization", [A, "true", methods, "authorization", "600"]);
    check(listed(), "/gateway/config", A, "", [A, "true", methods, "", "600"]);
    check(listed(), jobs, "https://A.example", "x", [""; 5]);
    check(listed(), jobs, "null", "x", [""; 5]);
}

#[test]
fn answers_carry_what_the_origin_of_the_page_may_do() {
    let check = |document: Document, fields: &[(&str, &str)], expected: [&str; 3]| {
        let origin = crate::ResponseHead { status: http::StatusCode::OK, headers: http::HeaderMap::new() };
        let seal = forwarded(document, head("GET", "/v1/x", fields), facts()).seal(0, origin, 0, 0);
        let names = ["access-control-allow-origin", "access-control-allow-credentials", "vary"];
        assert_eq!(names.map(|name| field(&seal.head.headers, name)), expected, "{fields:?}");
        let exposed = field(&seal.head.headers, "access-control-expose-headers");
        assert_eq!(exposed.contains("X-Request-ID"), !expected[0].is_empty());
    };
    check(document(), &[], ["", "", ""]);
    check(document(), &[("origin", A)], ["*", "", ""]);
    check(listed(), &[], ["", "", "Origin"]);
    check(listed(), &[("origin", A)], [A, "true", "Origin"]);
    check(listed(), &[("origin", "https://c.example")], ["", "", "Origin"]);
    check(listed(), &[("origin", A), ("origin", A)], ["", "", "Origin"]);
}

#[test]
fn other_options_are_no_preflight() {
    let forward = forwarded(document(), head("OPTIONS", "/v1/x", &[("origin", A)]), facts());
    assert_eq!(forward.attempts.len(), 2);
}
