//! What the portable suites do not ask of the Spin build: what its manifest allows, both lives of an instance, what follows an answer,
//! and the build that needs nothing of Spin's own. Runs where `ACIP_TARGET=spin`.

use acip_tests::{
    ADMIN, Bridge, Feature, Gateway, KEY, Origin, Redis, RedisProxy, Stand, Target, Wasmtime, supported,
    wait_for, wait_until,
};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use serde_json::json;

fn is_spin() -> bool {
    Target::current() == Target::Spin
}

/// One instance per request, rather than one for many.
const FRESH: (&str, &str) = ("ACIP_SPIN_INSTANCE", "fresh");

#[tokio::test]
async fn a_forbidden_origin_is_named_so() {
    if !is_spin() {
        return;
    }
    let origin = Origin::start();
    // All entries count for all that leaves.
    let allowed = [
        ("SPIN_VARIABLE_ALLOWED_ORIGIN", "http://127.0.0.1:1"),
        ("SPIN_VARIABLE_ALLOWED_STORE", "redis://127.0.0.1:1"),
    ];
    let gateway = Gateway::start(&[&origin.url()], &allowed);
    let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "BAD_GATEWAY"));
    assert!(answer.text().contains("allowed_outbound_hosts"), "{}", answer.text());
    assert!(origin.seen().await.is_empty());
}

#[tokio::test]
async fn a_forbidden_store_is_named_in_the_log() {
    if !is_spin() || !supported(&[Feature::Resp]) {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let store = [("REDIS_URL", &*redis.url()), ("SPIN_VARIABLE_ALLOWED_STORE", "redis://127.0.0.1:1")];
    let gateway = Gateway::start(&[&origin.url()], &store);
    let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
    assert_eq!(answer.status, 200, "its own memory stands in: {}", answer.text());
    wait_for("the log", || async { gateway.log().contains("allowed_outbound_hosts") }).await;
}

#[tokio::test]
async fn a_connection_to_redis_lives_as_long_as_its_instance() {
    if !is_spin() || !supported(&[Feature::Resp]) {
        return;
    }
    for (life, every) in [(FRESH, true), (("ACIP_SPIN_INSTANCE", "reuse"), false)] {
        let (redis, origin) = (Redis::start(), Origin::start());
        let proxy = RedisProxy::start(&redis);
        let gateway = Gateway::start(&[&origin.url()], &[("REDIS_URL", &proxy.url()), life]);
        let http = gateway.http();
        assert_eq!(http.get("/_test/echo").key(KEY).send().await.status, 200);
        // By this the platform's client introduces itself on a new connection.
        let introduced = || proxy.counts().get("CLIENT").copied().unwrap_or_default();
        let before = introduced();
        for _ in 0..10 {
            assert_eq!(http.get("/_test/echo").key(KEY).send().await.status, 200);
        }
        let opened = introduced() - before;
        assert_eq!(opened >= 10, every, "{life:?}: {opened}");
    }
}

#[tokio::test]
async fn a_limit_holds_with_an_instance_per_request() {
    if !is_spin() {
        return;
    }
    let limit = [("RATE_LIMIT_MAX_REQUESTS", "20"), ("RATE_LIMIT_ALGORITHM", "sliding-log")];
    let stand = Stand::start(&[&limit[..], &[FRESH, ("REDIS_TIMEOUT", "20000")]].concat());
    let answers = join_all((0..60).map(|_| stand.get("/_test/echo").key(KEY).send())).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(429)), (20, 40));
}

#[tokio::test]
async fn events_pass_one_by_one_through_an_instance_of_their_own() {
    if !is_spin() {
        return;
    }
    let stand = Stand::start(&[FRESH]);
    let mut answer = stand.get("/_test/sse?n=1000&ms=20000").key(KEY).stream().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    // The next one comes long after this test has ended.
    let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data:") || first.starts_with(b"id:"), "{first:?}");
    // A stream that is silent when its client leaves is looked after all the same.
    drop(answer);
    let cancelled =
        || async { stand.origin.http().get("/_test/cancelled?path=/_test/sse").send().await.json() };
    wait_for("the cancel", || async { cancelled().await != json!([]) }).await;
    assert_eq!(cancelled().await[0]["phase"], "streaming");
}

