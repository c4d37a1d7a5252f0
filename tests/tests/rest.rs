//! The gateway on a Redis that it reaches over HTTP: one request per decision, the same bytes in the store as over TCP,
//! keys from the command line, and endpoints that refuse, hang, break off or lie.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use acip_tests::{
    Bridge, Cli, Counter, Feature, Gateway, KEY, OTHER_KEY, Origin, Redis, RedisProxy, supported, wait_for,
    wait_until,
};
use http::Method;
use serde_json::{Value, json};

fn over_rest(url: &str, origins: &[&str], environment: &[(&str, &str)]) -> Gateway {
    let rest = [("UPSTASH_REDIS_REST_URL", url), ("UPSTASH_REDIS_REST_TOKEN", Bridge::TOKEN)];
    Gateway::start(origins, &[&rest, environment].concat())
}

async fn detail(gateway: &Gateway) -> Value {
    let health = gateway.http().get("/gateway/health/detailed").bearer(acip_tests::ADMIN).send().await;
    health.json()
}

#[tokio::test]
async fn one_request_per_decision() {
    let (redis, origin) = (Redis::start(), Origin::start());
    let proxy = RedisProxy::start(&redis);
    let bridge = Bridge::start(&proxy.url());
    let counter = Counter::start(bridge.port());
    let environment = [("GATEWAY_THREADS", "1"), ("REDIS_TIMEOUT", "5000")];
    let gateway = over_rest(&counter.url(), &[&origin.url()], &environment);
    let http = gateway.http();
    let switch = |switch: &'static str| origin.http().call(Method::POST, &format!("/_test/{switch}")).send();
    let in_sight = || async { origin.seen().await.iter().filter(|seen| seen["path"] != "/health").count() };
    assert_eq!(http.get("/_test/echo").key(KEY).send().await.status, 200);

    for (name, call) in [
        ("a configured key", http.get("/_test/echo").key(KEY)),
        ("an open route", http.get("/regions")),
        ("a cache miss", http.get("/_test/cache?cc=max-age=600").key(KEY)),
        ("a job's submission", http.post("/api/v1/jobs", &json!({"type": "llm", "params": {}})).key(KEY)),
    ] {
        let (before, commands, sights) = (counter.at_rest().await, proxy.total(), in_sight().await);
        switch("fault?kind=slow&ms=300&times=1").await;
        let answer = tokio::spawn(call.send());
        wait_for("the origin sees it", || async { in_sight().await > sights }).await;
        assert_eq!(counter.requests() - before, 1, "{name}: before the origin was asked");
        assert_eq!(proxy.total() - commands, 1, "{name}: {:?}", proxy.counts());
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let all = counter.at_rest().await - before;
        assert!(all <= 2, "{name}: {all} requests in all");
    }
    for (name, status, call) in [
        ("a wrong key", 401, http.get("/_test/echo").key("wrong")),
        ("a cache hit", 200, http.get("/_test/cache?cc=max-age=600").key(KEY)),
    ] {
        let (before, sights) = (counter.at_rest().await, in_sight().await);
        let answer = call.send().await;
        assert_eq!((answer.status.as_u16(), counter.requests() - before), (status, 1), "{name}");
        assert_eq!(in_sight().await, sights, "{name} is answered here");
    }
    // The connection is kept, and its loss while it lies idle costs no request.
    let (connections, before) = (counter.connections(), counter.at_rest().await);
    for _ in 0..20 {
        assert_eq!(http.get("/_test/echo").key(OTHER_KEY).send().await.header("x-ratelimit-limit"), "100");
    }
    assert_eq!(counter.connections(), connections);
    assert!((20..=40).contains(&(counter.at_rest().await - before)));
    for left in [79, 78, 77] {
        counter.cut();
        let answer = http.get("/_test/echo").key(OTHER_KEY).send().await;
        assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string(), "counted elsewhere");
    }
    let health = detail(&gateway).await;
    assert!(health.to_string().contains("\"rest\""), "{health}");
    assert!(!gateway.log().contains(Bridge::TOKEN));
}

/// Bytes that are no text, some text around them, and some that look like text of another encoding.
fn binary() -> String {
    let all: String = (0..=255).map(|byte| format!("{byte:02x}")).collect();
    format!("{all}c3a9{all}ffc3")
}

