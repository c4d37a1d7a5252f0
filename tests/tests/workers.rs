//! Workers through the gateway: the list, whose token opens what, and what the backend never gets to see.
//! The stored form of tokens is in `tokens.rs`, wrong tokens for unknown workers in `permits.rs`.

use acip_tests::{Answer, Call, Http, KEY, Stand};
use http::Method;
use serde_json::{Value, json};

/// A worker as `register` told it.
struct Worker {
    id: String,
    token: String,
    refresh: String,
}

impl Worker {
    async fn register(http: &Http, region: &str) -> Self {
        let about = json!({
            "region": region, "gpu_model": "NVIDIA A100", "gpu_memory_gb": 80, "supported_types": ["llm"],
        });
        let answer = http.post("/api/v1/workers/register", &about).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json();
        let text = |name: &str| told[name].as_str().expect(name).to_owned();
        assert!(told["signing_secret"].is_string());
        Self { id: text("worker_id"), token: text("token"), refresh: text("refresh_token") }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/workers/{}/{rest}", self.id)
    }

    fn beat(&self, http: &Http, token: &str) -> Call {
        let body = json!({"status": "busy", "gpu_memory_used_gb": 12.5, "config_version": 1});
        http.post(&self.path("heartbeat"), &body).token(token)
    }
}

async fn list(http: &Http, query: &str) -> Answer {
    let answer = http.get(&format!("/api/v1/workers{query}")).key(KEY).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    answer
}

fn is_utc(time: &Value) -> bool {
    time.as_str().is_some_and(|time| time.contains('T') && time.ends_with('Z'))
}

#[tokio::test]
async fn the_list_shows_a_worker_at_once_and_nothing_invented() {
    let stand = Stand::start(&[]);
    let http = stand.http();
    assert_eq!(
        list(&http, "").await.json(),
        json!({"workers": [], "total": 0, "online": 0, "busy": 0, "idle": 0})
    );

    let worker = Worker::register(&http, "us-west").await;
    let mut shown = list(&http, "").await.json();
    let beat = shown["workers"][0]["last_heartbeat"].take();
    assert!(is_utc(&beat), "{beat}");
    let mut expected = json!({
        "workers": [{
            "worker_id": worker.id, "region": "us-west", "status": "online",
            "gpu": {
                "name": "NVIDIA A100", "memory_total_mb": 81920,
                "memory_used_mb": null, "utilization_percent": null,
            },
            "last_heartbeat": null, "uptime_seconds": null, "jobs_completed": 0,
        }],
        "total": 1, "online": 1, "busy": 0, "idle": 1,
    });
    assert_eq!(shown, expected);

    assert_eq!(worker.beat(&http, &worker.token).send().await.status, 200);
    let mut shown = list(&http, "").await.json();
    assert!(is_utc(&shown["workers"][0]["last_heartbeat"].take()));
    expected["workers"][0]["status"] = json!("busy");
    expected["workers"][0]["gpu"]["memory_used_mb"] = json!(12800);
    (expected["busy"], expected["idle"]) = (json!(1), json!(0));
    assert_eq!(shown, expected);
    assert!(stand.reached("/api/v1/workers").await.is_empty(), "the gateway answers the list itself");
}

