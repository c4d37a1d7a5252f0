//! No credential is ever seen again: not in logs, metrics, spans, events, errors, pages, recordings, the configuration shown,
//! nor in Redis.

use acip_tests::{
    ADMIN, Bridge, Cli, Collector, Feature, Gateway, KEY, OTHER_KEY, Origin, Redis, Stand, Target, Transport,
    supported,
};
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::json;
use tempfile::TempDir;

const SIGNING: &str = "MARKED-signing-secret";
const SALT: &str = "MARKED-salt";
const PATCHED: &str = "MARKED-key-of-a-change";
const PRESENTED: [&str; 3] = ["MARKED-wrong-key", "MARKED-wrong-bearer", "MARKED-wrong-token"];
/// What a client may have put anywhere: the origin may see it, nobody else.
const CARRIED: [&str; 4] =
    ["MARKED-in-a-query", "MARKED-in-a-cookie", "MARKED-in-a-field", "MARKED-in-a-body"];
const COLLECTOR_KEY: &str = "MARKED-collector-key";

/// Everything that the server keeps, as text.
fn dump(stand: &Stand) -> String {
    let redis = stand.redis();
    let mut text = String::new();
    for key in redis.keys("*") {
        let value = match redis.cli(&["TYPE", &key]).as_str() {
            "string" => redis.cli(&["GET", &key]),
            "hash" => redis.cli(&["HGETALL", &key]),
            "zset" => redis.cli(&["ZRANGE", &key, "0", "-1"]),
            // It has expired since it was listed.
            "none" => continue,
            other => panic!("{key} is a {other}"),
        };
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_told() {
    let collector = Collector::start().await;
    let url = collector.url();
    let header = format!("api-key={COLLECTOR_KEY}");
    let folder = TempDir::new().expect("a folder");
    let recorded = folder.path().join("trace.jsonl");
    let mut stand = Stand::start(&[
        ("LOG_LEVEL", "trace"),
        ("SIGNING_SECRET", SIGNING),
        ("AUTH_TOKEN_SALT", SALT),
        // Where there are no files, recordings stand in the log.
        ("TRACE_RECORD", recorded.to_str().expect("text")),
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", header.as_str()),
        ("OTEL_ZIPKIN_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ]);
    let mut told = String::new();
    let mut secrets: Vec<String> = [KEY, OTHER_KEY, ADMIN, SIGNING, SALT, PATCHED]
        .iter()
        .chain(&PRESENTED)
        .chain(&CARRIED)
        .map(ToString::to_string)
        .collect();
    if Transport::current() == Transport::Rest {
        secrets.push(Bridge::TOKEN.to_owned());
    }

    let events = hear(&stand).await;

    let registered =
        stand.post("/api/v1/workers/register", &json!({"region": "us-west"})).send().await.json();
    for name in ["token", "refresh_token", "signing_secret"] {
        secrets.push(registered[name].as_str().expect(name).to_owned());
    }
    let worker = format!("/api/v1/workers/{}", registered["worker_id"].as_str().expect("an id"));
    let token = registered["token"].as_str().expect("a token");
    let beat = json!({"status": "online"});
    let [query, cookie, field, body] = CARRIED;
    for call in [
        stand.post(&format!("/_test/upload?token={query}"), &json!({ "prompt": body })),
        // Refused, unknown, and a page of the gateway's own.
        stand.get(&format!("/api/v1/jobs/1?api_key={query}")).key(PRESENTED[0]),
        stand.get(&format!("/nowhere?token={query}")),
        stand.get(&format!("/gateway/metrics?token={query}")).bearer(ADMIN),
        stand.get(&format!("/gateway/ui?token={query}")),
        stand.get(&format!("/gateway/nothing?token={query}")).bearer(ADMIN),
    ] {
        let call = call.header("cookie", format!("session={cookie}")).header("x-secret", field);
        let answer = call.header("referer", format!("http://a/?token={query}")).send().await;
        told.push_str(&format!("{} {:?} {}\n", answer.status, answer.headers, answer.text()));
    }
    // Shown here, this once.
    let made = stand.post("/gateway/keys", &json!({"name": "marked"})).bearer(ADMIN).send().await.json();
    let rotate = format!("/gateway/keys/{}/rotate", made["id"].as_str().expect("an id"));
    let rotated = stand.post(&rotate, &json!({"grace_seconds": 60})).bearer(ADMIN).send().await.json();
    for key in [&made["key"], &rotated["key"]] {
        let key = key.as_str().expect("a key");
        assert_eq!(stand.get("/_test/echo").key(key).send().await.status, 200);
        secrets.push(key.to_owned());
    }
    let change = json!({"auth": {"api_keys": [format!("alice:{KEY}"), format!("bob:{OTHER_KEY}"), format!("carol:{PATCHED}")]}});
    let patch = stand.http().call(Method::PATCH, "/gateway/config").bearer(ADMIN).body(change.to_string());
    let answer = patch.send().await;
    told.push_str(&format!("{} {:?} {}\n", answer.status, answer.headers, answer.text()));

    for call in [
        stand.get("/_test/echo").key(PRESENTED[0]),
        stand.get("/gateway/config/history").bearer(ADMIN),
        stand.get("/gateway/keys").bearer(ADMIN),
        stand.get("/_test/echo").key(PATCHED),
        stand.get("/_test/echo").bearer(PRESENTED[1]),
        stand.get("/_test/echo").key(KEY).bearer(OTHER_KEY),
        stand.get("/api/v1/admin/stats").key(KEY),
        stand.get("/gateway/config").key(KEY),
        stand.get("/_test/echo").token(token),
        stand.post(&format!("{worker}/heartbeat"), &beat).token(PRESENTED[2]),
        stand.post(&format!("{worker}/stats"), &beat).token(PRESENTED[2]),
        stand.get("/_test/slow?ms=0").header("accept", "application/problem+json").key(PRESENTED[0]),
        stand.get("/gateway/config").bearer(ADMIN),
        stand.get("/gateway/metrics").bearer(ADMIN),
        stand.get("/gateway/plugins").bearer(ADMIN),
        stand.get("/gateway/health/detailed").bearer(ADMIN),
    ] {
        let answer = call.send().await;
        told.push_str(&format!("{} {:?} {}\n", answer.status, answer.headers, answer.text()));
    }
    assert_eq!(stand.post(&format!("{worker}/heartbeat"), &beat).token(token).send().await.status, 200);
    assert_eq!(stand.get("/api/v1/jobs/stats/queue").key(KEY).send().await.status, 200);
    let body = json!({"refresh_token": registered["refresh_token"]});
    let fresh = stand.post(&format!("{worker}/refresh-token"), &body).send().await.json();
    for name in ["token", "refresh_token"] {
        secrets.push(fresh[name].as_str().expect(name).to_owned());
    }
    assert_eq!(stand.get("/_test/cache?cc=max-age=60").key(KEY).send().await.status, 200);
    acip_tests::wait_for("the answer is stored", || async {
        !stand.redis().keys("gateway:cache:*").is_empty()
    })
    .await;

    let traced = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(15) + "1");
    stand.get("/_test/echo").key(KEY).header("traceparent", traced).send().await;
    collector.trace("4bf92f3577b34da6a3ce929d0e0e4736", 2).await;
    let seen = collector.seen();
    let spans = format!("{:?} {:?}", seen.spans, seen.zipkin);
    secrets.push(COLLECTOR_KEY.to_owned());
    let kept = dump(&stand);
    if Target::current() == Target::Native {
        stand.gateway.signal("TERM");
        assert_eq!(stand.gateway.wait(), Some(0));
    }
    let (log, events) = (stand.gateway.log(), events.await.expect("a stream that ends"));
    let recordings = std::fs::read_to_string(&recorded).unwrap_or_else(|_| log.clone());
    assert!(
        recordings.contains("{\"under\"") || recordings.contains("{\"recording\""),
        "nothing was recorded"
    );
    assert!(
        kept.contains("gateway:worker:") && told.contains("gateway_requests_total"),
        "nothing to look into"
    );
    for secret in &secrets {
        for (place, text) in [
            ("the log", &log),
            ("Redis", &kept),
            ("an answer", &told),
            ("a span", &spans),
            ("an event", &events),
            ("a recording", &recordings),
        ] {
            assert!(!text.contains(secret.as_str()), "`{secret}` stands in {place}: {text}");
        }
    }
}

/// All events, where this build tells them, until the gateway ends.
async fn hear(stand: &Stand) -> tokio::task::JoinHandle<String> {
    let answer = stand.get("/gateway/events").bearer(ADMIN).stream().await.expect("an answer");
    let status = answer.status().as_u16();
    assert_eq!(status, if Target::current() == Target::Native { 200 } else { 501 });
    tokio::spawn(async move {
        let body = answer.into_body().collect().await.expect("a clean end").to_bytes();
        let text = String::from_utf8(body.into()).expect("text");
        assert!(status == 501 || text.contains("gateway:auth:rejected"), "nothing was heard: {text}");
        text
    })
}

/// Waits until the health page says this of the store, and gives all that pages and a proxied request tell.
async fn pages(gateway: &Gateway, status: &str) -> String {
    let http = gateway.http();
    acip_tests::wait_for(status, async || {
        // Some ways to a store tell of it only when it is asked.
        let _ = http.get("/_test/echo").key(KEY).try_send().await;
        http.get("/gateway/health").try_send().await.is_ok_and(|answer| answer.text().contains(status))
    })
    .await;
    let mut told = String::new();
    for call in [
        http.get("/_test/echo").key(KEY),
        http.get("/gateway/health/detailed").bearer(ADMIN),
        http.get("/gateway/config").bearer(ADMIN),
        http.get("/gateway/metrics").bearer(ADMIN),
        http.get("/gateway/plugins").bearer(ADMIN),
    ] {
        let answer = call.send().await;
        told.push_str(&format!("{} {:?} {}\n", answer.status, answer.headers, answer.text()));
    }
    told
}

/// Neither the right password nor one that the server does not take, wherever it is given.
#[tokio::test]
async fn the_password_of_the_store_is_told_nowhere() {
    const PASSWORD: &str = "MARKED-password";
    const WRONG: &str = "MARKED-wrong-password";
    if !supported(&[Feature::Resp]) {
        return;
    }
    let (redis, origin) = (Redis::with(&["--requirepass", PASSWORD]), Origin::start());
    let with = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port());
    let apart = ("REDIS_PASSWORD", WRONG);
    for (url, more, status) in [
        (with(PASSWORD), None, "healthy"),
        (redis.url(), Some(("REDIS_PASSWORD", PASSWORD)), "healthy"),
        (with(WRONG), None, "degraded"),
        (redis.url(), Some(apart), "degraded"),
    ] {
        let variables = [("REDIS_URL", url.as_str()), ("LOG_LEVEL", "trace")];
        let variables: Vec<_> = variables.into_iter().chain(more).collect();
        let gateway = Gateway::start(&[&origin.url()], &variables);
        let told = pages(&gateway, status).await;
        let checked = Cli::new(&["check"]).env(&variables).run();
        assert!(checked.stdout.contains("127.0.0.1"), "{checked:?}");
        for secret in [PASSWORD, WRONG] {
            for text in [&told, &gateway.log(), &checked.stdout, &checked.stderr] {
                assert!(!text.contains(secret), "`{secret}` is told: {text}");
            }
        }
    }
}

/// Neither the right token nor one that the endpoint does not take.
#[tokio::test]
async fn the_token_of_the_store_is_told_nowhere() {
    const WRONG: &str = "MARKED-wrong-token-of-the-store";
    let (redis, origin) = (Redis::start(), Origin::start());
    let bridge = Bridge::start(&redis.url());
    let url = bridge.url();
    for (token, status) in [(Bridge::TOKEN, "healthy"), (WRONG, "degraded")] {
        let variables = [
            ("UPSTASH_REDIS_REST_URL", url.as_str()),
            ("UPSTASH_REDIS_REST_TOKEN", token),
            ("LOG_LEVEL", "trace"),
        ];
        let gateway = Gateway::start(&[&origin.url()], &variables);
        let told = pages(&gateway, status).await;
        for secret in [Bridge::TOKEN, WRONG] {
            for text in [&told, &gateway.log(), &bridge.log()] {
                assert!(!text.contains(secret), "`{secret}` is told: {text}");
            }
        }
    }
}
