//! The store goes away under load: no request hangs, `ON_STORE_ERROR` does what it says, and all is well again without
//! a restart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use acip_tests::{
    Answer, Feature, Gateway, Http, KEY, OTHER_KEY, Origin, Redis, Target, create_key, supported, wait_for,
};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

/// So long that what a loaded machine adds is small beside it.
const REDIS_TIMEOUT: Duration = Duration::from_secs(1);
const PATH: &str = "/_test/status/200";
const CLIENTS: usize = 16;

/// How the store goes away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    /// Connections break, new ones are refused.
    Killed,
    /// Everything is accepted and nothing answered.
    Paused,
}

impl Loss {
    fn begin(self, redis: &mut Redis) {
        match self {
            Self::Killed => redis.kill(),
            Self::Paused => redis.pause(),
        }
    }

    fn end(self, redis: &mut Redis) {
        match self {
            Self::Killed => redis.restart(),
            Self::Paused => redis.resume(),
        }
    }
}

struct Case {
    mode: &'static str,
    /// What a key of the document gets while the store is down.
    status: u16,
    health: (u16, &'static str),
}

const CASES: &[Case] = &[
    Case { mode: "allow", status: 200, health: (200, "degraded") },
    Case { mode: "local", status: 200, health: (200, "degraded") },
    Case { mode: "deny", status: 503, health: (503, "unhealthy") },
];

/// When a request began, how long it took, what it got.
type Seen = (Instant, Duration, u16);

/// A client that asks one question after the other.
async fn client(http: Http, stop: Arc<AtomicBool>) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut sender = http.connect().await;
    while !stop.load(Relaxed) {
        let began = Instant::now();
        sender.ready().await.expect("the connection stays");
        let answer = sender.send_request(http.get(PATH).key(KEY).request()).await.expect("an answer");
        let status = answer.status().as_u16();
        answer.into_body().collect().await.expect("a whole answer");
        seen.push((began, began.elapsed(), status));
    }
    seen
}

/// How late a timer of this machine was at the worst, until told to stop: a wait that is no longer than this beyond its limit
/// is the machine's doing.
async fn lateness(stop: Arc<AtomicBool>) -> Duration {
    const TICK: Duration = Duration::from_millis(5);
    let mut worst = Duration::ZERO;
    while !stop.load(Relaxed) {
        let began = Instant::now();
        tokio::time::sleep(TICK).await;
        worst = worst.max(began.elapsed().saturating_sub(TICK));
    }
    worst
}

/// How long requests waited for the store, as the gateway measured it.
fn store_waits(gateway: &Gateway) -> Vec<Duration> {
    let wait = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["store_us"].as_u64().filter(|_| line["path"] == PATH).map(Duration::from_micros)
    };
    gateway.log().lines().filter_map(wait).collect()
}

async fn get(gateway: &Gateway, key: &str) -> Answer {
    gateway.http().get(PATH).key(key).send().await
}

/// Asks until it is known that the store is lost: some ways to a store tell of it only when it is asked.
async fn know_the_loss(gateway: &Gateway) {
    wait_for("the loss to be known", || async {
        gateway.http().get("/regions").send().await;
        health(gateway).await.1 == "degraded"
    })
    .await;
}

async fn health(gateway: &Gateway) -> (u16, String) {
    let answer = gateway.http().get("/gateway/health").send().await;
    (answer.status.as_u16(), answer.json()["status"].as_str().unwrap_or_default().to_owned())
}

fn start(redis: &Redis, origin: &Origin, mode: &str, limit: &str) -> Gateway {
    start_with(redis, origin, mode, limit, &[])
}

