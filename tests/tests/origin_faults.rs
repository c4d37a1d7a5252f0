//! The FastAPI origin itself, without a gateway: the faults that the other tests rely on are there.

use acip_tests::{Http, Origin, raw, wait_for};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

/// A registered worker: id, token, refresh token.
async fn register(http: Http) -> (String, String, String) {
    let told = http.post("/api/v1/workers/register", &json!({"region": "us-west"})).send().await.json();
    let text = |name: &str| told[name].as_str().unwrap_or_else(|| panic!("no {name}: {told}")).to_owned();
    let expires = text("token_expires_at");
    assert!(
        expires.contains('T') && !expires.ends_with('Z') && !expires.contains('+'),
        "not naive: {expires}"
    );
    (text("worker_id"), text("token"), text("refresh_token"))
}

async fn beat(http: Http, id: &str, token: &str) -> u16 {
    let path = format!("/api/v1/workers/{id}/heartbeat");
    http.post(&path, &json!({"status": "online"})).token(token).send().await.status.as_u16()
}

async fn switch(http: Http, path: &str) {
    assert_eq!(http.post(path, &Value::Null).send().await.status, 200, "{path}");
}

#[tokio::test]
async fn five_wrong_tokens_lock_a_worker_for_a_quarter_of_an_hour() {
    let origin = Origin::start();
    let http = origin.http();
    let (id, token, _) = register(http).await;
    assert_eq!(beat(http, &id, &token).await, 200);
    for _ in 0..5 {
        assert_eq!(beat(http, &id, "wrong").await, 401);
    }
    assert_eq!(beat(http, &id, &token).await, 403);
    switch(http, "/_test/advance?seconds=901").await;
    assert_eq!(beat(http, &id, &token).await, 200);
    switch(http, "/_test/advance?seconds=86400").await;
    assert_eq!(beat(http, &id, &token).await, 401, "tokens live for a day");
}

