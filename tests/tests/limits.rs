//! Limits end to end: exact where many ask at the same instant, over processes too, and told to the client.

use std::{sync::Arc, time::SystemTime};

use acip_tests::{Answer, Call, Feature, Gateway, Http, KEY, OTHER_KEY, Origin, Redis, supported};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{sync::Barrier, task};

const CLIENTS: usize = 50;
const EACH: usize = 5;
/// So long that nothing comes back while a test runs.
const WEEK_MS: u64 = 7 * 24 * 3600 * 1000;
const PATH: &str = "/_test/status/200";

/// Statuses of 250 requests from 50 clients, over these gateways in turn. All connections are open before the first
/// byte of a request is written, and all requests are written in one instant.
async fn burst(gateways: &[Http]) -> Vec<u16> {
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let clients = (0..CLIENTS).map(|client| {
        let (http, barrier) = (gateways[client % gateways.len()], Arc::clone(&barrier));
        task::spawn(async move {
            let mut senders = join_all((0..EACH).map(|_| http.connect())).await;
            for sender in &mut senders {
                sender.ready().await.unwrap();
            }
            barrier.wait().await;
            let answers =
                senders.iter_mut().map(|sender| sender.send_request(http.get(PATH).key(KEY).request()));
            let mut statuses = Vec::new();
            for answer in join_all(answers).await {
                let (head, body) = answer.unwrap().into_parts();
                body.collect().await.unwrap();
                statuses.push(head.status.as_u16());
            }
            statuses
        })
    });
    join_all(clients).await.into_iter().flat_map(Result::unwrap).collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A gateway with 100 requests a week.
fn limited(origin: &Origin, algorithm: &str, more: &[(&str, &str)]) -> Gateway {
    let window = WEEK_MS.to_string();
    let usual = [
        ("RATE_LIMIT_ALGORITHM", algorithm),
        ("RATE_LIMIT_WINDOW_MS", window.as_str()),
        ("RATE_LIMIT_MAX_REQUESTS", "100"),
        // The burst makes one process of 250 busy connections: slowness is not what is tested.
    ];
    Gateway::start(&[&origin.url()], &[&usual, more].concat())
}

/// Bursts against each algorithm; `more` tells the gateway its store.
async fn check_bursts(more: &[(&str, &str)], gateways: usize) {
    let origin = Origin::start();
    for algorithm in ["sliding-log", "token-bucket", "sliding-window", "fixed-window"] {
        let prefix = format!("{algorithm}:");
        let more = [more, &[("REDIS_KEY_PREFIX", prefix.as_str())]].concat();
        let running: Vec<Gateway> = (0..gateways).map(|_| limited(&origin, algorithm, &more)).collect();
        let doors: Vec<Http> = running.iter().map(Gateway::http).collect();
        let began = now_ms() / WEEK_MS;
        let statuses = burst(&doors).await;
        let (admitted, refused) = (count(&statuses, 200), count(&statuses, 429));
        assert_eq!(admitted + refused, CLIENTS * EACH, "{algorithm}: {statuses:?}");
        if began == now_ms() / WEEK_MS || matches!(algorithm, "sliding-log" | "token-bucket") {
            assert_eq!(admitted, 100, "{algorithm}");
        }
        let path = format!("/_test/seen?path={PATH}");
        let seen = origin.http().get(&path).send().await.json();
        assert_eq!(seen.as_array().map(Vec::len), Some(admitted), "{algorithm}: what is refused stays here");
        origin.http().post("/_test/reset", &Value::Null).send().await;
    }
}

#[tokio::test]
async fn a_burst_gets_exactly_the_limit_from_the_embedded_store() {
    if !supported(&[Feature::SharedMemory]) {
        return;
    }
    check_bursts(&[], 1).await;
}

#[tokio::test]
async fn a_burst_gets_exactly_the_limit_from_redis() {
    let redis = Redis::start();
    check_bursts(&[("REDIS_URL", &redis.url())], 1).await;
}

#[tokio::test]
async fn two_gateways_share_one_limit() {
    let redis = Redis::start();
    check_bursts(&[("REDIS_URL", &redis.url())], 2).await;
}

/// `X-RateLimit-Limit`, `-Remaining`.
fn numbers(answer: &Answer) -> (u64, u64) {
    let number = |name: &str| answer.header(name).parse().unwrap_or_else(|_| panic!("{name}: {answer:?}"));
    (number("x-ratelimit-limit"), number("x-ratelimit-remaining"))
}

async fn status(call: Call) -> u16 {
    call.send().await.status.as_u16()
}

#[tokio::test]
async fn a_client_is_told_where_it_stands() {
    let (redis, origin) = (Redis::start(), Origin::start());
    let url = redis.url();
    for store in [&[][..], &[("REDIS_URL", url.as_str())]] {
        for algorithm in ["sliding-log", "token-bucket", "sliding-window", "fixed-window"] {
            let prefix = format!("{algorithm}:");
            let usual = [
                ("RATE_LIMIT_ALGORITHM", algorithm),
                ("RATE_LIMIT_MAX_REQUESTS", "3"),
                ("RATE_LIMIT_WINDOW_MS", "3600000"),
                ("REDIS_KEY_PREFIX", &prefix),
            ];
            let gateway = Gateway::start(&[&origin.url()], &[&usual, store].concat());
            let get = |key: &str| gateway.http().get(PATH).key(key).send();
            for left in [2, 1, 0] {
                let answer = get(KEY).await;
                assert_eq!((answer.status.as_u16(), numbers(&answer)), (200, (3, left)), "{algorithm}");
                assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=3;w=3600", "{algorithm}");
                let ratelimit = answer.header("ratelimit");
                assert!(ratelimit.starts_with(&format!("\"default\";r={left};t=")), "{ratelimit}");
                assert_eq!(answer.header("retry-after"), "", "{algorithm}");
            }
            check_refusal(&get(KEY).await, algorithm);
            let other = get(OTHER_KEY).await;
            assert_eq!((other.status.as_u16(), numbers(&other)), (200, (3, 2)), "{algorithm}: another key");
        }
    }
}

/// A 429 at three an hour.
fn check_refusal(answer: &Answer, algorithm: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"), "{algorithm}");
    assert_eq!(numbers(answer), (3, 0), "{algorithm}");
    let error = answer.json()["error"].take();
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=2 * 3600).contains(&wait), "{algorithm}: {wait}");
    assert_eq!(error["retryAfter"], wait, "{algorithm}");
    let (now_s, reset) = (now_ms() / 1000, answer.header("x-ratelimit-reset").parse::<u64>().unwrap());
    assert!((now_s..=now_s + 2 * 3600 + 1).contains(&reset), "{algorithm}: {reset} at {now_s}");
    assert_eq!(error["details"], json!({"limit": 3, "remaining": 0, "reset": reset}), "{algorithm}");
    assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=3;w=3600", "{algorithm}");
    assert!(answer.header("ratelimit").starts_with("\"default\";r=0;t="), "{algorithm}");
}

