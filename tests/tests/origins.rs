//! Several origins: which one is asked, and what happens when one of them dies, hangs or comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use acip_tests::{Answer, Feature, Gateway, Http, KEY, Origin, supported, wait_for};
use futures_util::future::join_all;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::net::TcpListener;

const PATH: &str = "/_test/status/200";
/// No limits in the way, and checks so rare that requests alone find out, unless a test says otherwise.
const QUIET: [(&str, &str); 2] =
    [("RATE_LIMIT_ENABLED", "false"), ("ROUTER_HEALTH_CHECK_INTERVAL", "600000")];

fn named(port: u16, name: &str) -> Origin {
    Origin::with(port, &[("ORIGIN_INSTANCE", name)])
}

/// A gateway in front of these origins; `settings` follow each address.
fn start(origins: &[(&Origin, &str)], environment: &[(&str, &str)]) -> Gateway {
    let origins: Vec<String> =
        origins.iter().map(|(origin, settings)| format!("{}{settings}", origin.url())).collect();
    let origins: Vec<&str> = origins.iter().map(String::as_str).collect();
    Gateway::start(&origins, &[&QUIET, environment].concat())
}

async fn get(gateway: &Gateway) -> Answer {
    gateway.http().get(PATH).key(KEY).send().await
}

/// Which origins answered this many requests, one after the other.
async fn ask(gateway: &Gateway, times: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..times {
        names.push(get(gateway).await.header("x-origin").to_owned());
    }
    names
}

fn tally(names: &[String]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for name in names {
        *tally.entry(name.as_str()).or_default() += 1;
    }
    tally
}

/// Requests of any kind that an origin saw, but for health checks.
async fn seen(origin: &Origin) -> usize {
    origin.seen().await.iter().filter(|seen| seen["path"] != "/health").count()
}

/// Idempotent requests one after the other; gives whatever was no success.
async fn client(http: Http, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut sender = http.connect().await;
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE].into_iter().cycle() {
        if stop.load(Relaxed) {
            break;
        }
        let body = if method == Method::PUT { "a body" } else { "" };
        // Long enough that some are always under way.
        let request = http.call(method.clone(), "/_test/slow?ms=20").key(KEY).body(body).request();
        match sender.send_request(request).await {
            Ok(answer) if answer.status() == 200 => {
                if let Err(error) = answer.into_body().collect().await {
                    failures.push(format!("{method}: {error}"));
                }
            }
            Ok(answer) => failures.push(format!("{method}: {:?}", answer.headers())),
            Err(error) => failures.push(format!("{method}: {error}")),
        }
        if sender.ready().await.is_err() {
            sender = http.connect().await;
        }
        done.fetch_add(1, Relaxed);
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_an_origin_dies() {
    let (mut one, two) = (named(0, "one"), named(0, "two"));
    // Lambda's processes take one request each.
    let settings = [("ROUTER_HEALTH_CHECK_INTERVAL", "1000"), ("ACIP_LAMBDA_PROCESSES", "6")];
    let gateway = start(&[(&one, ""), (&two, "")], &settings);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> =
        (0..12).map(|_| tokio::spawn(client(gateway.http(), Arc::clone(&stop), Arc::clone(&done)))).collect();
    let more = |by: usize| {
        let (goal, done) = (done.load(Relaxed) + by, Arc::clone(&done));
        async move { wait_for("requests", || async { done.load(Relaxed) >= goal }).await }
    };
    more(200).await;
    assert!(seen(&one).await > 0, "both had traffic");
    let port = one.port();
    one.die().await;
    more(400).await;
    let answers = ask(&gateway, 20).await;
    assert_eq!(tally(&answers), BTreeMap::from([("two", 20)]));
    let health =
        async |status: &str| gateway.http().get("/gateway/health").send().await.json()["status"] == status;
    wait_for("the dead one on the health page", || health("degraded")).await;
    let one = named(port, "one");
    wait_for("both well on the health page", || health("healthy")).await;
    wait_for("traffic for the one that is back", || async { seen(&one).await > 20 }).await;
    more(200).await;
    stop.store(true, Relaxed);
    let failures: Vec<String> = join_all(load).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(failures, Vec::<String>::new(), "of {}", done.load(Relaxed));
}

/// A port that counts connections and closes each at once: an origin that is dead, and a witness of who still asks.
async fn dead() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, tries) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&tries);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Relaxed);
            drop(socket);
        }
    });
    (port, tries)
}

