//! What clients see while Redis or an origin is down, and that both come back without a restart.

use std::time::{Duration, Instant};

use acip_tests::{Answer, Gateway, Http, KEY, Origin, Redis, wait_for};
use tokio::task::JoinSet;

/// One request that no built-in rule treats specially.
async fn ask(http: Http) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = http.get("/_test/echo").key(KEY).send().await;
    (answer, began.elapsed())
}

/// Requests from several clients at once; the statuses, sorted, and the longest time.
async fn burst(http: Http, requests: usize) -> (Vec<u16>, Duration) {
    let mut clients = JoinSet::new();
    for _ in 0..requests {
        clients.spawn(ask(http));
    }
    let answers = clients.join_all().await;
    let mut statuses: Vec<u16> = answers.iter().map(|(answer, _)| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    let longest = answers.iter().map(|(_, time)| *time).max().unwrap_or_default();
    (statuses, longest)
}

#[tokio::test]
async fn a_store_that_hangs_or_dies_delays_nobody_past_its_time_and_comes_back() {
    for (mode, during, page) in [
        ("allow", vec![200; 8], 200),
        ("deny", vec![503; 8], 503),
        ("local", [vec![200; 5], vec![429; 3]].concat(), 200),
    ] {
        let (mut redis, origin) = (Redis::start(), Origin::start());
        let url = redis.url();
        let settings = [
            ("REDIS_URL", url.as_str()),
            ("REDIS_TIMEOUT", "1000"),
            ("ON_STORE_ERROR", mode),
            ("RATE_LIMIT_MAX_REQUESTS", "5"),
            ("RATE_LIMIT_ALGORITHM", "sliding-log"),
            ("RATE_LIMIT_WINDOW_MS", "600000"),
        ];
        let gateway = Gateway::start(&[&origin.url()], &settings);
        let http = gateway.http();

        redis.pause();
        let (statuses, longest) = burst(http, 8).await;
        assert_eq!(statuses, during, "{mode}, paused");
        assert!(longest < Duration::from_secs(2), "{mode}: waited {longest:?} for a paused store");
        println!("{mode}: {longest:?} at most, with a time limit of 1 s for the store");
        redis.resume();
        redis.kill();
        wait_for("the loss to be noticed", || async {
            ask(http).await;
            http.get("/gateway/health").send().await.json()["status"] != "healthy"
        })
        .await;
        let health = http.get("/gateway/health").send().await;
        assert_eq!(
            (health.status.as_u16(), health.header("x-gateway-store")),
            (page, &*format!("down; mode={mode}"))
        );
        let unknown = http.get("/_test/echo").key("no-such-key-anywhere").send().await;
        assert_eq!((unknown.status.as_u16(), unknown.code()), (503, "STORE_UNAVAILABLE".into()), "{mode}");

        redis.restart();
        wait_for("limits to be shared again", || async {
            ask(http).await;
            !redis.keys("gateway:ratelimit:*").is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn an_origin_that_dies_costs_no_idempotent_request_and_comes_back() {
    let first = Origin::with(0, &[]);
    let mut second = Origin::with(0, &[]);
    let port = second.port();
    let settings = [("RATE_LIMIT_ENABLED", "false"), ("ROUTER_HEALTH_CHECK_INTERVAL", "100")];
    let gateway = Gateway::start(&[&first.url(), &second.url()], &settings);
    let http = gateway.http();

    let load = tokio::spawn(async move {
        let mut statuses = Vec::new();
        for _ in 0..40 {
            statuses.extend(burst(http, 8).await.0);
        }
        statuses
    });
    wait_for("both origins to be asked", || async {
        !first.seen().await.is_empty() && !second.seen().await.is_empty()
    })
    .await;
    second.kill();
    let statuses = load.await.expect("the load ends");
    assert_eq!(statuses, vec![200; 320], "no client saw the origin die");
    wait_for("the dead origin to be ejected", || async {
        http.get("/gateway/health").send().await.json()["status"] == "degraded"
    })
    .await;

    let second = Origin::with(port, &[]);
    wait_for("the origin to be back", || async {
        http.get("/gateway/health").send().await.json()["status"] == "healthy"
    })
    .await;
    burst(http, 8).await;
    assert!(second.seen().await.iter().any(|it| it["path"] == "/_test/echo"), "it gets requests again");
}
