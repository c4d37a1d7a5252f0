//! Counters that went through the store are the counters that were recorded.

use alloc::{string::ToString, sync::Arc, vec};
use core::net::IpAddr;

use http::{Method, StatusCode};

use super::*;
use crate::{
    Gateway, Outcome, Status, Step, Verdict,
    event::Event,
    outcome::{AccessRecord, End},
    plugin::{Answers, Source},
    plugins::fixture,
    store::{Batch, Cell, Cells, Memory},
    telemetry::{Gathered, Gauges},
};

fn epilogue(pattern: &str, method: &str, status: u16, total_us: u64, events: Vec<Event>) -> Epilogue {
    let gateway = fixture::gateway(fixture::document());
    let (request, _) = gateway.arrival.read(fixture::head("GET", "/x", &[]), fixture::facts());
    let mut route = (*request.route).clone();
    route.pattern = pattern.into();
    let outcome = Outcome { total_us, end: End::Complete, ..Outcome::default() };
    let record = AccessRecord {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        route: Some(Arc::new(route)),
        status: StatusCode::from_u16(status).unwrap(),
        outcome,
        ..AccessRecord::default()
    };
    Epilogue { events, record, ..Epilogue::default() }
}

fn read(memory: &mut Memory, fleet: &Fleet) -> Vec<String> {
    let key = fleet.key("spin");
    let row = memory.apply(&Batch { now_ms: 1_000, ops: vec![Op::Hash { key, max: MAX_READ }] });
    match row.first() {
        Some(Cell::Bytes(text)) => serde_json::from_slice(text).unwrap(),
        _ => Vec::new(),
    }
}

fn tally(memory: &mut Memory, fleet: &Fleet, epilogue: &Epilogue) {
    memory.apply(&Batch { now_ms: 1_000, ops: vec![fleet.tally("spin", epilogue, true)] });
}

#[test]
fn a_fleet_and_a_process_render_the_same() {
    let document = fixture::document();
    let fleet = Fleet::new(&document);
    let (mut memory, mut process) = (Memory::default(), Metrics::default());
    let events = vec![
        Event::CacheMiss,
        Event::CacheHit { stale: true },
        Event::LimitExceeded { limit: "default".into() },
        Event::AuthRejected { reason: "unknown" },
        Event::RouterFailover { from: OriginId(1) },
        Event::PluginError { plugin: "cache-plugin", detail: "".into() },
        Event::HealthDegraded,
    ];
    for (pattern, method, status, total_us, events) in [
        ("/api/v1/jobs/{id}", "GET", 200, 30, events),
        ("/api/v1/jobs/{id}", "GET", 404, 1_700, vec![]),
        ("/a|b|c", "BREW", 418, 999_000_000, vec![]),
        ("other", "POST", 502, 0, vec![Event::CacheMiss]),
    ] {
        let epilogue = epilogue(pattern, method, status, total_us, events);
        process.record(&epilogue, &document);
        tally(&mut memory, &fleet, &epilogue);
    }
    let spans = SpanCounts { exported: 5, dropped: 3 };
    for store_errors in [1, 2] {
        let ops = vec![fleet.settle("spin", Owed { spans, store_errors })];
        memory.apply(&Batch { now_ms: 1_000, ops });
    }
    let counted = Metrics::from_fields(&read(&mut memory, &fleet));
    let spans = SpanCounts { exported: 10, dropped: 6 };
    let gauges = Gauges { store_round_trips: 8, store_errors: 3, spans, ..Gauges::default() };
    assert_eq!(counted.render(&Gauges::default(), false), process.render(&gauges, false));
}

