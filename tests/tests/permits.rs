//! Workers' tokens that the gateway does not know: where they may go, how often, and what the answers teach.

use std::collections::BTreeSet;

use acip_tests::{KEY, Stand};
use futures_util::future::join_all;
use http::Method;
use serde_json::json;

/// Registers past the gateway, so that it knows nothing of it: id and token.
async fn register_directly(stand: &Stand) -> (String, String) {
    let told = stand
        .origin
        .http()
        .post("/api/v1/workers/register", &json!({"region": "us-west"}))
        .send()
        .await
        .json();
    (told["worker_id"].as_str().unwrap().to_owned(), told["token"].as_str().unwrap().to_owned())
}

fn beat(id: &str) -> String {
    format!("/api/v1/workers/{id}/heartbeat")
}

async fn right_token_works_at_the_origin(stand: &Stand, id: &str, token: &str) {
    let answer = stand.origin.http().post(&beat(id), &json!({"status": "online"})).token(token).send().await;
    assert_eq!(answer.status, 200, "the backend has locked the worker: {}", answer.text());
}

#[tokio::test]
async fn an_unknown_token_reaches_the_seven_routes_only() {
    let stand = Stand::start(&[("RATE_LIMIT_ENABLED", "false")]);
    // Each an unknown worker of its own: nothing here is about how often.
    let own = |n: u32, rest: &str| format!("/api/v1/workers/0190b5a0-0000-7000-8000-{n:012}/{rest}");
    let job = "jobs/0190b5a0-0000-7000-8000-000000000001/complete";
    let seven = [
        (Method::POST, "heartbeat"),
        (Method::GET, "next-job"),
        (Method::POST, job),
        (Method::POST, "going-offline"),
        (Method::POST, "offline"),
        (Method::GET, "config"),
        (Method::PUT, "config"),
    ];
    for (n, (method, rest)) in seven.into_iter().enumerate() {
        let path = own(n as u32, rest);
        let answer = stand
            .http()
            .call(method.clone(), &path)
            .header("content-type", "application/json")
            .token("unknown")
            .body("{}")
            .send()
            .await;
        assert_eq!(
            stand.reached(&path).await.len(),
            1,
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
    }
    let before = stand.reached_in_all().await;
    for (method, path) in [
        (Method::GET, own(20, "heartbeat")),
        (Method::PUT, own(21, "heartbeat")),
        (Method::POST, own(22, "next-job")),
        (Method::DELETE, own(23, "config")),
        (Method::GET, own(24, "stats")),
        (Method::POST, own(25, "jobs/7/progress")),
        (Method::POST, own(26, "heartbeat/again")),
        (Method::GET, "/api/v1/workers".to_owned()),
        (Method::GET, "/api/v1/jobs/stats/queue".to_owned()),
        (Method::GET, "/api/v1/admin/stats".to_owned()),
    ] {
        let answer = stand.http().call(method.clone(), &path).token("unknown").send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (401, "UNAUTHORIZED"),
            "{method} {path}"
        );
    }
    assert_eq!(stand.reached_in_all().await, before);
}

#[tokio::test]
async fn a_success_on_a_checked_route_teaches() {
    let stand = Stand::start(&[]);
    let (id, token) = register_directly(&stand).await;
    let known = format!("gateway:worker:{id}");
    assert!(!stand.redis().keys("gateway:worker:*").contains(&known));
    let config = format!("/api/v1/workers/{id}/config");
    assert_eq!(stand.get(&config).token(&token).send().await.status, 200);
    // Known from then on, here and elsewhere: another token is not forwarded any more.
    let other = stand.another(&[]);
    for http in [stand.http(), other.http()] {
        acip_tests::wait_for("the token is learned", || async {
            stand.redis().keys("gateway:worker:*").contains(&known)
        })
        .await;
        assert_eq!(http.get(&config).token("wrong").send().await.status, 401);
        assert_eq!(http.get(&config).token(&token).send().await.status, 200);
    }
    assert_eq!(stand.reached(&config).await.len(), 3);
    let stored = stand.redis().cli(&["HGETALL", &known]);
    assert!(!stored.contains(&token), "only the hash is kept: {stored}");
}

#[tokio::test]
async fn verify_passes_as_it_is_and_teaches_only_when_valid() {
    let stand = Stand::start(&[]);
    let (id, token) = register_directly(&stand).await;
    let verify = format!("/api/v1/workers/{id}/verify");
    let ask = |token: &str| stand.post(&verify, &json!({})).token(token);
    let known = format!("gateway:worker:{id}");

    let wrong = ask("wrong").send().await;
    assert_eq!((wrong.status.as_u16(), wrong.json()), (200, json!({"valid": false})));
    assert_eq!(stand.post(&verify, &json!({})).send().await.json(), json!({"valid": false}));
    // Taught nothing: the wrong token is as unknown as before, and the right one is not refused in its favour.
    assert!(stand.redis().keys("gateway:worker:*").is_empty());
    assert_eq!(stand.post(&beat(&id), &json!({"status": "online"})).token("wrong").send().await.status, 401);
    assert_eq!(stand.reached(&beat(&id)).await.len(), 1);

    assert_eq!(ask(&token).send().await.json(), json!({"valid": true}));
    assert!(stand.redis().keys("gateway:worker:*").contains(&known));
    assert_eq!(stand.post(&beat(&id), &json!({"status": "online"})).token("wrong").send().await.status, 401);
    assert_eq!(stand.reached(&beat(&id)).await.len(), 1, "known now, so the wrong one stays here");
    assert_eq!(stand.post(&beat(&id), &json!({"status": "online"})).token(&token).send().await.status, 200);
    // Nor does a wrong one unlearn it.
    assert_eq!(ask("wrong").send().await.json(), json!({"valid": false}));
    assert_eq!(stand.post(&beat(&id), &json!({"status": "online"})).token(&token).send().await.status, 200);
    assert_eq!(stand.reached(&verify).await.len(), 4);
}