#[tokio::test]
async fn stored_bytes_are_the_same_over_both_transports() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let bridge = Bridge::start(&redis.url());
    let tcp = Gateway::start(&[&origin.url()], &[("REDIS_URL", &redis.url())]);
    let rest = over_rest(&bridge.url(), &[&origin.url()], &[("REDIS_TIMEOUT", "5000")]);
    for (name, first, second) in [("rest-tcp", &rest, &tcp), ("tcp-rest", &tcp, &rest)] {
        for (kind, hex) in [("binary", binary()), ("text", "7b22c3a9223a2200227d".to_owned())] {
            let path = format!("/_test/cache?cc=max-age=600&key={name}-{kind}&hex={hex}");
            let bytes = hex.len() / 2;
            let fresh = first.http().get(&path).key(KEY).send().await;
            assert_eq!(
                (fresh.status.as_u16(), fresh.header("x-gateway-cache")),
                (200, "MISS"),
                "{name} {kind}"
            );
            assert_eq!(fresh.body.len(), bytes);
            let (mut hit, mut again) = (None, None);
            for (gateway, seen) in [(second, &mut hit), (first, &mut again)] {
                wait_for("the answer is stored", || async {
                    let call = gateway.http().get(&path).key(KEY).header("cache-control", "only-if-cached");
                    call.send().await.status == 200
                })
                .await;
                *seen = Some(gateway.http().get(&path).key(KEY).send().await);
            }
            for seen in [hit, again].into_iter().flatten() {
                assert_eq!(seen.header("x-gateway-cache"), "HIT", "{name} {kind}");
                assert_eq!(seen.body, fresh.body, "{name} {kind}");
            }
        }
    }
    // Both count in the same place.
    let left = |gateway: &Gateway| gateway.http().get("/_test/echo").key(OTHER_KEY).send();
    assert_eq!(left(&rest).await.header("x-ratelimit-remaining"), "99");
    assert_eq!(left(&tcp).await.header("x-ratelimit-remaining"), "98");
    assert_eq!(left(&rest).await.header("x-ratelimit-remaining"), "97");
}

#[tokio::test]
async fn keys_are_managed_over_http() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let bridge = Bridge::start(&redis.url());
    let gateway = over_rest(&bridge.url(), &[&origin.url()], &[("REDIS_TIMEOUT", "5000")]);
    let url = bridge.url();
    let keys = |arguments: &[&str]| {
        let cli = Cli::new(&[&["keys"], arguments].concat());
        let ended = cli.env(&[("REDIS_URL", url.as_str()), ("REDIS_REST_TOKEN", Bridge::TOKEN)]).run();
        assert!(ended.is_well(), "{arguments:?}: {ended:?}");
        ended.stdout
    };
    let read = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    let text = |value: &Value, name: &str| value[name].as_str().expect("text").to_owned();
    let created = read(keys(&["create", "--name", "Käse \"1\"", "--limit", "burst:5:1000"]));
    let (key, id) = (text(&created, "key"), text(&created, "id"));
    let status = |key: String| {
        let http = gateway.http();
        async move { http.get("/_test/echo").key(&key).send().await.status.as_u16() }
    };
    assert_eq!(status(key.clone()).await, 200);
    let shown = read(keys(&["show", &id]));
    assert_eq!((&shown["name"], &shown["limits"][0]["limit"]), (&json!("Käse \"1\""), &json!(5)));
    assert_eq!(read(keys(&["list", "--json"])).as_array().map(Vec::len), Some(1));
    let rotated = read(keys(&["rotate", &id]));
    assert_eq!((status(key).await, status(text(&rotated, "key")).await), (401, 200));
    keys(&["disable", &text(&rotated, "id")]);
    assert_eq!(status(text(&rotated, "key")).await, 401);
    keys(&["revoke", &text(&rotated, "id")]);
    assert_eq!(read(keys(&["list", "--json"])), json!([]));
    assert!(redis.keys("gateway:key:*").is_empty());
}

