//! One Redis command before the verdict on every path that asks, none on those that need not; counted between the
//! gateway and Redis.

use std::time::Duration;

use acip_tests::{
    Call, Feature, Gateway, KEY, OTHER_KEY, Origin, Redis, RedisProxy, Target, Transport, supported, wait_for,
};
use http::Method;
use serde_json::json;

/// Far more than a question takes, so that one that is held is told from one that is answered.
const REDIS_TIMEOUT_MS: u64 = 2000;

struct Counted {
    gateway: Gateway,
    origin: Origin,
    proxy: RedisProxy,
    redis: Redis,
}

impl Counted {
    async fn start() -> Self {
        let (redis, origin) = (Redis::start(), Origin::start());
        let proxy = RedisProxy::start(&redis);
        // One thread has one connection: once the script is known on it, it is known.
        let environment = [
            ("REDIS_URL", proxy.url()),
            ("GATEWAY_THREADS", "1".into()),
            ("REDIS_TIMEOUT", REDIS_TIMEOUT_MS.to_string()),
        ];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let gateway = Gateway::start(&[&origin.url()], &environment);
        let counted = Self { gateway, origin, proxy, redis };
        assert_eq!(counted.gateway.http().get("/_test/echo").key(KEY).send().await.status, 200);
        counted
    }

    /// Commands so far, but for those by which a platform's client introduces itself on a new connection, and, on Lambda,
    /// those by which a process that may have been frozen asks whether its connection lives.
    fn total(&self) -> u64 {
        let counts = self.proxy.counts();
        let checks = counts.get("PING").filter(|_| Target::current() == Target::Lambda);
        let others = [counts.get("CLIENT"), checks].into_iter().flatten().sum::<u64>();
        self.proxy.total() - others
    }

    /// The count once nothing has come for a while: the epilogue of an answer has no other end to wait for.
    async fn at_rest(&self) -> u64 {
        let (mut last, mut same) = (self.total(), 0);
        while same < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.total();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    }

    async fn switch(&self, switch: &str) {
        let answer = self.origin.http().call(Method::POST, &format!("/_test/{switch}")).send().await;
        assert_eq!(answer.status, 200);
    }

    async fn in_sight(&self) -> usize {
        self.origin.seen().await.iter().filter(|seen| seen["path"] != "/health").count()
    }

    /// A request that is forwarded: one command when the origin sees it, at most one more in the end.
    async fn forwarded(&self, name: &str, status: u16, call: Call) {
        let (before, sights) = (self.at_rest().await, self.in_sight().await);
        self.switch("fault?kind=slow&ms=250&times=1").await;
        let answer = tokio::spawn(call.send());
        wait_for("the origin sees it", || async { self.in_sight().await > sights }).await;
        let early = self.total() - before;
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(early, 1, "{name}: before the origin was asked: {:?}", self.proxy.counts());
        let all = self.at_rest().await - before;
        assert!(all <= 2, "{name}: {all} in all: {:?}", self.proxy.counts());
    }

    /// A request that the gateway answers: it needs the answers to so many commands and no more, and sends at most one
    /// more in the end.
    async fn answered(&self, name: &str, status: u16, commands: u64, call: Call) {
        let (before, sights) = (self.at_rest().await, self.in_sight().await);
        self.proxy.hold_after(commands);
        let answer = call.send().await;
        self.proxy.release();
        let sent = self.total() - before;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        // A second question before the verdict would have waited for its time limit.
        let ms: u64 = answer.header("x-gateway-duration").trim_end_matches("ms").parse().expect("a duration");
        assert!(ms < REDIS_TIMEOUT_MS, "{name}: {ms} ms");
        assert_eq!(self.in_sight().await, sights, "{name} is answered here");
        assert!(sent >= commands, "{name}: with the answer: {:?}", self.proxy.counts());
        let all = self.at_rest().await - before;
        let counted = if supported(&[Feature::OwnCounters]) { 0 } else { 1 };
        assert!(all <= commands + commands.max(counted), "{name}: {all} in all: {:?}", self.proxy.counts());
    }
}

