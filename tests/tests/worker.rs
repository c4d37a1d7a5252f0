//! What the portable suites do not ask of the Worker: how many subrequests it makes, a crowd, a panic, bindings that are wrong, and
//! what the platform says of a client. Runs where `ACIP_TARGET=worker`.

use acip_tests::{ADMIN, Bridge, Counter, Gateway, KEY, Origin, Redis, Stand, Target, wait_for, wait_until};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use serde_json::json;

fn is_worker() -> bool {
    Target::current() == Target::Worker
}

#[tokio::test]
async fn a_proxied_request_costs_one_question_and_one_subrequest() {
    if !is_worker() {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let bridge = Bridge::start(&redis.url());
    for (metrics, counts) in [("false", 0..=0), ("true", 1..=21)] {
        let (store, server) = (Counter::start(bridge.port()), Counter::start(origin.port()));
        let environment = [
            ("UPSTASH_REDIS_REST_URL", store.url()),
            ("UPSTASH_REDIS_REST_TOKEN", Bridge::TOKEN.to_owned()),
            ("METRICS_ENABLED", metrics.to_owned()),
        ];
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let gateway = Gateway::start(&[&server.url()], &environment);
        // The first question brings the script along.
        assert_eq!(gateway.http().get("/_test/echo").key(KEY).send().await.status, 200);
        let (asked, sent) = (store.at_rest().await, server.requests());
        for _ in 0..20 {
            assert_eq!(gateway.http().get("/_test/echo").key(KEY).send().await.status, 200);
        }
        // What is counted for the fleet is written behind the answers, of several at a time where they are that quick.
        let behind = store.at_rest().await - asked - 20;
        assert!(counts.contains(&behind), "metrics={metrics}: {behind} commands besides a question each");
        assert_eq!(server.requests() - sent, 20, "subrequests to the origin");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_lose_none() {
    if !is_worker() {
        return;
    }
    let stand = Stand::start(&[("RATE_LIMIT_ENABLED", "false"), ("REDIS_TIMEOUT", "20000")]);
    let calls = (0..1000).map(|n| {
        let call = stand.get(&format!("/_test/slow?ms=200&n={n}")).key(KEY);
        tokio::spawn(async move { call.send().await.status.as_u16() })
    });
    let statuses: Vec<u16> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let others: Vec<_> = statuses.iter().filter(|status| **status != 200).collect();
    assert_eq!((statuses.len(), others), (1000, vec![]));
    assert_eq!(stand.reached("/_test/slow").await.len(), 1000);
}

#[tokio::test]
async fn a_panic_hangs_nobody() {
    if !is_worker() {
        return;
    }
    let stand = Stand::start(&[("DEBUG_PANIC_PATH", "/_debug/panic"), ("RATE_LIMIT_ENABLED", "false")]);
    let mut stream = stand.get("/_test/sse?n=10&ms=3600000").key(KEY).stream().await.expect("a head");
    assert!(stream.frame().await.is_some(), "the first event");
    let beside: Vec<_> =
        (0..20).map(|_| tokio::spawn(stand.get("/_test/slow?ms=3600000").key(KEY).send())).collect();
    wait_for("the others to be under way", || async { stand.reached("/_test/slow").await.len() == 20 }).await;
    let panicked = stand.get("/_debug/panic").key(KEY).send().await;
    assert_eq!((panicked.status.as_u16(), panicked.code().as_str()), (500, "INTERNAL_ERROR"));
    assert!(!panicked.text().contains("as asked"), "its message is not for clients: {}", panicked.text());
    // What is under way in the same isolate is lost, but does not wait: the answer comes long before the origin's would.
    for answer in join_all(beside).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "INTERNAL_ERROR"));
    }
    for _ in 0..20 {
        assert_eq!(
            stand.get("/_test/echo").key(KEY).send().await.status,
            200,
            "what comes later is answered"
        );
    }
    wait_for("its message in the log", || async { stand.gateway.log().contains("as asked") }).await;
}

