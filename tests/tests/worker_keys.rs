//! The list of workers from keys that Python workers write themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use acip_tests::{Feature, KEY, Stand, supported, wait_for};
use serde_json::{Value, json};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

fn set(stand: &Stand, key: &str, value: &str) {
    assert_eq!(stand.redis().cli(&["SET", key, value]), "OK");
}

async fn list(stand: &Stand, query: &str) -> Value {
    let answer = stand.get(&format!("/api/v1/workers{query}")).key(KEY).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn keys_are_read_as_they_are_and_gaps_are_null() {
    let stand = Stand::start(&[]);
    set(&stand, "worker:index", "[\"full\",\"bare\",\"late\",\"gone\",\"broken\"]");
    let full = json!({
        "worker_id": "full", "region": "us-west", "status": "busy",
        "gpu": {"name": "L40S", "memory_total_mb": 49152, "memory_used_mb": 1, "utilization_percent": 2},
        "last_heartbeat": "2020-01-01T00:00:00", "uptime_seconds": 7, "jobs_completed": 3, "current_job": "j",
    });
    set(&stand, "worker:full:status", &full.to_string());
    set(&stand, "worker:full:gpu", &json!({"memory_used_mb": 4096, "utilization_percent": 87.5}).to_string());
    set(&stand, "worker:full:heartbeat", &now().to_string());
    set(&stand, "worker:bare:heartbeat", &now().to_string());
    set(&stand, "worker:late:status", &json!({"status": "online", "region": "eu-west"}).to_string());
    set(&stand, "worker:late:heartbeat", &(now() - 600).to_string());
    set(&stand, "worker:broken:status", "no JSON");
    set(&stand, "worker:broken:heartbeat", &now().to_string());

    let mut shown = list(&stand, "").await;
    let workers = shown["workers"].as_array_mut().expect("workers");
    workers.sort_by_key(|worker| worker["worker_id"].as_str().expect("an id").to_owned());
    let mut beats = Vec::new();
    for worker in workers.iter_mut() {
        beats.push(worker["last_heartbeat"].take());
    }
    assert!(beats.iter().all(|beat| beat.as_str().is_some_and(|beat| beat.ends_with('Z'))), "{beats:?}");
    let none =
        json!({"name": null, "memory_total_mb": null, "memory_used_mb": null, "utilization_percent": null});
    let worker = |id: &str, region: Value, status: Value| {
        json!({
            "worker_id": id, "region": region, "status": status, "gpu": none, "last_heartbeat": null,
            "uptime_seconds": null, "jobs_completed": null,
        })
    };
    let mut full = worker("full", json!("us-west"), json!("busy"));
    full["gpu"] = json!({"name": "L40S", "memory_total_mb": 49152, "memory_used_mb": 4096, "utilization_percent": 87.5});
    (full["uptime_seconds"], full["jobs_completed"]) = (json!(7), json!(3));
    let expected = [
        worker("bare", Value::Null, Value::Null),
        worker("broken", Value::Null, Value::Null),
        full,
        worker("late", json!("eu-west"), json!("offline")),
    ];
    assert_eq!(*workers, expected);
    assert_eq!(
        [&shown["total"], &shown["online"], &shown["busy"], &shown["idle"]],
        [&json!(4), &json!(1), &json!(1), &json!(0)]
    );
    assert_eq!(list(&stand, "?status=offline").await["workers"][0]["worker_id"], "late");
}

#[tokio::test]
async fn workers_without_an_index_are_found_and_gone_with_their_keys() {
    if !supported(&[Feature::ActiveChecks]) {
        return;
    }
    let stand = Stand::start(&[("RATE_LIMIT_ENABLED", "false")]);
    for at in 0..50 {
        set(&stand, &format!("other:{at}"), "x");
    }
    let up = json!({"status": "online", "region": "us-west"});
    set(&stand, "worker:own:status", &up.to_string());
    set(&stand, "worker:own:heartbeat", &now().to_string());
    set(&stand, "worker:beating:heartbeat", &now().to_string());
    set(&stand, "worker:never:gpu", "{}");
    let ids = async || {
        let shown = list(&stand, "").await;
        let ids = shown["workers"].as_array().expect("workers").iter();
        let mut ids: Vec<String> = ids.map(|it| it["worker_id"].as_str().expect("an id").into()).collect();
        ids.sort();
        ids
    };
    wait_for("both are listed", || async { ids().await == ["beating", "own"] }).await;
    stand.redis().cli(&["PEXPIRE", "worker:own:status", "1"]);
    stand.redis().cli(&["PEXPIRE", "worker:own:heartbeat", "1"]);
    wait_for("one has gone", || async { ids().await == ["beating"] }).await;
    wait_for("the index forgets it", || async {
        let _ = ids().await;
        stand.redis().cli(&["GET", "worker:index"]) == "[\"beating\"]"
    })
    .await;
}
