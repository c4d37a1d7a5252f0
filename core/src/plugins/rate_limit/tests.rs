//! Limits of requests, counted by the embedded store.

use alloc::{string::ToString, vec};
use serde_json::json;

use crate::{
    config::{
        Algorithm, Document, LimitBy, NamedLimit, OnStoreError, RouteLimit, RouteRule, Secret, StaticKey,
    },
    plugin::Source,
    plugins::{
        auth::stored_form,
        fixture::document,
        lab::{Lab, Seen},
    },
};

fn keyed(max_requests: u32) -> Document {
    let mut document = document();
    let key = |name: &str| StaticKey { name: name.into(), key: Secret::new(name) };
    document.auth.api_keys = vec![key("ann"), key("bob")];
    document.rate_limit.max_requests = max_requests;
    document.rate_limit.algorithm = Algorithm::SlidingLog;
    document
}

fn named(name: &str, by: LimitBy, limit: u32, path: Option<&str>) -> NamedLimit {
    NamedLimit {
        name: name.into(),
        by,
        path: path.map(Into::into),
        limit,
        window_ms: 60_000,
        algorithm: Algorithm::SlidingLog,
        cost: 1,
        on_store_error: None,
        on_demand: false,
    }
}

/// A lab whose store also knows `kept` (limits of its own) and `bare`.
fn lab(document: Document) -> Lab {
    let mut lab = Lab::new(document);
    let record = |token: &str| {
        alloc::format!("gateway:key:{{{}}}", stored_form("distributed-gpu-inference-v1", token))
    };
    lab.put(&record("bare"), &[("id", "bare")]);
    let limits = r#"[{"name":"burst","limit":2,"window_ms":1000,"algorithm":"sliding-log"}]"#;
    lab.put(&record("kept"), &[("id", "kept"), ("limits", limits), ("daily_limit", "4")]);
    lab
}

fn send(lab: &mut Lab, method: &str, target: &str, key: &str) -> Seen {
    let fields = [("x-api-key", key)];
    lab.send(method, target, fields.get(..usize::from(!key.is_empty())).unwrap())
}

/// How many of 40 requests pass.
fn check(lab: &mut Lab, method: &str, target: &str, key: &str, expected: usize) {
    let passed = (0..40).filter(|_| send(lab, method, target, key).status == 200).count();
    assert_eq!(passed, expected, "{method} {target} by `{key}`");
}

#[test]
fn each_subject_has_its_own_buckets() {
    let mut lab = lab(keyed(3));
    check(&mut lab, "GET", "/x", "ann", 3);
    check(&mut lab, "GET", "/x", "bob", 3);
    check(&mut lab, "GET", "/x", "bare", 3);
    check(&mut lab, "GET", "/health", "", 3);
    check(&mut lab, "POST", "/api/v1/workers/register", "", 3);
    check(&mut lab, "POST", "/api/v1/workers/w/verify", "", 3);
    check(&mut lab, "POST", "/api/v1/workers/w/refresh-token", "", 3);
    // Polling is ten times as generous, and apart.
    check(&mut lab, "GET", "/api/v1/jobs/j", "ann", 30);
    check(&mut lab, "GET", "/api/v1/jobs/j", "bare", 30);
    check(&mut lab, "GET", "/gateway/health", "", 40);
    lab.now_ms += 60_000;
    check(&mut lab, "GET", "/x", "ann", 3);
}

#[test]
fn workers_count_apart() {
    let mut lab = lab(keyed(3));
    let answer = json!({"worker_id": "w1", "token": "t"});
    lab.exchange("POST", "/api/v1/workers/register", &[], "{}", crate::plugins::lab::Origin(200, answer));
    let mut passed = |worker: &str| {
        let target = ["/api/v1/workers/", worker, "/next-job"].concat();
        (0..40).filter(|_| lab.send("GET", &target, &[("x-worker-token", "t")]).status == 200).count()
    };
    assert_eq!(passed("w1"), 30);
    assert_eq!(passed("w2"), 0);
}

#[test]
fn a_record_s_own_limits() {
    let mut lab = lab(keyed(3));
    check(&mut lab, "GET", "/x", "kept", 2);
    let refused = send(&mut lab, "GET", "/x", "kept");
    assert!(refused.field("ratelimit-policy").contains("burst"), "{refused:?}");
    lab.now_ms += 1_000;
    check(&mut lab, "GET", "/x", "kept", 2);
    lab.now_ms += 1_000;
    check(&mut lab, "GET", "/x", "kept", 0);
}

