//! Everything is changed while requests go on, two thousand a second where the build can: no request fails that should pass,
//! none passes that should fail, and each change is there within its bound, also on a second gateway that was told nothing and shares
//! the Redis alone. `cargo xtask load --target worker` runs it against another build than the native one; `ACIP_LOAD_ROUNDS` makes
//! it shorter.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use acip_tests::{ADMIN, Answer, Call, Gateway, Http, KEY, Redis, Target, Transport};
use bytes::Bytes;
use http::{Method, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{client::conn::http1::SendRequest, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time};

const PATH: &str = "/v1/models";
const ROUTER: &str = "/gateway/plugins/router-plugin";
const CACHE: &str = "/gateway/plugins/cache-plugin";
/// Each waits for its answer: enough of them for the rate although an answer takes its time.
const CLIENTS: usize = 32;
/// Requests offered in a second.
const RATE: u64 = 2_000;
/// Exchanges, rotations and changes, each.
const ROUNDS: usize = 100;

/// What becomes of a request with a wrong key: refused, let through, or either while a change of that is under way.
const REFUSED: u8 = 0;
const EITHER: u8 = 1;
const OPEN: u8 = 2;

/// What the clients know and what they have seen.
struct Load {
    /// Where they send: to the first gateway; of Workers to both, since the platform spreads its requests, and one isolate has one
    /// thread.
    gateways: Vec<Http>,
    over: AtomicBool,
    strangers: AtomicU8,
    sent: AtomicU64,
}

/// An origin that answers at once: what is measured is the gateway.
async fn origin() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("{}"))));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    format!("http://127.0.0.1:{port}")
}

impl Load {
    /// Sends requests at its share of the rate, good ones and bad ones in turn.
    async fn client(self: Arc<Self>, number: usize) {
        let http = &self.gateways[number % self.gateways.len()];
        let mut connection = http.connect().await;
        let mut pace = time::interval(Duration::from_micros(2 * CLIENTS as u64 * 1_000_000 / RATE));
        pace.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        while !self.over.load(SeqCst) {
            pace.tick().await;
            let (good, text) = self.send(http, &mut connection, KEY).await;
            assert_eq!(good, 200, "should have passed: {text}");
            let before = self.strangers.load(SeqCst);
            let (bad, text) = self.send(http, &mut connection, "a-wrong-key-0123456789").await;
            let after = self.strangers.load(SeqCst);
            match (before, after) {
                (REFUSED, REFUSED) => assert_eq!(bad, 401, "should have failed: {text}"),
                (OPEN, OPEN) => assert_eq!(bad, 200, "should have passed: {text}"),
                _ => assert!([401, 200].contains(&bad), "{text}"),
            }
            self.sent.fetch_add(2, SeqCst);
        }
    }