#[tokio::test]
async fn one_command_before_the_verdict() {
    let it = Counted::start().await;
    let http = it.gateway.http();
    let stored = acip_core::plugins::auth::stored_form("distributed-gpu-inference-v1", "recorded");
    it.redis.cli(&["HSET", &format!("gateway:key:{{{stored}}}"), "id", "key_1", "role", "admin"]);
    let registered = http.post("/api/v1/workers/register", &json!({"region": "us-west"})).send().await.json();
    let token = registered["token"].as_str().expect("a token");
    let worker = format!("/api/v1/workers/{}", registered["worker_id"].as_str().expect("an id"));
    let told =
        it.origin.http().post("/api/v1/workers/register", &json!({"region": "us-west"})).send().await.json();
    let unknown = format!("/api/v1/workers/{}", told["worker_id"].as_str().expect("an id"));
    let beat = json!({"status": "online"});
    let job = json!({"type": "llm", "params": {}});
    it.switch("simulate?workers=0").await;
    let submitted = http.post("/api/v1/jobs", &job).key(KEY).send().await.json();
    let read = format!("/api/v1/jobs/{}", submitted["job_id"].as_str().expect("an id"));
    let cached = "/_test/cache?cc=max-age=600";

    it.forwarded("a configured key", 200, http.get("/_test/echo").key(KEY)).await;
    it.forwarded("a key with a record", 200, http.get("/_test/echo").key("recorded")).await;
    it.forwarded("an admin route", 200, http.get("/api/v1/admin/stats").key("recorded")).await;
    it.forwarded("an open route", 200, http.get("/regions")).await;
    it.forwarded("registration", 200, http.post("/api/v1/workers/register", &json!({"region": "a"}))).await;
    it.forwarded("a worker's heartbeat", 200, http.post(&format!("{worker}/heartbeat"), &beat).token(token))
        .await;
    it.forwarded("a worker's poll", 200, http.get(&format!("{worker}/next-job")).token(token)).await;
    it.forwarded("an unknown token", 401, http.get(&format!("{unknown}/next-job")).token("unknown")).await;
    it.forwarded("verify", 200, http.post(&format!("{worker}/verify"), &json!({})).token(token)).await;
    let refresh = json!({"refresh_token": registered["refresh_token"]});
    it.forwarded("a refresh", 200, http.post(&format!("{worker}/refresh-token"), &refresh)).await;
    it.forwarded("a job's submission", 200, http.post("/api/v1/jobs", &job).key(KEY)).await;
    it.forwarded("a job that is read", 200, http.get(&read).key(KEY)).await;
    it.forwarded("a job that is cancelled", 200, http.delete(&read).key(KEY)).await;
    it.forwarded("a cache miss", 200, http.get(cached).key(KEY)).await;
    it.forwarded("queue statistics, a miss", 200, http.get("/api/v1/queue/stats").key(KEY)).await;

    it.answered("a cache hit", 200, 1, http.get(cached).key(KEY)).await;
    it.answered("queue statistics, a hit", 200, 1, http.get("/api/v1/queue/stats").key(OTHER_KEY)).await;
    it.answered("the list of workers", 200, 1, http.get("/api/v1/workers").key(KEY)).await;
    it.answered("the list from its snapshot", 200, 1, http.get("/api/v1/workers").key(KEY)).await;
    it.answered("a wrong key", 401, 1, http.get("/_test/echo").key("wrong")).await;
    it.answered("a wrong worker token", 401, 1, http.get(&format!("{worker}/config")).token("wrong")).await;
    it.answered("a foreign job", 404, 1, http.get(&read).key(OTHER_KEY)).await;
    for _ in 0..100 {
        http.get("/_test/echo").key(OTHER_KEY).send().await;
    }
    it.answered("past the limit", 429, 1, http.get("/_test/echo").key(OTHER_KEY)).await;
}

#[tokio::test]
async fn no_command_where_nothing_is_asked() {
    let it = Counted::start().await;
    let http = it.gateway.http();
    let preflight = http
        .call(Method::OPTIONS, "/api/v1/jobs")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST");
    it.answered("a preflight", 204, 0, preflight).await;
    for path in ["/gateway/nothing", "/gateway/health/nothing"] {
        it.answered(path, 404, 0, http.get(path)).await;
    }
    it.answered("/gateway/livez", 200, 0, http.get("/gateway/livez")).await;
    // An instance that has not asked its store yet cannot tell how it is.
    let asked = if supported(&[Feature::OwnCounters]) { 0 } else { 1 };
    for path in ["/gateway/health", "/gateway/readyz"] {
        it.answered(path, 200, asked, http.get(path)).await;
    }
    it.answered("a method that a page lacks", 405, 0, http.call(Method::POST, "/gateway/health")).await;
    // Where nothing looks for changes of the configuration between requests, such requests do, now and then.
    if supported(&[Feature::OwnCounters]) && Transport::current() == Transport::Tcp {
        it.answered("no credential", 401, 0, http.get("/_test/echo")).await;
        it.answered("a configured key at an admin's door", 403, 0, http.get("/docs").key(KEY)).await;
    }
    it.answered("two credentials", 400, 0, http.get("/_test/echo").key(KEY).bearer(OTHER_KEY)).await;
    it.answered("a bad path", 400, 0, http.get("/api/v1/jobs/a%00b").key(KEY)).await;
    if supported(&[Feature::Wire]) {
        it.answered("a path that climbs", 400, 0, http.get("/api/v1/jobs/%2e%2e/admin").key(KEY)).await;
    }
    it.answered(
        "a loop",
        508,
        0,
        http.get("/_test/echo").key(KEY).header("via", "1.1 acip, 1.1 acip, 1.1 acip"),
    )
    .await;
}
