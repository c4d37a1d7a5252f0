//! A gateway in front of a Redis Cluster of three nodes. What its client does with slots is tested in `targets/native/tests/store`.

use std::net::TcpListener;

use acip_tests::{ADMIN, Gateway, KEY, Origin, Redis, Transport, wait_until};
use serde_json::json;
use tempfile::TempDir;

/// Three masters that share all slots.
struct Cluster {
    nodes: [Redis; 3],
    /// Where they keep what they know of each other.
    _folder: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let nodes = ["a", "b", "c"].map(|name| {
            let known = folder.path().join(name).display().to_string();
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr()).expect("a port");
            // Its own would be 10000 above, where there may be none.
            let bus = free.port().to_string();
            Redis::with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-config-file",
                &known,
                "--cluster-port",
                &bus,
            ])
        });
        let places = nodes.each_ref().map(|node| format!("127.0.0.1:{}", node.port()));
        let said =
            nodes[0].cli(&["--cluster", "create", &places[0], &places[1], &places[2], "--cluster-yes"]);
        assert!(said.contains("All 16384 slots covered"), "{said}");
        let whole = |node: &Redis| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        wait_until("the cluster is whole", || nodes.iter().all(whole));
        Self { nodes, _folder: folder }
    }

    fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}", self.nodes[0].port(), self.nodes[1].port())
    }

    fn keys(&self, pattern: &str) -> Vec<String> {
        self.nodes.iter().flat_map(|node| node.keys(pattern)).collect()
    }
}

#[tokio::test]
async fn requests_limits_jobs_and_workers_go_through_a_cluster() {
    if Transport::current() == Transport::Rest {
        // Nobody puts a bridge in front of a cluster here.
        return;
    }
    let (cluster, origin) = (Cluster::start(), Origin::start());
    let url = cluster.url();
    // Three commands in turn on a busy machine: slowness is not what is tested.
    let environment = [("REDIS_URL", url.as_str()), ("REDIS_TIMEOUT", "5000")];
    let start = || Gateway::start(&[&origin.url()], &environment);
    let gateways = [start(), start()];
    let http = |at: usize| gateways[at % 2].http();

    let health = http(0).get("/gateway/health/detailed").bearer(ADMIN).send().await.json();
    assert_eq!(
        (&health["checks"]["redis"]["mode"], &health["status"]),
        (&json!("cluster"), &json!("healthy"))
    );

    // A key whose record is in the store, revoked in the end; its limit holds over both gateways.
    // So long that nothing comes back while the test runs.
    let limit = json!({"name": "few", "limit": 5, "window_ms": 7 * 24 * 3_600_000_u32});
    let wanted = json!({"name": "cluster", "tenant": "t", "limits": [limit]});
    let made = http(0).post("/gateway/keys", &wanted).bearer(ADMIN).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let (key, id) = (made.json()["key"].as_str().expect("a key").to_owned(), made.json()["id"].clone());
    for at in 0..5 {
        assert_eq!(http(at).get("/_test/status/200").key(&key).send().await.status, 200, "request {at}");
    }
    for at in 0..2 {
        let refused = http(at).get("/_test/status/200").key(&key).send().await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    }

    // A job is its tenant's in the other gateway, too, from the moment at which the client knows of it.
    let job =
        http(0).post("/api/v1/jobs", &json!({"type": "llm", "params": {}})).key(KEY).send().await.json();
    let path = format!("/api/v1/jobs/{}", job["job_id"].as_str().expect("a job"));
    assert_eq!(http(1).get(&path).key(acip_tests::OTHER_KEY).send().await.status, 404);
    assert_eq!(http(1).get(&path).key(KEY).send().await.status, 200);

    // Workers register and beat through one gateway and are seen through the other.
    let registered = http(0)
        .post("/api/v1/workers/register", &json!({"region": "us-west", "name": "w"}))
        .send()
        .await
        .json();
    let worker = registered["worker_id"].as_str().expect("an id");
    let token = registered["token"].as_str().expect("a token");
    let beat = format!("/api/v1/workers/{worker}/heartbeat");
    let beaten = http(1).post(&beat, &json!({"status": "busy"})).token(token).send().await;
    assert_eq!(beaten.status, 200, "{}", beaten.text());
    assert_eq!(http(1).post(&beat, &json!({})).token("wrong").send().await.status, 401);
    acip_tests::wait_for("the worker is listed", || async {
        let listed = http(0).get("/api/v1/workers").bearer(ADMIN).send().await.json();
        listed["workers"][0]["worker_id"] == worker && listed["workers"][0]["status"] == "busy"
    })
    .await;

    let revoked =
        http(0).delete(&format!("/gateway/keys/{}", id.as_str().expect("an id"))).bearer(ADMIN).send();
    assert!(revoked.await.status.is_success());
    assert_eq!(http(1).get("/_test/status/200").key(&key).send().await.status, 401);
    let used = |node: &&Redis| node.cli(&["DBSIZE"]) != "0";
    assert_eq!(cluster.nodes.iter().filter(used).count(), 3, "{:?}", cluster.keys("*"));
}
