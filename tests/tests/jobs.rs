//! Jobs of several tenants: the backend would let anyone read and cancel any of them.

use acip_tests::{ADMIN, Answer, Feature, KEY, OTHER_KEY, Stand, supported, wait_for};
use http::Method;
use serde_json::{Value, json};

async fn submit(stand: &Stand, key: &str, prompt: &str) -> String {
    let answer = stand.post("/api/v1/jobs", &job(prompt)).key(key).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["job_id"].as_str().expect("an id").to_owned()
}

fn job(prompt: &str) -> Value {
    json!({"type": "llm", "params": {"prompt": prompt}})
}

fn path(id: &str) -> String {
    format!("/api/v1/jobs/{id}")
}

/// Reads, cancels and goes direct with a key; cancelling comes last, for it changes the job.
async fn tries(stand: &Stand, key: &str, id: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (method, rest) in
        [(Method::GET, ""), (Method::HEAD, ""), (Method::GET, "/direct"), (Method::DELETE, "")]
    {
        let call = stand.http().call(method, &format!("{}{rest}", path(id)));
        let call = if key == ADMIN { call.bearer(key) } else { call.key(key) };
        answers.push(call.send().await);
    }
    answers
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status.as_u16()).collect()
}

/// The finished job as it is served from the cache.
async fn completed(stand: &Stand, key: &str, id: &str) -> Answer {
    let read = || stand.get(&path(id)).key(key).send();
    wait_for("the job is done and stored", || async { read().await.header("x-gateway-cache") == "HIT" })
        .await;
    read().await
}

#[tokio::test]
async fn a_job_of_another_tenant_does_not_exist() {
    let stand = Stand::start(&[]);
    stand.switch("simulate?workers=0").await;
    let id = submit(&stand, KEY, "mine").await;
    let before = stand.reached_in_all().await;
    for answer in tries(&stand, OTHER_KEY, &id).await {
        assert_eq!(answer.status, 404);
        assert!(answer.body.is_empty() || answer.code() == "NOT_FOUND", "{}", answer.text());
    }
    // However the id is spelt: the backend reads all of these as the same job.
    for spelt in [id.to_uppercase(), id.replace('-', ""), format!("%7B{id}%7D"), format!("urn:uuid:{id}")] {
        let answer = stand.get(&path(&spelt)).key(OTHER_KEY).send().await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{spelt}: {}", answer.text());
    }
    assert_eq!(stand.reached_in_all().await, before, "nothing of it reaches the origin");
    let mine = stand.get(&path(&id)).key(KEY).send().await;
    assert_eq!((mine.status.as_u16(), &mine.json()["status"]), (200, &json!("queued")));
    assert_eq!(
        statuses(&tries(&stand, ADMIN, &id).await),
        [200, 405, 404, 200],
        "an admin sees all there is"
    );
}

#[tokio::test]
async fn a_stored_answer_opens_no_door() {
    let stand = Stand::start(&[]);
    let id = submit(&stand, KEY, "secret").await;
    let done = completed(&stand, KEY, &id).await;
    assert_eq!(
        (done.header("x-gateway-cache"), &done.json()["result"]["output"]),
        ("HIT", &json!("done: secret"))
    );
    for key in [OTHER_KEY, OTHER_KEY] {
        let answers = tries(&stand, key, &id).await;
        assert_eq!(statuses(&answers), [404; 4]);
        assert!(answers.iter().all(|answer| !answer.text().contains("secret")));
    }
    let admin = stand.get(&path(&id)).bearer(ADMIN).send().await;
    assert_eq!((admin.status.as_u16(), &admin.json()["status"]), (200, &json!("completed")));
    assert_eq!(stand.get(&format!("{}/direct", path(&id))).key(KEY).send().await.status, 200);
}

#[tokio::test]
async fn unknown_jobs_pass_unless_strict_and_off_lets_all_pass() {
    let redis_of_the_first = Stand::start(&[]);
    let stand = &redis_of_the_first;
    stand.switch("simulate?workers=0").await;
    let direct = stand.origin.http().post("/api/v1/jobs", &job("x")).send().await.json();
    let unknown = direct["job_id"].as_str().unwrap();
    let known = submit(stand, KEY, "x").await;
    for (ownership, of_unknown, of_known) in [("learned", 200, 404), ("strict", 404, 404), ("off", 200, 200)]
    {
        let gateway = stand.another(&[("JOB_OWNERSHIP", ownership)]);
        let read = |id: &str| gateway.http().get(&path(id)).key(OTHER_KEY).send();
        assert_eq!(read(unknown).await.status, of_unknown, "{ownership}");
        assert_eq!(read(&known).await.status, of_known, "{ownership}");
        let owner = gateway.http().get(&path(&known)).key(KEY).send().await;
        assert_eq!(owner.status, 200, "{ownership}: its owner");
        let admin = gateway.http().get(&path(unknown)).bearer(ADMIN).send().await;
        assert_eq!(admin.status, 200, "{ownership}: an admin");
    }
}

#[tokio::test]
async fn a_sync_job_that_times_out_has_an_owner() {
    let stand = Stand::start(&[]);
    let answer = stand.post("/api/v1/jobs/sync?timeout=1", &job("x")).key(KEY).send().await;
    let told = answer.json();
    assert_eq!((answer.status.as_u16(), &told["detail"]["error"]), (408, &json!("timeout")));
    let id = told["detail"]["job_id"].as_str().expect("an id");
    assert_eq!(stand.get(&path(id)).key(OTHER_KEY).send().await.status, 404);
    assert_eq!(completed(&stand, KEY, id).await.status, 200);

    stand.switch("simulate?workers=0").await;
    let answer = stand.post("/api/v1/jobs/sync?wait_for_worker=false", &job("x")).key(KEY).send().await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["detail"]["error"]),
        (503, &json!("no_workers_available"))
    );
}

#[tokio::test]
async fn what_the_origin_says_of_jobs_passes_as_it_is() {
    let stand = Stand::start(&[]);
    let none = "/api/v1/jobs/0190b5a0-0000-7000-8000-000000000001";
    for (call, status, text) in [
        (stand.get(none), 404, "{\"detail\":\"Job not found\"}"),
        (stand.post("/api/v1/jobs", &json!({"type": "video"})), 422, "detail"),
        // Last, since the origin closes its connection after it.
        (stand.get("/api/v1/jobs/malformed"), 500, "Internal Server Error"),
    ] {
        let answer = call.key(KEY).send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_failure_of_the_origin_does_not_fail_the_next_request() {
    if !supported(&[Feature::OwnConnections]) {
        return;
    }
    let stand = Stand::start(&[("GATEWAY_THREADS", "1"), ("RATE_LIMIT_ENABLED", "false")]);
    // After the one the backend closes the connection, without having said so; the other must not be sent twice.
    for n in 0..30 {
        assert_eq!(stand.get("/api/v1/jobs/malformed").key(KEY).send().await.status, 500);
        let answer = stand.post("/api/v1/jobs", &job("x")).key(KEY).send().await;
        assert_eq!(answer.status, 200, "{n}: {}", answer.text());
    }
    assert_eq!(stand.reached("/api/v1/jobs").await.len(), 30);
}
