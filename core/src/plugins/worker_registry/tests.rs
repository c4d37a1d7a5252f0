//! Workers' calls in, the list out.

use alloc::{format, string::ToString, vec};
use serde_json::{Value, json};

use crate::{
    config::{Document, Secret, StaticKey, WorkersFormat},
    plugin::Source,
    plugins::{
        fixture::document,
        lab::{Lab, Origin, Seen},
    },
    store::Batch,
};

fn keyed() -> Document {
    let mut document = document();
    document.auth.api_keys = vec![StaticKey { name: "k".into(), key: Secret::new("k") }];
    document
}

fn list(lab: &mut Lab, query: &str) -> Seen {
    let seen = lab.send("GET", &format!("/api/v1/workers{query}"), &[("x-api-key", "k")]);
    assert!(!seen.forwarded);
    seen
}

fn call(lab: &mut Lab, rest: &str, body: &Value, status: u16) -> Seen {
    let target = format!("/api/v1/workers/{rest}");
    let answer = Origin(status, json!({"worker_id": "w1", "token": "t"}));
    let seen = lab.exchange("POST", &target, &[("x-worker-token", "t")], &body.to_string(), answer);
    assert!(seen.forwarded, "{rest}: {seen:?}");
    seen
}

fn register(lab: &mut Lab) -> Seen {
    let body = json!({"region": "asia-east", "gpu_model": "RTX 4090", "gpu_memory_gb": 24, "supported_types": ["llm"]});
    call(lab, "register", &body, 200)
}

#[test]
fn a_worker_as_it_comes_and_goes() {
    let mut lab = Lab::new(keyed());
    assert_eq!(
        list(&mut lab, "").json(),
        json!({"workers": [], "total": 0, "online": 0, "busy": 0, "idle": 0})
    );
    assert!(register(&mut lab).event_names().contains(&"gateway:worker:online"));
    lab.now_ms += 1_000;
    let beat =
        json!({"status": "busy", "gpu_memory_used_gb": 1.5, "current_job_id": "j", "loaded_models": ["m"]});
    assert!(call(&mut lab, "w1/heartbeat", &beat, 200).event_names().contains(&"gateway:worker:updated"));
    call(&mut lab, "w1/jobs/j/complete", &json!({"success": true}), 200);
    let worker = json!({
        "worker_id": "w1",
        "region": "asia-east",
        "status": "busy",
        "gpu": {
            "name": "RTX 4090",
            "memory_total_mb": 24576,
            "memory_used_mb": 1536,
            "utilization_percent": null,
        },
        "last_heartbeat": "2026-01-01T00:00:01Z",
        "uptime_seconds": null,
        "jobs_completed": 1,
    });
    let expected = json!({"workers": [worker], "total": 1, "online": 1, "busy": 1, "idle": 0});
    assert_eq!(list(&mut lab, "").json(), expected);
    // What stands there keeps older lists out.
    assert_eq!(lab.get("gateway:workers:snapshot").as_deref(), Some(""));
    assert_eq!(list(&mut lab, "").json(), expected);
    let status: Value = serde_json::from_str(&lab.get("worker:w1:status").unwrap()).unwrap();
    assert_eq!((&status["current_job"], &status["capabilities"]), (&json!("j"), &json!(["m"])));
    assert_eq!(lab.get("worker:w1:heartbeat").unwrap(), "1767225601");

    let gone = call(&mut lab, "w1/going-offline", &json!({}), 200);
    assert!(gone.event_names().contains(&"gateway:worker:offline"));
    assert_eq!(list(&mut lab, "").json()["workers"][0]["status"], "going_offline");
    call(&mut lab, "w1/offline", &json!({}), 200);
    let seen = list(&mut lab, "").json();
    assert_eq!((&seen["workers"][0]["status"], &seen["online"]), (&json!("offline"), &json!(0)));
    lab.now_ms += 90_001;
    assert_eq!(list(&mut lab, "").json()["total"], 0);
    assert_eq!(lab.get("worker:index").as_deref(), Some("[]"));
}

