//! No credential is ever seen again: not in logs, metrics, spans, errors, pages, the configuration shown, nor in Redis.

use acip_tests::{ADMIN, Collector, KEY, OTHER_KEY, Stand};
use serde_json::json;

const SIGNING: &str = "MARKED-signing-secret";
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
    let stand = Stand::start(&[
        ("LOG_LEVEL", "trace"),
        ("SIGNING_SECRET", SIGNING),
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", header.as_str()),
        ("OTEL_ZIPKIN_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ]);
    let mut told = String::new();
    let mut secrets: Vec<String> = [KEY, OTHER_KEY, ADMIN, SIGNING]
        .iter()
        .chain(&PRESENTED)
        .chain(&CARRIED)
        .map(ToString::to_string)
        .collect();

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
    for call in [
        stand.get("/_test/echo").key(PRESENTED[0]),
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
    let (log, kept) = (stand.gateway.log(), dump(&stand));
    assert!(
        kept.contains("gateway:worker:") && told.contains("gateway_requests_total"),
        "nothing to look into"
    );
    for secret in &secrets {
        for (place, text) in [("the log", &log), ("Redis", &kept), ("an answer", &told), ("a span", &spans)] {
            assert!(!text.contains(secret.as_str()), "`{secret}` stands in {place}: {text}");
        }
    }
}
