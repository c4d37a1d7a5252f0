//! Signals: SIGTERM and SIGINT drain, a second one ends now, SIGHUP reads the configuration anew.

use std::{
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use acip_tests::{Feature, Gateway, KEY, Origin, supported, wait_for, wait_until};
use futures_util::future::join_all;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

async fn stream(gateway: &Gateway, events: u32, pause_ms: u32) -> Response<Incoming> {
    let call = gateway.http().get(&format!("/_test/sse?n={events}&ms={pause_ms}")).key(KEY);
    let mut response = call.stream().await.expect("a head");
    assert_eq!(response.status(), 200);
    let first = response.frame().await.expect("a frame").expect("whole").into_data().expect("data");
    assert!(first.starts_with(b"id: 0"), "{first:?}");
    response
}

fn accepts(gateway: &Gateway) -> bool {
    TcpStream::connect(("127.0.0.1", gateway.port())).is_ok()
}

#[tokio::test]
async fn what_is_under_way_finishes() {
    if !supported(&[Feature::Process]) {
        return;
    }
    for signal in ["TERM", "INT"] {
        let origin = Origin::start();
        let mut gateway = Gateway::start(&[&origin.url()], &[]);
        let idle = gateway.http().connect().await;
        let running = stream(&gateway, 30, 100).await;
        let slow = (0..20).map(|_| gateway.http().get("/_test/slow?ms=1500").key(KEY).send());
        let slow = tokio::spawn(join_all(slow.collect::<Vec<_>>()));
        wait_for("all have reached the origin", || async {
            origin.seen().await.iter().filter(|seen| seen["path"] == "/_test/slow").count() == 20
        })
        .await;

        gateway.signal(signal);
        wait_for("no more connections", || async { !accepts(&gateway) }).await;
        wait_for("idle connections close", || async { idle.is_closed() }).await;
        assert!(!slow.is_finished(), "the requests are still under way");
        let answers = slow.await.expect("no panic");
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        let rest = running.collect().await.expect("a clean end").to_bytes();
        assert!(rest.ends_with(b"data: [DONE]\n\n"), "{rest:?}");
        assert_eq!(gateway.wait(), Some(0), "{signal}");
        // The last lines are not lost.
        wait_until("an access line of each request", || {
            let log = gateway.log();
            log.matches("\"path\":\"/_test/slow\"").count() == 20 && log.contains("\"path\":\"/_test/sse\"")
        });
        wait_until("the last line", || gateway.log().contains("\"message\":\"stopped\""));
    }
}

#[tokio::test]
async fn nothing_outlasts_the_grace_period_or_a_second_signal() {
    if !supported(&[Feature::Process]) {
        return;
    }
    for (grace_ms, second) in [("700", None), ("600000", Some("TERM")), ("600000", Some("INT"))] {
        let origin = Origin::start();
        let mut gateway = Gateway::start(&[&origin.url()], &[("SHUTDOWN_GRACE_MS", grace_ms)]);
        let running = stream(&gateway, 10_000, 100).await;
        let told = Instant::now();
        gateway.signal("TERM");
        if let Some(second) = second {
            wait_until("it drains", || gateway.log().contains("draining") && !accepts(&gateway));
            gateway.signal(second);
        }
        let rest = running.collect().await;
        assert!(rest.is_err(), "a cut stream has no clean end");
        assert_eq!(gateway.wait(), Some(0));
        if second.is_none() {
            assert!(told.elapsed() >= Duration::from_millis(700), "{:?}", told.elapsed());
        }
        wait_for("the origin hears of it", || async {
            let cancelled = origin.http().get("/_test/cancelled").send().await;
            cancelled.json().as_array().is_some_and(|list| !list.is_empty())
        })
        .await;
    }
}

/// The limit that a request is told.
async fn limit(gateway: &Gateway) -> String {
    let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
    answer.header("x-ratelimit-limit").to_owned()
}

fn file(limit: u32, more: &str) -> String {
    format!("[rate_limit]\nmax_requests = {limit}\n{more}")
}

#[tokio::test]
async fn a_reload_counts_from_the_next_request_and_a_bad_file_never() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let origin = Origin::start();
    let gateway = Gateway::with_file(&[&origin.url()], &[], Some(&file(50_000, "")));
    assert_eq!(limit(&gateway).await, "50000");

    // Nobody notices: requests run through several reloads.
    let http = gateway.http();
    let load = tokio::spawn(async move {
        let mut statuses = Vec::new();
        for _ in 0..200 {
            statuses.push(http.get("/_test/echo").key(KEY).send().await.status);
        }
        statuses
    });
    for new in [60_000, 70_000, 80_000] {
        gateway.rewrite(&file(new, ""));
        gateway.signal("HUP");
        wait_for("the new limit", || async { limit(&gateway).await == new.to_string() }).await;
    }
    let statuses = load.await.expect("no panic");
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");

    gateway.rewrite("[rate_limit]\nmax_requests = -1\n\n[cache]\nenabled = 7\nttl = 5\n");
    gateway.signal("HUP");
    for place in [
        "gateway.toml:2:16: rate_limit.max_requests",
        "gateway.toml:5:11: cache.enabled",
        "gateway.toml:6:1: cache.ttl",
    ] {
        wait_until(place, || {
            gateway.log().lines().any(|line| line.contains(place) && line.contains("\"level\":\"ERROR\""))
        });
    }
    assert_eq!(limit(&gateway).await, "80000");

    // What reads well and does not compile is as bad.
    gateway.rewrite(&file(1, "[[routes]]\npath = \"/a/{x}/b\"\n[[routes]]\npath = \"/a/{y}/b\"\n"));
    gateway.signal("HUP");
    wait_until("the route's error", || gateway.log().contains("/a/{y}/b"));
    assert_eq!(limit(&gateway).await, "80000");

    // So is what a start would refuse, though it counts only after one.
    for (more, named) in [
        ("[server]\ntls_cert = \"no-cert.pem\"\ntls_key = \"no-key.pem\"\n", "no-cert.pem"),
        ("[server]\ntls_cert = \"no-cert.pem\"\n", "set `TLS_KEY`"),
        ("[store]\nurl = \"rediss://127.0.0.1:1/?insecure=true\"\n", "without `insecure`"),
    ] {
        gateway.rewrite(&file(1, more));
        let refused = |line: &str| line.contains(named) && line.contains("the old one stays");
        let before = gateway.log().lines().filter(|line| refused(line)).count();
        gateway.signal("HUP");
        wait_until(named, || gateway.log().lines().filter(|line| refused(line)).count() > before);
        assert_eq!(limit(&gateway).await, "80000");
    }

    gateway.rewrite(&file(90_000, ""));
    gateway.signal("HUP");
    wait_for("a good one again", || async { limit(&gateway).await == "90000" }).await;
}