#[tokio::test]
async fn ten_wrong_tokens_for_a_known_worker_do_not_lock_it() {
    let stand = Stand::start(&[]);
    let told = stand.post("/api/v1/workers/register", &json!({"region": "us-west"})).send().await.json();
    let (id, token) = (told["worker_id"].as_str().unwrap(), told["token"].as_str().unwrap());
    for n in 0..10 {
        let answer =
            stand.post(&beat(id), &json!({"status": "online"})).token(&format!("wrong-{n}")).send().await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(stand.reached(&beat(id)).await.len(), 0);
    right_token_works_at_the_origin(&stand, id, token).await;
    assert_eq!(stand.post(&beat(id), &json!({"status": "online"})).token(token).send().await.status, 200);
}

#[tokio::test]
async fn three_refusals_of_an_unknown_worker_reach_the_origin_however_they_come() {
    let stand = Stand::start(&[]);
    let other = stand.another(&[]);
    let (id, token) = register_directly(&stand).await;
    // Slow, so that all of them are under way before the first is refused.
    stand.switch("fault?kind=slow&ms=200").await;
    let path = beat(&id);
    let body = json!({"status": "online"});
    let calls = (0..10).map(|n| {
        let http = if n % 2 == 0 { stand.http() } else { other.http() };
        http.post(&path, &body).token(&format!("wrong-{n}")).send()
    });
    let answers = join_all(calls).await;
    stand.switch("fault?kind=none").await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    let own = answers.iter().filter(|answer| answer.code() == "UNAUTHORIZED").count();
    assert_eq!((stand.reached(&path).await.len(), own), (3, 7));
    let late = stand.post(&path, &body).token("wrong-again").send().await;
    assert_eq!((late.status.as_u16(), late.code().as_str()), (401, "UNAUTHORIZED"));
    assert_eq!(stand.reached(&path).await.len(), 3);
    right_token_works_at_the_origin(&stand, &id, &token).await;
}

#[tokio::test]
async fn strict_forwards_no_unknown_token() {
    let stand = Stand::start(&[("AUTH_WORKER_TOKENS", "strict")]);
    let (id, token) = register_directly(&stand).await;
    let answer = stand.post(&beat(&id), &json!({"status": "online"})).token(&token).send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "UNAUTHORIZED"));
    assert_eq!(stand.reached(&beat(&id)).await.len(), 0);
    let told = stand.post("/api/v1/workers/register", &json!({"region": "us-west"})).send().await.json();
    let (id, token) = (told["worker_id"].as_str().unwrap(), told["token"].as_str().unwrap());
    assert_eq!(stand.post(&beat(id), &json!({"status": "online"})).token(token).send().await.status, 200);
}

#[tokio::test]
async fn tokens_are_stored_as_the_backend_stores_them() {
    let stand = Stand::start(&[]);
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../data/tokens.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut ids = BTreeSet::new();
    for (n, vector) in vectors["worker_tokens"].as_array().unwrap().iter().enumerate() {
        for (m, form) in ["stored", "legacy"].into_iter().enumerate() {
            let id = format!("0190b5a0-0000-7000-8000-{:012}", 10 * n + m);
            let hash = text(&vector[form]);
            stand.redis().cli(&["HSET", &format!("gateway:worker:{id}"), "hash", &hash, "expires_at", FAR]);
            let answer = stand
                .post(&beat(&id), &json!({"status": "online"}))
                .token(&text(&vector["token"]))
                .send()
                .await;
            // The origin knows no such worker; the gateway let the call through or not.
            let expected = if form == "stored" { (404, 1) } else { (401, 0) };
            assert_eq!(
                (answer.status.as_u16(), stand.reached(&beat(&id)).await.len()),
                expected,
                "{vector} {form}"
            );
            ids.insert(id);

            stand.redis().cli(&["HSET", &format!("gateway:key:{{{hash}}}"), "id", "key_1", "enabled", "1"]);
            let answer = stand.get("/_test/echo").key(&text(&vector["token"])).send().await;
            let expected = if form == "stored" { 200 } else { 401 };
            assert_eq!(answer.status, expected, "{vector} {form} as an API key");
            stand.redis().cli(&["DEL", &format!("gateway:key:{{{hash}}}")]);
        }
    }
    for vector in vectors["enterprise_keys"].as_array().unwrap() {
        let (key, record) = (text(&vector["key"]), format!("gateway:key:{{{}}}", text(&vector["stored"])));
        assert_eq!(stand.get("/_test/echo").key(&key).send().await.status, 401, "{key}");
        stand.redis().cli(&["HSET", &record, "id", "key_1", "enabled", "1"]);
        assert_eq!(stand.get("/_test/echo").key(&key).send().await.status, 200, "{key}");
    }
    assert_eq!(stand.get("/_test/echo").key(KEY).send().await.status, 200);
}

/// A time in the year 2100, unix ms.
const FAR: &str = "4102444800000";