#[tokio::test]
async fn nobody_waits_for_the_accounts() {
    if !is_spin() || !supported(&[Feature::Resp]) {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let proxy = RedisProxy::start(&redis);
    let slow = ("REDIS_TIMEOUT", "30000");
    for life in [FRESH, ("ACIP_SPIN_INSTANCE", "reuse")] {
        let gateway = Gateway::start(&[&origin.url()], &[("REDIS_URL", &proxy.url()), slow, life]);
        let ask = || async { gateway.http().get("/_test/echo").key(KEY).send().await.status };
        assert_eq!(ask().await, 200);
        let counted = || async { proxy.counts().get("EVALSHA").copied().unwrap_or_default() };
        // What the platform's client says when it connects, and the decision; what is counted afterwards is kept waiting.
        let before = counted().await;
        proxy.hold_after(3);
        assert_eq!(ask().await, 200, "{life:?}");
        wait_for("the counters", || async { counted().await >= before + 2 }).await;
        proxy.release();
    }
}

#[tokio::test]
async fn what_the_platform_says_of_a_request_is_the_platforms() {
    if !is_spin() {
        return;
    }
    let stand = Stand::start(&[]);
    let call = stand.get("/_test/echo").key(KEY).header("spin-client-addr", "203.0.113.9:1");
    let told = call.header("spin-full-url", "https://evil.example/").send().await.json();
    let fields = told["headers"].as_array().expect("fields");
    let of = |name: &str| {
        fields.iter().filter(|field| field[0] == name).map(|field| &field[1]).collect::<Vec<_>>()
    };
    assert_eq!(of("x-forwarded-for"), [&json!("127.0.0.1")]);
    assert_eq!(of("x-forwarded-proto"), [&json!("http")]);
    let left = fields.iter().filter(|field| field[0].as_str().is_some_and(|name| name.starts_with("spin-")));
    assert_eq!(left.count(), 0, "{told}");
}

#[tokio::test]
async fn a_bad_configuration_serves_nobody_and_tells_the_operator_alone() {
    if !is_spin() {
        return;
    }
    let origin = Origin::start();
    let gateway = Gateway::misconfigured(&[&origin.url()], &[("RATE_LIMIT_MAX_REQUESTS", "many")]);
    let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "INTERNAL_ERROR"));
    assert!(!answer.text().contains("RATE_LIMIT"), "{}", answer.text());
    wait_until("the reason in the log", || gateway.log().contains("RATE_LIMIT_MAX_REQUESTS"));
}

/// The same component by another host's hands.
#[tokio::test]
async fn wasmtime_serves_it_too() {
    if !is_spin() {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let bridge = Bridge::start(&redis.url());
    let host = Wasmtime::start(&[
        ("FASTAPI_URL", &*origin.url()),
        ("UPSTASH_REDIS_REST_URL", &*bridge.url()),
        ("UPSTASH_REDIS_REST_TOKEN", Bridge::TOKEN),
        ("AUTH_API_KEYS", &format!("test:{KEY}")),
        ("ADMIN_TOKEN", ADMIN),
        ("RATE_LIMIT_MAX_REQUESTS", "3"),
        ("RATE_LIMIT_ALGORITHM", "sliding-log"),
    ]);
    let http = host.http();
    let ready = http.get("/gateway/readyz").send().await;
    assert_eq!(ready.status, 200, "{}\n{}", ready.text(), host.log());
    let refused = http.get("/_test/echo").send().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "UNAUTHORIZED"));
    let proxied = http.post("/_test/upload", &json!({"a": 1})).key(KEY).send().await;
    assert_eq!((proxied.status.as_u16(), &proxied.json()["bytes"]), (200, &json!(7)), "{}", proxied.text());
    let mut stream = http.get("/_test/sse?n=2&ms=20000").key(KEY).stream().await.expect("a head");
    assert!(stream.frame().await.is_some_and(|frame| frame.is_ok()), "the first event");
    drop(stream);
    let statuses =
        [http.get("/_test/echo").key(KEY).send().await, http.get("/_test/echo").key(KEY).send().await];
    assert_eq!(
        statuses.map(|answer| answer.status.as_u16()),
        [200, 429],
        "the store is shared by its instances"
    );
    let health = http.get("/gateway/health/detailed").bearer(ADMIN).send().await.json();
    assert_eq!(health["checks"]["redis"]["mode"], "rest", "{health}");
}

/// As under `wasmtime serve`: WASI and an environment.
#[tokio::test]
async fn without_spins_own_interfaces_a_store_over_http_is_shared() {
    if !is_spin() {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let bridge = Bridge::start(&redis.url());
    let environment = [
        ("ACIP_SPIN_PLAIN", "1"),
        FRESH,
        ("UPSTASH_REDIS_REST_URL", &*bridge.url()),
        ("UPSTASH_REDIS_REST_TOKEN", Bridge::TOKEN),
        ("RATE_LIMIT_MAX_REQUESTS", "5"),
        ("RATE_LIMIT_ALGORITHM", "sliding-log"),
    ];
    let gateway = Gateway::start(&[&origin.url()], &environment);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(gateway.http().get("/_test/echo").key(KEY).send().await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    let health = gateway.http().get("/gateway/health/detailed").bearer(ADMIN).send().await.json();
    assert_eq!(health["checks"]["redis"]["mode"], "rest", "{health}");
}

#[test]
fn the_component_is_small() {
    if !is_spin() {
        return;
    }
    let file = acip_tests::root().join("target/spin/wasm32-wasip2/spin/acip_spin.wasm");
    let bytes = std::fs::metadata(file).expect("`cargo xtask spin build` makes it").len();
    println!("{bytes} bytes");
    assert!(bytes <= 1_500_000, "{bytes} bytes");
}