    async fn send(&self, http: &Http, connection: &mut SendRequest<Full<Bytes>>, key: &str) -> (u16, String) {
        if connection.is_closed() {
            *connection = http.connect().await;
        }
        connection.ready().await.expect("a connection");
        let answer = connection.send_request(http.get(PATH).key(key).request()).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a whole answer").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

async fn admin(http: &Http, method: Method, path: &str, body: &Value) -> Answer {
    let answer = http.call(method, path).bearer(ADMIN).body(body.to_string()).send().await;
    assert!(answer.status.is_success(), "{path} {body}: {} {}", answer.status, answer.text());
    answer
}

async fn used(http: &Http, key: &Value) -> u16 {
    http.get(PATH).key(key["key"].as_str().expect("a key")).send().await.status.as_u16()
}

/// Waits until a change is there on each gateway. How long it took, in milliseconds; more than its bound is an error.
async fn seen(what: &str, began: Instant, gateways: &[Http; 2], there: impl AsyncFn(&Http) -> bool) -> u128 {
    for (place, http) in gateways.iter().enumerate() {
        // Native gateways follow within a second, others at their next request: the one that looks is the next.
        while !there(http).await {
            let patient = Target::current() == Target::Native && began.elapsed() < BOUND;
            assert!(patient, "{what}: not seen in time by gateway {place}");
        }
    }
    began.elapsed().as_millis()
}

/// A second, and what a loaded machine may need to say so.
const BOUND: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_changes_under_load() {
    let (redis, origins) = (Redis::start(), [origin().await, origin().await]);
    let url = redis.url();
    let variables = [
        ("REDIS_URL", url.as_str()),
        // A line for each refusal would be another load. The native server says on the level of lines where it listens.
        ("LOG_LEVEL", if Target::current() == Target::Native { "info" } else { "warn" }),
        ("LOG_SAMPLE", "0"),
        // A machine at its limit may pause for longer than a store may, a Worker most of all; what comes late then is not lost.
        ("REDIS_TIMEOUT", if Target::current() == Target::Native { "5000" } else { "20000" }),
        ("RATE_LIMIT_MAX_REQUESTS", "900000000"),
        ("AUTH_FAILURES_PER_MINUTE", "1000000"),
        ("ROUTER_HEALTH_CHECK_INTERVAL", "60000"),
    ];
    let rounds = std::env::var("ACIP_LOAD_ROUNDS").map_or(ROUNDS, |it| it.parse().expect("a number"));
    let [gateway, other] = [(); 2].map(|()| Gateway::start(&[&origins[0], &origins[1]], &variables));
    let (http, both) = (gateway.http(), [gateway.http(), other.http()]);
    let load = Arc::new(Load {
        gateways: if Target::current() == Target::Worker { both.to_vec() } else { vec![gateway.http()] },
        over: AtomicBool::new(false),
        strangers: AtomicU8::new(REFUSED),
        sent: AtomicU64::new(0),
    });
    let clients: Vec<JoinHandle<()>> =
        (0..CLIENTS).map(|number| tokio::spawn(Arc::clone(&load).client(number))).collect();
    let used_ms = || gateway.cpu_ms() + other.cpu_ms();
    let (began, cpu_ms) = (Instant::now(), used_ms());
    let mut slowest = [0; 4];

    switch_every_plugin(&both, &load, &mut slowest[0]).await;
    for round in 0..rounds {
        let algorithm = ["token-bucket", "fixed-window", "sliding-log", "sliding-window"][round % 4];
        let strategy = ["least-connections", "weighted", "p2c-ewma", "round-robin"][round % 4];
        let limit = 900_000_001 + round;
        let at = Instant::now();
        let body = json!({"implementation": algorithm, "config": {"max_requests": limit}});
        admin(&http, Method::PATCH, "/gateway/plugins/rate-limit-plugin", &body).await;
        let shows = async |http: &Http| {
            http.get(PATH).key(KEY).send().await.header("x-ratelimit-limit") == limit.to_string()
        };
        slowest[1] = slowest[1].max(seen("an implementation", at, &both, shows).await);
        let at = Instant::now();
        admin(&http, Method::PATCH, ROUTER, &json!({"implementation": strategy})).await;
        let shows = async |http: &Http| {
            http.get(ROUTER).bearer(ADMIN).send().await.json()["implementation"] == strategy
        };
        slowest[1] = slowest[1].max(seen("a strategy", at, &both, shows).await);
        let backend = ["memory", "store"][round % 2];
        let at = Instant::now();
        admin(&http, Method::PATCH, CACHE, &json!({"implementation": backend})).await;
        let shows = async |http: &Http| {
            http.get(CACHE).bearer(ADMIN).send().await.json()["implementation"] == backend
        };
        slowest[1] = slowest[1].max(seen("a cache", at, &both, shows).await);
    }
    for round in 0..rounds {
        let key = admin(&http, Method::POST, "/gateway/keys", &json!({"name": format!("load-{round}")}))
            .await
            .json();
        for http in &both {
            assert_eq!(used(http, &key).await, 200, "a key that was made");
        }
        let at = Instant::now();
        let path = format!("/gateway/keys/{}/rotate", key["id"].as_str().expect("an id"));
        let fresh = admin(&http, Method::POST, &path, &json!({"grace_seconds": 0})).await.json();
        for http in &both {
            assert_eq!(used(http, &key).await, 401, "from the next request on");
        }
        slowest[2] = slowest[2].max(at.elapsed().as_millis());
        for http in &both {
            assert_eq!(used(http, &fresh).await, 200, "the key in its place");
        }
    }
    for round in 0..rounds {
        let page = format!("https://page-{round}.test");
        let at = Instant::now();
        admin(&http, Method::PATCH, "/gateway/config", &json!({"cors": {"origins": [page]}})).await;
        let shows = async |call: Call| {
            let answer = call.header("origin", &page).send().await;
            answer.status.is_success() && answer.header("access-control-allow-origin") == page
        };
        let asks = async |http: &Http| shows(http.get(PATH).key(KEY)).await;
        slowest[3] = slowest[3].max(seen("a configuration", at, &both, asks).await);
        // The store is not asked about this one, so it is there within a second. In a Worker's one isolate it is there since
        // the requests above, and no clock is needed to say so: the platform may stand still for longer, to collect what is dead.
        for http in &both {
            let preflight = async || {
                shows(http.call(Method::OPTIONS, PATH).header("access-control-request-method", "GET")).await
            };
            if Target::current() == Target::Worker {
                assert!(preflight().await, "{page}: not seen by the next request");
            } else {
                acip_tests::wait_for("a preflight", preflight).await;
                assert!(at.elapsed() < BOUND, "{page}: not seen in time");
            }
        }
    }

    let (sent, took, cpu_ms) = (load.sent.load(SeqCst), began.elapsed(), used_ms() - cpu_ms);
    load.over.store(true, SeqCst);
    for client in clients {
        client.await.expect("no request went wrong");
    }
    // How many there were in a second is the machine's affair; that they went on is not.
    assert!(sent >= 5 * rounds as u64, "{sent} requests while {rounds} rounds of changes went on");
    println!(
        "{} over {}: {RATE} requests a second offered, {:.0} answered ({sent} in {:.1} s); {:.2} ms of gateway CPU \
         each; slowest change in ms: plugin switched {}, limiter, strategy and cache exchanged {}, key rotated {}, \
         configuration changed {}",
        Target::current().name(),
        if Transport::current() == Transport::Rest { "rest" } else { "tcp" },
        sent as f64 / took.as_secs_f64(),
        took.as_secs_f64(),
        cpu_ms as f64 / sent as f64,
        slowest[0],
        slowest[1],
        slowest[2],
        slowest[3],
    );
}

/// Off and on again, one after the other, those that may be.
async fn switch_every_plugin(both: &[Http; 2], load: &Load, slowest: &mut u128) {
    let http = &both[0];
    let page = http.get("/gateway/plugins").bearer(ADMIN).send().await.json();
    let names =
        page["plugins"].as_array().expect("plugins").iter().filter(|plugin| plugin["status"] == "active");
    for name in names.map(|plugin| plugin["name"].as_str().expect("a name")) {
        let path = format!("/gateway/plugins/{name}");
        for on in [false, true] {
            if name == "auth-plugin" {
                load.strangers.store(EITHER, SeqCst);
            }
            let at = Instant::now();
            let answer = http
                .call(Method::PATCH, &path)
                .bearer(ADMIN)
                .body(json!({"enabled": on}).to_string())
                .send()
                .await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            // The pages by which it could be switched on again are always there.
            let status =
                if on || ["admin-plugin", "health-plugin"].contains(&name) { "active" } else { "loaded" };
            let shows =
                async |http: &Http| http.get(&path).bearer(ADMIN).send().await.json()["status"] == status;
            *slowest = (*slowest).max(seen(&format!("{name} {status}"), at, both, shows).await);
            if name == "auth-plugin" {
                load.strangers.store(if on { REFUSED } else { OPEN }, SeqCst);
            }
        }
    }
}
