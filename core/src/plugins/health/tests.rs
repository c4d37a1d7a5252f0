//! Cases of this module.

use alloc::{sync::Arc, vec, vec::Vec};
use core::net::IpAddr;

use serde_json::Value;

use crate::{
    Gateway, Status, Step, Verdict,
    config::{Document, OnStoreError},
    origins::OriginView,
    plugins::fixture,
    report::StoreStatus,
    verdict::Answer,
};

fn well() -> Status {
    Status {
        uptime_ms: 61_500,
        metrics: "metrics".into(),
        store: StoreStatus { mode: "tcp", up: true, latency_us: Some(420), error: None },
        origins: vec![OriginView::default(); 2],
        ..Status::default()
    }
}

/// Reads a page from the gateway's own machine.
fn read(document: Document, path: &str, fields: &[(&str, &str)], status: &Status, draining: bool) -> Answer {
    let mut facts = fixture::facts();
    facts.peer.ip = IpAddr::from([127, 0, 0, 1]);
    facts.draining = draining;
    let fields: Vec<_> = [("host", "localhost")].iter().chain(fields).copied().collect();
    let gateway = Arc::new(Gateway::compile(document).unwrap());
    match gateway.begin(fixture::head("GET", path, &fields), facts) {
        Step::Settled(Verdict::Report(report)) => report.render(status).answer,
        Step::Settled(Verdict::Reply(reply)) => reply.answer,
        _ => panic!("{path} was not settled without the store"),
    }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn health_says_how_well_it_is() {
    let store_down = |status: &mut Status| status.store.up = false;
    let one_down = |status: &mut Status| status.origins[0].ejected = true;
    let all_down = |status: &mut Status| status.origins.iter_mut().for_each(|view| view.ejected = true);
    type Change = fn(&mut Status);
    let cases: [(Change, OnStoreError, u16, &str, usize, &str); 6] = [
        (|_| {}, OnStoreError::Local, 200, "healthy", 0, "up; mode=tcp"),
        (store_down, OnStoreError::Local, 200, "degraded", 1, "down; mode=local"),
        (store_down, OnStoreError::Allow, 200, "degraded", 1, "down; mode=allow"),
        (store_down, OnStoreError::Deny, 503, "unhealthy", 1, "down; mode=deny"),
        (one_down, OnStoreError::Local, 200, "degraded", 1, "up; mode=tcp"),
        (all_down, OnStoreError::Local, 503, "unhealthy", 2, "up; mode=tcp"),
    ];
    for (change, mode, code, word, errors, field) in cases {
        let mut document = fixture::document();
        document.store.on_error = mode;
        let mut status = well();
        change(&mut status);
        let answer = read(document, "/gateway/health", &[], &status, false);
        let body = json(&answer);
        assert_eq!((answer.status.as_u16(), &body["status"]), (code, &Value::from(word)));
        assert_eq!(body["errors"].as_array().map_or(0, Vec::len), errors);
        assert_eq!(answer.headers["x-gateway-store"], field);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!((&body["uptime"], &body["timestamp"]), (&61.into(), &"2026-01-01T00:00:00Z".into()));
    }
}

#[test]
fn probes_tell_life_from_readiness() {
    for (path, draining, code) in [
        ("/gateway/livez", false, 200),
        ("/gateway/livez", true, 200),
        ("/gateway/readyz", false, 200),
        ("/gateway/readyz", true, 503),
    ] {
        let answer = read(fixture::document(), path, &[], &well(), draining);
        assert_eq!(answer.status.as_u16(), code, "{path} draining: {draining}");
    }
}

#[test]
fn details_name_every_origin() {
    let mut status = well();
    status.origins[1] = OriginView { in_flight: 3, ewma_us: 1_500, ejected: true };
    let body = json(&read(fixture::document(), "/gateway/health/detailed", &[], &status, false));
    assert_eq!(body["checks"]["redis"]["latency_ms"], 0.42);
    let second = &body["checks"]["fastapi"]["origins"][1];
    assert_eq!((&second["status"], &second["in_flight"]), (&"unhealthy".into(), &3.into()));
    assert_eq!(second["latency_ms"], 1.5);
}

#[test]
fn plugins_are_listed_also_when_they_are_off() {
    let mut document = fixture::document();
    document.cache.enabled = false;
    let body = json(&read(document.clone(), "/gateway/plugins", &[], &well(), false));
    let list = body["plugins"].as_array().unwrap();
    assert_eq!(body["total"], list.len());
    assert_eq!((&body["loaded"], &body["error"]), (&1.into(), &0.into()));
    for (name, priority) in [
        ("auth-plugin", 100),
        ("rate-limit-plugin", 90),
        ("cache-plugin", 80),
        ("router-plugin", 70),
        ("metrics-plugin", 10),
    ] {
        let found = list.iter().find(|plugin| plugin["name"] == name).unwrap();
        assert_eq!(found["priority"], priority, "{name}");
    }
    let one = json(&read(document.clone(), "/gateway/plugins/cache-plugin", &[], &well(), false));
    assert_eq!(one["status"], "loaded");
    assert_eq!(read(document, "/gateway/plugins/none", &[], &well(), false).status.as_u16(), 404);
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    for (accept, kind) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ] {
        let answer = read(fixture::document(), "/gateway/metrics", &[("accept", accept)], &well(), false);
        assert_eq!(
            (&answer.headers["content-type"], &answer.body[..]),
            (&kind.parse().unwrap(), &b"metrics"[..])
        );
    }
}
