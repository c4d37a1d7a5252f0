//! Which fields reach the origin and which reach the client. Errors are in `errors.rs`, CORS in `cors.rs`.

use acip_tests::{Answer, Call, Feature, Gateway, KEY, Origin, Stand, supported};
use serde_json::json;

/// The origin's echo of a request.
struct Echo(serde_json::Value);

impl Echo {
    async fn of(call: Call) -> Self {
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self(answer.json())
    }

    /// All values of a field.
    fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.0["headers"].as_array().expect("fields").iter();
        fields.filter(|field| field[0] == name).map(|field| field[1].as_str().expect("text")).collect()
    }

    /// The one value of a field; empty if there is none.
    fn one(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [] => "",
            [value] => value,
            _ => panic!("{name} stands more than once: {}", self.0),
        }
    }
}

fn ask(stand: &Stand) -> Call {
    stand.get("/_test/echo").key(KEY)
}

fn is_version_7(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && id.as_bytes()[14] == b'7'
}

#[tokio::test]
async fn the_origin_gets_what_the_client_sent_without_what_was_for_the_connection() {
    let stand = Stand::embedded(&[]);
    let call = stand
        .http()
        .post("/_test/echo/a%20b/%C3%BC?x=1&y=%2F&x=2", &json!({"a": 1}))
        .key(KEY)
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-authorization", "Basic dTpw")
        .header("proxy-connection", "keep-alive")
        .header("te", "gzip")
        .header("x-custom", "one")
        .header("x-custom", "two")
        .header("accept", "text/html")
        .header("cookie", "a=b");
    let echo = Echo::of(call).await;
    assert_eq!(echo.0["method"], "POST");
    assert_eq!(echo.0["path"], "/_test/echo/a%20b/%C3%BC");
    assert_eq!(echo.0["query"], "x=1&y=%2F&x=2");
    assert_eq!(echo.0["body"]["bytes"], 7);
    for gone in ["x-hop", "keep-alive", "proxy-authorization", "proxy-connection", "te", "upgrade"] {
        if gone == "x-hop" && !supported(&[Feature::ConnectionField]) {
            continue;
        }
        assert!(echo.all(gone).is_empty(), "{gone}: {}", echo.0);
    }
    assert!(is_one_two(&echo.all("x-custom")), "{}", echo.0);
    for (name, value) in
        [("accept", "text/html"), ("cookie", "a=b"), ("content-type", "application/json"), ("x-api-key", KEY)]
    {
        assert_eq!(echo.one(name), value, "{name}: the origin checks what it checks itself");
    }
    assert_eq!(echo.one("host"), format!("127.0.0.1:{}", stand.origin.port()));
    assert!(!echo.one("x-gateway-version").is_empty());
}

#[tokio::test]
async fn a_request_has_an_id() {
    let stand = Stand::embedded(&[]);
    let long = "x".repeat(129);
    for (given, kept) in [
        ("mine-1", true),
        (&long[..128], true),
        (&long, false),
        ("with space", false),
        ("ümlaut", false),
        ("", false),
    ] {
        let answer = ask(&stand).header("x-request-id", given).send().await;
        let (to_client, echo) = (answer.header("x-request-id").to_owned(), Echo(answer.json()));
        assert_eq!(echo.one("x-request-id"), to_client);
        assert!(if kept { to_client == given } else { is_version_7(&to_client) }, "{given}: {to_client}");
    }
    let twice = ask(&stand).header("x-request-id", "a").header("x-request-id", "b").send().await;
    // Joined without a space, two ids look like one.
    let id = twice.header("x-request-id");
    assert!(is_version_7(id) || id == "a,b" && !supported(&[Feature::RepeatedFields]), "{id}");
    assert!(is_version_7(ask(&stand).send().await.header("x-request-id")));
}

#[tokio::test]
async fn a_trace_is_continued_when_valid() {
    let stand = Stand::embedded(&[]);
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let valid = format!("00-{trace}-{parent}-01");
    let echo = Echo::of(ask(&stand).header("traceparent", &valid).header("tracestate", "a=1,b=2")).await;
    let parts: Vec<&str> = echo.one("traceparent").split('-').collect();
    assert_eq!((parts[0], parts[1], parts[3]), ("00", trace, "01"));
    assert!(parts[2] != parent && parts[2].len() == 16, "the gateway is a step of its own");
    assert_eq!(echo.one("tracestate"), "a=1,b=2");
    let none = format!("00-{}-{parent}-01", "0".repeat(32));
    for invalid in
        [none.as_str(), "00-xyz-1-1", &format!("ff-{trace}-{parent}-01"), &valid.to_uppercase(), ""]
    {
        let echo = Echo::of(ask(&stand).header("traceparent", invalid).header("tracestate", "a=1")).await;
        let parts: Vec<&str> = echo.one("traceparent").split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{invalid}");
        assert!(parts[1] != trace && parts[1] != "0".repeat(32), "{invalid}");
        assert!(echo.all("tracestate").is_empty(), "{invalid}: a state without its trace");
    }
}

