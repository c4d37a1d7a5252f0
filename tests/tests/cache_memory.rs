//! The cache that a process, or an instance, keeps for itself (`CACHE_BACKEND=memory`): what it asks Redis, with whom it shares, what
//! a purge reaches, how it is exchanged while requests go on, and what becomes of it when Redis is gone. What is stored and served,
//! and to whom, is in `cache.rs` and `cache_stale.rs`, for both backends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use acip_tests::{
    ADMIN, Answer, Cli, Feature, Gateway, Http, KEY, OTHER_KEY, Origin, Redis, RedisProxy, Stand, Target,
    Transport,
    cached::{ask, stored, told},
    create_key, supported, wait_for,
};
use http::Method;
use serde_json::json;

const MEMORY: (&str, &str) = ("CACHE_BACKEND", "memory");
/// An open route whose answers everybody shares.
const OPEN: &str = "
[[routes]]
path = \"/_test/status/200\"
auth = \"open\"
cache = { mode = \"shared\", ttl_seconds = 600 }
";
/// Far more than what a request says to Redis of anything else.
const BODY: usize = 500_000;

async fn exchange(http: &Http, backend: &str) {
    let path = "/gateway/plugins/cache-plugin";
    let body = json!({ "implementation": backend }).to_string();
    let answer = http.call(Method::PATCH, path).bearer(ADMIN).body(body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = answer.json();
    assert_eq!(
        (&page["implementation"], &page["implementations"]),
        (&json!(backend), &json!(["store", "memory"]))
    );
}

fn number(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["n"].as_u64().expect("a number")
}

/// Whether all requests of a gateway see one cache.
fn one_memory() -> bool {
    Feature::SharedMemory.missing(Target::current(), Transport::current()).is_none()
}

/// Asks until the cache has the answer: once more than it takes to store one, or, of several instances, until one finds it that it
/// has stored itself. Right after an answer that is still to be stored, it may bring another: [`kept`] does not.
async fn hit(http: &Http, path: &str) -> Answer {
    let call = || http.get(path).key(KEY);
    let mut answer = call().send().await;
    if told(&answer) != "HIT" && one_memory() {
        answer = stored(call).await;
        assert_eq!(told(&answer), "HIT");
    }
    let end = Instant::now() + Duration::from_secs(30);
    while told(&answer) != "HIT" {
        assert!(Instant::now() < end, "no instance remembers: {:?}", answer.headers);
        answer = call().send().await;
    }
    answer
}

/// Waits until an answer that has come is stored, and asks for it.
async fn kept(http: &Http, path: &str) -> Answer {
    let answer = stored(|| http.get(path).key(KEY)).await;
    assert_eq!(told(&answer), "HIT");
    answer
}

/// No answer travels to Redis or from there, whichever build it is; a hit asks it about the limit alone.
#[tokio::test]
async fn nothing_of_an_answer_goes_over_the_wire() {
    let (redis, origin) = (Redis::start(), Origin::start());
    let proxy = RedisProxy::start(&redis);
    let url = proxy.url();
    let environment = [("REDIS_URL", url.as_str()), ("GATEWAY_THREADS", "1"), MEMORY];
    let gateway = Gateway::start(&[&origin.url()], &environment);
    let path = format!("/_test/cache?cc=max-age=600&size={BODY}");
    hit(&gateway.http(), &path).await;
    let before = proxy.total();
    for _ in 0..5 {
        let answer = gateway.http().get(&path).key(KEY).send().await;
        assert_eq!((answer.status.as_u16(), answer.json()["pad"].as_str().map(str::len)), (200, Some(BODY)));
        assert!(answer.headers.contains_key("x-ratelimit-remaining"));
        if one_memory() {
            assert_eq!(told(&answer), "HIT");
        }
    }
    if one_memory() {
        assert_eq!(proxy.at_rest(before + 5).await - before, 5, "{:?}", proxy.counts());
    }
    let bytes = proxy.bytes();
    assert!(bytes < BODY as u64 / 2, "{bytes} bytes went to Redis and back");
    assert_eq!(redis.keys("gateway:cache:*"), Vec::<String>::new());
}

/// Who wants nothing but what the process keeps waits for no store.
#[tokio::test]
async fn a_hit_that_needs_no_store_asks_none() {
    if !supported(&[Feature::SharedMemory, Feature::Resp]) {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let proxy = RedisProxy::start(&redis);
    let url = proxy.url();
    let environment =
        [("REDIS_URL", url.as_str()), ("GATEWAY_THREADS", "1"), ("RATE_LIMIT_ENABLED", "false"), MEMORY];
    let gateway = Gateway::start(&[&origin.url()], &environment);
    let (path, before) = ("/_test/cache?cc=max-age=600", proxy.total());
    assert_eq!(told(&gateway.http().get(path).key(KEY).send().await), "MISS");
    hit(&gateway.http(), path).await;
    // Nothing is let through: what asked would wait for its time limit.
    proxy.hold_after(0);
    for _ in 0..5 {
        assert_eq!(told(&gateway.http().get(path).key(KEY).send().await), "HIT");
    }
    proxy.release();
    assert_eq!(proxy.at_rest(before).await, before, "{:?}", proxy.counts());
}

#[tokio::test]
async fn each_gateway_keeps_its_own() {
    let stand = Stand::start(&[MEMORY]);
    let other = stand.another(&[MEMORY]);
    let path = "/_test/cache?cc=max-age=600";
    hit(&stand.http(), path).await;
    let first = other.http().get(path).key(KEY).send().await;
    assert_eq!(told(&first), "MISS", "the other gateway has asked nobody yet");
    if !supported(&[Feature::SharedMemory]) {
        return;
    }
    assert_eq!((number(&first), number(&kept(&other.http(), path).await)), (2, 2));
    assert_eq!(number(&kept(&stand.http(), path).await), 1);

    // A purge, and a change by a client, reach the process that sees them.
    let purge = json!({ "all": true });
    let page = stand.post("/gateway/cache/purge", &purge).bearer(ADMIN).send().await;
    assert_eq!((page.status.as_u16(), &page.json()["backend"]), (200, &json!("memory")), "{}", page.text());
    assert_eq!(number(&stand.get(path).key(KEY).send().await), 3);
    assert_eq!(number(&other.http().get(path).key(KEY).send().await), 2);
    assert_eq!(number(&kept(&stand.http(), path).await), 3);
    assert_eq!(other.http().delete(path).key(KEY).send().await.status, 200);
    wait_for("it is forgotten there", || async { number(&other.http().get(path).key(KEY).send().await) > 3 })
        .await;
    assert_eq!(number(&stand.get(path).key(KEY).send().await), 3);
    assert_eq!(stand.redis().keys("gateway:cache*"), Vec::<String>::new());
}

/// Reads its own answer for as long as told; nobody else's ever comes.
async fn client(http: Http, place: usize, over: Arc<AtomicBool>) -> usize {
    let mut sent = 0;
    while !over.load(Relaxed) {
        for (key, whose) in [(KEY, "test"), (OTHER_KEY, "other")] {
            let query = format!("cc=max-age=600&vary=X-Whose&key=client-{place}-{whose}");
            let call = http.get(&format!("/_test/cache?{query}")).key(key).header("x-whose", whose);
            let answer = call.send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["vary"]["x-whose"], whose);
            assert_ne!(told(&answer), "", "the cache is asked");
            sent += 1;
        }
    }
    sent
}

/// An exchange, in either direction, costs what was kept, and nothing else: no request fails, and no answer comes back that was not
/// told of what happened meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_exchanged_while_requests_go_on() {
    // Limits, so that each request asks the store and finds the change at once.
    let stand = Stand::start(&[("RATE_LIMIT_MAX_REQUESTS", "1000000")]);
    let other = stand.another(&[("RATE_LIMIT_MAX_REQUESTS", "1000000")]);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> =
        (0..4).map(|place| tokio::spawn(client(stand.http(), place, Arc::clone(&over)))).collect();
    let path = "/_test/cache?cc=max-age=600&key=exchanged";
    let mut last = number(&hit(&stand.http(), path).await);
    for (round, backend) in ["memory", "store", "memory", "store", "memory", "store"].into_iter().enumerate()
    {
        // Whoever serves the change, both follow.
        let (here, there) =
            if round % 2 == 0 { (stand.http(), other.http()) } else { (other.http(), stand.http()) };
        exchange(&here, backend).await;
        for http in [&here, &there] {
            let first = number(&http.get(path).key(KEY).send().await);
            assert!(first > last, "{backend}: {first} is from before the exchange, the last was {last}");
        }
        let both = async || [number(&hit(&here, path).await), number(&hit(&there, path).await)];
        if backend == "store" {
            // What the first brought is written behind its answer, so the second may have brought another.
            wait_for("one answer for both", || async {
                let [one, other] = both().await;
                one == other
            })
            .await;
        }
        let [one, other] = both().await;
        assert!(backend == "store" || !one_memory() || one != other, "{backend}: {one} for both");
        last = one.max(other);
        // A change that only the cache in force is told of.
        assert_eq!(here.delete(path).key(KEY).send().await.status, 200);
        wait_for("it is forgotten", || async { number(&here.get(path).key(KEY).send().await) > last }).await;
        last = number(&hit(&here, path).await).max(number(&hit(&there, path).await));
    }
    over.store(true, Relaxed);
    for client in clients {
        assert!(client.await.expect("no request failed") > 0);
    }
}

/// The command line makes the same change, and what it says to the store with it.
#[tokio::test]
async fn the_command_line_exchanges_it_too() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let stand = Stand::start(&[]);
    let (http, url) = (stand.http(), stand.redis().url());
    let set = |backend: &str| {
        let arguments = ["plugins", "set", "cache-plugin", "--implementation", backend];
        let ended = Cli::new(&arguments).env(&[("REDIS_URL", url.as_str())]).run();
        assert!(ended.is_well() && ended.stdout.contains("cache.backend"), "{ended:?}");
    };
    let path = "/_test/cache?cc=max-age=600";
    assert_eq!(number(&hit(&http, path).await), 1);
    for (backend, expected) in [("memory", 2), ("store", 3), ("memory", 4)] {
        set(backend);
        let first = http.get(path).key(KEY).send().await;
        assert_eq!((told(&first), number(&first)), ("MISS", expected), "{backend}");
        assert_eq!(number(&kept(&http, path).await), expected, "{backend}");
    }
}

