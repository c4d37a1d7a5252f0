//! Several servers: a cluster, and a master found by sentinels.

use acip_core::{
    config::{Algorithm, Document},
    plugins::worker_registry::Search,
    store::{Ask, Batch, Cells, Guard, LimitSpec, Op, Reply, StoreError},
};
use acip_gateway::{search, store::StoreClient};
use serde_json::{Value, json};

use crate::servers::{PLAIN, Server, client, on_one_thread, read, wait_for, write};

const NOW: u64 = 1_700_000_000_000;

fn limit(key: &str) -> LimitSpec {
    LimitSpec { key: key.into(), algorithm: Algorithm::SlidingLog, limit: 2, window_ms: 60_000, cost: 1 }
}

#[test]
fn a_cluster_answers_a_batch_whose_keys_live_on_all_nodes() {
    on_one_thread(async {
        let args = [PLAIN, &["--cluster-enabled", "yes", "--cluster-config-file", "{folder}/nodes"]].concat();
        let nodes = [Server::start(&args).await, Server::start(&args).await, Server::start(&args).await];
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut create = vec!["--cluster", "create"];
        create.extend(addresses.iter().map(String::as_str));
        create.push("--cluster-yes");
        let said = nodes[0].cli(&create);
        assert!(said.contains("All 16384 slots covered"), "{said}");
        let ready = |node: &Server| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        wait_for("the cluster is whole", || async { nodes.iter().all(ready) }).await;

        let client = client(&format!("redis-cluster://{},{}", addresses[0], addresses[1]), 2000).await;
        for at in 0..30 {
            write(&client, &format!("k{at}"), &at.to_string()).await;
        }
        let mut ask = Ask::new(NOW);
        let slots: Vec<_> = (0..30).map(|at| ask.get(format!("k{at}"))).collect();
        let row = client.ask(&ask.into_batch()).await.unwrap();
        for (at, slot) in slots.into_iter().enumerate() {
            assert_eq!(Cells(&row).bytes(slot), Some(at.to_string().into()));
        }
        assert!(nodes.iter().all(|node| node.cli(&["DBSIZE"]).trim() != "0"), "all nodes hold some");

        let commands: Vec<_> =
            (0..30).map(|at| vec!["APPEND".to_owned(), format!("k{at}"), "x".to_owned()]).collect();
        let lengths = client.commands(&commands).await.unwrap();
        assert_eq!(
            lengths,
            (0..30).map(|at: i64| Reply::Int(if at < 10 { 2 } else { 3 })).collect::<Vec<_>>()
        );
        let wrong = client.commands(&[vec!["LPUSH", "k0", "x"], vec!["GET", "k0"]]).await.unwrap();
        assert!(matches!(&wrong[0], Reply::Error(line) if line.starts_with(b"WRONGTYPE")), "{wrong:?}");
        assert_eq!(wrong[1], Reply::Bulk("0x".into()));

        let fields = vec![("id".to_owned(), "1".to_owned())];
        let record = Op::SetHash { key: "key:{good}".into(), fields, ttl_ms: None, only_new: false };
        client.ask(&Batch { now_ms: NOW, ops: vec![record] }).await.unwrap();
        let attempt = async |credential: &str| {
            let mut ask = Ask::new(NOW);
            let record = ask.record(format!("key:{{{credential}}}"));
            let failed = ask.spend(limit("by-address"), Guard::UnlessLive(record.op), "m".into(), false);
            let member = client.round_trips().to_string();
            let own = limit(&format!("l:{{{credential}}}:default"));
            let own = ask.spend_record(record, format!("l:{{{credential}}}:"), Some(own), member, 1);
            let row = client.ask(&ask.into_batch()).await.unwrap();
            let admitted = |spend: Option<acip_core::store::Spend>| spend.map(|spend| spend.admitted);
            (admitted(Cells(&row).spend(failed)), admitted(Cells(&row).spend(own)))
        };
        assert_eq!(attempt("good").await, (None, Some(true)));
        assert_eq!(attempt("bad").await, (Some(true), None));
        assert_eq!(attempt("good").await, (None, Some(true)));
        assert_eq!(attempt("good").await, (None, Some(false)));
        workers(&client).await;
        assert_eq!(client.status().mode, "cluster");
        assert!(client.status().up);
    });
}

/// Workers whose keys live on all nodes and stand in no index: found, listed, and listed no more when they are gone.
async fn workers(client: &StoreClient) {
    let list = async || {
        let mut ask = Ask::new(NOW);
        let slot = ask.workers("gateway:workers:snapshot".into(), "worker:index".into(), 100);
        let row = client.ask(&ask.into_batch()).await.unwrap();
        String::from_utf8(Cells(&row).workers(slot).unwrap().to_vec()).unwrap()
    };
    let listed: Value = serde_json::from_str(&list().await).unwrap();
    assert_eq!(listed["ids"], json!([]));
    let ids: Vec<String> = (0..30).map(|at| format!("w{at:02}")).collect();
    for id in &ids {
        write(client, &format!("worker:{id}:status"), &format!("of {id}")).await;
    }
    let search = Search::new(&Document::default());
    assert_eq!(search::round(&search, client).await, Ok(30));
    assert_eq!(search::round(&search, client).await, Ok(0), "the claim stands");
    client.command(&["DEL", "gateway:workers:search"]).await.unwrap();
    assert_eq!(search::round(&search, client).await, Ok(0), "all of them are known");
    let listed: Value = serde_json::from_str(&list().await).unwrap();
    assert_eq!(listed["ids"], json!(ids));
    assert_eq!(listed["status"], ids.iter().map(|id| json!(format!("of {id}"))).collect::<Value>());
    assert_eq!(listed["heartbeat"], json!(vec![false; 30]));
    write(client, "gateway:workers:snapshot", "aggregated").await;
    assert_eq!(list().await, "aggregated");
    write(client, "gateway:workers:snapshot", "").await;
    assert!(list().await.contains("w07"), "what is empty is no snapshot");
    client.command(&["DEL", "worker:w07:status"]).await.unwrap();
    let listed: Value = serde_json::from_str(&list().await).unwrap();
    assert_eq!((&listed["ids"][7], &listed["status"][7]), (&json!("w07"), &json!(false)));
}

#[test]
fn sentinels_lead_to_the_new_master() {
    on_one_thread(async {
        let mut master = Server::start(PLAIN).await;
        let of = format!("127.0.0.1 {}", master.port);
        let replica = Server::start(&[PLAIN, &["--replicaof", &of]].concat()).await;
        let settings = format!(
            "port {{port}}\nbind 127.0.0.1\nsentinel monitor main {of} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
        );
        let sentinel = Server::configured(&settings, &["{folder}/redis.conf", "--sentinel"]).await;
        wait_for("the replica is known", || async {
            sentinel.cli(&["SENTINEL", "REPLICAS", "main"]).contains(&replica.port.to_string())
                && replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
        })
        .await;
        let client = client(&format!("redis-sentinel://127.0.0.1:{}/main", sentinel.port), 500).await;
        write(&client, "a", "1").await;
        assert_eq!(client.status().mode, "sentinel");
        wait_for("it is replicated", || async { replica.cli(&["GET", "a"]).trim() == "1" }).await;
        master.kill();
        wait_for("the replica answers", || async {
            let answer = read(&client, "a").await;
            assert!(!matches!(answer, Ok(None) | Err(StoreError::Protocol(_))), "{answer:?}");
            answer.is_ok()
        })
        .await;
        assert_eq!(read(&client, "a").await, Ok(Some("1".into())));
    });
}
