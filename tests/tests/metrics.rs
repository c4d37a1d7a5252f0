//! Metrics of whole runs: every request is counted once, no client makes series, and Prometheus' own linter has nothing to say.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use acip_tests::{ADMIN, Call, KEY, Stand, Target, wait_for};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use serde_json::json;

async fn page(stand: &Stand) -> String {
    let answer = stand.get("/gateway/metrics").bearer(ADMIN).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// Requests by status, without those for the gateway's own pages: whoever waits for readiness asks as often as it likes.
fn by_status(page: &str) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for line in page.lines().filter(|line| !line.contains("route=\"/gateway/")) {
        let Some((labels, count)) =
            line.strip_prefix("gateway_requests_total{").and_then(|line| line.split_once("} "))
        else {
            continue;
        };
        let status =
            labels.rsplit("status=\"").next().and_then(|rest| rest.trim_end_matches('"').parse().ok());
        *counts.entry(status.expect("a status")).or_default() += count.parse::<u64>().expect("a count");
    }
    counts
}

/// A path that nobody has, and nobody is let in to.
fn scan(stand: &Stand, number: usize) -> Call {
    stand.get(&format!("/scan/{number}/{}", number.wrapping_mul(2_654_435_761)))
}

/// One of a mix of requests.
fn mixed(stand: &Stand, number: usize) -> Call {
    match number % 5 {
        0 => stand.get("/_test/echo").key(KEY),
        1 => scan(stand, number),
        2 => stand.get("/health"),
        3 => stand.get(&format!("/_test/{number}")).key(KEY),
        _ => stand.get(&format!("/api/v1/jobs/{number}")).key("a-wrong-key-0123456789"),
    }
}

/// Sends a request over a connection; its status.
async fn one(connection: &mut SendRequest<Full<Bytes>>, call: Call) -> u16 {
    connection.ready().await.expect("a connection");
    let response = connection.send_request(call.request()).await.expect("a response");
    let status = response.status().as_u16();
    response.into_body().collect().await.expect("a whole response");
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted_and_no_client_makes_series() {
    let stand = Stand::embedded(&[("RATE_LIMIT_ENABLED", "false"), ("AUTH_FAILURES_PER_MINUTE", "1000000")]);
    let requests = if Target::current() == Target::Native { 10_000 } else { 200 };
    let mut sent = BTreeMap::<u16, u64>::new();
    let mut connection = stand.http().connect().await;
    let mut series = Vec::new();
    // The mix, then as many paths of a scan.
    for number in 0..2 * requests {
        if connection.is_closed() {
            connection = stand.http().connect().await;
        }
        let call = if number < requests { mixed(&stand, number) } else { scan(&stand, number) };
        *sent.entry(one(&mut connection, call).await).or_default() += 1;
        if number == 20 {
            // Counts come behind the answers, in a Worker those of several together.
            wait_for("all are counted", || async { by_status(&page(&stand).await) == sent }).await;
            series.push(page(&stand).await.lines().count());
        }
    }
    wait_for("all are counted", || async { by_status(&page(&stand).await) == sent }).await;
    assert!(sent.len() >= 3, "no mix: {sent:?}");
    let page = page(&stand).await;
    // The page itself is a route, and a status may come up late.
    assert!(page.lines().count() < series[0] + 50, "{page}");
    assert!(!page.contains("/scan"), "a path became a label: {page}");
    lint(&page);
}

/// Workers that call another gateway, or write their keys themselves, count like those that call this one.
#[tokio::test]
async fn workers_online_are_those_that_the_store_tells_of() {
    let stand = Stand::start(&[]);
    let has = async |line: &str| page(&stand).await.lines().any(|found| found == line);
    assert!(has("gateway_workers_online{region=\"unknown\"} 0").await);
    let redis = stand.redis();
    for (id, status) in [("w1", "online"), ("w2", "busy"), ("w3", "going_offline"), ("w4", "offline")] {
        let worker = json!({"worker_id": id, "region": "far", "status": status});
        redis.cli(&["SET", &format!("worker:{id}:status"), &worker.to_string()]);
    }
    redis.cli(&["SET", "worker:index", "[\"w1\",\"w2\",\"w3\",\"w4\"]"]);
    wait_for("both", || has("gateway_workers_online{region=\"far\"} 2")).await;
    let list = stand.get("/api/v1/workers").key(KEY).send().await.json();
    assert_eq!(
        (&list["total"], &list["online"]),
        (&json!(4), &json!(3)),
        "its summary counts who is going, too"
    );
}

fn lint(page: &str) {
    let mut command = Command::new("promtool");
    let command = command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool; `cargo xtask test` installs it");
    child.stdin.take().expect("piped").write_all(page.as_bytes()).expect("writes");
    let output = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