/// A list that was read before a worker's call and is written after it does not hide the call.
#[test]
fn a_late_snapshot_is_no_snapshot() {
    let mut lab = Lab::new(keyed());
    register(&mut lab);
    lab.now_ms += 3_000;
    let read = list(&mut lab, "");
    assert_eq!(read.json()["idle"], 1);
    let beat = |lab: &mut Lab| call(lab, "w1/heartbeat", &json!({"status": "busy"}), 200);
    beat(&mut lab);
    lab.store.apply(&Batch { now_ms: lab.now_ms, ops: read.written.clone() });
    assert_eq!(list(&mut lab, "").json()["busy"], 1);
    // Some time after the last call, a list stands for others again.
    lab.now_ms += 2_001;
    assert_eq!(list(&mut lab, "").json()["busy"], 1);
    assert!(lab.get("gateway:workers:snapshot").is_some_and(|text| text.contains("busy")));
    // Who takes its answer slowly does not write at all.
    lab.now_ms += 5_001;
    lab.takes_ms = 1_000;
    assert!(list(&mut lab, "").written.is_empty());
}

#[test]
fn failed_calls_tell_nothing() {
    for status in [401, 404, 422, 500] {
        let mut lab = Lab::new(keyed());
        call(&mut lab, "w1/heartbeat", &json!({"status": "online"}), status);
        call(&mut lab, "register", &json!({"region": "r"}), status);
        assert_eq!(list(&mut lab, "").json()["total"], 0);
    }
}

#[test]
fn what_others_wrote() {
    let check = |status: Value, gpu: Value, heartbeat: &str, pointer: &str, expected: Value| {
        let mut lab = Lab::new(keyed());
        lab.set("worker:index", "[\"w1\",\"gone\"]");
        for (what, value) in
            [("status", status.to_string()), ("gpu", gpu.to_string()), ("heartbeat", heartbeat.to_string())]
        {
            if value != "null" && !value.is_empty() {
                lab.set(&format!("worker:w1:{what}"), &value);
            }
        }
        let seen = list(&mut lab, "").json();
        assert_eq!(seen.pointer(&format!("/workers/0/{pointer}")), Some(&expected), "{seen}");
        assert_eq!(seen["total"], 1);
    };
    let up = json!({"status": "online", "last_heartbeat": "2026-01-01T00:00:00", "gpu": {"name": "old"}});
    check(up.clone(), Value::Null, "", "status", json!("online"));
    check(up.clone(), Value::Null, "", "last_heartbeat", json!("2026-01-01T00:00:00Z"));
    check(up.clone(), json!({"name": "new"}), "", "gpu/name", json!("new"));
    check(up.clone(), json!({"name": "x", "updated_at": 1767225599}), "", "gpu/name", json!("old"));
    check(up.clone(), json!({"memory_used_mb": 5}), "", "gpu/memory_used_mb", json!(5));
    check(up, json!({"memory_used_mb": "5"}), "", "gpu/memory_used_mb", Value::Null);
    check(json!({"status": "online"}), Value::Null, "1767225510", "status", json!("online"));
    check(json!({"status": "online"}), Value::Null, "1767225509", "status", json!("offline"));
    check(
        json!({"status": "busy"}),
        Value::Null,
        "2025-12-31T20:00:00.5-04:00",
        "last_heartbeat",
        json!("2026-01-01T00:00:00.5Z"),
    );
    check(json!({"status": 5}), Value::Null, "soon", "status", Value::Null);
    check(json!([]), json!({}), "", "gpu/name", Value::Null);
}

#[test]
fn queries() {
    let mut lab = Lab::new(keyed());
    register(&mut lab);
    for (query, total) in [
        ("?region=asia-east", 1),
        ("?region=asia%2Deast&status=online", 1),
        ("?region=us-west", 0),
        ("?status=idle", 1),
        ("?status=busy", 0),
        ("?status=&region=", 1),
        ("?other=1", 1),
    ] {
        assert_eq!(list(&mut lab, query).json()["total"], total, "{query}");
    }
    for query in [
        "?status=asleep",
        "?format=xml",
        "?format=",
        "?status=busy&status=idle",
        "?region=%ff",
        "?region=a%00",
    ] {
        assert_eq!(list(&mut lab, query).status, 400, "{query}");
    }
    let array = list(&mut lab, "?format=backend").json();
    assert_eq!((&array[0]["worker_id"], &array[0]["gpu_memory_gb"]), (&json!("w1"), &json!(24.0)));
    let mut document = keyed();
    document.workers_format = WorkersFormat::Backend;
    let mut lab = Lab::new(document);
    assert_eq!(list(&mut lab, "").json(), json!([]));
    assert_eq!(list(&mut lab, "?format=gateway").json()["total"], 0);
    for source in [Source::Fallback, Source::Down] {
        lab.source = source;
        assert_eq!(list(&mut lab, "").json()["error"]["code"], "STORE_UNAVAILABLE");
    }
    assert_eq!(lab.send("POST", "/api/v1/workers", &[]).status, 401);
}
