//! `GET /gateway/events`: everything of contract section 9, as it happens, for whoever may hear it.

use std::collections::BTreeSet;

use acip_tests::{ADMIN, Http, KEY, Stand, Target};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

/// A listener that reads events one by one.
pub(crate) struct Listener {
    body: Incoming,
    text: String,
}

/// One event of a stream.
#[derive(Debug)]
pub(crate) struct Heard {
    id: String,
    name: String,
    pub(crate) data: Value,
}

impl Listener {
    /// Listens; past the greeting, so that nothing after it is missed.
    pub(crate) async fn open(http: &Http, query: &str, last: Option<&str>) -> Self {
        let mut call = http.get(&format!("/gateway/events{query}")).bearer(ADMIN);
        if let Some(last) = last {
            call = call.header("last-event-id", last);
        }
        let answer = call.stream().await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let mut listener = Self { body: answer.into_body(), text: String::new() };
        assert!(listener.block().await.expect("a greeting").starts_with("retry: "));
        listener
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let frame = self.body.frame().await?.expect("a clean stream");
            self.text.push_str(str::from_utf8(frame.data_ref().expect("no trailers")).expect("text"));
        }
    }

    /// The next event; none where the stream ends.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
            };
            let (id, name, data) = (field("id: "), field("event: "), field("data: "));
            if !name.is_empty() {
                let data = serde_json::from_str(&data).expect("JSON");
                return Some(Heard { id, name, data });
            }
        }
    }

    /// All up to the first of this name.
    async fn until(&mut self, name: &str) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            all.push(self.next().await.expect("the stream goes on"));
            if all.last().is_some_and(|heard| heard.name == name) {
                return all;
            }
        }
    }
}

/// Builds without a process that all requests pass through have no stream, and say so.
async fn is_refused_elsewhere(stand: &Stand) -> bool {
    if Target::current() == Target::Native {
        return false;
    }
    let answer = stand.get("/gateway/events").bearer(ADMIN).send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (501, "NOT_IMPLEMENTED"));
    true
}

