//! Recorded requests without end, from a seed: to see that every target decides them alike. Each is served by the core and a
//! store that remembers, so that limits run out, tokens are learned and answers are cached on the way.

use std::{net::IpAddr, sync::Arc};

use acip_core::{
    Facts, Gateway, OriginFailure, Outcome, RequestHead, ResponseHead, Status, Step, Verdict,
    config::{Document, Format, Platform, Source as File},
    facts::{Entropy, Hints, Peer},
    origins::{OriginId, OriginView},
    outcome::End,
    plugin::{Answers, Source},
    store::{Cells, Memory},
    trace::{Concealed, Origin, Pseudonyms, Recording},
    verdict::Closing,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::moment::START_MS;

/// Writes lines, documents first, until `count` requests are written.
///
/// # Errors
/// What the writer says.
pub fn generate(
    seed: u64,
    count: u64,
    mut write: impl FnMut(&str) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut chance = Chance(seed);
    let mut worlds: Vec<World> = DOCUMENTS.iter().map(|text| World::new(text)).collect();
    for world in &worlds {
        write(&world.concealed.document().write())?;
    }
    for _ in 0..count {
        let place = chance.below(worlds.len());
        let Some(world) = worlds.get_mut(place) else { continue };
        let recording = world.request(&mut chance);
        write(&world.concealed.conceal(recording).write())?;
    }
    Ok(())
}

/// Numbers from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.number() % bound).unwrap_or_default()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// One gateway with its store and its clock.
struct World {
    gateway: Arc<Gateway>,
    concealed: Concealed,
    store: Memory,
    now_ms: u64,
    turn: u64,
}

impl World {
    fn new(text: &str) -> Self {
        let file = File { name: "generated", text, format: Format::Toml };
        let document = Document::read(Some(file), [], Platform::Native).expect("a valid document");
        let gateway = Arc::new(Gateway::compile(document).expect("a valid document"));
        let concealed = Concealed::new(&gateway, Pseudonyms::new([42; 32])).expect("a readable document");
        Self { gateway, concealed, store: Memory::default(), now_ms: START_MS, turn: 0 }
    }

    fn request(&mut self, chance: &mut Chance) -> Recording {
        // Time mostly moves on, and sometimes back.
        let step = u64::try_from(chance.below(300)).unwrap_or_default();
        self.now_ms = if chance.one_in(50) { self.now_ms - step } else { self.now_ms + step };
        let head = head(chance);
        let facts = self.facts(chance);
        let mut recording = Recording {
            head: head.clone(),
            facts: facts.clone(),
            row: None,
            origin: Origin::Silent,
            outcome: Outcome { now_ms: self.now_ms, ..Outcome::default() },
        };
        let step = self.gateway.begin(head, facts);
        self.turn += u64::from(step.takes_turn());
        let verdict = match step {
            Step::Settled(verdict) => verdict,
            Step::Asking(exchange) => {
                let source = match chance.below(40) {
                    0 => Source::Down,
                    1 => Source::Fallback,
                    _ => Source::Store,
                };
                let cells = match source {
                    Source::Down => Vec::new(),
                    Source::Fallback => Memory::default().apply(exchange.batch()),
                    Source::Store => self.store.apply(exchange.batch()),
                };
                recording.row = Some((source, cells.clone()));
                exchange.decide(Answers { cells: Cells(&cells), source })
            }
        };
        let closing = self.close(chance, verdict, &mut recording);
        if let Some(batch) = closing.finish(recording.outcome.clone()).batch {
            self.store.apply(&batch);
        }
        recording
    }

    fn close(&self, chance: &mut Chance, verdict: Verdict, recording: &mut Recording) -> Closing {
        let forward = match verdict {
            Verdict::Reply(reply) => return reply.closing,
            Verdict::Serve(serve) => return serve.reply.closing,
            Verdict::Report(report) => return report.render(&Status::default()).closing,
            // Never recorded: its body may hold a secret.
            Verdict::Command(task) => return task.abandon(),
            Verdict::Forward(forward) => forward,
        };
        let now_ms = self.now_ms;
        recording.outcome.origin = forward.attempts.first().map(|attempt| attempt.origin);
        match chance.below(30) {
            0 => return forward.abandon(),
            1 => {
                let failure = *chance.of(&FAILURES);
                recording.origin = Origin::Failed { failure, now_ms };
                recording.outcome.origin = None;
                recording.outcome.failed = vec![OriginId(0)];
                return forward.fail(failure).closing;
            }
            _ => {}
        }
        if forward.capture_request > 0 {
            recording.outcome.request_body = Some(Bytes::from_static(chance.of(&BODIES).as_bytes()));
        }
        let status = *chance.of(&STATUSES);
        let mut headers = HeaderMap::new();
        for _ in 0..chance.below(4) {
            let (name, value) = *chance.of(&SAID);
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap_or_default();
        let head = ResponseHead { status, headers };
        let attempt = chance.below(forward.attempts.len());
        let received_ms = now_ms + u64::try_from(chance.below(400)).unwrap_or_default();
        recording.origin = Origin::Answered { attempt, head: head.clone(), sent_ms: now_ms, received_ms };
        let seal = forward.seal(attempt, head, now_ms, received_ms);
        recording.outcome.end = match chance.below(30) {
            0 => End::ClientLeft,
            1 => End::OriginBroke,
            _ => End::Complete,
        };
        if seal.capture_response > 0 && recording.outcome.end == End::Complete {
            recording.outcome.response_body = Some(Bytes::from_static(chance.of(&BODIES).as_bytes()));
        }
        seal.closing
    }

    fn facts(&self, chance: &mut Chance) -> Facts {
        let origins = self.gateway.document().origins.len();
        let view = |chance: &mut Chance| OriginView {
            in_flight: u32::try_from(chance.below(4)).unwrap_or_default(),
            ewma_us: u64::try_from(chance.below(50_000)).unwrap_or_default(),
            ejected: chance.one_in(8),
            failing: chance.one_in(8),
        };
        let mut random = [0; 48];
        random.fill_with(|| chance.number() as u8);
        let region =
            chance.one_in(4).then(|| (*chance.of(&["us-west", "DE", "ap-east", "nowhere"])).to_owned());
        let last = u8::try_from(chance.below(6)).unwrap_or_default();
        let ip =
            if chance.one_in(5) { IpAddr::from([127, 0, 0, 1]) } else { IpAddr::from([192, 0, 2, last]) };
        Facts {
            now_ms: self.now_ms,
            mono_us: chance.number() >> 20,
            entropy: Entropy::from_bytes(random),
            peer: Peer { ip, tls: chance.one_in(2) },
            hints: Hints { region, client: None },
            origins: (0..origins).map(|_| view(chance)).collect(),
            turn: self.turn,
            can_upgrade: chance.one_in(2),
            draining: chance.one_in(50),
            seen: None,
            fleet: chance.one_in(4).then_some("cloudflare"),
        }
    }
}

fn head(chance: &mut Chance) -> RequestHead {
    let mut headers = HeaderMap::new();
    if !chance.one_in(60) {
        headers.insert("host", HeaderValue::from_static("gateway.test"));
    }
    if !chance.one_in(6) {
        let (name, value) = *chance.of(&CREDENTIALS);
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for _ in 0..chance.below(5).saturating_sub(2) {
        let (name, value) = *chance.of(&FIELDS);
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut target = (*chance.of(&PATHS)).to_owned();
    if chance.one_in(5) {
        let query: &str = chance.of::<&str>(&QUERIES);
        target.push_str(query);
    }
    RequestHead {
        method: chance.of(&METHODS).clone(),
        uri: target.parse().unwrap_or_default(),
        version: *chance.of(&[Version::HTTP_11, Version::HTTP_11, Version::HTTP_2]),
        headers,
    }
}

const METHODS: [Method; 8] = [
    Method::GET,
    Method::GET,
    Method::GET,
    Method::POST,
    Method::POST,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
];
const PATHS: [&str; 24] = [
    "/",
    "/health",
    "/regions",
    "/api/v1/jobs",
    "/api/v1/jobs/sync",
    "/api/v1/jobs/j1",
    "/api/v1/jobs/0F8FAD5B-D9CB-469F-A165-70867728950E",
    "/api/v1/jobs/j1/direct",
    "/api/v1/queue/stats",
    "/api/v1/workers",
    "/api/v1/workers/register",
    "/api/v1/workers/w1/heartbeat",
    "/api/v1/workers/w1/next-job",
    "/api/v1/workers/w2/offline",
    "/api/v1/workers/w1/refresh-token",
    "/api/v1/workers/w1/verify",
    "/api/v1/workers/w1/jobs/j1/complete",
    "/api/v1/models",
    "/shared/a",
    "/own/b",
    "/admin/x",
    "/gateway/health",
    "/gateway/plugins/cache-plugin",
    "/a%2e%2e/b",
];
const QUERIES: [&str; 4] = ["?timeout=9", "?a=1&b=2", "?token=secret-in-a-query", "?region=us-west"];
const CREDENTIALS: [(&str, &str); 10] = [
    ("x-api-key", "alice-key-01"),
    ("x-api-key", "alice-key-01"),
    ("x-api-key", "alice-key-01"),
    ("x-api-key", "bob-key-02"),
    ("authorization", "Bearer alice-key-01"),
    ("authorization", "Bearer admin-token-03"),
    ("x-worker-token", "token-of-w1"),
    ("x-worker-token", "token-in-a-body"),
    ("x-worker-token", "token-in-a-body"),
    ("x-api-key", "nobody-key-99"),
];
const FIELDS: [(&str, &str); 18] = [
    ("authorization", "Basic YTpi"),
    ("accept", "application/problem+json"),
    ("accept-language", "de, en;q=0.5"),
    ("cache-control", "no-cache"),
    ("cache-control", "max-stale=30"),
    ("if-none-match", "\"a\""),
    ("range", "bytes=0-9"),
    ("origin", "https://a.test"),
    ("access-control-request-method", "POST"),
    ("connection", "upgrade, x-hop"),
    ("upgrade", "websocket"),
    ("via", "1.1 acip, 1.1 acip"),
    ("x-forwarded-for", "203.0.113.7, 198.51.100.9"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("x-request-id", "mine"),
    ("cookie", "session=secret-in-a-cookie"),
    ("content-length", "12"),
    ("x-region", "eu-west"),
];
const SAID: [(&str, &str); 14] = [
    ("cache-control", "max-age=30, stale-while-revalidate=30, stale-if-error=60"),
    ("cache-control", "max-age=5"),
    ("cache-control", "no-store"),
    ("cache-control", "private"),
    ("etag", "\"a\""),
    ("etag", "W/\"b\""),
    ("vary", "accept-language"),
    ("vary", "cookie, x-api-key"),
    ("vary", "*"),
    ("set-cookie", "session=secret-in-a-cookie"),
    ("content-type", "application/json"),
    ("content-type", "text/event-stream"),
    ("age", "3"),
    ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"),
];
const STATUSES: [u16; 12] = [200, 200, 200, 200, 201, 204, 304, 401, 404, 408, 500, 503];
const BODIES: [&str; 9] = [
    "{}",
    "not json",
    r#"{"job_id":"j1","status":"completed"}"#,
    r#"{"job_id":"j2","status":"running"}"#,
    r#"{"detail":{"job_id":"j3"}}"#,
    r#"{"worker_id":"w1","token":"token-in-a-body","token_expires_at":"2026-01-02T00:00:00Z"}"#,
    r#"{"valid":true}"#,
    r#"{"status":"busy","gpu_memory_used_gb":3.5,"region":"us-west"}"#,
    r#"{"status":"failed"}"#,
];
const FAILURES: [OriginFailure; 6] = [
    OriginFailure::Unreachable,
    OriginFailure::Denied,
    OriginFailure::Broken,
    OriginFailure::Timeout,
    OriginFailure::BodyTooLarge,
    OriginFailure::ClientBody,
];

/// As it ships but for keys; every algorithm and strategy; and much switched off.
const DOCUMENTS: [&str; 4] = [
    r#"
[auth]
api_keys = ["alice:alice-key-01", "bob:bob-key-02"]
admin_token = "admin-token-03"
[[routes]]
path = "/shared/*"
auth = "open"
cache = { mode = "shared", ttl_seconds = 60 }
[[routes]]
path = "/own/*"
cache = { mode = "per-credential", ttl_seconds = 60 }
"#,
    r#"
[server]
trusted_proxies = ["127.0.0.0/8", "192.0.2.0/31"]
[auth]
api_keys = ["alice:alice-key-01", "bob-key-02"]
admin_token = "admin-token-03"
worker_tokens = "strict"
job_ownership = "strict"
failures_per_minute = 3
[rate_limit]
max_requests = 3
algorithm = "token-bucket"
[upstream]
signing_secret = "sign-secret-77"
[cors]
origins = ["https://a.test"]
[router]
strategy = "region-affinity"
[identity]
name = "edge"
region = "eu-west"
[[origins]]
url = "http://a.test:8000"
region = "us-west"
[[origins]]
url = "https://b.test/prefix"
region = "eu-central"
[[limits]]
name = "burst"
by = "ip"
limit = 5
window_ms = 10000
algorithm = "sliding-log"
on_store_error = "deny"
"#,
    r#"
[auth]
api_keys = ["alice:alice-key-01"]
[rate_limit]
max_requests = 20
algorithm = "fixed-window"
[store]
on_error = "allow"
[router]
strategy = "p2c-ewma"
[[origins]]
url = "http://a.test"
[[origins]]
url = "http://b.test"
[[origins]]
url = "http://c.test"
[[routes]]
path = "/shared/*"
auth = "open"
cache = { mode = "shared" }
limit = { max_requests = 2, window_ms = 1000, algorithm = "sliding-log" }
[[routes]]
path = "/own/*"
cache = { mode = "per-credential", ttl_seconds = 60 }
[cache]
backend = "memory"
"#,
    r#"
workers_format = "backend"
[auth]
enabled = false
[cache]
enabled = false
[router]
strategy = "consistent-hash"
[[origins]]
url = "http://a.test"
weight = 3
[[origins]]
url = "http://b.test"
[plugins.cors-plugin]
enabled = false
"#,
];