#[tokio::test]
async fn after_retry_after_it_goes_on() {
    let origin = Origin::start();
    for algorithm in ["sliding-log", "token-bucket", "sliding-window", "fixed-window"] {
        let environment = [
            ("RATE_LIMIT_ALGORITHM", algorithm),
            ("RATE_LIMIT_MAX_REQUESTS", "1"),
            ("RATE_LIMIT_WINDOW_MS", "2000"),
        ];
        let gateway = Gateway::start(&[&origin.url()], &environment);
        let get = || gateway.http().get(PATH).key(KEY).send();
        let mut answer = get().await;
        // A window's edge may lie between the first two.
        for _ in 0..3 {
            if answer.status == 429 {
                break;
            }
            answer = get().await;
        }
        assert_eq!(answer.status, 429, "{algorithm}");
        let wait = answer.header("retry-after").parse().unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
        assert_eq!(get().await.status, 200, "{algorithm}: refused ones are not held against anybody");
    }
}

#[tokio::test]
async fn polling_has_ten_times_the_limit_of_its_own() {
    let origin = Origin::start();
    let environment = [("RATE_LIMIT_MAX_REQUESTS", "2"), ("RATE_LIMIT_WINDOW_MS", "3600000")];
    let gateway = Gateway::start(&[&origin.url()], &environment);
    let http = gateway.http();
    let job = http.post("/api/v1/jobs", &json!({"type": "llm", "params": {}})).key(KEY).send().await;
    let path = format!("/api/v1/jobs/{}", job.json()["job_id"].as_str().unwrap());
    for poll in 0..20 {
        let answer = http.get(&path).key(KEY).send().await;
        assert_eq!((answer.status.as_u16(), numbers(&answer)), (200, (20, 19 - poll)));
    }
    assert_eq!(status(http.get(&path).key(KEY)).await, 429);
    assert_eq!(status(http.get(PATH).key(KEY)).await, 200, "polling costs nothing elsewhere");
    assert_eq!(status(http.get(PATH).key(KEY)).await, 429);
    assert_eq!(status(http.get(&path).key(OTHER_KEY)).await, 404, "another tenant has a limit of its own");
}

