//! Subscriptions and the monitor as server-sent events.

use acip_tests::{Bridge, wait_for};
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;

use super::{Stand, check, error, native};

async fn open(stand: &Stand, path: &str) -> Response<Incoming> {
    let response = stand.bridge.http().get(path).bearer(Bridge::TOKEN).stream().await.expect("a head");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

async fn event(response: &mut Response<Incoming>) -> String {
    let frame = response.frame().await.expect("not the end").expect("whole");
    String::from_utf8(frame.into_data().expect("data").to_vec()).expect("UTF-8")
}

#[tokio::test]
async fn messages_arrive_as_events() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let mut channels = open(&stand, "/subscribe/a/b%20c").await;
    assert_eq!(event(&mut channels).await, "data: subscribe,a,1\n\n");
    assert_eq!(event(&mut channels).await, "data: subscribe,b c,2\n\n");
    let mut patterns = open(&stand, "/psubscribe/b*").await;
    assert_eq!(event(&mut patterns).await, "data: psubscribe,b*,1\n\n");
    check(&stand.get("/publish/a/one").await, 200, &json!({"result": 1}));
    assert_eq!(event(&mut channels).await, "data: message,a,one\n\n");
    check(&stand.post("/publish/b%20c", "two\nlines").await, 200, &json!({"result": 2}));
    assert_eq!(event(&mut channels).await, "data: message,b c,two\ndata: lines\n\n");
    assert_eq!(event(&mut patterns).await, "data: pmessage,b*,b c,two\ndata: lines\n\n");
    assert!(
        error(&stand.get("/subscribe").await, 400)
            .starts_with("ERR wrong number of arguments for 'subscribe'")
    );
    drop((channels, patterns));
    wait_for("Redis forgets who left", || async { stand.redis.cli(&["PUBSUB", "NUMPAT"]) == "0" }).await;
}

#[tokio::test]
async fn the_monitor_is_there_where_it_is_allowed() {
    if !native() {
        return;
    }
    let stand = Stand::with(&["--allow", "MONITOR"]);
    let mut monitor = open(&stand, "/monitor").await;
    assert_eq!(event(&mut monitor).await, "data: \"OK\"\n\n");
    stand.get("/get/watched").await;
    let seen = event(&mut monitor).await;
    assert!(seen.starts_with("data: ") && seen.contains(r#""get" "watched""#), "{seen}");
}
