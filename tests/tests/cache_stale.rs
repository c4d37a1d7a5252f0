//! Stored answers past their freshness: revalidated, served while they are refreshed, served in place of errors; and
//! answers that broke off, which are never stored. With Redis, with the embedded store, and with a cache that the process keeps.

use std::{sync::Mutex, time::Duration};

use acip_tests::{
    Feature, Gateway, KEY, Stand,
    cached::{all_stands, ask, stands, stored, told},
    supported, wait_for,
};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use serde_json::json;

/// The `If-None-Match` of each request that reached the origin.
async fn asked_whether(stand: &Stand) -> Vec<Option<String>> {
    let seen = stand.reached("/_test/cache").await;
    let field = |seen: &serde_json::Value| {
        let fields = seen["headers"].as_array().expect("fields").iter();
        let value = fields
            .filter(|field| field[0] == "if-none-match")
            .map(|field| field[1].as_str().expect("text").to_owned());
        value.reduce(|one, two| format!("{one}, {two}"))
    };
    seen.iter().map(field).collect()
}

#[tokio::test]
async fn the_origin_is_asked_whether_an_answer_still_holds() {
    for stand in all_stands(&[]) {
        let query = "cc=max-age=600&etag=%22v1%22";
        let first = ask(&stand, query).send().await;
        assert_eq!(told(&first), "MISS");
        stored(|| ask(&stand, query)).await;
        let check = || ask(&stand, query).header("cache-control", "no-cache");
        let again = check().send().await;
        assert_eq!((again.status.as_u16(), told(&again)), (200, "HIT"));
        assert_eq!(again.header("cache-status"), "acip; fwd=request; fwd-status=304; stored");
        assert_eq!(again.body, first.body);
        // The client's own condition is about what the client has.
        let condition = check().header("if-none-match", "\"old\"").send().await;
        assert_eq!((condition.status.as_u16(), &condition.body), (200, &first.body));
        let condition = check().header("if-none-match", "\"v1\"").send().await;
        assert_eq!((condition.status.as_u16(), condition.body.len()), (304, 0));
        let asked = asked_whether(&stand).await;
        assert_eq!(
            asked,
            [None, Some("\"v1\""), Some("\"v1\""), Some("\"v1\"")].map(|tag| tag.map(str::to_owned))
        );

        // What the origin wants checked is never served without asking it; what is past its freshness neither.
        for query in ["cc=no-cache&etag=%22v2%22", "cc=max-age=1&etag=%22v2%22"] {
            ask(&stand, query).send().await;
            wait_for("the origin says that it holds", || async {
                let answer = ask(&stand, query).send().await;
                answer.header("cache-status").contains("fwd=stale; fwd-status=304") && told(&answer) == "HIT"
            })
            .await;
            assert_eq!(asked_whether(&stand).await.last(), Some(&Some("\"v2\"".to_owned())), "{query}");
        }
    }
}

#[tokio::test]
async fn a_stale_answer_is_served_while_it_is_refreshed() {
    for stand in all_stands(&[]) {
        let query = "cc=max-age=2,stale-while-revalidate=600";
        assert_eq!(ask(&stand, query).send().await.json()["n"], 1);
        stored(|| ask(&stand, query)).await;
        // The first one past its freshness is the one that starts the refresh.
        let stale = Mutex::new(None);
        wait_for("it is stale", || async {
            let answer = ask(&stand, query).send().await;
            let is_stale = told(&answer) == "STALE";
            *stale.lock().expect("no panic before") = Some(answer);
            is_stale
        })
        .await;
        let stale = stale.into_inner().expect("no panic before").expect("an answer");
        assert_eq!((stale.status.as_u16(), &stale.json()["n"]), (200, &json!(1)));
        assert!(stale.header("age").parse::<u64>().is_ok_and(|age| age >= 1));
        assert!(stale.header("cache-status").starts_with("acip; hit; ttl=-"), "{:?}", stale.headers);
        wait_for("it is refreshed", || async { ask(&stand, query).send().await.json()["n"] != 1 }).await;
        assert!(stand.reached("/_test/cache").await.len() >= 2);
    }
}

