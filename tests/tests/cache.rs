//! What is served from the cache, to whom, and how it is told: with Redis, with the embedded store, and with a cache that the
//! process keeps. What becomes of stored answers past their freshness is in `cache_stale.rs`.

use acip_tests::{
    ADMIN, Answer, Feature, KEY, OTHER_KEY, Stand,
    cached::{all_stands, ask, stored, told},
    supported, wait_for,
};
use http::Method;
use serde_json::{Value, json};

/// Asks twice: for what is to be stored, then for what is.
async fn hit(stand: &Stand, query: &str) -> Answer {
    assert_eq!(told(&ask(stand, query).send().await), "MISS", "{query}");
    let answer = stored(|| ask(stand, query)).await;
    assert_eq!(told(&answer), "HIT", "{query}");
    answer
}

#[tokio::test]
async fn a_stored_answer_is_served_with_its_age() {
    for stand in all_stands(&[]) {
        let query = "cc=max-age=600&body=hello&etag=%22v1%22";
        let first = ask(&stand, query).send().await;
        assert_eq!((first.status.as_u16(), told(&first)), (200, "MISS"));
        assert_eq!(first.header("cache-status"), "acip; fwd=uri-miss; stored");
        assert!(first.headers.get("age").is_none());
        let hit = stored(|| ask(&stand, query)).await;
        assert_eq!(told(&hit), "HIT");
        assert_eq!(hit.status, 200);
        assert_eq!(hit.body, first.body);
        let (age, status) = (hit.header("age").parse::<u64>(), hit.header("cache-status"));
        assert!(age.is_ok_and(|age| age < 60), "{:?}", hit.headers);
        let ttl = status.strip_prefix("acip; hit; ttl=").and_then(|ttl| ttl.parse::<u64>().ok());
        assert!(ttl.is_some_and(|ttl| (500..=600).contains(&ttl)), "{status}");
        for name in ["etag", "content-type", "cache-control", "x-origin"] {
            assert_eq!(hit.header(name), first.header(name), "{name}");
        }
        assert_ne!(hit.header("x-request-id"), first.header("x-request-id"));

        // The client has it already.
        let same = ask(&stand, query).header("if-none-match", "\"v0\", W/\"v1\"").send().await;
        assert_eq!((same.status.as_u16(), told(&same), same.body.len()), (304, "HIT", 0));
        assert_eq!(same.header("etag"), "\"v1\"");
        let head = stand.http().call(Method::HEAD, &format!("/_test/cache?{query}")).key(KEY).send().await;
        assert_eq!((head.status.as_u16(), told(&head), head.body.len()), (200, "HIT", 0));
        if supported(&[Feature::Lengths]) {
            assert_eq!(head.header("content-length"), first.body.len().to_string());
        }
        let part = ask(&stand, query).header("range", "bytes=1-4").send().await;
        assert_eq!((part.status.as_u16(), told(&part), &part.body[..]), (206, "HIT", &first.body[1..5]));
        assert_eq!(part.header("content-range"), format!("bytes 1-4/{}", first.body.len()));
        assert_eq!(stand.reached("/_test/cache").await.len(), 1);

        // What the client does not want from a cache, the origin is asked for.
        let wanted = ask(&stand, query).header("cache-control", "no-cache").send().await;
        assert_eq!(wanted.header("x-gateway-cache"), "HIT", "the origin said that it still holds");
        assert_eq!(stand.reached("/_test/cache").await.len(), 2);
        for (name, value) in
            [("cache-control", "no-store"), ("range", "bytes=0-1,3-4"), ("if-match", "\"v1\"")]
        {
            let answer = ask(&stand, query).header(name, value).send().await;
            assert_eq!(told(&answer), "BYPASS", "{name}: {value}");
            assert_eq!(answer.header("cache-status"), "acip; fwd=bypass", "{name}: {value}");
        }
        let never =
            ask(&stand, "cc=max-age=600&key=never").header("cache-control", "only-if-cached").send().await;
        assert_eq!((never.status.as_u16(), never.code().as_str()), (504, "GATEWAY_TIMEOUT"));
    }
}

#[tokio::test]
async fn an_answer_is_for_the_credential_and_the_fields_it_was_made_for() {
    for stand in all_stands(&[]) {
        let query = "cc=max-age=600&key=own";
        assert_eq!(hit(&stand, query).await.json()["n"], 1);
        let path = format!("/_test/cache?{query}");
        let other = stand.get(&path).key(OTHER_KEY).send().await;
        assert_eq!((told(&other), &other.json()["n"]), ("MISS", &json!(2)));
        for (call, status) in [(stand.get(&path).key("wrong"), 401), (stand.get(&path), 401)] {
            let refused = call.send().await;
            assert_eq!((refused.status.as_u16(), told(&refused)), (status, ""));
        }
        assert_eq!(told(&stand.get(&path).bearer(ADMIN).send().await), "MISS");

        let query = "cc=max-age=600&vary=Accept-Language&key=vary";
        let speak = |language: &str| ask(&stand, query).header("accept-language", language);
        for language in ["de", "fr"] {
            let answer = speak(language).send().await;
            assert_eq!(
                (told(&answer), &answer.json()["vary"]["accept-language"]),
                ("MISS", &json!(language))
            );
            assert_eq!(told(&stored(|| speak(language)).await), "HIT");
        }
        for language in ["de", "fr"] {
            let answer = speak(language).send().await;
            assert_eq!((told(&answer), &answer.json()["vary"]["accept-language"]), ("HIT", &json!(language)));
            assert!(answer.header("vary").to_ascii_lowercase().contains("accept-language"));
        }
        assert_eq!(told(&ask(&stand, "cc=max-age=600&vary=*&key=star").send().await), "MISS");
        assert_eq!(told(&ask(&stand, "cc=max-age=600&vary=*&key=star").send().await), "MISS");
    }
}