#[tokio::test]
async fn one_failure_ejects_until_the_back_off_is_over() {
    let (port, tries) = dead().await;
    let two = named(0, "two");
    let (dead, alive) = (format!("http://127.0.0.1:{port}"), two.url());
    let gateway = Gateway::start(&[&dead, &alive], &QUIET);
    // Well below the two seconds of the first ejection.
    let began = std::time::Instant::now();
    let names = ask(&gateway, 40).await;
    assert_eq!(tally(&names), BTreeMap::from([("two", 40)]));
    let (took, tried) = (began.elapsed(), tries.load(Relaxed));
    assert!(tried == 1 || took > Duration::from_millis(1900), "{tried} tries in {took:?}");
    wait_for("another try", || async { get(&gateway).await.status == 200 && tries.load(Relaxed) > tried })
        .await;
    assert_eq!(gateway.http().get("/gateway/health").send().await.json()["status"], "degraded");
}

#[tokio::test]
async fn round_robin_takes_turns() {
    let (one, two) = (named(0, "one"), named(0, "two"));
    let gateway = start(&[(&one, ""), (&two, "")], &[("ROUTER_STRATEGY", "round-robin")]);
    let names = ask(&gateway, 20).await;
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");

    let gateway = start(&[(&one, ";weight=3"), (&two, ";weight=1")], &[("ROUTER_STRATEGY", "weighted")]);
    assert_eq!(tally(&ask(&gateway, 40).await), BTreeMap::from([("one", 30), ("two", 10)]));
}

#[tokio::test]
async fn the_idle_one_is_preferred() {
    if !supported(&[Feature::Concurrency]) {
        return;
    }
    let (one, two) = (named(0, "one"), named(0, "two"));
    let gateway = start(&[(&one, ""), (&two, "")], &[("ROUTER_STRATEGY", "least-connections")]);
    let mut stream = gateway.http().get("/_test/sse?n=1000&ms=20").key(KEY).stream().await.unwrap();
    let busy = stream.headers()["x-origin"].to_str().unwrap().to_owned();
    assert!(stream.frame().await.is_some());
    let names = ask(&gateway, 20).await;
    assert!(names.iter().all(|name| *name != busy), "{busy} of {names:?}");
}

#[tokio::test]
async fn the_fast_one_is_preferred() {
    let (one, two) = (named(0, "one"), named(0, "two"));
    let gateway = start(&[(&one, ""), (&two, "")], &[("ROUTER_STRATEGY", "p2c-ewma")]);
    let slow = one.http().post("/_test/fault?kind=slow&ms=500", &Value::Null).send().await;
    assert_eq!(slow.status, 200);
    // Until both are known.
    wait_for("an answer of the slow one", || async { get(&gateway).await.header("x-origin") == "one" }).await;
    get(&gateway).await;
    assert_eq!(tally(&ask(&gateway, 20).await), BTreeMap::from([("two", 20)]));
}

#[tokio::test]
async fn the_nearest_region_is_preferred() {
    let (west, central) = (named(0, "west"), named(0, "central"));
    for (home, expected) in [("us-west", "west"), ("eu-central", "central"), ("europe-west", "central")] {
        let environment = [("ROUTER_STRATEGY", "region-affinity"), ("GATEWAY_REGION", home)];
        let gateway = start(&[(&west, ";region=us-west"), (&central, ";region=eu-central")], &environment);
        assert_eq!(tally(&ask(&gateway, 10).await), BTreeMap::from([(expected, 10)]), "{home}");
    }
    let environment = [("ROUTER_STRATEGY", "region-affinity"), ("GATEWAY_REGION", "us-west")];
    let mut west = west;
    let gateway = start(&[(&west, ";region=us-west"), (&central, ";region=eu-central")], &environment);
    west.kill();
    assert_eq!(tally(&ask(&gateway, 10).await), BTreeMap::from([("central", 10)]), "better far than not");
}

