//! Cases of this module.

use alloc::{borrow::Cow, string::String, string::ToString, sync::Arc, vec, vec::Vec};
use core::net::IpAddr;

use serde_json::Value;

use crate::{
    Gateway, Status, Step, Verdict,
    config::{Document, OnStoreError, PluginSettings},
    event::Event,
    flow::Flow,
    origins::OriginView,
    plugin::{Answers, Failures, Plan, Plugin, Source},
    plugins::fixture,
    report::StoreStatus,
    store::{Ask, Cells, Memory},
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
    let verdict = match gateway.begin(fixture::head("GET", path, &fields), facts) {
        Step::Settled(verdict) => verdict,
        // It tells of workers.
        Step::Asking(exchange) if path == "/gateway/metrics" => {
            let row = Memory::default().apply(exchange.batch());
            exchange.decide(Answers { cells: Cells(&row), source: Source::Store })
        }
        Step::Asking(_) => panic!("{path} was not settled without the store"),
    };
    match verdict {
        Verdict::Report(report) => report.render(status).answer,
        Verdict::Reply(reply) => reply.answer,
        _ => panic!("{path} is no page"),
    }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn health_says_how_well_it_is() {
    let store_down = |status: &mut Status| status.store.up = false;
    let one_down = |status: &mut Status| status.origins[0].failing = true;
    let all_down = |status: &mut Status| status.origins.iter_mut().for_each(|view| view.failing = true);
    type Change = fn(&mut Status);
    let cases: [(Change, OnStoreError, u16, &str, usize, &str); 6] = [
        (|_| {}, OnStoreError::Local, 200, "healthy", 0, "up; mode=tcp"),
        (store_down, OnStoreError::Local, 200, "degraded", 1, "down; mode=local"),
        (store_down, OnStoreError::Allow, 200, "degraded", 1, "down; mode=allow"),
        (store_down, OnStoreError::Deny, 503, "unhealthy", 1, "down; mode=deny"),
        (one_down, OnStoreError::Local, 200, "degraded", 1, "up; mode=tcp"),
        (all_down, OnStoreError::Local, 503, "unhealthy", 1, "up; mode=tcp"),
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
        assert!(!body.to_string().contains('`'), "the open page names an origin: {body}");
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
    status.origins[1] = OriginView { in_flight: 3, ewma_us: 1_500, ejected: false, failing: true };
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
    assert_eq!((&body["loaded"], &body["error"]), (&2.into(), &0.into()));
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
fn a_plugin_that_failed_lately_is_in_error_unless_it_is_off() {
    let mut failures = Failures::default();
    let failed = |plugin| Event::PluginError { plugin, detail: "no mood".into() };
    failures.note(&failed("router-plugin"), 1_000);
    failures.note(&failed("cache-plugin"), 2_000);
    failures.note(&failed("cache-plugin"), 3_000);
    failures.note(&Event::CacheMiss, 3_000);
    for (now_ms, expected) in [
        (3_000, &["router-plugin", "cache-plugin"][..]),
        (60_999, &["router-plugin", "cache-plugin"]),
        (61_000, &["cache-plugin"]),
        (63_000, &[]),
    ] {
        assert_eq!(failures.recent(now_ms), expected, "{now_ms}");
    }
    let mut document = fixture::document();
    document.cache.enabled = false;
    let status = Status { failing: failures.recent(3_000), ..well() };
    let body = json(&read(document.clone(), "/gateway/plugins", &[], &status, false));
    let list = body["plugins"].as_array().unwrap();
    let state = |name: &str| &list.iter().find(|plugin| plugin["name"] == name).unwrap()["status"];
    assert_eq!((state("router-plugin"), state("cache-plugin")), (&"error".into(), &"loaded".into()));
    assert_eq!((&body["error"], &body["loaded"]), (&1.into(), &2.into()));
    assert_eq!(body["active"].as_u64().unwrap() + 3, list.len() as u64);
    let one = json(&read(document.clone(), "/gateway/plugins/router-plugin", &[], &status, false));
    assert_eq!(one["status"], "error");
    let detailed = |status: &Status| {
        json(&read(document.clone(), "/gateway/health/detailed", &[], status, false))["checks"]["plugins"]
            .clone()
    };
    assert_eq!((&detailed(&status)["status"], &detailed(&status)["error"]), (&"unhealthy".into(), &1.into()));
    assert_eq!((&detailed(&well())["status"], &detailed(&well())["error"]), (&"healthy".into(), &0.into()));
}

/// A plugin whose file, so to speak, is bad.
struct Faulty;

impl Plugin for Faulty {
    fn name(&self) -> &'static str {
        "faulty-plugin"
    }
    fn priority(&self) -> i32 {
        1
    }
    fn version(&self) -> Cow<'static, str> {
        "7.1".into()
    }
    fn fault(&self) -> Option<String> {
        Some("no file".into())
    }
    fn plan(&self, _: &mut Flow, _: &mut Ask) -> Plan {
        Plan::Pass
    }
}

#[test]
fn a_plugin_says_its_version_and_what_is_wrong_with_it() {
    let gateway = Gateway::with_plugins(fixture::document(), vec![Arc::new(Faulty)]).unwrap();
    let page = super::plugin_page(&gateway, "faulty-plugin").unwrap();
    assert_eq!((&page["version"], &page["status"]), (&"7.1".into(), &"error".into()));
    assert_eq!(page["fault"], "no file");
    let gateway = Gateway::compile(fixture::document()).unwrap();
    let page = super::plugin_page(&gateway, "router-plugin").unwrap();
    assert_eq!((&page["version"], &page["status"]), (&env!("CARGO_PKG_VERSION").into(), &"active".into()));
    assert_eq!(page.get("fault"), None);
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    for (accept, kind) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;q=0, text/plain", "text/plain; version=0.0.4; charset=utf-8"),
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

#[test]
fn a_plugin_shows_the_place_that_the_document_gives_it() {
    let mut document = fixture::document();
    let moved = PluginSettings { priority: Some(75), ..PluginSettings::default() };
    document.plugins.insert("cors-plugin".into(), moved);
    let one = json(&read(document, "/gateway/plugins/cors-plugin", &[], &well(), false));
    assert_eq!((&one["priority"], &one["status"]), (&75.into(), &"active".into()));
}

#[test]
fn metrics_that_are_off_are_nowhere() {
    type Change = fn(&mut Document);
    let off: Change = |document| document.metrics.enabled = false;
    let plugin_off: Change = |document| {
        let off = PluginSettings { enabled: Some(false), ..PluginSettings::default() };
        document.plugins.insert("metrics-plugin".into(), off);
    };
    for (change, code) in [((|_| {}) as Change, 200), (off, 404), (plugin_off, 404)] {
        let mut document = fixture::document();
        change(&mut document);
        let answer = read(document, "/gateway/metrics", &[], &well(), false);
        assert_eq!(answer.status.as_u16(), code);
    }
}

#[test]
fn a_gateway_that_refuses_without_its_store_is_not_ready_without_it() {
    for (on_error, up, code) in [
        (OnStoreError::Deny, false, 503),
        (OnStoreError::Deny, true, 200),
        (OnStoreError::Local, false, 200),
        (OnStoreError::Allow, false, 200),
    ] {
        let mut document = fixture::document();
        document.store.on_error = on_error;
        let mut status = well();
        status.store.up = up;
        let answer = read(document, "/gateway/readyz", &[], &status, false);
        assert_eq!(answer.status.as_u16(), code, "{on_error:?} up: {up}");
    }
}