#[test]
fn counts_that_went_together_are_the_same_but_for_the_commands_saved() {
    let fleet = Fleet::new(&fixture::document());
    let (mut apart, mut together, mut gathered) = (Memory::default(), Memory::default(), Gathered::default());
    assert!(gathered.is_empty() && gathered.take().is_none());
    for (pattern, status) in [("/a", 200), ("/b", 404), ("/a", 200), ("/a", 502)] {
        let epilogue = epilogue(pattern, "GET", status, 70, vec![Event::CacheMiss]);
        tally(&mut apart, &fleet, &epilogue);
        let other = Op::Set { key: "k".into(), value: "v".into(), ttl_ms: None, only_new: false };
        let foreign = fleet.tally("lambda", &epilogue, true);
        let mut ops = vec![other.clone(), fleet.tally("spin", &epilogue, true), foreign.clone()];
        gathered.take_from(&mut ops);
        assert_eq!(ops, [other, foreign], "what is no count for this hash is left");
    }
    assert!(!gathered.is_empty() && !gathered.is_full());
    let ops = vec![gathered.take().unwrap()];
    assert!(gathered.is_empty());
    together.apply(&Batch { now_ms: 1_000, ops });
    let [apart, mut together] = [&mut apart, &mut together].map(|it| Metrics::from_fields(&read(it, &fleet)));
    // Four questions with four commands behind them, or with one.
    assert_eq!((apart.store_round_trips, together.store_round_trips), (8, 5));
    together.store_round_trips = 8;
    assert_eq!(together.render(&Gauges::default(), false), apart.render(&Gauges::default(), false));
}

#[test]
fn gathered_counts_are_bounded() {
    let fleet = Fleet::new(&fixture::document());
    let mut gathered = Gathered::default();
    let mut requests = 0;
    while !gathered.is_full() {
        let epilogue = epilogue(&format!("/{requests}"), "GET", 200, 70, vec![]);
        gathered.take_from(&mut vec![fleet.tally("spin", &epilogue, false)]);
        requests += 1;
    }
    let Some(Op::Tally { adds, .. }) = gathered.take() else { panic!("something waits") };
    assert!(requests > 100 && adds.len() < 1_100, "{requests} requests, {} fields", adds.len());
}