#[tokio::test]
async fn the_same_credential_meets_the_same_origin() {
    let (one, two, three) = (named(0, "one"), named(0, "two"), named(0, "three"));
    let keys: Vec<String> = (0..16).map(|n| format!("key-{n}-0123456789")).collect();
    let list = keys.join(",");
    let environment = [("ROUTER_STRATEGY", "consistent-hash"), ("AUTH_API_KEYS", list.as_str())];
    let mut three = three;
    let origins = [(&one, ""), (&two, ""), (&three, "")];
    let gateway = start(&origins, &environment);
    let place = |key: String| {
        let http = gateway.http();
        async move {
            let mut names = BTreeSet::new();
            for _ in 0..4 {
                names.insert(http.get(PATH).key(&key).send().await.header("x-origin").to_owned());
            }
            assert_eq!(names.len(), 1, "{names:?}");
            names.pop_first().unwrap()
        }
    };
    let before = join_all(keys.iter().cloned().map(place)).await;
    assert!(before.iter().collect::<BTreeSet<_>>().len() > 1, "{before:?}");
    three.kill();
    let after = join_all(keys.iter().cloned().map(place)).await;
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || before == "three", "only those of the dead one move: {before} {after}");
        assert_ne!(after, "three");
    }
}

#[tokio::test]
async fn slow_and_absent_origins_have_names() {
    let mut one = named(0, "one");
    let gateway = start(&[(&one, "")], &[("FASTAPI_TIMEOUT", "400")]);
    let began = std::time::Instant::now();
    let slow = gateway.http().get("/_test/slow?ms=30000").key(KEY).send().await;
    assert_eq!((slow.status.as_u16(), slow.code().as_str()), (504, "GATEWAY_TIMEOUT"));
    assert!(slow.header("proxy-status").starts_with("acip; error=http_response_timeout"), "{slow:?}");
    assert!((400..10_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    // It is asked again when there is no other, and is well when it answers.
    assert_eq!(get(&gateway).await.status, 200);
    one.kill();
    let absent = get(&gateway).await;
    assert_eq!((absent.status.as_u16(), absent.code().as_str()), (502, "BAD_GATEWAY"));
    assert!(absent.header("proxy-status").starts_with("acip; error="), "{absent:?}");
    let _one = named(one.port(), "one");
    assert_eq!(get(&gateway).await.status, 200, "the only one is never left out");
}

#[tokio::test]
async fn a_post_that_may_have_been_seen_is_not_repeated() {
    let (one, two) = (named(0, "one"), named(0, "two"));
    let gateway = start(&[(&one, ""), (&two, "")], &[]);
    for (method, status, tries) in [(Method::POST, 502, 1), (Method::PATCH, 502, 1), (Method::PUT, 200, 2)] {
        for origin in [&one, &two] {
            origin.http().post("/_test/reset", &Value::Null).send().await;
        }
        // One of them cuts the connection before the head, once.
        let cut = one.http().post("/_test/fault?kind=cut&times=1", &Value::Null).send().await;
        assert_eq!(cut.status, 200);
        let mut answer = None;
        // Whose turn it is does not matter: at last it is the broken one's.
        for _ in 0..8 {
            let before = (seen(&one).await, seen(&two).await);
            let call = gateway.http().call(method.clone(), PATH).key(KEY).body("x");
            let status = call.send().await.status.as_u16();
            let after = (seen(&one).await, seen(&two).await);
            if after.0 > before.0 {
                answer = Some((status, after.0 + after.1 - before.0 - before.1));
                break;
            }
        }
        assert_eq!(answer, Some((status, tries)), "{method}");
        // The ejection ends with a check or in time; a request that finds it alone proves it well.
        wait_for("the first to be back", || async { get(&gateway).await.header("x-origin") == "one" }).await;
    }
}
