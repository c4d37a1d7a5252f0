//! Redis that is down, hangs or comes back; the bridge's own end.

use std::{net::TcpStream, process::Command};

use acip_tests::{Bridge, Redis, wait_for};
use http_body_util::BodyExt as _;
use serde_json::json;

use super::{PATIENT, Stand, check, error, native};

#[tokio::test]
async fn a_redis_that_is_down_is_503_until_it_is_back() {
    if !native() {
        return;
    }
    let mut stand = Stand::start();
    check(&stand.get("/set/k/v").await, 200, &json!({"result": "OK"}));
    stand.redis.kill();
    for path in ["/get/k", "/blpop/k/0", "/subscribe/c"] {
        let answer = stand.get(path).await;
        assert!(error(&answer, 503).starts_with("ERR the store is not reachable"), "{path}");
        assert_eq!(answer.header("retry-after"), "1");
    }
    error(&stand.post("/pipeline", r#"[["GET","k"]]"#).await, 503);
    error(&stand.post("/multi-exec", r#"[["GET","k"]]"#).await, 503);
    assert!(error(&stand.get("/flushall").await, 400).starts_with("NOPERM"));
    stand.redis.restart();
    wait_for("it is back", || async { stand.get("/get/k").await.status == 200 }).await;
    check(&stand.get("/get/k").await, 200, &json!({"result": null}));
    let log = stand.bridge.log();
    assert!(log.contains("requests cannot be served") && log.contains("requests are served"), "{log}");
}

#[tokio::test]
async fn a_redis_that_hangs_is_503_in_time() {
    if !native() {
        return;
    }
    let stand = Stand::with(&["--timeout", "300"]);
    stand.redis.pause();
    for path in ["/get/k", "/blpop/k/0", "/subscribe/c"] {
        let text = error(&stand.get(path).await, 503);
        assert!(text.starts_with("ERR the store "), "{path}: {text}");
    }
    stand.redis.resume();
    wait_for("it goes on", || async { stand.get("/ping").await.status == 200 }).await;
}

#[tokio::test]
async fn a_redis_that_comes_later_is_found() {
    if !native() {
        return;
    }
    let mut redis = Redis::start();
    redis.kill();
    let bridge = Bridge::with(&redis.url(), &PATIENT);
    let ask = || bridge.http().get("/ping").bearer(Bridge::TOKEN).send();
    assert_eq!(ask().await.status, 503);
    redis.restart();
    wait_for("it is found", || async { ask().await.status == 200 }).await;
}

#[tokio::test]
async fn other_ways_to_redis_are_taken() {
    if !native() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    let socket = folder.path().join("redis.sock").display().to_string();
    let redis = Redis::with(&["--unixsocket", &socket, "--requirepass", "pass word"]);
    let port = redis.port();
    for (url, arguments) in [
        (format!("redis+unix://{socket}?pass=pass%20word"), vec![]),
        (format!("redis://:pass%20word@127.0.0.1:{port}/3"), vec![]),
        (format!("redis://127.0.0.1:{port}"), vec!["--redis-password", "pass word", "--redis-db", "3"]),
    ] {
        let bridge = Bridge::with(&url, &[&PATIENT, &arguments[..]].concat());
        for path in ["/ping", "/xread/BLOCK/1/STREAMS/s/0"] {
            let answer = bridge.http().get(path).bearer(Bridge::TOKEN).send().await;
            assert_eq!(answer.status, 200, "{url} {path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_is_under_way_finishes() {
    if !native() {
        return;
    }
    let mut stand = Stand::start();
    let idle = stand.bridge.http().connect().await;
    let popped = tokio::spawn(stand.bridge.http().get("/blpop/queue/0").bearer(Bridge::TOKEN).send());
    let events =
        stand.bridge.http().get("/subscribe/c").bearer(Bridge::TOKEN).stream().await.expect("a head");
    stand.blocked(1).await;
    stand.bridge.signal("TERM");
    let port = stand.bridge.port();
    wait_for("no more connections", || async { TcpStream::connect(("127.0.0.1", port)).is_err() }).await;
    wait_for("idle connections close", || async { idle.is_closed() }).await;
    let events = events.collect().await.expect("a clean end").to_bytes();
    assert_eq!(events, "data: subscribe,c,1\n\n");
    assert!(!popped.is_finished(), "it is still under way");
    stand.redis.cli(&["RPUSH", "queue", "a"]);
    check(&popped.await.expect("no panic"), 200, &json!({"result": ["queue", "a"]}));
    assert_eq!(stand.bridge.wait(), Some(0));
    assert!(stand.bridge.log().contains("\"message\":\"stopped\""));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    if !native() {
        return;
    }
    let mut stand = Stand::start();
    let popped = tokio::spawn(stand.bridge.http().get("/blpop/queue/0").bearer(Bridge::TOKEN).try_send());
    stand.blocked(1).await;
    stand.bridge.signal("TERM");
    wait_for("it drains", || async { stand.bridge.log().contains("draining") }).await;
    stand.bridge.signal("TERM");
    assert_eq!(stand.bridge.wait(), Some(0));
    assert!(popped.await.expect("no panic").is_err(), "it broke off");
}

#[test]
fn tls_is_offered_with_both_versions_of_http() {
    if !native() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-subj", "/CN=bridge", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"])
        .args([
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-out",
            &cert,
            "-keyout",
            &key,
        ])
        .output()
        .expect("openssl starts");
    assert!(made.status.success(), "{made:?}");
    let redis = Redis::start();
    let bridge =
        Bridge::with(&redis.url(), &[&PATIENT[..], &["--tls-cert", &cert, "--tls-key", &key]].concat());
    let url = format!("https://127.0.0.1:{}/set/k", bridge.port());
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output = Command::new("curl")
            .args(["-sS", option, "--cacert", &cert, "-w", " %{http_version}", "-d", "value", &url])
            .args(["-H", &format!("authorization: Bearer {}", Bridge::TOKEN)])
            .output()
            .expect("curl starts");
        let expected = format!("{{\"result\":\"OK\"}} {version}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    }
    assert_eq!(redis.cli(&["GET", "k"]), "value");
}
