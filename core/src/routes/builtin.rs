//! The built-in rules, as a table. A row that only differs in method stands next to its sister; the first row of a
//! path that admits the method wins.

use alloc::{string::String, vec::Vec};
use http::Method;

use super::RouteKind as Kind;
use crate::config::{Document, RouteAuth as Auth, RouteCache as Cache};

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) pattern: String,
    /// Empty: all.
    pub(super) methods: &'static [Method],
    pub(super) kind: Kind,
    pub(super) auth: Auth,
    pub(super) cache: Cache,
    pub(super) limit_factor: u32,
    pub(super) origin_path: Option<&'static str>,
}

impl Rule {
    fn new(pattern: &str, methods: &'static [Method], kind: Kind, auth: Auth) -> Self {
        let (cache, limit_factor, origin_path) = (Cache::Off, 1, None);
        Self { pattern: pattern.into(), methods, kind, auth, cache, limit_factor, origin_path }
    }

    fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    fn polled(mut self) -> Self {
        self.limit_factor = POLLING;
        self
    }
}

/// All rows for a document.
pub(super) fn rules(document: &Document) -> Vec<Rule> {
    let mut rules = Vec::new();
    workers(&mut rules);
    jobs(&mut rules, document);
    for (pattern, kind, auth) in PLAIN {
        rules.push(Rule::new(pattern, &[], *kind, *auth));
    }
    for pattern in ["/health", "/regions"] {
        rules.push(Rule::new(pattern, GET, Kind::Proxy, Auth::Open));
    }
    let metrics = document.metrics.path.trim_end_matches('/');
    if !metrics.is_empty() && !rules.iter().any(|rule| rule.pattern == metrics) {
        rules.push(Rule::new(metrics, &[], Kind::Own, Auth::Admin));
    }
    rules
}

fn workers(rules: &mut Vec<Rule>) {
    let mut add = |pattern, methods, kind, auth| rules.push(Rule::new(pattern, methods, kind, auth));
    add("/api/v1/workers", GET, Kind::Workers, Auth::ApiKey);
    add("/api/v1/workers/register", POST, Kind::Register, Auth::Open);
    add("/api/v1/workers/{id}/refresh-token", POST, Kind::RefreshToken, Auth::Open);
    add("/api/v1/workers/{id}/verify", POST, Kind::Verify, Auth::Open);
    for (rest, methods, kind) in SEVEN {
        let pattern = alloc::format!("/api/v1/workers/{{id}}/{rest}");
        rules.push(Rule::new(&pattern, methods, *kind, Auth::Worker).polled());
    }
    rules.push(Rule::new("/api/v1/workers/{id}/*", &[], Kind::WorkerOther, Auth::Worker).polled());
}

fn jobs(rules: &mut Vec<Rule>, document: &Document) {
    let stats = Cache::Shared { ttl_seconds: Some(QUEUE_STATS_TTL_S), heuristic: false };
    rules.push(Rule::new(QUEUE_STATS, GET, Kind::Proxy, Auth::ApiKey).cache(stats));
    let mut alias = Rule::new("/api/v1/queue/stats", GET, Kind::Proxy, Auth::ApiKey).cache(stats);
    alias.origin_path = Some(QUEUE_STATS);
    rules.push(alias);
    rules.push(Rule::new("/api/v1/jobs", POST, Kind::JobSubmit, Auth::ApiKey));
    rules.push(Rule::new("/api/v1/jobs/sync", POST, Kind::JobSubmitSync, Auth::ApiKey));
    // An answer that depends on who asks from where.
    rules.push(Rule::new("/api/v1/jobs/direct/nearest", GET, Kind::Proxy, Auth::ApiKey));
    let finished = Cache::PerCredential { ttl_seconds: Some(document.cache.ttl_seconds), heuristic: false };
    let read = Rule::new("/api/v1/jobs/{id}", GET, Kind::JobRead, Auth::ApiKey);
    rules.push(read.cache(finished).polled());
    rules.push(Rule::new("/api/v1/jobs/{id}", &[Method::DELETE], Kind::JobCancel, Auth::ApiKey));
    rules.push(Rule::new("/api/v1/jobs/{id}", &[Method::PUT, Method::PATCH], Kind::JobOther, Auth::ApiKey));
    rules.push(Rule::new("/api/v1/jobs/{id}/direct", &[], Kind::JobOther, Auth::ApiKey));
    // What an origin has besides, such as the stream of a job's output, is the tenant's as the job is.
    let below = Rule::new("/api/v1/jobs/{id}/*", &[], Kind::JobOther, Auth::ApiKey);
    rules.push(below.cache(Cache::PerCredential { ttl_seconds: None, heuristic: false }));
    // These are about no job.
    let stats = Rule::new("/api/v1/jobs/stats/*", &[], Kind::Proxy, Auth::ApiKey);
    rules.push(stats.cache(Cache::PerCredential { ttl_seconds: None, heuristic: false }));
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];

/// The calls on which the origin checks the worker's token itself; nowhere else does its 2xx prove anything.
const SEVEN: &[(&str, &[Method], Kind)] = &[
    ("heartbeat", POST, Kind::Heartbeat),
    ("next-job", GET, Kind::WorkerChecked),
    ("jobs/{job}/complete", POST, Kind::WorkerChecked),
    ("going-offline", POST, Kind::Offline),
    ("offline", POST, Kind::Offline),
    ("config", &[Method::GET, Method::PUT], Kind::WorkerChecked),
];

/// Doors that the backend leaves open, and the gateway's own pages. `/*` covers the path before it too, but the
/// bare one keeps its own label.
const PLAIN: &[(&str, Kind, Auth)] = &[
    ("/api/v1/admin/*", Kind::Proxy, Auth::Admin),
    ("/admin/*", Kind::Proxy, Auth::Admin),
    ("/static/*", Kind::Proxy, Auth::Admin),
    ("/docs/*", Kind::Proxy, Auth::Admin),
    ("/redoc/*", Kind::Proxy, Auth::Admin),
    ("/openapi.json/*", Kind::Proxy, Auth::Admin),
    ("/gateway/health", Kind::Own, Auth::Open),
    ("/gateway/livez", Kind::Own, Auth::Open),
    ("/gateway/readyz", Kind::Own, Auth::Open),
    ("/gateway/health/detailed", Kind::Own, Auth::Admin),
    ("/gateway/metrics", Kind::Own, Auth::Admin),
    ("/gateway/plugins", Kind::Own, Auth::Admin),
    ("/gateway/plugins/{name}", Kind::Own, Auth::Admin),
    ("/gateway/keys", Kind::Own, Auth::Admin),
    ("/gateway/keys/{id}", Kind::Own, Auth::Admin),
    ("/gateway/keys/{id}/rotate", Kind::Own, Auth::Admin),
    ("/gateway/config", Kind::Own, Auth::Admin),
    ("/gateway/config/history", Kind::Own, Auth::Admin),
    ("/gateway/config/rollback", Kind::Own, Auth::Admin),
    ("/gateway/cache/purge", Kind::Own, Auth::Admin),
    ("/gateway/events", Kind::Own, Auth::Admin),
    // A page without figures: a browser that goes to an address cannot send a token.
    ("/gateway/ui", Kind::Own, Auth::Open),
    ("/gateway/*", Kind::Own, Auth::Admin),
];

const QUEUE_STATS: &str = "/api/v1/jobs/stats/queue";
/// Seconds; the numbers move with every job, dashboards ask for them all the time.
const QUEUE_STATS_TTL_S: u32 = 10;
/// The SDK polls every second, an idle worker calls 32 times a minute: ten times the default of 100.
const POLLING: u32 = 10;