fn start_with(redis: &Redis, origin: &Origin, mode: &str, limit: &str, more: &[(&str, &str)]) -> Gateway {
    let timeout = REDIS_TIMEOUT.as_millis().to_string();
    let environment = [
        ("REDIS_URL", redis.url()),
        ("REDIS_TIMEOUT", timeout),
        ("ON_STORE_ERROR", mode.to_owned()),
        ("RATE_LIMIT_MAX_REQUESTS", limit.to_owned()),
        ("RATE_LIMIT_ALGORITHM", "sliding-log".to_owned()),
        ("RATE_LIMIT_WINDOW_MS", "3600000".to_owned()),
    ];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Gateway::start(&[&origin.url()], &[&environment, more].concat())
}

/// While the store is lost: what each key gets, and what the health page says.
async fn check_outage(gateway: &Gateway, case: &Case, recorded: &str, what: &str) {
    let answer = get(gateway, KEY).await;
    assert_eq!(answer.status, case.status, "{what}");
    if case.status == 503 {
        check_unavailable(&answer, what);
    }
    // Nothing proves a key whose record cannot be read, and nothing disproves it.
    for unknown in [recorded, "never-seen-0123456789"] {
        check_unavailable(&get(gateway, unknown).await, what);
    }
    // Each thread learns of the loss for itself, over some ways to a store when it is asked for something.
    wait_for(&format!("{what}: health {:?}", case.health), || async {
        get(gateway, KEY).await;
        let answer = gateway.http().get("/gateway/health").send().await;
        let page = answer.json();
        let is_lost = (answer.status.as_u16(), page["status"].as_str().unwrap_or_default()) == case.health;
        if is_lost {
            assert_eq!(answer.header("x-gateway-store"), format!("down; mode={}", case.mode), "{what}");
            assert!(page["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{what}: {page}");
        }
        is_lost
    })
    .await;
    assert_eq!(gateway.http().get("/gateway/livez").send().await.status, 200, "{what}");
    let ready = if case.status == 503 { 503 } else { 200 };
    wait_for(&format!("{what}: readyz {ready}"), || async {
        get(gateway, KEY).await;
        gateway.http().get("/gateway/readyz").send().await.status == ready
    })
    .await;
}

fn check_unavailable(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "STORE_UNAVAILABLE"), "{what}");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{what}");
}

async fn check(loss: Loss) {
    let origin = Origin::start();
    for case in CASES {
        let what = format!("{loss:?}, {}", case.mode);
        let mut redis = Redis::start();
        let recorded = create_key(&redis);
        let gateway = start(&redis, &origin, case.mode, "1000000");
        assert_eq!(get(&gateway, &recorded).await.status, 200, "{what}");
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> =
            (0..CLIENTS).map(|_| tokio::spawn(client(gateway.http(), Arc::clone(&stop)))).collect();
        let late = tokio::spawn(lateness(Arc::clone(&stop)));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let lost = Instant::now();
        loss.begin(&mut redis);
        check_outage(&gateway, case, &recorded, &what).await;
        // Several time limits one after the other.
        tokio::time::sleep(REDIS_TIMEOUT * 2).await;
        loss.end(&mut redis);
        let recovered = Instant::now();
        let expected = (200, "healthy".to_owned());
        wait_for(&format!("{what}: recovery"), || async { health(&gateway).await == expected }).await;
        wait_for(&format!("{what}: all threads"), || async {
            let asks = (0..8).map(|_| get(&gateway, KEY));
            join_all(asks).await.iter().all(|answer| answer.status == 200)
        })
        .await;
        stop.store(true, Relaxed);
        let seen: Vec<Seen> = join_all(load).await.into_iter().flat_map(Result::unwrap).collect();
        let late = late.await.expect("the ticker ends");
        check_waits(&seen, &store_waits(&gateway), late, lost, &what);
        check_load(&seen, (lost, recovered), case, &what);
        if loss == Loss::Paused {
            wait_for("the key's record", || async { get(&gateway, &recorded).await.status == 200 }).await;
        }
    }
}

