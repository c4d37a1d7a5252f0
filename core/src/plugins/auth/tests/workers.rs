//! Workers' tokens: learned, refused, forgotten.

use alloc::{format, vec};
use serde_json::{Value, json};

use super::{closed, lab_with, record_of};
use crate::{
    config::WorkerTokens,
    plugin::Source,
    plugins::{
        fixture::document,
        lab::{Lab, Origin, Seen},
    },
};

const SEVEN: [(&str, &str); 7] = [
    ("POST", "heartbeat"),
    ("GET", "next-job"),
    ("POST", "jobs/j1/complete"),
    ("POST", "going-offline"),
    ("POST", "offline"),
    ("GET", "config"),
    ("PUT", "config"),
];

fn call(lab: &mut Lab, (method, rest): (&str, &str), worker: &str, token: &str, status: u16) -> Seen {
    let target = format!("/api/v1/workers/{worker}/{rest}");
    let fields = [("x-worker-token", token)];
    let fields = fields.get(..usize::from(!token.is_empty())).unwrap();
    lab.exchange(method, &target, fields, "{}", Origin(status, json!({})))
}

/// A call to an origin that would answer 200.
fn check(lab: &mut Lab, at: (&str, &str), worker: &str, token: &str, expected: (u16, bool)) {
    let seen = call(lab, at, worker, token, 200);
    assert_eq!(seen.brief(), expected, "{at:?} of {worker} with `{token}`: {seen:?}");
}

fn issue(lab: &mut Lab, target: &str, answer: Value) {
    let seen = lab.exchange("POST", target, &[], "{}", Origin(200, answer));
    assert!(seen.forwarded && seen.held, "{seen:?}");
}

fn register(lab: &mut Lab, worker: &str, token: &str) {
    issue(lab, "/api/v1/workers/register", json!({"worker_id": worker, "token": token}));
}

fn strict() -> Lab {
    let mut document = document();
    document.auth.worker_tokens = WorkerTokens::Strict;
    Lab::new(document)
}

#[test]
fn registered_tokens_open_their_own_worker_alone() {
    for mut lab in [Lab::new(document()), strict()] {
        register(&mut lab, "w1", "t1");
        register(&mut lab, "w2", "t2");
        for at in SEVEN {
            check(&mut lab, at, "w1", "t1", (200, true));
            check(&mut lab, at, "w1", "t2", (403, false));
            check(&mut lab, at, "w3", "t1", (403, false));
            check(&mut lab, at, "w1", "", (401, false));
            lab.now_ms += 60_000;
            check(&mut lab, at, "w1", "wrong", (401, false));
        }
        check(&mut lab, ("GET", "anything"), "w1", "t1", (200, true));
        check(&mut lab, ("GET", "anything"), "w1", "t2", (403, false));
        for path in ["/api/v1/jobs/x", "/api/v1/workers", "/api/v1/admin/x", "/api/v1/workers/w1", "/x"] {
            assert_eq!(lab.send("GET", path, &[("x-worker-token", "t1")]).brief(), (403, false), "{path}");
        }
        lab.now_ms += 86_400_000;
        check(&mut lab, ("GET", "anything"), "w1", "t1", (401, false));
    }
}

#[test]
fn a_refresh_kills_the_old_token_at_once() {
    for mut lab in [Lab::new(document()), strict()] {
        register(&mut lab, "w1", "t1");
        issue(&mut lab, "/api/v1/workers/w1/refresh-token", json!({"token": "t2", "refresh_token": "r"}));
        for at in SEVEN {
            check(&mut lab, at, "w1", "t1", (401, false));
            check(&mut lab, at, "w1", "t2", (200, true));
        }
    }
}

#[test]
fn expiry_is_the_origin_s() {
    let mut lab = strict();
    // One hour after the fixture's moment, as the backend writes it.
    let answer = json!({"worker_id": "w1", "token": "t1", "token_expires_at": "2026-01-01T01:00:00.000001"});
    issue(&mut lab, "/api/v1/workers/register", answer);
    lab.now_ms += 3_599_000;
    check(&mut lab, ("GET", "next-job"), "w1", "t1", (200, true));
    lab.now_ms += 2_000;
    check(&mut lab, ("GET", "next-job"), "w1", "t1", (401, false));
}

#[test]
fn an_unknown_token_is_learned_on_the_seven_calls_alone() {
    for at in SEVEN {
        let mut lab = Lab::new(document());
        check(&mut lab, ("GET", "anything"), "w1", "t1", (401, false));
        check(&mut lab, at, "w1", "t1", (200, true));
        check(&mut lab, ("GET", "anything"), "w1", "t1", (200, true));
        check(&mut lab, at, "w1", "t2", (401, false));
        let mut lab = strict();
        check(&mut lab, at, "w1", "t1", (401, false));
    }
}

#[test]
fn few_refusals_reach_the_origin() {
    let mut lab = Lab::new(document());
    let at = ("GET", "next-job");
    // Given back: the origin did not refuse the token.
    for status in [404, 422, 500, 204] {
        for count in 0..4 {
            let worker = format!("w{status}");
            let token = format!("first-{}", if status == 204 { 0 } else { count });
            assert_eq!(call(&mut lab, at, &worker, &token, status).brief(), (status, true));
        }
    }
    for (worker, status) in [("locked", 403), ("wrong", 401)] {
        for count in 0..3 {
            assert_eq!(call(&mut lab, at, worker, &format!("t{count}"), status).brief(), (status, true));
        }
        let refused = call(&mut lab, at, worker, "t4", status);
        assert_eq!(refused.brief(), (401, false));
        assert_eq!(refused.field("retry-after"), "900");
    }
    lab.now_ms += 900_001;
    check(&mut lab, at, "wrong", "right", (200, true));
    for count in 0..10 {
        check(&mut lab, at, "wrong", &format!("t{count}"), (401, false));
    }
    check(&mut lab, at, "wrong", "right", (200, true));
}

