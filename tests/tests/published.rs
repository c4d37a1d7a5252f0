//! Events on the channel `gateway:events` in Redis, for whoever subscribes there.

use acip_tests::{ADMIN, Feature, KEY, Redis, Stand, Subscriber, supported, wait_for};
use http::Method;
use serde_json::{Value, json};

/// What was published until now.
fn heard(subscriber: &Subscriber) -> Vec<Value> {
    subscriber.messages().iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

fn names(heard: &[Value]) -> Vec<&str> {
    heard.iter().map(|event| event["name"].as_str().expect("a name")).collect()
}

async fn until(subscriber: &Subscriber, name: &str) -> Vec<Value> {
    wait_for(name, || async { names(&heard(subscriber)).contains(&name) }).await;
    heard(subscriber)
}

async fn submit(stand: &Stand) -> Value {
    let job = json!({"type": "llm", "params": {"prompt": "private words"}});
    let answer = stand.post("/api/v1/jobs", &job).key(KEY).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["job_id"].clone()
}

#[tokio::test]
async fn what_is_chosen_is_published_and_nothing_else() {
    let stand = Stand::start(&[("EVENTS_PUBLISH", "gateway:job:submitted,gateway:auth:*")]);
    let subscriber = Subscriber::open(stand.redis(), "gateway:events");
    // A process begins to publish when it has found the store.
    wait_for("a refusal", || async {
        stand.get("/api/v1/jobs").key("no-such-key-0123456789").send().await;
        names(&heard(&subscriber)).contains(&"gateway:auth:rejected")
    })
    .await;
    let job = submit(&stand).await;
    let all = until(&subscriber, "gateway:job:submitted").await;
    let told = all.last().expect("an event");
    assert_eq!(
        (&told["job"], &told["method"], &told["route"]),
        (&job, &json!("POST"), &json!("/api/v1/jobs"))
    );
    assert!(all.iter().any(|event| event["name"] == "gateway:auth:validated"));
    for name in names(&all) {
        assert!(name.starts_with("gateway:auth:") || name == "gateway:job:submitted", "{name}");
    }
    let text: String = all.iter().map(Value::to_string).collect();
    for secret in [KEY, "no-such-key-0123456789", "private words"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn publishing_is_switched_while_it_runs() {
    let stand = Stand::start(&[]);
    let subscriber = Subscriber::open(stand.redis(), "gateway:events");
    let choose = async |names: Value| {
        let body = json!({"events": {"publish": names}}).to_string();
        stand.http().call(Method::PATCH, "/gateway/config").bearer(ADMIN).body(body).send().await
    };
    submit(&stand).await;
    let refused = choose(json!(["gateway:jobs:*"])).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("events.publish") && refused.text().contains("gateway:job"),
        "{}",
        refused.text()
    );
    assert_eq!(choose(json!(["gateway:job:submitted"])).await.status, 200);
    wait_for("a job", || async {
        submit(&stand).await;
        !heard(&subscriber).is_empty()
    })
    .await;
    assert_eq!(choose(json!(["gateway:admin:*"])).await.status, 200);
    let mut number = 1000;
    let mut change = async || {
        number += 1;
        let body = json!({"rate_limit": {"max_requests": number}}).to_string();
        let answer =
            stand.http().call(Method::PATCH, "/gateway/config").bearer(ADMIN).body(body).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let changes =
        || names(&heard(&subscriber)).iter().filter(|name| **name == "gateway:admin:changed").count();
    while changes() == 0 {
        change().await;
    }
    let before = heard(&subscriber).len();
    submit(&stand).await;
    change().await;
    wait_for("the next change", || async { heard(&subscriber).len() > before }).await;
    assert!(
        !names(&heard(&subscriber)[before..]).contains(&"gateway:job:submitted"),
        "{:?}",
        &heard(&subscriber)[before..]
    );
}

/// The prefix of keys is that of the channel. Who may not publish is served all the same.
#[tokio::test]
async fn a_user_that_may_not_publish_is_served() {
    if !supported(&[Feature::Resp]) {
        return;
    }
    let redis = Redis::start();
    redis.cli(&["ACL", "SETUSER", "quiet", "on", ">word", "~*", "+@all", "resetchannels"]);
    redis.cli(&["ACL", "SETUSER", "loud", "on", ">word", "~*", "+@all", "resetchannels", "&here:events"]);
    let url = |user: &str| redis.url().replace("redis://", &format!("redis://{user}:word@"));
    let (quiet, loud) = (url("quiet"), url("loud"));
    let environment =
        |url| [("REDIS_URL", url), ("REDIS_KEY_PREFIX", "here:"), ("EVENTS_PUBLISH", "gateway:job:*")];
    let (quiet, loud) = (environment(quiet.as_str()), environment(loud.as_str()));
    let subscriber = Subscriber::open(&redis, "here:events");
    let stand = Stand::on(redis, &quiet, None);
    for _ in 0..3 {
        submit(&stand).await;
    }
    let other = stand.another(&loud);
    let job = json!({"type": "llm", "params": {"prompt": "p"}}).to_string();
    wait_for("a job", || async {
        let call = other.http().call(Method::POST, "/api/v1/jobs").key(KEY).body(job.clone());
        assert_eq!(call.header("content-type", "application/json").send().await.status, 200);
        !heard(&subscriber).is_empty()
    })
    .await;
}

/// A process that serves for long looks after jobs itself, so their end is told although no client asks.
#[tokio::test]
async fn the_end_of_a_job_is_published_once() {
    if !supported(&[Feature::ActiveChecks]) {
        return;
    }
    let stand = Stand::start(&[("EVENTS_PUBLISH", "gateway:job:*")]);
    let subscriber = Subscriber::open(stand.redis(), "gateway:events");
    wait_for("a job", || async {
        submit(&stand).await;
        !heard(&subscriber).is_empty()
    })
    .await;
    let job = submit(&stand).await;
    stand.redis().cli(&[
        "SET",
        &format!("queue:job:{}", job.as_str().expect("an id")),
        &json!({"job_id": job, "status": "completed"}).to_string(),
    ]);
    let all = until(&subscriber, "gateway:job:completed").await;
    let ends = all.iter().filter(|event| event["name"] == "gateway:job:completed" && event["job"] == job);
    assert_eq!(ends.count(), 1);
}