/// Nobody waits for the store past its limit, neither as the gateway measured it nor as its clients did.
fn check_waits(seen: &[Seen], waits: &[Duration], late: Duration, lost: Instant, what: &str) {
    let usual = seen.iter().filter(|(began, took, _)| *began + *took < lost).map(|(_, took, _)| *took).max();
    let slowest = seen.iter().map(|(_, took, _)| *took).max().expect("requests");
    let usual = usual.expect("requests before the loss");
    // Some platforms write their log in a form of their own.
    assert!(!waits.is_empty() || !supported(&[Feature::Process]), "{what}: no requests in the log");
    let waited = waits.iter().max().copied().unwrap_or_default();
    println!(
        "{what}: {} requests, slowest {slowest:?}, waited {waited:?} for the store; before {usual:?}; timers \
         {late:?} late",
        seen.len()
    );
    let most = REDIS_TIMEOUT * 3 / 2 + late;
    assert!(waited < most, "{what}: {waited:?} for the store, timers {late:?} late");
    assert!(slowest < most, "{what}: {slowest:?}, before the loss {usual:?}, timers {late:?} late");
}

fn check_load(seen: &[Seen], (lost, recovered): (Instant, Instant), case: &Case, what: &str) {
    for (began, took, status) in seen {
        let allowed = if *began + *took < lost { 200 } else { case.status };
        assert!(*status == 200 || *status == allowed, "{what}: {status} after {took:?}");
    }
    let during = seen.iter().filter(|(began, took, _)| *began > lost && *began + *took < recovered);
    let statuses: Vec<u16> = during.map(|(_, _, status)| *status).collect();
    assert!(statuses.contains(&case.status), "{what}: nobody was served during the loss");
}

#[tokio::test]
async fn a_killed_store_hangs_nobody() {
    check(Loss::Killed).await;
}

#[tokio::test]
async fn a_store_that_says_nothing_hangs_nobody() {
    check(Loss::Paused).await;
}

#[tokio::test]
async fn local_limits_to_the_configured_number() {
    if Target::current() == Target::Spin {
        println!(
            "skipped on spin: each of its instances counts for itself, and their number is the platform's"
        );
        return;
    }
    let origin = Origin::start();
    let mut redis = Redis::start();
    // Where each process counts for itself, one.
    let gateway = start_with(&redis, &origin, "local", "20", &[("ACIP_LAMBDA_PROCESSES", "1")]);
    assert_eq!(get(&gateway, KEY).await.status, 200);
    redis.kill();
    know_the_loss(&gateway).await;
    // All threads of a process count together.
    let answers = join_all((0..60).map(|_| get(&gateway, KEY))).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 20);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
        assert_eq!(answer.header("x-ratelimit-limit"), "20");
    }
    assert_eq!(get(&gateway, OTHER_KEY).await.status, 200);
    redis.restart();
    // Empty, so the shared count begins anew.
    wait_for("recovery", || async { get(&gateway, KEY).await.status == 200 }).await;
}

const OWN_WAY: &str = "
[[limits]]
name = \"strict\"
by = \"key\"
path = \"/_test/echo\"
limit = 1000
window_ms = 60000
on_store_error = \"deny\"
";

#[tokio::test]
async fn a_limit_may_have_its_own_way() {
    let (mut redis, origin) = (Redis::start(), Origin::start());
    let url = redis.url();
    let environment = [("REDIS_URL", url.as_str()), ("ON_STORE_ERROR", "allow"), ("REDIS_TIMEOUT", "1000")];
    let gateway = Gateway::with_file(&[&origin.url()], &environment, Some(OWN_WAY));
    let strict = || gateway.http().get("/_test/echo").key(KEY).send();
    assert_eq!(strict().await.status, 200);
    redis.kill();
    know_the_loss(&gateway).await;
    check_unavailable(&strict().await, "deny");
    assert_eq!(get(&gateway, KEY).await.status, 200);
    let open = gateway.http().get("/regions").send().await;
    assert_eq!((open.status.as_u16(), open.json().is_array()), (200, true));
    let job =
        gateway.http().post("/api/v1/jobs", &json!({"type": "llm", "params": {}})).key(KEY).send().await;
    assert_eq!(job.status, 200);
}
