//! Bytes that no client should send: a clear refusal, nothing of them at the origin, and a gateway that lives on.

use acip_tests::{Feature, Gateway, KEY, Origin, raw, supported};
use serde_json::Value;

/// A request that would be served but for `target` or `fields`, and behind it one that must never be seen.
fn request(line: &str, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line}\r\n").into_bytes();
    bytes.extend_from_slice(fields);
    bytes.extend_from_slice(format!("X-API-Key: {KEY}\r\nConnection: close\r\n\r\n").as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn smuggled() -> Vec<u8> {
    format!("GET /_test/smuggled HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n").into_bytes()
}

/// All fields but the credential; `HOST` first where nothing is said about it.
type Fields = &'static [u8];

const POST: &str = "POST /_test/echo HTTP/1.1";
const GET: &str = "GET /_test/echo HTTP/1.1";

/// Heads with bad fields: name, request line, fields, status.
const FIELDS: &[(&str, &str, Fields, u16)] = &[
    ("length, then chunked", POST, b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    ("chunked, then length", POST, b"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
    ("two hosts", GET, b"Host: a\r\nHost: b\r\n", 400),
    ("one host twice", GET, b"Host: a\r\nhost: a\r\n", 400),
    ("no host", GET, b"", 400),
    ("an empty host", GET, b"Host:\r\n", 400),
    ("a host with a path", GET, b"Host: a/b\r\n", 400),
    ("a host with a user", GET, b"Host: a@b\r\n", 400),
    ("a host with a bad port", GET, b"Host: a:99999\r\n", 400),
    ("lengths that differ", POST, b"Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n", 400),
    ("one length twice", POST, b"Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n", 400),
    ("a list of lengths", POST, b"Host: a\r\nContent-Length: 5, 6\r\n", 400),
    ("a negative length", POST, b"Host: a\r\nContent-Length: -1\r\n", 400),
    ("a length with a sign", POST, b"Host: a\r\nContent-Length: +5\r\n", 400),
    ("a hexadecimal length", POST, b"Host: a\r\nContent-Length: 0x5\r\n", 400),
    ("an empty length", POST, b"Host: a\r\nContent-Length:\r\n", 400),
    ("a length past 64 bits", POST, b"Host: a\r\nContent-Length: 99999999999999999999\r\n", 400),
    ("a huge length", POST, b"Host: a\r\nContent-Length: 999999999999\r\n", 413),
    ("a folded field", GET, b"Host: a\r\nX-A: b\r\n c\r\n", 400),
    ("a folded field with a tab", GET, b"Host: a\r\nX-A: b\r\n\tc\r\n", 400),
    ("a folded first field", GET, b" Host: a\r\n", 400),
    ("a bare LF", GET, b"Host: a\nX-A: b\r\n", 400),
    ("a bare CR", GET, b"Host: a\r\nX-A: b\rX-B: c\r\n", 400),
    ("NUL in a value", GET, b"Host: a\r\nX-A: b\0c\r\n", 400),
    ("NUL in a name", GET, b"Host: a\r\nX-\0A: b\r\n", 400),
    ("a space before the colon", POST, b"Host: a\r\nTransfer-Encoding : chunked\r\n", 400),
    ("a field without a colon", GET, b"Host: a\r\nnothing\r\n", 400),
    ("a field without a name", GET, b"Host: a\r\n: b\r\n", 400),
    ("a name that is no token", GET, b"Host: a\r\nX(A): b\r\n", 400),
    ("a name beyond ASCII", GET, b"Host: a\r\nX-\xc3\xa4: b\r\n", 400),
    ("another coding", POST, b"Host: a\r\nTransfer-Encoding: xchunked\r\n", 400),
    ("two codings", POST, b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", 400),
    ("chunked and not", POST, b"Host: a\r\nTransfer-Encoding: chunked, identity\r\n", 400),
    ("chunked twice", POST, b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400),
    ("chunked behind a tab stop", POST, b"Host: a\r\nTransfer-Encoding: \x0bchunked\r\n", 400),
    ("chunked in HTTP/1.0", "POST /_test/echo HTTP/1.0", b"Host: a\r\nTransfer-Encoding: chunked\r\n", 400),
    ("a host beyond the target", "GET http://b/_test/echo HTTP/1.1", b"Host: a\r\n", 400),
    ("a port beyond the target", "GET http://a:81/_test/echo HTTP/1.1", b"Host: a\r\n", 400),
    ("two content types", POST, b"Host: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n", 400),
];

/// Request lines that are bad; the fields are good.
const LINES: &[(&[u8], u16)] = &[
    (b"GET /_test/echo/% HTTP/1.1", 400),
    (b"GET /_test/echo/%zz HTTP/1.1", 400),
    (b"GET /_test/echo/%a HTTP/1.1", 400),
    (b"GET /_test/echo/%00 HTTP/1.1", 400),
    (b"GET /_test/echo/%0d%0aX-A:b HTTP/1.1", 400),
    (b"GET /_test/echo/../../api/v1/admin/stats HTTP/1.1", 400),
    (b"GET /_test/echo/.. HTTP/1.1", 400),
    (b"GET /_test/./echo HTTP/1.1", 400),
    (b"GET /_test/echo/%2e%2e/echo HTTP/1.1", 400),
    (b"GET /_test/echo/%2E./echo HTTP/1.1", 400),
    (b"GET /_test/echo/..;a=b/echo HTTP/1.1", 400),
    (b"GET /_test/echo/%252e%252e/echo HTTP/1.1", 400),
    (b"GET /_test/echo%2f..%2fecho HTTP/1.1", 400),
    (b"GET /_test/echo/a%2fb HTTP/1.1", 400),
    (b"GET /_test/echo/a%5Cb HTTP/1.1", 400),
    (b"GET /_test\\echo HTTP/1.1", 400),
    (b"GET //_test/echo HTTP/1.1", 400),
    (b"GET /_test//echo HTTP/1.1", 400),
    (b"GET /_test/echo/%ff%fe HTTP/1.1", 400),
    (b"GET /_test/echo/\xff\xfe HTTP/1.1", 400),
    (b"GET /_test/echo/%c0%ae%c0%ae/echo HTTP/1.1", 400),
    (b"GET /_test/echo#part HTTP/1.1", 400),
    (b"GET /_test/ec ho HTTP/1.1", 400),
    (b"GET  /_test/echo HTTP/1.1", 400),
    (b"GET\t/_test/echo\tHTTP/1.1", 400),
    (b" GET /_test/echo HTTP/1.1", 400),
    (b"GET _test/echo HTTP/1.1", 400),
    (b"GET * HTTP/1.1", 400),
    (b"GET ftp:// HTTP/1.1", 400),
    (b"G(T /_test/echo HTTP/1.1", 400),
    (b"CONNECT a:443 HTTP/1.1", 400),
    (b"TRACE /_test/echo HTTP/1.1", 405),
    (b"GET /_test/echo", 400),
    (b"GET /_test/echo HTTP", 400),
    (b"GET /_test/echo HTTP/0.9", 400),
    (b"GET /_test/echo HTTP/1.2", 400),
    (b"GET /_test/echo HTTP/3.0", 400),
    (b"GET /_test/echo http/1.1", 400),
    (b"GET /_test/echo HTTP/1.1 ", 400),
    (b"PRI * HTTP/2.0", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"", 400),
];

/// Chunked bodies that are bad from the first chunk on, or at their end.
const CHUNKS: &[&[u8]] = &[
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"zz\r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloworld\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5;a=\nb\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nTransfer-Encoding\r\n\r\n",
];

struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn start() -> Self {
        let origin = Origin::start();
        let gateway = Gateway::start(&[&origin.url()], &[]);
        Self { origin, gateway }
    }

    /// Sends bytes, with a smuggled request behind them; expects one answer with this status and a code.
    fn refused(&self, name: &str, mut bytes: Vec<u8>, status: u16) {
        bytes.extend_from_slice(&smuggled());
        let answer = raw(self.gateway.port(), &bytes);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: more than one answer: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{name}: no end of the head"));
        let body: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{name}: {error}: {answer}"));
        let code = match status {
            405 => "METHOD_NOT_ALLOWED",
            413 => "PAYLOAD_TOO_LARGE",
            431 => "HEADERS_TOO_LARGE",
            _ => "BAD_REQUEST",
        };
        assert_eq!(body["error"]["code"], code, "{name}: {body}");
        assert!(
            body["error"]["message"].as_str().is_some_and(|message| message.len() > 10),
            "{name}: {body}"
        );
    }

    /// Requests that the origin saw, without health checks.
    async fn seen(&self) -> Vec<Value> {
        self.origin.seen().await.into_iter().filter(|seen| seen["path"] != "/health").collect()
    }

    /// Nothing came through, the process lives, and what is good still passes.
    async fn end(self) {
        assert_eq!(self.seen().await, Vec::<Value>::new());
        for (what, line) in [("plain", GET), ("absolute", "GET http://a/_test/echo?a=%2e%2e HTTP/1.1")] {
            let answer = raw(self.gateway.port(), &request(line, b"Host: a\r\n", b""));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{what}: {answer}");
        }
        assert_eq!(self.seen().await.len(), 2);
        assert!(!self.gateway.log().contains("panicked"), "{}", self.gateway.log());
    }
}

#[tokio::test]
async fn ambiguous_fields_are_refused() {
    if !supported(&[Feature::Wire]) {
        return;
    }
    let bench = Bench::start();
    for (name, line, fields, status) in FIELDS {
        bench.refused(name, request(line, fields, b"0\r\n\r\n"), *status);
    }
    bench.end().await;
}

#[tokio::test]
async fn bad_request_lines_are_refused() {
    if !supported(&[Feature::Wire]) {
        return;
    }
    let bench = Bench::start();
    for (line, status) in LINES {
        let fields = format!("\r\nHost: a\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n");
        let name = String::from_utf8_lossy(line).into_owned();
        bench.refused(&name, [line, fields.as_bytes()].concat(), *status);
    }
    bench.end().await;
}

#[tokio::test]
async fn large_heads_are_refused() {
    if !supported(&[Feature::Wire]) {
        return;
    }
    let bench = Bench::start();
    let long = "x".repeat(1 << 20);
    let many: String = (0..5000).map(|n| format!("x-{n}: y\r\n")).collect();
    for (name, line, fields) in [
        ("a field of a megabyte", GET.to_owned(), format!("Host: a\r\nX-A: {long}\r\n")),
        ("a name of a megabyte", GET.to_owned(), format!("Host: a\r\n{long}: a\r\n")),
        ("many fields", GET.to_owned(), format!("Host: a\r\n{many}")),
        ("a target of a megabyte", format!("GET /_test/echo/{long} HTTP/1.1"), "Host: a\r\n".to_owned()),
    ] {
        bench.refused(name, request(&line, fields.as_bytes(), b""), 431);
    }
    bench.end().await;
}

#[tokio::test]
async fn a_bad_chunk_ends_the_request() {
    if !supported(&[Feature::Wire]) {
        return;
    }
    let bench = Bench::start();
    for body in CHUNKS {
        let mut bytes = request(POST, b"Host: a\r\nTransfer-Encoding: chunked\r\n", body);
        bytes.extend_from_slice(&smuggled());
        let answer = raw(bench.gateway.port(), &bytes);
        let name = String::from_utf8_lossy(body);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{name:?}: {answer:?}");
        assert!(
            answer.contains("\"BAD_REQUEST\"") && answer.matches("HTTP/1.1 ").count() == 1,
            "{name:?}: {answer}"
        );
    }
    // The origin may have seen how such a request began, never that it ended, and nothing behind it.
    for seen in bench.seen().await {
        assert_eq!(
            (&seen["path"], &seen["body"]["complete"]),
            (&"/_test/echo".into(), &false.into()),
            "{seen}"
        );
    }
    bench.origin.http().post("/_test/reset", &Value::Null).send().await;
    bench.end().await;
}

#[tokio::test]
async fn unknown_methods_open_nothing() {
    if !supported(&[Feature::Wire]) {
        return;
    }
    let bench = Bench::start();
    for method in ["get", "Get", "delete", "BREW", "PROPFIND"] {
        let line = format!("{method} /api/v1/jobs/6f1c1c3e-7a44-4b2e-9a64-6a4d7f0c2b11 HTTP/1.1");
        let answer = raw(bench.gateway.port(), &request(&line, b"Host: a\r\n", b""));
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
    }
    for method in ["get", "BREW"] {
        let line = format!("{method} /api/v1/admin/stats HTTP/1.1");
        let answer = raw(bench.gateway.port(), &request(&line, b"Host: a\r\n", b""));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{method}: {answer}");
    }
    assert!(!bench.gateway.log().contains("panicked"));
}

#[tokio::test]
async fn what_is_pipelined_properly_is_served_in_order() {
    if !supported(&[Feature::Wire]) {
        return;
    }
    let bench = Bench::start();
    let mut bytes = Vec::new();
    for (n, body) in ["5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n"].iter().enumerate() {
        let line = format!("POST /_test/echo/{n} HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n");
        bytes.extend_from_slice(format!("{line}Transfer-Encoding: chunked\r\n\r\n{body}").as_bytes());
    }
    bytes.extend_from_slice(&request("GET /_test/echo/2 HTTP/1.1", b"Host: a\r\n", b""));
    let answer = raw(bench.gateway.port(), &bytes);
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 3, "{answer}");
    let paths: Vec<Value> = bench.seen().await.iter().map(|seen| seen["path"].clone()).collect();
    assert_eq!(paths, ["/_test/echo/0", "/_test/echo/1", "/_test/echo/2"]);
}