#[tokio::test]
async fn open_routes_are_limited_by_address() {
    if !supported(&[Feature::PeerAddress]) {
        return;
    }
    let origin = Origin::start();
    let environment = [
        ("RATE_LIMIT_MAX_REQUESTS", "2"),
        ("RATE_LIMIT_WINDOW_MS", "3600000"),
        ("TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let gateway = Gateway::start(&[&origin.url()], &environment);
    let get = |address: &str| status(gateway.http().get("/regions").header("x-forwarded-for", address));
    for (address, expected) in [
        ("203.0.113.1", 200),
        ("203.0.113.1", 200),
        ("203.0.113.1", 429),
        ("203.0.113.2", 200),
        // What a client claims stands left of what the proxy saw.
        ("203.0.113.9, 203.0.113.1", 429),
    ] {
        assert_eq!(get(address).await, expected, "{address}");
    }
    let register = || {
        let register = gateway.http().post("/api/v1/workers/register", &json!({"region": "us-west"}));
        status(register.header("x-forwarded-for", "203.0.113.1"))
    };
    assert_eq!((register().await, register().await, register().await), (200, 200, 429), "its own bucket");
}

const NAMED: &str = "
[[limits]]
name = \"heavy\"
by = \"key\"
path = \"/_test/status/*\"
limit = 10
window_ms = 3600000
cost = 4
algorithm = \"sliding-log\"

[[limits]]
name = \"everybody\"
by = \"route\"
path = \"/regions\"
limit = 3
window_ms = 3600000
algorithm = \"token-bucket\"
";

#[tokio::test]
async fn named_limits_cost_what_the_file_says() {
    let (redis, origin) = (Redis::start(), Origin::start());
    let url = redis.url();
    for store in [&[][..], &[("REDIS_URL", url.as_str())]] {
        let environment = [&[("TRUSTED_PROXIES", "127.0.0.1/32"), ("RATE_LIMIT_MAX_REQUESTS", "50")], store];
        let gateway = Gateway::with_file(&[&origin.url()], &environment.concat(), Some(NAMED));
        let http = gateway.http();
        let heavy = || http.get(PATH).key(KEY).send();
        assert_eq!(numbers(&heavy().await), (10, 6));
        let second = heavy().await;
        assert_eq!((second.status.as_u16(), numbers(&second)), (200, (10, 2)));
        for list in [second.header("ratelimit"), second.header("ratelimit-policy")] {
            assert!(list.contains("\"default\";") && list.contains("\"heavy\";"), "{list}");
        }
        for _ in 0..3 {
            let refused = heavy().await;
            assert_eq!(
                (refused.status.as_u16(), numbers(&refused)),
                (429, (10, 2)),
                "two are left, four cost"
            );
        }
        // A request must pass every limit, and one that does not is charged by none of them.
        let light = http.get("/_test/echo").key(KEY).send().await;
        assert_eq!((light.status.as_u16(), numbers(&light)), (200, (50, 47)));
        let regions = |address: &'static str| http.get("/regions").header("x-forwarded-for", address);
        for (address, expected) in
            [("203.0.113.1", 200), ("203.0.113.2", 200), ("203.0.113.3", 200), ("203.0.113.4", 429)]
        {
            assert_eq!(status(regions(address)).await, expected, "{address}");
        }
    }
}