#[test]
fn what_a_refusal_says() {
    let mut lab = lab(keyed(1));
    let first = send(&mut lab, "GET", "/x", "ann");
    assert_eq!(
        (first.field("x-ratelimit-limit"), first.field("x-ratelimit-remaining")),
        ("1".into(), "0".into())
    );
    assert!(first.event_names().contains(&"gateway:ratelimit:allowed"));
    lab.now_ms += 10_500;
    let seen = send(&mut lab, "GET", "/x", "ann");
    assert_eq!((seen.brief(), seen.field("retry-after").as_str()), ((429, false), "50"));
    assert!(seen.event_names().contains(&"gateway:ratelimit:exceeded"));
    let error = &seen.json()["error"];
    assert_eq!((&error["code"], &error["retryAfter"]), (&json!("RATE_LIMIT_EXCEEDED"), &json!(50)));
    let reset = seen.field("x-ratelimit-reset").parse::<u64>().unwrap();
    assert_eq!(error["details"], json!({"limit": 1, "remaining": 0, "reset": reset}));
}

#[test]
fn named_limits_cost_nothing_where_another_refuses() {
    let mut document = keyed(100);
    document.limits = vec![
        named("few", LimitBy::Key, 2, Some("/few/*")),
        named("all", LimitBy::Route, 5, None),
        NamedLimit { cost: 10, ..named("dear", LimitBy::Ip, 30, Some("/dear")) },
    ];
    let mut lab = lab(document);
    check(&mut lab, "GET", "/few/x", "ann", 2);
    // Were refused requests counted, nothing of `all` would be left.
    check(&mut lab, "GET", "/few/x", "bob", 2);
    check(&mut lab, "GET", "/x", "ann", 1);
    lab.now_ms += 60_000;
    check(&mut lab, "GET", "/dear", "ann", 3);
    check(&mut lab, "GET", "/dear", "bob", 0);
}

#[test]
fn routes_of_the_document() {
    let rule = |path: &str, max_requests| RouteRule {
        path: path.to_string(),
        limit: Some(RouteLimit { max_requests, window_ms: None, algorithm: None }),
        ..RouteRule::default()
    };
    let mut document = keyed(3);
    document.routes = vec![rule("/free", None), rule("/tight", Some(1))];
    let mut lab = lab(document);
    for key in ["ann", "bare"] {
        check(&mut lab, "GET", "/free", key, 40);
        check(&mut lab, "GET", "/tight", key, 1);
        check(&mut lab, "GET", "/x", key, 3);
    }
    check(&mut lab, "GET", "/free", "kept", 2);
}

#[test]
fn zero_refuses_and_off_does_not() {
    let mut zero = lab(keyed(0));
    check(&mut zero, "GET", "/x", "ann", 0);
    let mut document = keyed(0);
    document.rate_limit.enabled = false;
    document.limits = vec![named("none", LimitBy::Ip, 0, None)];
    let mut off = lab(document);
    check(&mut off, "GET", "/x", "ann", 40);
}

#[test]
fn store_down() {
    for (mode, named_mode, source, expected) in [
        (OnStoreError::Local, None, Source::Fallback, 3),
        (OnStoreError::Allow, None, Source::Fallback, 40),
        (OnStoreError::Deny, None, Source::Fallback, 0),
        (OnStoreError::Local, None, Source::Down, 0),
        (OnStoreError::Allow, None, Source::Down, 40),
        (OnStoreError::Allow, Some(OnStoreError::Deny), Source::Fallback, 0),
        (OnStoreError::Allow, Some(OnStoreError::Local), Source::Fallback, 10),
    ] {
        let mut document = keyed(3);
        document.store.on_error = mode;
        if let Some(on_store_error) = named_mode {
            document.rate_limit.max_requests = 100;
            let on_store_error = Some(on_store_error);
            document.limits = vec![NamedLimit { on_store_error, ..named("n", LimitBy::Key, 10, None) }];
        }
        let mut lab = lab(document);
        lab.source = source;
        check(&mut lab, "GET", "/x", "ann", expected);
    }
}