#[tokio::test]
async fn bad_bindings_refuse_everything_and_tell_the_operator_why() {
    if !is_worker() {
        return;
    }
    let rest = "https://redis.example";
    for (variables, told) in [
        (vec![("UPSTASH_REDIS_REST_TOKEN", "a-token")], "UPSTASH_REDIS_REST_URL"),
        (vec![("UPSTASH_REDIS_REST_URL", rest)], "UPSTASH_REDIS_REST_TOKEN"),
        (
            vec![("UPSTASH_REDIS_REST_URL", rest), ("UPSTASH_REDIS_REST_TOKEN", "a\nb")],
            "UPSTASH_REDIS_REST_TOKEN",
        ),
        (
            vec![("UPSTASH_REDIS_REST_URL", "redis.example"), ("UPSTASH_REDIS_REST_TOKEN", "t")],
            "UPSTASH_REDIS_REST_URL",
        ),
        (vec![("REDIS_URL", "unix:///run/redis.sock")], "REDIS_URL"),
        (vec![("FASTAPI_URL", "nowhere")], "FASTAPI_URL"),
        (vec![("GATEWAY_REGOIN", "eu")], "GATEWAY_REGOIN"),
        (vec![("RATE_LIMIT_ENABLED", "perhaps")], "RATE_LIMIT_ENABLED"),
        (vec![("GATEWAY_CONFIG", "[[routes]]\npath = 1\n")], "routes"),
    ] {
        let gateway = Gateway::misconfigured(&[], &variables);
        for call in [
            gateway.http().get("/"),
            gateway.http().get("/gateway/health"),
            gateway.http().get("/gateway/config").bearer(ADMIN),
            gateway.http().post("/api/v1/jobs", &json!({})).key(KEY),
        ] {
            let answer = call.send().await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (500, "INTERNAL_ERROR"),
                "{variables:?}"
            );
            assert!(!answer.text().contains(told), "not for clients: {}", answer.text());
        }
        wait_until(told, || gateway.log().contains(told));
    }
}

#[tokio::test]
async fn the_platform_says_who_the_client_is() {
    if !is_worker() {
        return;
    }
    // Behind the platform's own servers, and where nobody stands in front: there a client may write the field itself.
    for (environment, expected) in [(&[("ACIP_WORKER_CF", "{}")][..], "203.0.113.7"), (&[], "127.0.0.1")] {
        let stand = Stand::start(environment);
        let call = stand.get("/_test/echo").key(KEY).header("cf-connecting-ip", "203.0.113.7");
        let echo = call.header("x-forwarded-for", "192.0.2.1").send().await.json();
        let fields = echo["headers"].as_array().expect("fields").iter();
        let told: Vec<_> =
            fields.filter(|field| field[0] == "x-forwarded-for").map(|field| &field[1]).collect();
        assert_eq!(told, [&json!(expected)], "{echo}");
    }
}

#[tokio::test]
async fn the_platform_says_where_the_client_is() {
    if !is_worker() {
        return;
    }
    let named = |name| Origin::with(0, &[("ORIGIN_INSTANCE", name)]);
    let (west, central, east) = (named("west"), named("central"), named("east"));
    let origins = [(&west, "us-west"), (&central, "eu-central"), (&east, "ap-east")];
    let origins = origins.map(|(origin, region)| format!("{};region={region}", origin.url()));
    let origins: Vec<_> = origins.iter().map(String::as_str).collect();
    let aliases = ("GATEWAY_CONFIG", "[regions.aliases]\nfra = \"eu-central\"\n");
    for (cf, expected) in [
        ("{}", "west"),
        (r#"{"country":"DE","colo":"HKG"}"#, "central"),
        (r#"{"country":"HK","colo":"FRA"}"#, "east"),
        // One that is no region's, Tor, and none at all: then the data centre's word counts, where it has a region.
        (r#"{"country":"AQ","colo":"FRA"}"#, "central"),
        (r#"{"country":"T1","colo":"FRA"}"#, "central"),
        (r#"{"colo":"FRA"}"#, "central"),
        (r#"{"country":"AQ","colo":"XXX"}"#, "west"),
    ] {
        let environment = [
            ("ACIP_WORKER_CF", cf),
            ("ROUTER_STRATEGY", "region-affinity"),
            ("GATEWAY_REGION", "us-west"),
            aliases,
        ];
        let gateway = Gateway::start(&origins, &environment);
        let answer = gateway.http().get("/_test/status/200").key(KEY).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("x-origin")), (200, expected), "{cf}");
    }
}