#[test]
fn routes_past_the_bound_are_counted_together() {
    let fleet = Fleet::new(&fixture::document());
    let mut memory = Memory::default();
    for number in 0..3_000 {
        tally(&mut memory, &fleet, &epilogue(&format!("/{number}"), "GET", 200, 70, vec![]));
    }
    let fields = read(&mut memory, &fleet);
    let most = usize::try_from(MAX_FIELDS).unwrap();
    assert!((most..most + 10).contains(&(fields.len() / 2)), "{}", fields.len() / 2);
    let text = Metrics::from_fields(&fields).render(&Gauges::default(), false);
    let total: u64 = text
        .lines()
        .filter(|line| line.starts_with("gateway_requests_total{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum();
    assert_eq!(total, 3_000);
    assert!(text.contains("route=\"overflow\""), "{text}");
}

#[test]
fn what_others_wrote_into_the_hash_is_passed_over() {
    let words = [
        "",
        "1",
        "r",
        "1",
        "h|GET|200",
        "1",
        "h|GET|200|/p",
        "1",
        "h|GET|x|1|/p",
        "1",
        "h|GET|200x|1|/p",
        "1",
        "h|EVIL\"|200|1|/p",
        "1",
        "h|GET|200|77|/p",
        "1",
        "h|GET|200|x|/p",
        "1",
        "r|GET|200|/of-another-version",
        "1",
        "o|18446744073709551616",
        "1",
        "c|",
        "1",
        "zz|1",
        "1",
        "l",
        "-1",
        "t",
        "many",
    ];
    let fields: Vec<String> = words.iter().map(ToString::to_string).collect();
    let metrics = Metrics::from_fields(&fields);
    let text = metrics.render(&Gauges::default(), false);
    assert!(!text.contains("EVIL") && !text.contains("} 1\ngateway_r"), "{text}");
    assert!(text.contains("gateway_store_round_trips_total 0\n"), "{text}");
}

/// Serves one request on an instance of a fleet; the store is shared.
fn ask(gateway: &Arc<Gateway>, memory: &mut Memory, path: &str, source: Source) -> (String, usize) {
    let mut facts = fixture::facts();
    facts.peer.ip = IpAddr::from([127, 0, 0, 1]);
    facts.fleet = Some("spin");
    let (verdict, trips) = match gateway.begin(fixture::head("GET", path, &[("host", "localhost")]), facts) {
        Step::Settled(verdict) => (verdict, 0),
        Step::Asking(exchange) => {
            let row = memory.apply(exchange.batch());
            (exchange.decide(Answers { cells: Cells(&row), source }), 1)
        }
    };
    let reply = match verdict {
        Verdict::Reply(reply) => reply,
        Verdict::Report(report) => report.render(&Status { metrics: "alone".into(), ..Status::default() }),
        _ => panic!("{path} was forwarded"),
    };
    let epilogue = reply.closing.finish(Outcome { now_ms: fixture::NOW_MS, ..Outcome::default() });
    memory.apply(&epilogue.batch.unwrap());
    (String::from_utf8(reply.answer.body.to_vec()).unwrap(), trips)
}

#[test]
fn any_instance_shows_what_all_have_counted() {
    let instances = [(); 3].map(|()| Arc::new(Gateway::compile(fixture::document()).unwrap()));
    let mut memory = Memory::default();
    for number in 0..10 {
        ask(&instances[number % 3], &mut memory, "/api/v1/jobs/1", Source::Store);
    }
    let worker = r#"{"worker_id":"w","status":"idle","region":"us-west"}"#;
    for (key, value) in [("worker:index", "[\"w\"]"), ("worker:w:status", worker)] {
        let op = Op::Set { key: key.into(), value: value.into(), ttl_ms: None, only_new: false };
        memory.apply(&Batch { now_ms: fixture::NOW_MS, ops: vec![op] });
    }
    let (text, trips) = ask(&instances[1], &mut memory, "/gateway/metrics", Source::Store);
    assert_eq!(trips, 1);
    for line in [
        "gateway_requests_total{method=\"GET\",route=\"/api/v1/jobs/{id}\",status=\"401\"} 10",
        "gateway_auth_failures_total{reason=\"missing\"} 10",
        "gateway_workers_online{region=\"us-west\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "missing `{line}` in\n{text}");
    }
    assert!(text.contains("target=\"spin\"") && !text.contains("\ngateway_active_connections "), "{text}");
    let (text, _) = ask(&instances[1], &mut memory, "/gateway/metrics", Source::Fallback);
    assert_eq!(text, "alone");
}

#[test]
fn a_process_tells_of_the_workers_of_its_store_too() {
    let gateway = Arc::new(Gateway::compile(fixture::document()).unwrap());
    let mut memory = Memory::default();
    let mut set = |id: &str, worker: &str| {
        let (key, value) = (format!("worker:{id}:status"), String::from(worker).into());
        let ops = vec![
            Op::Index { key: "worker:index".into(), member: id.into(), max: 10, remove: false },
            Op::Set { key, value, ttl_ms: None, only_new: false },
        ];
        memory.apply(&Batch { now_ms: fixture::NOW_MS, ops });
    };
    set("w1", r#"{"status":"busy","region":"eu"}"#);
    set("w2", r#"{"status":"online"}"#);
    set("w3", r#"{"status":"going_offline","region":"eu"}"#);
    set("w4", r#"{"status":"offline","region":"us"}"#);
    set("w5", r#"{"status":"online","region":"us","last_heartbeat":"2001-01-01T00:00:00Z"}"#);
    let mut workers = |source| {
        let mut facts = fixture::facts();
        facts.peer.ip = IpAddr::from([127, 0, 0, 1]);
        let head = fixture::head("GET", "/gateway/metrics", &[("host", "localhost")]);
        let Step::Asking(exchange) = gateway.begin(head, facts) else { panic!("the store is not asked") };
        let row = memory.apply(exchange.batch());
        match exchange.decide(Answers { cells: Cells(&row), source }) {
            Verdict::Report(report) => report.workers(),
            _ => panic!("no page"),
        }
    };
    assert_eq!(workers(Source::Store), Some([("eu".into(), 1), ("unknown".into(), 1)].into()));
    assert_eq!(workers(Source::Fallback), None);
}

#[test]
fn a_page_on_health_asks_the_store_first() {
    let gateway = Arc::new(Gateway::compile(fixture::document()).unwrap());
    for (path, trips) in [
        ("/gateway/health", 1),
        ("/gateway/health/detailed", 1),
        ("/gateway/readyz", 1),
        ("/gateway/livez", 0),
    ] {
        assert_eq!(ask(&gateway, &mut Memory::default(), path, Source::Store).1, trips, "{path}");
    }
}
