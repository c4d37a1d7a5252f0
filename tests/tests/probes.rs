//! The fuzzer's probes on a stable compiler, bounded: random bytes, mutated heads and documents, and what the fuzzer
//! has found before.

use acip_probes::{begin_decide, document, resp, rest};
use proptest::{prelude::*, sample::select};

/// Bytes at random, among them words of the format.
fn soup(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Three choices, a head, and choices again.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let first = proptest::collection::vec(any::<u8>(), 3);
    let method = select(vec!["GET", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "HEAD", "BREW"]);
    let path = prop_oneof![4 => select(PATHS).prop_map(|path| path.as_bytes().to_vec()), 1 => soup(PATHS)];
    let fields = proptest::collection::vec(select(FIELDS), 0..6);
    let rest = proptest::collection::vec(any::<u8>(), 0..200);
    (first, method, path, fields, rest).prop_map(|(first, method, path, fields, rest)| {
        let fields = fields.concat();
        [&first, method.as_bytes(), b" ", &path, b"\n", fields.as_bytes(), b"\n", &rest].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn resp_of_any_bytes(input in soup(RESP)) {
        resp(&input);
    }

    #[test]
    fn rest_of_any_bytes(status in any::<u8>(), input in soup(REST)) {
        rest(&[&[status], input.as_slice()].concat());
    }

    #[test]
    fn requests_of_any_kind(input in requests()) {
        begin_decide(&input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_of_any_text(input in soup(TOML)) {
        document(&input);
    }
}

#[test]
fn the_probes_reach_what_they_are_for() {
    // A key that is configured, then an origin that answers 200: through every step.
    begin_decide(
        b"\x01\x00\x01GET /api/v1/jobs/a\nhost: a\nx-api-key: k1\n\n\x00\x00\x00\x00\x00\x00\x00\x03",
    );
    document(b"\x00[auth]\nenabled = true\n\0GATEWAY_PORT=3000\nREDIS_TIMEOUT=-1");
    resp(b"\x00\x01*2\r\n:1\r\n$1\r\na\r\n");
    rest(br#"0[{"result":"YQ=="},{"error":"ERR x"}]"#);
}

const PATHS: &[&str] = &[
    "/api/v1/jobs",
    "/api/v1/jobs/sync?timeout=9999999999999999999",
    "/api/v1/jobs/6f1c1c3e-7a44-4b2e-9a64-6a4d7f0c2b11",
    "/api/v1/jobs/x/direct",
    "/api/v1/jobs/stats/queue",
    "/api/v1/queue/stats",
    "/api/v1/workers",
    "/api/v1/workers?format=backend&region=%zz",
    "/api/v1/workers/register",
    "/api/v1/workers/w1/heartbeat",
    "/api/v1/workers/w1/verify",
    "/api/v1/workers/w1/refresh-token",
    "/api/v1/workers/w1/jobs/j/complete",
    "/api/v1/admin/stats",
    "/docs",
    "/health",
    "/gateway/health/detailed",
    "/gateway/readyz",
    "/gateway/config",
    "/gateway/plugins/auth-plugin",
    "/gateway/metrics",
    "/",
    "//",
    "/..",
    "%2e%2e",
    "*",
];

const FIELDS: &[&str] = &[
    "host: a\n",
    "host: a:99999\n",
    "x-api-key: k1\n",
    "x-api-key: k2\n",
    "x-api-key: \u{e9}\n",
    "authorization: Bearer root\n",
    "authorization: Basic eA==\n",
    "x-worker-token: t\n",
    "content-length: 5\n",
    "content-length: 99999999999999999999\n",
    "transfer-encoding: chunked\n",
    "connection: upgrade, x-api-key\n",
    "upgrade: websocket\n",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n",
    "sec-websocket-version: 13\n",
    "origin: http://e\n",
    "access-control-request-method: PUT\n",
    "x-forwarded-for: 1.2.3.4, [::1]:x, 10.0.0.1\n",
    "forwarded: for=\"[2001:db8::1]\";proto=https\n",
    "via: 1.1 acip, 1.1 acip\n",
    "cache-control: no-cache, max-age=-1\n",
    "if-none-match: W/\"a\", *\n",
    "range: bytes=0-\n",
    "accept: application/problem+json\n",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
    "x-request-id: a\n",
    "expect: 100-continue\n",
];

const RESP: &[&str] = &[
    "\r\n",
    "$",
    "*",
    ":",
    "+OK\r\n",
    "-ERR x\r\n",
    "$3\r\nabc\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*2\r\n",
    ":1\r\n",
    "%1\r\n",
    ">1\r\n",
    "|1\r\n",
    "#t\r\n",
    "_\r\n",
    ",1.5\r\n",
    "(12\r\n",
    "=7\r\ntxt:abc\r\n",
    "$?\r\n",
    "9223372036854775808",
    "-",
    "1",
];

const REST: &[&str] = &[
    "{\"result\":",
    "{\"error\":",
    "\"OK\"",
    "\"YQ==\"",
    "\"YR==\"",
    "\"\\u0059Q==\"",
    "\"ERR x\"",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "18446744073709551616",
    "1e400",
    "[[[[[[[[",
    "\u{fffd}",
    "\\ud800",
];

const TOML: &[&str] = &[
    "\n",
    "[auth]\n",
    "[server]\n",
    "[cache]\n",
    "[[origins]]\n",
    "[[routes]]\n",
    "[[limits]]\n",
    "[plugins.x]\n",
    "enabled = ",
    "url = ",
    "port = ",
    "ttl_seconds = ",
    "window_ms = ",
    "true\n",
    "-1\n",
    "1e400\n",
    "99999999999999999999\n",
    "\"http://a:1\"\n",
    "\"\u{0}\"\n",
    "[\"a\", 1]\n",
    "{ a = 1 }\n",
    "\0",
    "GATEWAY_PORT=70000\n",
    "FASTAPI_URL=http://a;weight=0,;region=,http://[::1\n",
    "CORS_ORIGIN=*,\n",
    "TRUSTED_PROXIES=10.0.0.0/33\n",
    "RATE_LIMIT_ALGORITHM=SLIDING-LOG\n",
];