#[tokio::test]
async fn what_needs_a_restart_is_named() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let origin = Origin::start();
    let gateway = Gateway::with_file(&[&origin.url()], &[], Some(&file(1000, "")));
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (place("cert.pem"), place("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-subj", "/CN=localhost", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", &key, "-out", &cert])
        .output()
        .expect("openssl starts");
    assert!(made.status.success(), "{made:?}");
    let tls = format!("tls_cert = \"{cert}\"\ntls_key = \"{key}\"\n");
    let server = format!("[server]\nmax_connections = 7\nshutdown_grace_ms = 1\n{tls}");
    let store = "[store]\nurl = \"redis://:MARKED@127.0.0.1:1\"\n[log]\nlevel = \"debug\"\n";
    gateway.rewrite(&file(2000, &format!("{server}{store}")));
    gateway.signal("HUP");
    wait_until("the warning", || gateway.log().contains("only after a restart"));
    let log = gateway.log();
    let warning = log.lines().find(|line| line.contains("only after a restart")).expect("just seen");
    assert!(warning.contains("\"level\":\"WARN\""), "{warning}");
    for name in ["MAX_CONNECTIONS", "SHUTDOWN_GRACE_MS", "TLS_CERT", "TLS_KEY", "REDIS_URL"] {
        assert!(warning.contains(name), "{name}: {warning}");
    }
    for name in ["GATEWAY_PORT", "GATEWAY_THREADS", "LOG_FORMAT", "LOG_LEVEL", "MARKED"] {
        assert!(!warning.contains(name), "{name}: {warning}");
    }
    // The rest of the file counts.
    assert_eq!(limit(&gateway).await, "2000");
    wait_until("the log's level", || gateway.log().contains("the log's level changed"));
}

#[tokio::test]
async fn the_log_follows_the_file() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let origin = Origin::start();
    let gateway = Gateway::with_file(&[&origin.url()], &[], Some(&file(1000, "")));
    let lines = || gateway.log().matches("\"message\":\"request\"").count();
    limit(&gateway).await;
    wait_until("a line", || lines() > 0);
    gateway.rewrite(&file(2000, "[log]\nlevel = \"error\"\n"));
    gateway.signal("HUP");
    wait_for("the second file", || async { limit(&gateway).await == "2000" }).await;
    // Lines of requests before the change are written by a thread of its own.
    wait_for("no more lines", || async {
        let before = lines();
        for _ in 0..5 {
            limit(&gateway).await;
        }
        lines() == before
    })
    .await;
    let before = lines();
    gateway.rewrite(&file(3000, "[log]\nlevel = \"info\"\n"));
    gateway.signal("HUP");
    wait_for("the third file", || async { limit(&gateway).await == "3000" }).await;
    wait_until("lines again", || lines() > before);
}