#[tokio::test]
async fn exactly_seven_routes_check_the_token() {
    let origin = Origin::start();
    let http = origin.http();
    let done = json!({"success": true, "processing_time_ms": 5});
    for (method, call, body, status) in [
        ("POST", "/heartbeat", json!({"status": "online"}), 401),
        ("GET", "/next-job", Value::Null, 401),
        ("POST", "/jobs/6f1c1c3e-7a44-4b2e-9a64-6a4d7f0c2b11/complete", done, 401),
        ("POST", "/going-offline", Value::Null, 401),
        ("POST", "/offline", Value::Null, 401),
        ("GET", "/config", Value::Null, 401),
        ("PUT", "/config", json!({}), 401),
        ("POST", "/verify", Value::Null, 200),
        ("GET", "", Value::Null, 200),
    ] {
        let (id, _, _) = register(http).await;
        let path = format!("/api/v1/workers/{id}{call}");
        let call = http.call(method.parse().unwrap(), &path).header("content-type", "application/json");
        let answer = call.token("wrong").body(body.to_string()).send().await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_refresh_kills_the_old_token() {
    let origin = Origin::start();
    let http = origin.http();
    let (id, token, refresh) = register(http).await;
    let path = format!("/api/v1/workers/{id}/refresh-token");
    assert_eq!(http.post(&path, &json!({"refresh_token": "wrong"})).send().await.status, 401);
    let told = http.post(&path, &json!({"refresh_token": refresh})).send().await.json();
    let fresh = told["token"].as_str().unwrap();
    assert_eq!((beat(http, &id, &token).await, beat(http, &id, fresh).await), (401, 200));
    let verify = format!("/api/v1/workers/{id}/verify");
    for (token, valid) in [(token.as_str(), false), (fresh, true)] {
        let said = http.post(&verify, &Value::Null).token(token).send().await;
        assert_eq!((said.status.as_u16(), said.json()), (200, json!({"valid": valid})));
    }
}

#[tokio::test]
async fn jobs_fail_as_the_backends_do() {
    let origin = Origin::start();
    let http = origin.http();
    let job = json!({"type": "llm", "params": {"prompt": "hi"}});
    let late = http.post("/api/v1/jobs/sync?timeout=1", &job).send().await;
    assert_eq!((late.status.as_u16(), late.json()["detail"]["error"].clone()), (408, json!("timeout")));
    let path = format!("/api/v1/jobs/{}", late.json()["detail"]["job_id"].as_str().unwrap());
    assert_eq!(http.get(&path).send().await.json()["status"], "completed");

    let malformed = http.get("/api/v1/jobs/nonsense").send().await;
    assert_eq!(malformed.status, 500);
    assert!(malformed.header("content-type").starts_with("text/plain"));
    assert_eq!(http.post("/api/v1/jobs", &json!({"type": "x"})).send().await.status, 422);
    assert_eq!(http.get("/api/v1/queue/stats").send().await.status, 404);

    switch(http, "/_test/simulate?workers=0").await;
    let none = http.post("/api/v1/jobs/sync?wait_for_worker=false", &job).send().await;
    assert_eq!(
        (none.status.as_u16(), none.json()["detail"]["error"].clone()),
        (503, json!("no_workers_available"))
    );
    let (id, token, _) = register(http).await;
    let queued = http.post("/api/v1/jobs", &job).send().await.json();
    let next = http.get(&format!("/api/v1/workers/{id}/next-job")).token(&token).send().await.json();
    assert_eq!(next["job_id"], queued["job_id"]);
    let complete = format!("/api/v1/workers/{id}/jobs/{}/complete", next["job_id"].as_str().unwrap());
    for (body, status) in
        [(json!({"success": true}), 500), (json!({"success": true, "processing_time_ms": 9}), 200)]
    {
        assert_eq!(http.post(&complete, &body).token(&token).send().await.status, status);
    }
    assert_eq!(
        http.get(&format!("/api/v1/workers/{id}/next-job")).token(&token).send().await.json(),
        Value::Null
    );
    assert!(http.get("/api/v1/workers").send().await.json().is_array());
}

#[tokio::test]
async fn doors_are_open_and_cors_echoes_anybody() {
    let origin = Origin::start();
    for path in
        ["/api/v1/admin/stats", "/admin", "/static/admin.js", "/docs", "/redoc", "/openapi.json", "/health"]
    {
        let answer = origin.http().get(path).header("origin", "http://evil.example").send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "http://evil.example", "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), "true", "{path}");
    }
}

#[tokio::test]
async fn broken_bodies_are_seen_as_broken() {
    let origin = Origin::start();
    for path in [
        "cut?after=10",
        "cut?after=10&chunked=true",
        "cut?after=10&reset=true",
        "cut?head=false",
        "sse?cut_after=1",
    ] {
        let answer = origin.http().get(&format!("/_test/{path}")).try_send().await;
        assert!(answer.is_err(), "{path}: {answer:?}");
    }
    let head = raw(origin.port(), b"GET /_test/cut?after=10&length=99 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(head.contains("content-length: 99") && head.ends_with("xxxxxxxxxx"), "{head}");
    switch(origin.http(), "/_test/fault?kind=cut&times=1").await;
    assert!(origin.http().get("/health").try_send().await.is_err());
    assert_eq!(origin.http().get("/health").send().await.status, 200);
}

#[tokio::test]
async fn events_come_one_by_one_and_cancels_are_noticed() {
    let origin = Origin::start();
    let http = origin.http();
    let mut stream = http.get("/_test/sse?n=100&ms=50").stream().await.unwrap();
    let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"id: 0\n") && first.ends_with(b"\n\n"), "{first:?}");
    drop(stream);
    let waiting = http.get("/_test/slow?ms=60000").stream();
    let seen = || async { http.get("/_test/seen?path=/_test/slow").send().await.json() != json!([]) };
    tokio::select! {
        answer = waiting => panic!("answered: {answer:?}"),
        () = wait_for("the request to arrive", seen) => {}
    }
    for (path, phase) in [("/_test/sse", "streaming"), ("/_test/slow", "before_head")] {
        let cancelled = format!("/_test/cancelled?path={path}");
        wait_for(phase, || async { http.get(&cancelled).send().await.json()[0]["phase"] == phase }).await;
    }
}

#[tokio::test]
async fn bodies_are_counted_and_signatures_checked() {
    let origin = Origin::with(0, &[("ORIGIN_SIGNING_SECRET", "s3cret")]);
    let http = origin.http();
    let body = vec![b'x'; 3 << 20];
    let call = http.call(http::Method::POST, "/_test/upload");
    assert_eq!(call.body(body).send().await.json()["bytes"], 3 << 20);
    assert_eq!(http.get("/_test/last").send().await.json()["complete"], true);
    let unsigned =
        http.get("/_test/sign").header("x-signature", "00").header("x-timestamp", "1").send().await;
    assert_eq!(
        (unsigned.json()["verified"].clone(), unsigned.json()["signed"].clone()),
        (json!(false), json!(true))
    );
    let cached = http.get("/_test/cache?cc=max-age%3D9&etag=%22a%22");
    assert_eq!(cached.send().await.json()["n"], 1);
    let same =
        http.get("/_test/cache?cc=max-age%3D9&etag=%22a%22").header("if-none-match", "\"a\"").send().await;
    assert_eq!((same.status.as_u16(), same.header("cache-control")), (304, "max-age=9"));
}