#[tokio::test]
async fn who_asked_is_rebuilt_and_not_believed() {
    if !supported(&[Feature::PeerAddress]) {
        return;
    }
    let origin = Origin::start();
    let spoofed = "203.0.113.7, 10.0.0.1";
    for (trusted, listed) in [
        ("", "127.0.0.1"),
        ("192.0.2.0/24", "127.0.0.1"),
        ("127.0.0.0/8", "10.0.0.1, 127.0.0.1"),
        ("127.0.0.0/8,10.0.0.0/8", "203.0.113.7, 10.0.0.1, 127.0.0.1"),
    ] {
        let gateway = Gateway::start(&[&origin.url()], &[("TRUSTED_PROXIES", trusted)]);
        let is_trusted = trusted.contains("127");
        let call = gateway
            .http()
            .get("/_test/echo")
            .key(KEY)
            .header("x-forwarded-for", spoofed)
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "api.example")
            .header("x-real-ip", "203.0.113.9")
            .header("x-signature", "the client's")
            .header("x-gateway-version", "spoofed");
        let echo = Echo::of(call).await;
        assert_eq!(echo.one("x-forwarded-for"), listed, "{trusted}");
        let host = format!("127.0.0.1:{}", gateway.port());
        let (proto, host) = if is_trusted { ("https", "api.example") } else { ("http", host.as_str()) };
        assert_eq!((echo.one("x-forwarded-proto"), echo.one("x-forwarded-host")), (proto, host), "{trusted}");
        let client = listed.split(',').next().expect("an address");
        let forwarded = echo.one("forwarded").replace('"', "");
        assert!(forwarded.starts_with(&format!("for={client};")), "{trusted}: {forwarded}");
        assert!(
            forwarded.contains(&format!("host={host}")) && forwarded.contains(&format!("proto={proto}")),
            "{forwarded}"
        );
        assert!(echo.all("x-real-ip").is_empty(), "{trusted}");
        assert_eq!(echo.one("x-signature"), "the client's", "nothing is signed here");
        assert_ne!(echo.one("x-gateway-version"), "spoofed");
    }
}

#[tokio::test]
async fn the_third_passage_is_a_loop() {
    let origin = Origin::start();
    for name in ["acip", "edge-1"] {
        let gateway = Gateway::start(&[&origin.url()], &[("GATEWAY_NAME", name)]);
        let ask =
            |via: &str| gateway.http().get("/_test/echo").key(KEY).header("via", via.replace("ME", name));
        for (via, passes) in [
            ("1.1 other", true),
            ("1.1 ME", true),
            ("1.1 ME, 1.1 other, 2 ME", true),
            ("1.1 not-ME, 1.1 ME2, 1.0 x (ME)", true),
            ("1.1 ME, 1.1 ME, 1.1 ME", false),
            ("2 ME (a, comment), HTTP/1.1 ME, 1.1 other, 1.1 ME", false),
        ] {
            let answer = ask(via).send().await;
            let expected = if passes { (200, "") } else { (508, "LOOP_DETECTED") };
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), expected, "{via}");
            if passes {
                let told = Echo(answer.json()).all("via").join(", ");
                assert_eq!(told, format!("{}, 1.1 {name}", via.replace("ME", name)));
                assert!(answer.header("via").ends_with(name));
            }
        }
    }
}

fn is_duration(text: &str) -> bool {
    text.strip_suffix("ms").is_some_and(|number| number.parse::<u64>().is_ok())
}

fn has_own_fields(answer: &Answer) {
    for name in ["x-request-id", "x-gateway-version"] {
        assert!(!answer.header(name).is_empty(), "{name}: {:?}", answer.headers);
    }
    assert!(is_duration(answer.header("x-gateway-duration")), "{:?}", answer.headers);
}