#[tokio::test]
async fn what_happens_is_heard_in_order() {
    let stand = Stand::start(&[]);
    if is_refused_elsewhere(&stand).await {
        return;
    }
    let mut listener = Listener::open(
        &stand.http(),
        "?name=gateway:request:*,gateway:auth:*,gateway:job:*,gateway:router:*",
        None,
    )
    .await;
    let submitted = stand
        .post("/api/v1/jobs", &json!({"type": "llm", "params": {"prompt": "private words"}}))
        .key(KEY)
        .send()
        .await;
    assert_eq!(submitted.status, 200, "{}", submitted.text());
    let all = listener.until("gateway:request:completed").await;
    let names: Vec<&str> = all.iter().map(|heard| heard.name.as_str()).collect();
    let expected = ["incoming", "validated", "selected", "submitted", "completed"];
    for (name, end) in names.iter().zip(expected) {
        assert!(name.ends_with(end), "{names:?}");
    }
    assert_eq!(names.len(), expected.len(), "{names:?}");
    for heard in &all {
        assert_eq!(heard.data["name"], heard.name.as_str());
        assert_eq!(heard.data["request_id"], submitted.header("x-request-id"), "of one request");
        assert!(heard.data["time"].as_str().expect("a time").ends_with('Z'));
    }
    assert_eq!(all[3].data["job"], submitted.json()["job_id"]);
    assert_eq!(
        (&all[4].data["status"], &all[4].data["route"], &all[4].data["method"]),
        (&json!(200), &json!("/api/v1/jobs"), &json!("POST"))
    );

    stand.get("/api/v1/jobs").key("no-such-key-0123456789").send().await;
    let refused = listener.until("gateway:auth:rejected").await;
    assert_eq!(refused.last().expect("one").data["reason"], "unknown");
    let told: String = all.iter().chain(&refused).map(|heard| heard.data.to_string()).collect();
    for secret in [KEY, "no-such-key-0123456789", ADMIN, "private words"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test]
async fn whoever_comes_back_goes_on_and_hears_nothing_twice() {
    let stand = Stand::start(&[]);
    if is_refused_elsewhere(&stand).await {
        return;
    }
    let http = stand.http();
    let completed = "?name=gateway:request:completed";
    let mut listener = Listener::open(&http, completed, None).await;
    let ask = async || stand.get("/_test/echo").key(KEY).send().await.header("x-request-id").to_owned();
    let first = ask().await;
    let heard = listener.next().await.expect("an event");
    assert_eq!(heard.data["request_id"], first.as_str());
    drop(listener);
    let missed = [ask().await, ask().await, ask().await];
    let mut again = Listener::open(&http, completed, Some(&heard.id)).await;
    let mut other = Listener::open(&http, completed, None).await;
    let last = ask().await;
    let mut got = BTreeSet::new();
    for _ in 0..4 {
        got.insert(
            again.next().await.expect("an event").data["request_id"].as_str().expect("an id").to_owned(),
        );
    }
    assert_eq!(got, missed.into_iter().chain([last.clone()]).collect());
    assert_eq!(
        other.next().await.expect("an event").data["request_id"],
        last.as_str(),
        "without an id, from now on"
    );
    let mut lost = Listener::open(&http, completed, Some("0-17")).await;
    let notice = lost.next().await.expect("a notice");
    assert_eq!((notice.name.as_str(), &notice.data["count"]), ("gateway:events:dropped", &Value::Null));
}

/// What belongs to no request is told, too.
#[tokio::test]
async fn checks_and_bad_changes_are_heard() {
    let stand = Stand::start(&[("ROUTER_HEALTH_CHECK_INTERVAL", "1000")]);
    if is_refused_elsewhere(&stand).await {
        return;
    }
    let mut listener = Listener::open(&stand.http(), "?name=gateway:health:*,gateway:plugin:*", None).await;
    let checked = listener.until("gateway:health:check").await.pop().expect("one");
    let origin = format!("127.0.0.1:{}", stand.origin.port());
    assert_eq!((&checked.data["origin"], &checked.data["healthy"]), (&json!(origin), &json!(true)));
    let bad = "{\"version\":9,\"overlay\":{\"router\":{\"strategy\":\"fastest\"}}}";
    stand.redis().cli(&["SET", "gateway:config", bad]);
    // Where the store is asked over HTTP, requests look after changes, and nothing else does.
    assert_eq!(stand.get("/_test/echo").key(KEY).send().await.status, 200);
    let error = listener.until("gateway:plugin:error").await.pop().expect("one");
    assert_eq!(error.data["plugin"], "admin-plugin");
    assert!(error.data["detail"].as_str().expect("text").contains("router.strategy"), "{error:?}");
    assert_eq!(error.data["request_id"], Value::Null);
    let page = stand.get("/gateway/plugins/admin-plugin").bearer(ADMIN).send().await.json();
    assert_eq!(page["status"], "error");
}

/// Who changed what, by name; no value and no key.
#[tokio::test]
async fn what_administrators_change_is_heard() {
    let stand = Stand::start(&[]);
    if is_refused_elsewhere(&stand).await {
        return;
    }
    let mut listener = Listener::open(&stand.http(), "?name=gateway:admin:changed", None).await;
    let made = stand.post("/gateway/keys", &json!({"name": "hush"})).bearer(ADMIN).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let refused = stand.post("/gateway/keys", &json!({"nmae": "x"})).bearer(ADMIN).send().await;
    assert_eq!(refused.status, 400);
    let purged = stand.post("/gateway/cache/purge", &json!({"all": true})).bearer(ADMIN).send().await;
    assert_eq!(purged.status, 200);
    let (first, second) = (listener.next().await.expect("one"), listener.next().await.expect("one"));
    let audit = &first.data["audit"];
    assert_eq!((&audit["by"], &audit["action"]), (&json!("ADMIN_TOKEN"), &json!("keys.create")));
    assert_eq!(audit["subjects"], json!([made.json()["id"]]));
    assert_eq!(first.data["request_id"], made.header("x-request-id"));
    assert_eq!(second.data["audit"]["action"], "cache.purge");
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    for hidden in ["hush", &key, ADMIN] {
        let log = stand.gateway.log();
        assert!(!first.data.to_string().contains(hidden) && !log.contains(hidden), "{hidden}: {first:?}");
    }
}

/// The Python server's own record of a job says that it has ended, though no client asks; and a read says it no second time.
#[tokio::test]
async fn the_end_of_a_job_is_heard_once_though_nobody_reads_it() {
    let stand = Stand::start(&[]);
    if is_refused_elsewhere(&stand).await {
        return;
    }
    let submit = async || {
        let job = json!({"type": "llm", "params": {"prompt": "p"}});
        let answer = stand.post("/api/v1/jobs", &job).key(KEY).send().await;
        answer.json()["job_id"].as_str().expect("an id").to_owned()
    };
    let record = |job: &str, status: &str| {
        stand.redis().cli(&["SET", &format!("queue:job:{job}"), &json!({"status": status}).to_string()]);
    };
    let before = submit().await;
    record(&before, "completed");
    let mut listener = Listener::open(&stand.http(), "?name=gateway:job:*", None).await;
    let (done, broken, cancelled) = (submit().await, submit().await, submit().await);
    for (job, status) in [(&cancelled, "cancelled"), (&broken, "running"), (&done, "completed")] {
        record(job, status);
    }
    let heard = listener.until("gateway:job:completed").await.pop().expect("one");
    assert_eq!((&heard.data["job"], &heard.data["request_id"]), (&json!(done), &Value::Null));
    record(&broken, "failed");
    let heard = listener.next().await.expect("an event");
    assert_eq!((heard.name.as_str(), &heard.data["job"]), ("gateway:job:failed", &json!(broken)));
    // One that a worker of the origin ends, and two reads say so.
    let last = submit().await;
    assert_eq!(listener.next().await.expect("an event").name, "gateway:job:submitted");
    let has_ended = async || {
        let read = stand.get(&format!("/api/v1/jobs/{last}")).key(KEY).send().await;
        read.json()["status"] == "completed"
    };
    acip_tests::wait_for("the end", has_ended).await;
    assert!(has_ended().await);
    let heard = listener.next().await.expect("an event");
    assert_eq!((heard.name.as_str(), &heard.data["job"]), ("gateway:job:completed", &json!(last)));
    submit().await;
    assert_eq!(
        listener.next().await.expect("an event").name,
        "gateway:job:submitted",
        "no end a second time"
    );
}

/// A worker that falls silent makes no call that could tell of it, and one of another gateway makes none here.
#[tokio::test]
async fn workers_that_come_and_go_without_a_call_are_heard() {
    let stand = Stand::start(&[]);
    if is_refused_elsewhere(&stand).await {
        return;
    }
    let redis = stand.redis();
    let write = |id: &str| {
        let status = json!({"worker_id": id, "region": "far", "status": "online"}).to_string();
        redis.cli(&["SET", &format!("worker:{id}:status"), &status]);
    };
    redis.cli(&["SET", "worker:index", "[\"first\",\"second\"]"]);
    write("first");
    let mut listener = Listener::open(&stand.http(), "?name=gateway:worker:*", None).await;
    // Looks go on until there was one without it.
    let second = async {
        let mut pause = tokio::time::interval(std::time::Duration::from_secs(3));
        loop {
            pause.tick().await;
            redis.cli(&["DEL", "worker:second:status"]);
            pause.tick().await;
            write("second");
        }
    };
    let all = tokio::select! { all = listener.until("gateway:worker:online") => all, () = second => unreachable!() };
    assert!(
        all.iter().all(|heard| heard.data["worker"] == "second"),
        "who was there before is no news: {all:?}"
    );
    assert_eq!(all.last().expect("one").data["region"], "far");
    write("second");
    redis.cli(&["DEL", "worker:first:status"]);
    let gone = async |listener: &mut Listener| loop {
        let heard = listener.next().await.expect("one");
        if heard.data["worker"] == "first" {
            return heard;
        }
    };
    let heard = gone(&mut listener).await;
    assert_eq!((heard.name.as_str(), &heard.data["request_id"]), ("gateway:worker:offline", &Value::Null));
}

#[tokio::test]
async fn who_may_not_and_what_is_no_event() {
    let stand = Stand::start(&[]);
    for (call, status, code) in [
        (stand.get("/gateway/events"), 401, "UNAUTHORIZED"),
        (stand.get("/gateway/events").key(KEY), 403, "FORBIDDEN"),
        (stand.get("/gateway/events?name=gateway:job:*s").bearer(ADMIN), 400, "BAD_REQUEST"),
        (stand.post("/gateway/events", &json!({})).bearer(ADMIN), 405, "METHOD_NOT_ALLOWED"),
    ] {
        let answer = call.send().await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{}", answer.text());
    }
}

/// A dashboard that stays open does not keep the process from ending, and its place is free when it goes.
#[tokio::test]
async fn listeners_end_with_the_process_and_give_their_places_back() {
    let mut stand = Stand::start(&[]);
    if is_refused_elsewhere(&stand).await {
        return;
    }
    let http = stand.http();
    let mut listeners = Vec::new();
    for _ in 0..64 {
        listeners.push(Listener::open(&http, "", None).await);
    }
    let full = stand.get("/gateway/events").bearer(ADMIN).send().await;
    assert_eq!((full.status.as_u16(), full.code().as_str()), (503, "OVERLOADED"));
    assert_eq!(full.header("retry-after"), "5");
    listeners.truncate(1);
    let freed = async || {
        let answer = http.get("/gateway/events").bearer(ADMIN).stream().await.expect("an answer");
        answer.status() == 200
    };
    acip_tests::wait_for("a place", freed).await;
    stand.gateway.signal("TERM");
    let mut last = listeners.pop().expect("one");
    while last.next().await.is_some() {}
    assert_eq!(stand.gateway.wait(), Some(0));
}
