//! Jobs of several tenants, and answers of all sorts.

use alloc::{string::ToString, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    config::{Document, JobOwnership, Secret, StaticKey},
    plugin::Source,
    plugins::{
        fixture::document,
        lab::{Lab, Origin},
    },
};

const JOB: &str = "/api/v1/jobs/0190b5a0-0000-7000-8000-000000000001";
const ID: &str = "0190b5a0-0000-7000-8000-000000000001";

fn tenants(ownership: JobOwnership) -> Document {
    let mut document = document();
    let key = |name: &str| StaticKey { name: name.into(), key: Secret::new(name) };
    document.auth.api_keys = vec![key("ann"), key("bob")];
    document.auth.admin_token = Some(Secret::new("root"));
    document.auth.job_ownership = ownership;
    document
}

fn submit(lab: &mut Lab, target: &str, key: &str, origin: Origin) -> crate::plugins::lab::Seen {
    lab.exchange("POST", target, &[("x-api-key", key)], "{}", origin)
}

/// What reading, cancelling and going direct come to.
fn check(lab: &mut Lab, key: &str, status: u16) {
    for (method, path) in [
        ("GET", JOB.to_string()),
        ("HEAD", JOB.to_string()),
        ("DELETE", JOB.to_string()),
        ("GET", [JOB, "/direct"].concat()),
    ] {
        let seen = lab.exchange(method, &path, &[("x-api-key", key)], "", Origin(200, json!({})));
        assert_eq!(seen.brief(), (status, status == 200), "{method} {path} by {key}");
        assert!(status == 200 || seen.json()["error"]["code"].is_string());
    }
}

#[test]
fn a_job_belongs_to_its_tenant() {
    for (target, origin) in [
        ("/api/v1/jobs", Origin(200, json!({"job_id": ID, "status": "queued"}))),
        ("/api/v1/jobs", Origin(201, json!({"job_id": ID.to_uppercase()}))),
        ("/api/v1/jobs/sync", Origin(200, json!({"job_id": ID, "status": "completed"}))),
        ("/api/v1/jobs/sync", Origin(408, json!({"detail": {"error": "timeout", "job_id": ID}}))),
    ] {
        for ownership in [JobOwnership::Learned, JobOwnership::Strict] {
            let mut lab = Lab::new(tenants(ownership));
            check(&mut lab, "ann", if ownership == JobOwnership::Strict { 404 } else { 200 });
            let seen = submit(&mut lab, target, "ann", origin.clone());
            assert!(seen.held && seen.event_names().contains(&"gateway:job:submitted"), "{seen:?}");
            check(&mut lab, "ann", 200);
            check(&mut lab, "bob", 404);
            check(&mut lab, "root", 200);
            // The first owner stays.
            submit(&mut lab, target, "bob", origin.clone());
            check(&mut lab, "ann", 200);
            check(&mut lab, "bob", 404);
            lab.source = Source::Fallback;
            check(&mut lab, "ann", 503);
            check(&mut lab, "root", 200);
            lab.source = Source::Store;
            lab.now_ms += 7 * 86_400_000 + 1;
            check(&mut lab, "bob", if ownership == JobOwnership::Strict { 404 } else { 200 });
        }
    }
}

#[test]
fn off_and_open_check_nothing() {
    let mut open = tenants(JobOwnership::Learned);
    open.auth.enabled = false;
    let mut switched_off = tenants(JobOwnership::Learned);
    switched_off.plugins.entry("job-tracker-plugin".into()).or_default().enabled = Some(false);
    for (document, bob) in [(tenants(JobOwnership::Off), 200), (open, 200), (switched_off, 404)] {
        let mut lab = Lab::new(document);
        let seen = submit(&mut lab, "/api/v1/jobs", "ann", Origin(200, json!({"job_id": ID})));
        assert_eq!(seen.held, bob == 404);
        check(&mut lab, "bob", bob);
    }
}

#[test]
fn refusals_and_other_answers_teach_nothing() {
    for (target, origin) in [
        ("/api/v1/jobs", Origin(422, json!({"job_id": ID}))),
        ("/api/v1/jobs", Origin(408, json!({"detail": {"job_id": ID}}))),
        ("/api/v1/jobs/sync", Origin(503, json!({"detail": {"job_id": ID}}))),
        ("/api/v1/jobs", Origin(200, json!({"job_id": null}))),
        ("/api/v1/jobs", Origin(200, json!([ID]))),
        ("/api/v1/other", Origin(200, json!({"job_id": ID}))),
    ] {
        let mut lab = Lab::new(tenants(JobOwnership::Learned));
        submit(&mut lab, target, "ann", origin);
        check(&mut lab, "bob", 200);
    }
}

#[test]
fn events_of_the_end() {
    let check = |status: &str, event: Option<&str>| {
        let mut lab = Lab::new(tenants(JobOwnership::Learned));
        let answer = Origin(200, json!({"job_id": ID, "status": status}));
        let seen = lab.exchange("GET", JOB, &[("x-api-key", "ann")], "", answer.clone());
        let names = seen.event_names();
        assert_eq!(names.iter().find(|name| name.starts_with("gateway:job:")).copied(), event);
        let names = submit(&mut lab, "/api/v1/jobs/sync", "ann", answer).event_names();
        let found = names.iter().filter(|name| name.starts_with("gateway:job:")).nth(1);
        assert_eq!(found.copied(), event);
    };
    check("completed", Some("gateway:job:completed"));
    check("failed", Some("gateway:job:failed"));
    check("running", None);
    check("cancelled", None);
}

/// Any JSON of a few levels, with the names that are looked for.
fn hostile() -> impl Strategy<Value = Value> {
    let names = [
        "job_id",
        "status",
        "detail",
        "worker_id",
        "token",
        "token_expires_at",
        "valid",
        "region",
        "gpu_memory_gb",
        "gpu_memory_used_gb",
        "current_job_id",
        "loaded_models",
        "gpu_model",
        "success",
        "gpu",
        "last_heartbeat",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!(ID)),
        Just(json!("9999-12-31T23:59:59")),
        Just(json!("-009999-01-01T00:00:00Z")),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(proptest::sample::select(names.to_vec()), inner, 0..6).prop_map(
                |fields| fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
            ),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_body_makes_it_panic(answer in hostile(), body in hostile(), kept in hostile(), code in 200_u16..500) {
        let mut lab = Lab::new(tenants(JobOwnership::Learned));
        let body = body.to_string();
        lab.set("worker:w1:status", &kept.to_string());
        lab.set("worker:w1:gpu", &answer.to_string());
        lab.set("worker:index", "[\"w1\"]");
        for (method, target) in [
            ("POST", "/api/v1/jobs"),
            ("POST", "/api/v1/jobs/sync"),
            ("GET", JOB),
            ("POST", "/api/v1/workers/register"),
            ("POST", "/api/v1/workers/w1/refresh-token"),
            ("POST", "/api/v1/workers/w1/verify"),
            ("GET", "/api/v1/workers"),
        ] {
            let origin = Origin(code, answer.clone());
            lab.exchange(method, target, &[("x-api-key", "ann")], &body, origin);
        }
        for target in ["heartbeat", "offline", "jobs/1/complete"] {
            let target = ["/api/v1/workers/w1/", target].concat();
            lab.exchange("POST", &target, &[("x-worker-token", "t")], &body, Origin(code, answer.clone()));
        }
    }
}