/// Many clients of several gateways find one answer stale at the same time: the origin is asked once.
#[tokio::test]
async fn a_stale_answer_is_refreshed_by_one_of_all() {
    for stand in stands(&[]) {
        let other = (!stand.is_embedded()).then(|| stand.another(&[("RATE_LIMIT_ENABLED", "false")]));
        let query = "cc=max-age=3,stale-while-revalidate=600";
        assert_eq!(ask(&stand, query).send().await.json()["n"], 1);
        stored(|| ask(&stand, query)).await;
        // Nobody looks until it is stale: the first look begins the refresh.
        tokio::time::sleep(Duration::from_millis(3_100)).await;
        stand.switch("fault?kind=slow&ms=300&times=1").await;
        let clients = (0..60).map(|client| {
            let http = other.as_ref().filter(|_| client % 2 == 0).map_or(stand.http(), Gateway::http);
            http.get(&format!("/_test/cache?{query}")).key(KEY).send()
        });
        let answers = join_all(clients).await;
        assert!(answers.iter().filter(|answer| told(answer) == "STALE").count() > 1, "several find it stale");
        assert!(answers.iter().all(|answer| answer.status == 200));
        wait_for("it is refreshed", || async { ask(&stand, query).send().await.json()["n"] == 2 }).await;
        assert_eq!(stand.reached("/_test/cache").await.len(), 2);
    }
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_an_error() {
    for mut stand in all_stands(&[]) {
        let covered = "cc=max-age=3,stale-if-error=600&fail_after=2&key=a";
        let bare = "cc=max-age=3&fail_after=2&key=b";
        let dead = "cc=max-age=3,stale-if-error=600&key=c";
        for query in [covered, bare, dead] {
            assert_eq!(ask(&stand, query).send().await.json()["n"], 1, "{query}");
            stored(|| ask(&stand, query)).await;
        }
        wait_for("it is past its freshness", || async {
            told(&ask(&stand, covered).send().await) == "STALE"
        })
        .await;
        let answer = ask(&stand, covered).send().await;
        assert_eq!((answer.status.as_u16(), told(&answer), &answer.json()["n"]), (200, "STALE", &json!(1)));
        assert!(answer.header("cache-status").contains("fwd-status=500"), "{:?}", answer.headers);
        wait_for("the other too", || async { ask(&stand, bare).send().await.status == 500 }).await;

        stand.origin.kill();
        wait_for("this one too", || async { told(&ask(&stand, dead).send().await) == "STALE" }).await;
        let answer = ask(&stand, dead).send().await;
        assert_eq!((answer.status.as_u16(), told(&answer), &answer.json()["n"]), (200, "STALE", &json!(1)));
        let answer = ask(&stand, bare).send().await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "BAD_GATEWAY"));
    }
}

const LARGE: usize = 20 << 20;

#[tokio::test]
async fn a_body_that_broke_off_is_not_stored() {
    let file =
        "[[routes]]\npath = \"/_test/cut\"\ncache = { mode = \"per-credential\", ttl_seconds = 600 }\n";
    let stand = Stand::with_file(
        &[("RATE_LIMIT_ENABLED", "false"), ("CACHE_MAX_BODY_BYTES", "33554432")],
        Some(file),
    );
    // The client leaves in the middle.
    let query = format!("cc=max-age=600&size={LARGE}");
    let mut left = ask(&stand, &query).stream().await.expect("a head");
    assert!(left.body_mut().frame().await.is_some());
    drop(left);
    let whole = ask(&stand, &query).send().await;
    assert_eq!(whole.json()["pad"].as_str().map(str::len), Some(LARGE));

    // The origin cuts it off, with a length and without.
    for query in ["after=100&length=1000", "after=100&chunked=true"] {
        let path = format!("/_test/cut?{query}");
        for _ in 0..2 {
            let head = stand.get(&path).key(KEY).stream().await.expect("a head");
            assert_eq!(head.headers()["x-gateway-cache"], "MISS", "{query}");
            let told = head.into_body().collect().await.is_err();
            let chunked = query.contains("chunked");
            assert!(
                told || chunked && !supported(&[Feature::BrokenChunks]),
                "{query}: a body that ends early is an error"
            );
        }
    }
}