#[tokio::test]
async fn what_must_not_be_stored_is_not() {
    for stand in all_stands(&[("CACHE_MAX_BODY_BYTES", "10000")]) {
        let cases = [
            "key=silent",
            "cc=no-store",
            "cc=no-store,max-age=600",
            "cc=private,max-age=600",
            "cc=max-age=0",
            "cc=max-age=600&setcookie=a%3Db",
            "key=silent500&status=500",
            "key=silent404&status=404",
            "cc=max-age=600&status=401",
            "cc=max-age=600&status=429",
            "cc=max-age=600&status=206",
            "cc=max-age=600&size=10000",
            "cc=max-age=600&ct=text/event-stream",
            "expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "cc=max-age=5&age=6",
        ];
        for query in cases {
            let query = query.replace(' ', "%20");
            // What is to be stored is stored by the time a later answer is: writes are in order.
            assert_eq!(told(&ask(&stand, &query).send().await), "MISS", "{query}");
        }
        hit(&stand, "cc=max-age=600&size=9000").await;
        for query in cases {
            let query = query.replace(' ', "%20");
            let again = ask(&stand, &query).send().await;
            assert_eq!((told(&again), &again.json()["n"]), ("MISS", &json!(2)), "{query}");
        }
        let post = stand.post("/_test/cache?cc=max-age=600&key=post", &Value::Null).key(KEY);
        assert_eq!(told(&post.send().await), "");
        assert_eq!(told(&ask(&stand, "cc=max-age=600&key=post").send().await), "MISS");
    }
}

#[tokio::test]
async fn a_change_makes_what_is_stored_invalid() {
    for stand in all_stands(&[]) {
        let query = "cc=max-age=600&key=changed";
        hit(&stand, query).await;
        let path = format!("/_test/cache?{query}");
        assert_eq!(stand.http().delete(&path).key(KEY).send().await.status, 200);
        wait_for("it is forgotten", || async { ask(&stand, query).send().await.json()["n"] != 1 }).await;
    }
}

#[tokio::test]
async fn queue_statistics_are_shared_for_ten_seconds_and_closed() {
    for stand in all_stands(&[]) {
        let (path, alias) = ("/api/v1/jobs/stats/queue", "/api/v1/queue/stats");
        for path in [path, alias] {
            assert_eq!(stand.get(path).send().await.status, 401);
        }
        assert_eq!(told(&stand.get(path).key(KEY).send().await), "MISS");
        assert_eq!(told(&stored(|| stand.get(path).key(KEY)).await), "HIT");
        for (path, key) in [(path, OTHER_KEY), (alias, KEY), (alias, OTHER_KEY)] {
            let answer = stand.get(path).key(key).send().await;
            assert_eq!((answer.status.as_u16(), told(&answer)), (200, "HIT"), "{path} {key}");
            assert!(answer.json()["total_queued"].is_number());
            let ttl =
                answer.header("cache-status").rsplit('=').next().and_then(|ttl| ttl.parse::<u64>().ok());
            assert!(ttl.is_some_and(|ttl| ttl <= 10), "{:?}", answer.headers);
        }
        for path in [path, alias] {
            assert_eq!(stand.get(path).send().await.status, 401, "a hit opens no door");
            assert_eq!(stand.get(path).key("wrong").send().await.status, 401);
        }
        assert_eq!((stand.reached(path).await.len(), stand.reached(alias).await.len()), (1, 0));
    }
}

#[tokio::test]
async fn a_poller_never_sees_a_stale_job() {
    for stand in all_stands(&[]) {
        stand.switch("simulate?workers=0").await;
        let http = stand.http();
        let told_worker =
            http.post("/api/v1/workers/register", &json!({"region": "us-west"})).send().await.json();
        let worker = format!("/api/v1/workers/{}", told_worker["worker_id"].as_str().expect("an id"));
        let token = told_worker["token"].as_str().expect("a token");
        let body = json!({"type": "llm", "params": {}});
        let submitted = http.post("/api/v1/jobs", &body).key(KEY).send().await.json();
        let id = submitted["job_id"].as_str().expect("an id");
        let path = format!("/api/v1/jobs/{id}");
        let read = || async {
            let answer = stand.get(&path).key(KEY).send().await;
            (told(&answer).to_owned(), answer.json()["status"].as_str().expect("a status").to_owned())
        };
        let is = |told: &str, status: &str| (told.to_owned(), status.to_owned());
        assert_eq!([read().await, read().await], [is("MISS", "queued"), is("MISS", "queued")]);
        assert_eq!(http.get(&format!("{worker}/next-job")).token(token).send().await.json()["job_id"], id);
        assert_eq!([read().await, read().await], [is("MISS", "running"), is("MISS", "running")]);
        let done = json!({"success": true, "result": {"output": "x"}, "processing_time_ms": 1});
        let complete = http.post(&format!("{worker}/jobs/{id}/complete"), &done).token(token).send().await;
        assert_eq!(complete.status, 200, "{}", complete.text());
        assert_eq!(read().await, is("MISS", "completed"));
        wait_for("the end is stored", || async { read().await == is("HIT", "completed") }).await;
    }
}