/// The origin looks at `X-Worker-Token` alone; who sends its token as a bearer is known there all the same, and the
/// gateway does not forget it.
#[tokio::test]
async fn a_token_may_come_as_a_bearer() {
    let stand = Stand::start(&[]);
    let http = stand.http();
    let worker = Worker::register(&http, "us-west").await;
    let bearer = format!("Bearer {}", worker.token);
    let path = worker.path("heartbeat");
    let beat = || http.post(&path, &json!({"status": "busy"}));
    for call in [
        beat().header("authorization", &bearer),
        beat().header("authorization", &bearer).token(&worker.token),
        beat().token(&worker.token),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let seen = stand.reached(&path).await;
    let fields = |name: &str| -> Vec<usize> {
        let all = seen.iter().map(|seen| seen["headers"].as_array().expect("fields"));
        all.map(|fields| fields.iter().filter(|field| field[0] == name).count()).collect()
    };
    assert_eq!((fields("x-worker-token"), fields("authorization")), (vec![1, 1, 1], vec![1, 1, 0]));
    // A wrong one is refused here as ever.
    let wrong = beat().header("authorization", "Bearer wrong").send().await;
    assert_eq!((wrong.status.as_u16(), stand.reached(&path).await.len()), (401, 3));
}

#[tokio::test]
async fn whoever_was_told_that_it_is_online_finds_itself_so() {
    let stand = Stand::start(&[("RATE_LIMIT_ENABLED", "false")]);
    let http = stand.http();
    let worker = Worker::register(&http, "us-west").await;
    for n in 0..200 {
        let status = if n % 2 == 0 { "busy" } else { "online" };
        let call = http.post(&worker.path("heartbeat"), &json!({"status": status})).token(&worker.token);
        assert_eq!(call.send().await.status, 200);
        assert_eq!(list(&http, "").await.json()["workers"][0]["status"], status, "after {n} heartbeats");
    }
}

#[tokio::test]
async fn the_list_is_filtered_and_has_the_backends_shape_where_wanted() {
    let stand = Stand::start(&[]);
    let http = stand.http();
    let west = Worker::register(&http, "us-west").await;
    let east = Worker::register(&http, "us-east").await;
    west.beat(&http, &west.token).send().await;
    for (query, ids) in [
        ("?region=us-west", vec![&west.id]),
        ("?region=us-east&status=online", vec![&east.id]),
        ("?status=busy", vec![&west.id]),
        ("?status=idle", vec![&east.id]),
        ("?status=offline", vec![]),
        ("?region=eu-west", vec![]),
        ("?region=us-east&status=busy", vec![]),
    ] {
        let shown = list(&http, query).await.json();
        let found: Vec<&str> =
            shown["workers"].as_array().unwrap().iter().map(|it| it["worker_id"].as_str().unwrap()).collect();
        assert_eq!(
            (found, shown["total"].as_u64()),
            (ids.iter().map(|id| id.as_str()).collect(), Some(ids.len() as u64)),
            "{query}"
        );
    }
    assert_eq!(http.get("/api/v1/workers?format=yaml").key(KEY).send().await.status, 400);
    assert_eq!(http.get("/api/v1/workers").send().await.status, 401);

    let backend = stand.another(&[("WORKERS_FORMAT", "backend")]);
    for (http, query) in [(http, "?format=backend&region=us-west"), (backend.http(), "?region=us-west")] {
        let mut shown = list(&http, query).await.json();
        assert_eq!(shown.as_array().map(Vec::len), Some(1), "{query}: {shown}");
        assert!(is_utc(&shown[0]["last_heartbeat"].take()));
        let expected = json!({
            "worker_id": west.id, "region": "us-west", "status": "busy", "last_heartbeat": null,
            "gpu_model": "NVIDIA A100", "gpu_memory_gb": 80.0, "gpu_memory_used_gb": 12.5, "jobs_completed": 0,
        });
        assert_eq!(shown[0], expected, "{query}");
    }
    assert!(list(&backend.http(), "?format=gateway").await.json()["workers"].is_array());
}

#[tokio::test]
async fn a_worker_that_leaves_is_shown_so() {
    let stand = Stand::start(&[]);
    let http = stand.http();
    let worker = Worker::register(&http, "us-west").await;
    for (call, status, online) in [("going-offline", "going_offline", 1), ("offline", "offline", 0)] {
        let answer = http.post(&worker.path(call), &json!({})).token(&worker.token).send().await;
        assert_eq!(answer.status, 200, "{call}");
        let shown = list(&http, "").await.json();
        assert_eq!(
            (&shown["workers"][0]["status"], &shown["online"], &shown["idle"]),
            (&json!(status), &json!(online), &json!(0)),
            "after {call}"
        );
    }
}

#[tokio::test]
async fn a_token_opens_its_own_workers_calls_and_nothing_else() {
    let stand = Stand::start(&[]);
    let http = stand.http();
    let (one, two) = (Worker::register(&http, "us-west").await, Worker::register(&http, "us-west").await);
    assert_eq!(http.get(&one.path("next-job")).token(&one.token).send().await.status, 200);
    assert_eq!(http.get(&one.path("config")).token(&one.token).send().await.status, 200);
    let before = stand.reached_in_all().await;
    let job = "/api/v1/jobs/0190b5a0-0000-7000-8000-000000000001";
    for (method, path) in [
        (Method::POST, two.path("heartbeat")),
        (Method::GET, two.path("next-job")),
        (Method::POST, two.path("offline")),
        (Method::GET, two.path("config")),
        (Method::GET, job.to_owned()),
        (Method::POST, "/api/v1/jobs".to_owned()),
        (Method::GET, "/api/v1/workers".to_owned()),
        (Method::GET, "/api/v1/admin/stats".to_owned()),
        (Method::GET, "/_test/echo".to_owned()),
    ] {
        let answer = http.call(method.clone(), &path).token(&one.token).send().await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "FORBIDDEN"), "{method} {path}");
    }
    // An API key is no worker's token.
    assert_eq!(http.get(&one.path("next-job")).key(KEY).send().await.status, 403);
    assert_eq!(stand.reached_in_all().await, before);
}

#[tokio::test]
async fn a_refresh_kills_the_old_token_everywhere_at_once() {
    let stand = Stand::start(&[]);
    let (http, other) = (stand.http(), stand.another(&[]));
    let worker = Worker::register(&http, "us-west").await;
    // What one gateway learned, the other knows: it refuses without asking the origin.
    assert_eq!(worker.beat(&other.http(), "wrong").send().await.status, 401);
    assert_eq!(stand.reached(&worker.path("heartbeat")).await.len(), 0);
    assert_eq!(worker.beat(&other.http(), &worker.token).send().await.status, 200);

    let body = json!({"refresh_token": worker.refresh});
    let told = http.post(&worker.path("refresh-token"), &body).send().await;
    assert_eq!(told.status, 200);
    let fresh = told.json()["token"].as_str().expect("a token").to_owned();
    for http in [http, other.http()] {
        let answer = worker.beat(&http, &worker.token).send().await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "UNAUTHORIZED"));
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert_eq!(worker.beat(&http, &fresh).send().await.status, 200);
    }
    assert_eq!(stand.reached(&worker.path("heartbeat")).await.len(), 3, "the dead token is not forwarded");

    // A refresh that the origin refuses changes nothing.
    assert_eq!(http.post(&worker.path("refresh-token"), &body).send().await.status, 401);
    assert_eq!(worker.beat(&http, &fresh).send().await.status, 200);
}

#[tokio::test]
async fn a_worker_may_be_looked_at_with_a_key() {
    let stand = Stand::start(&[]);
    let http = stand.http();
    let worker = Worker::register(&http, "us-west").await;
    let path = format!("/api/v1/workers/{}", worker.id);
    for (call, status) in
        [(http.get(&path).key(KEY), 200), (http.get(&path), 401), (http.get(&path).token(&worker.token), 403)]
    {
        assert_eq!(call.send().await.status, status);
    }
}