/// What a bad endpoint answers to every request.
#[derive(Clone, Copy)]
enum Manner {
    /// This, as a whole answer.
    Says(&'static str),
    /// Nothing: it listens and never answers.
    Silent,
    /// The head of an answer, and then the end.
    BreaksOff,
}

/// An endpoint with bad manners; gives its URL, and counts the requests that came.
fn endpoint(manner: Manner) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://127.0.0.1:{}", listener.local_addr().expect("bound").port());
    let count = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            thread::spawn(move || {
                let mut buffer = [0; 64 << 10];
                while let Ok(1..) = socket.read(&mut buffer) {
                    counted.fetch_add(1, Relaxed);
                    let said = match manner {
                        Manner::Says(said) => said,
                        Manner::Silent => continue,
                        Manner::BreaksOff => "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"result\"",
                    };
                    let _ = socket.write_all(said.as_bytes());
                    break;
                }
            });
        }
    });
    (url, count)
}

#[tokio::test]
async fn an_endpoint_with_bad_manners_is_a_store_that_is_down() {
    if !supported(&[Feature::SharedMemory]) {
        return;
    }
    let origin = Origin::start();
    let says = |text| Manner::Says(text);
    for (name, manner) in [
        (
            "a wrong token",
            says(
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 24\r\nconnection: close\r\n\r\n{\"error\":\"Unauthorized\"}",
            ),
        ),
        ("busy", says("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")),
        (
            "a broken proxy",
            says("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad"),
        ),
        (
            "a redirection",
            says(
                "HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
        ),
        ("a web page", says("HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>")),
        (
            "not base64",
            says("HTTP/1.1 200 OK\r\ncontent-length: 19\r\nconnection: close\r\n\r\n{\"result\":[\"no b\"]}"),
        ),
        ("no HTTP", says("+PONG\r\n")),
        ("silent", Manner::Silent),
        ("breaks off", Manner::BreaksOff),
    ] {
        let (url, asked) = endpoint(manner);
        let environment = [
            ("REDIS_TIMEOUT", "500"),
            ("ON_STORE_ERROR", "local"),
            ("GATEWAY_THREADS", "1"),
            ("RATE_LIMIT_MAX_REQUESTS", "3"),
        ];
        let gateway = over_rest(&url, &[&origin.url()], &environment);
        let began = Instant::now();
        for left in ["2", "1", "0"] {
            let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("x-ratelimit-remaining")),
                (200, left),
                "{name}"
            );
        }
        assert_eq!(gateway.http().get("/_test/echo").key(KEY).send().await.status, 429, "{name}");
        assert!(began.elapsed() < Duration::from_secs(20), "{name}");
        assert_eq!(gateway.http().get("/_test/echo").key("recorded").send().await.status, 503, "{name}");
        let health = gateway.http().get("/gateway/health").send().await;
        assert_eq!(health.json()["status"], "degraded", "{name}: {}", health.text());
        wait_until("a request", || asked.load(Relaxed) > 0);
        let told = format!("{} {}", gateway.log(), detail(&gateway).await);
        assert!(!told.contains(Bridge::TOKEN), "{name}: {told}");
    }
}

#[tokio::test]
async fn an_endpoint_that_comes_back_is_used_again() {
    if !supported(&[Feature::SharedMemory]) {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let bridge = Bridge::start(&redis.url());
    let environment = [("REDIS_TIMEOUT", "500"), ("GATEWAY_THREADS", "1")];
    let gateway = over_rest(&bridge.url(), &[&origin.url()], &environment);
    let ask = || gateway.http().get("/_test/echo").key(KEY).send();
    assert_eq!(ask().await.header("x-ratelimit-remaining"), "99");
    bridge.signal("STOP");
    wait_for("the loss to be known", || async {
        ask().await;
        gateway.http().get("/gateway/health").send().await.json()["status"] == "degraded"
    })
    .await;
    bridge.signal("CONT");
    // A probe finds out; the log tells of the first request after that.
    wait_for("the return to be known", || async {
        ask().await;
        gateway.log().contains("the store answers again")
    })
    .await;
    let health = gateway.http().get("/gateway/health").send().await.json();
    assert_eq!(health["status"], "healthy", "{health}");
    assert!(!redis.keys("gateway:ratelimit:*").is_empty());
}