/// What the process keeps is there without a store, for whom it was, behind the same doors and limits as ever.
#[tokio::test]
async fn without_a_store_what_is_kept_stays_behind_its_doors() {
    if !supported(&[Feature::SharedMemory]) {
        return;
    }
    for (mode, status) in [("local", 200), ("allow", 200), ("deny", 503)] {
        let (mut redis, origin) = (Redis::start(), Origin::start());
        let recorded = create_key(&redis);
        let url = redis.url();
        let environment =
            [("REDIS_URL", url.as_str()), ("ON_STORE_ERROR", mode), ("REDIS_TIMEOUT", "1000"), MEMORY];
        let gateway = Gateway::with_file(&[&origin.url()], &environment, Some(OPEN));
        let (open, own) = ("/_test/status/200", "/_test/cache?cc=max-age=600");
        let get = |path: &str, key: &str| gateway.http().get(path).key(key).send();
        assert_eq!(get(own, &recorded).await.status, 200);
        let stays = stored(|| gateway.http().get(own).key(&recorded)).await;
        assert_eq!(told(&stays), "HIT");
        for path in [open, own] {
            hit(&gateway.http(), path).await;
        }
        redis.kill();
        wait_for("the loss to be known", || async {
            gateway.http().get("/regions").send().await;
            !gateway.http().get("/gateway/health").send().await.header("x-gateway-store").is_empty()
        })
        .await;
        let reached = async || origin.seen().await.iter().filter(|seen| seen["path"] != "/health").count();
        let before = reached().await;
        for path in [open, own] {
            let answer = get(path, KEY).await;
            let expected = if status == 200 { "HIT" } else { "" };
            assert_eq!((answer.status.as_u16(), told(&answer)), (status, expected), "{mode} {path}");
        }
        for key in [recorded.as_str(), "never-seen-0123456789"] {
            let answer = get(own, key).await;
            assert_eq!((answer.status.as_u16(), told(&answer)), (503, ""), "{mode}: nothing proves this key");
            assert_eq!(answer.code(), "STORE_UNAVAILABLE");
        }
        assert_eq!(gateway.http().get(own).send().await.status, 401);
        redis.restart();
        // Each thread finds out for itself.
        wait_for("recovery", || async { told(&get(own, KEY).await) == "HIT" }).await;
        assert_eq!(reached().await, before, "{mode}: the origin is asked nothing");
    }
}

/// Where no store is configured, both backends are the process.
#[tokio::test]
async fn an_embedded_store_is_the_process_either_way() {
    if !supported(&[Feature::SharedMemory]) {
        return;
    }
    let stand = Stand::embedded(&[]);
    let query = "cc=max-age=600";
    let path = format!("/_test/cache?{query}");
    hit(&stand.http(), &path).await;
    for (backend, expected) in [("memory", 2), ("store", 3)] {
        exchange(&stand.http(), backend).await;
        let answer = ask(&stand, query).send().await;
        assert_eq!((told(&answer), number(&answer)), ("MISS", expected), "{backend}");
        assert_eq!(number(&kept(&stand.http(), &path).await), expected, "{backend}");
    }
}