#[test]
fn guesses_at_many_workers_come_to_an_end() {
    for limit in [1, 2, 20] {
        let mut document = document();
        document.auth.failures_per_minute = core::num::NonZeroU32::new(limit).unwrap();
        let mut lab = Lab::new(document);
        let guess = |lab: &mut Lab, status: u16| {
            let worker = format!("w{}", lab.now_ms);
            lab.now_ms += 1;
            call(lab, ("GET", "next-job"), &worker, "guess", status)
        };
        for _ in 0..limit {
            assert_eq!(guess(&mut lab, 401).brief(), (401, true));
        }
        let refused = guess(&mut lab, 401);
        assert_eq!(refused.brief(), (429, false), "{limit}");
        // Who waits as long as was said is let through.
        lab.now_ms += refused.field("retry-after").parse::<u64>().unwrap() * 1_000;
        assert_eq!(guess(&mut lab, 200).brief(), (200, true), "{limit}");
    }
}

#[test]
fn a_token_that_the_origin_no_longer_takes_is_forgotten() {
    let mut lab = Lab::new(document());
    register(&mut lab, "w1", "t1");
    let at = ("POST", "heartbeat");
    let forwarded: usize = (0..10).map(|_| usize::from(call(&mut lab, at, "w1", "t1", 401).forwarded)).sum();
    assert_eq!(forwarded, 3);
    lab.now_ms += 900_001;
    check(&mut lab, at, "w1", "t9", (200, true));
}

#[test]
fn a_late_proof_does_not_replace_a_newer_token() {
    let mut lab = Lab::new(document());
    lab.put("gateway:worker:w1", &[]);
    let seen = call(&mut lab, ("GET", "next-job"), "w1", "old", 200);
    // The same writes once more, after a newer token was issued.
    issue(&mut lab, "/api/v1/workers/w1/refresh-token", json!({"token": "new"}));
    lab.store.apply(&crate::store::Batch { now_ms: lab.now_ms, ops: seen.written });
    check(&mut lab, ("GET", "next-job"), "w1", "new", (200, true));
    check(&mut lab, ("GET", "next-job"), "w1", "old", (401, false));
}

#[test]
fn verify_passes_and_teaches_only_what_is_valid() {
    let verify = |lab: &mut Lab, token: &str, status: u16, answer: Value| {
        let fields = [("x-worker-token", token)];
        let seen = lab.exchange("POST", "/api/v1/workers/w1/verify", &fields, "", Origin(status, answer));
        assert_eq!(seen.brief(), (status, true));
    };
    for (status, answer, taught) in [
        (200, json!({"valid": true}), true),
        (200, json!({"valid": false}), false),
        (200, json!({"valid": "true"}), false),
        (200, json!([true]), false),
        (201, json!({"valid": true}), false),
        (401, json!({"valid": true}), false),
    ] {
        let mut lab = strict();
        verify(&mut lab, "t1", status, answer);
        check(&mut lab, ("GET", "next-job"), "w1", "t1", if taught { (200, true) } else { (401, false) });
    }
    let mut lab = lab_with(closed());
    register(&mut lab, "w1", "t1");
    for token in ["", "static", "two\u{e9}", "plain"] {
        verify(&mut lab, token, 200, json!({"valid": false}));
    }
    // The worker has a newer token, got from the origin past this gateway.
    verify(&mut lab, "t2", 200, json!({"valid": true}));
    check(&mut lab, ("GET", "next-job"), "w1", "t2", (200, true));
    check(&mut lab, ("GET", "next-job"), "w1", "t1", (401, false));
}

#[test]
fn api_keys_open_no_worker_s_calls() {
    let mut lab = lab_with(closed());
    for token in ["static", "root", "plain", "boss"] {
        for at in SEVEN {
            check(&mut lab, at, "w1", token, (403, false));
        }
    }
    // A refused call took no permit.
    for count in 0..3 {
        assert!(call(&mut lab, ("GET", "config"), "w1", &format!("t{count}"), 401).forwarded);
    }
}

#[test]
fn store_down() {
    let mut lab = Lab::new(document());
    lab.source = Source::Fallback;
    let at = ("GET", "next-job");
    for count in 0..3 {
        assert_eq!(call(&mut lab, at, "w1", &format!("t{count}"), 401).brief(), (401, true));
    }
    check(&mut lab, at, "w1", "t4", (401, false));
    check(&mut lab, ("GET", "anything"), "w1", "t1", (503, false));
    let refused = lab.send("POST", "/api/v1/workers/w1/refresh-token", &[]);
    assert_eq!(refused.brief(), (503, false));
    lab.source = Source::Down;
    check(&mut lab, at, "w2", "t1", (503, false));
    let mut lab = strict();
    lab.source = Source::Fallback;
    check(&mut lab, at, "w1", "t1", (503, false));
}

#[test]
fn hashes_alone_are_kept() {
    let mut lab = Lab::new(document());
    let answer = json!({"worker_id": "w1", "token": "secret-token", "refresh_token": "secret-r"});
    let seen = lab.exchange("POST", "/api/v1/workers/register", &[], "{}", Origin(200, answer));
    let written = format!("{:?} {:?}", seen.written, seen.events);
    assert!(!written.contains("secret-") && written.contains(&record_of("secret-token")));
    let asked = lab.send("GET", "/x", &[("x-api-key", "secret-key")]);
    assert!(!format!("{:?} {:?}", asked.asked, asked.events).contains("secret-key"));
    assert_eq!(vec![asked.brief()], [(401, false)]);
}