#[tokio::test]
async fn the_client_is_told_what_the_gateway_did() {
    let stand = Stand::embedded(&[]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let answer = ask(&stand).send().await;
    has_own_fields(&answer);
    assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("100", "99"));
    let reset = answer.header("x-ratelimit-reset").parse::<u64>().expect("unix seconds");
    assert!((now..=now + 121).contains(&reset), "{reset} at {now}");
    assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=100;w=60");
    assert!(answer.header("ratelimit").starts_with("\"default\";r=99;t="), "{:?}", answer.headers);
    assert!(answer.headers.get("proxy-status").is_none(), "the origin did not fail");

    for call in [
        stand.get("/_test/echo"),
        stand.get("/gateway/health"),
        stand.get("/gateway/nothing"),
        stand.get("/regions"),
    ] {
        has_own_fields(&call.send().await);
    }
    let polling = stand.get("/api/v1/jobs/0190b5a0-0000-7000-8000-000000000001").key(KEY).send().await;
    assert_eq!(polling.header("x-ratelimit-limit"), "1000", "polling has limits of its own");
}

/// Whether a field that was sent in two lines, `one` and `two`, came so.
fn is_one_two(lines: &[&str]) -> bool {
    let joined = lines == ["one,two"] || lines == ["one, two"];
    lines == ["one", "two"] || joined && !supported(&[Feature::RepeatedFields])
}

#[tokio::test]
async fn what_the_origin_says_of_its_connection_or_in_our_name_ends_here() {
    let stand = Stand::embedded(&[]);
    let fields = [
        "Keep-Alive:timeout=9",
        "Proxy-Authenticate:Basic",
        "Connection:x-hop",
        "X-Hop:1",
        "X-Request-ID:theirs",
        "X-Gateway-Version:theirs",
        "X-RateLimit-Limit:7",
        "RateLimit:theirs",
        "X-Custom:one",
        "X-Custom:two",
        "Set-Cookie:a=1",
        "Set-Cookie:b=2",
        "Server-Timing:db;dur=53",
    ];
    let query = fields.map(|field| format!("h={}", field.replace(';', "%3B"))).join("&");
    let answer = stand.get(&format!("/_test/headers?{query}&body=hello")).key(KEY).send().await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello"));
    for gone in ["keep-alive", "x-hop"] {
        if gone == "x-hop" && !supported(&[Feature::ConnectionField]) {
            continue;
        }
        assert!(answer.headers.get(gone).is_none(), "{gone}: {:?}", answer.headers);
    }
    for (name, theirs) in [
        ("x-request-id", "theirs"),
        ("x-gateway-version", "theirs"),
        ("x-ratelimit-limit", "7"),
        ("ratelimit", "theirs"),
    ] {
        assert_ne!(answer.header(name), theirs, "{name}");
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name}");
    }
    let all = |name| answer.headers.get_all(name).iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>();
    assert!(is_one_two(&all("x-custom")), "{:?}", answer.headers);
    assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.header("server-timing"), "db;dur=53");
}

#[tokio::test]
async fn forwarded_requests_are_signed_as_the_origin_verifies() {
    let origin = Origin::with(0, &[("ORIGIN_SIGNING_SECRET", "s3cret")]);
    let gateway = Gateway::start(&[&origin.url()], &[("SIGNING_SECRET", "s3cret")]);
    let http = gateway.http();
    for call in [
        http.get("/_test/sign?with=query"),
        http.post("/_test/sign", &json!({"type": "llm", "params": {"prompt": "hi"}})),
        http.call(http::Method::PUT, "/_test/sign").body(vec![b'x'; 200_000]),
        http.delete("/_test/sign"),
    ] {
        let said = call.key(KEY).send().await.json();
        assert_eq!(said, json!({"verified": true, "signed": true, "fresh": true, "skipped": null}));
    }
    if supported(&[Feature::StreamedUploads]) {
        let large = http.call(http::Method::POST, "/_test/sign").body(vec![b'x'; 30 << 20]).key(KEY);
        assert_eq!(
            large.send().await.json(),
            json!({"verified": false, "signed": false, "fresh": false, "skipped": "body"})
        );
    }
    let unsigned = Gateway::start(&[&origin.url()], &[]);
    let said =
        unsigned.http().get("/_test/sign").key(KEY).header("x-signature", "spoofed").send().await.json();
    // What a client has signed itself is the origin's to judge.
    assert_eq!(said, json!({"verified": false, "signed": true, "fresh": false, "skipped": null}));
}
