//! Why one request was decided as it was, as data. It makes the decisions of a [`Recording`] once more and reads what the
//! plugins left behind; nothing of it runs for requests that nobody asks about.

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use serde::Serialize;

use crate::{
    flow::{Flow, IdentityKind},
    gateway::{Gateway, Step},
    outcome::CacheStatus,
    plugin::{Answers, Source},
    plugins::router,
    store::{Cells, Op},
    trace::{Origin, Recording},
    verdict::Verdict,
};

/// Why.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Method and target.
    pub request: String,
    /// Its id.
    pub request_id: String,
    /// Unix ms.
    pub now_ms: u64,
    /// The rule that matched.
    pub route: RouteWhy,
    /// The client's address, verified.
    pub client: String,
    /// Its region, if known.
    pub region: Option<String>,
    /// Whose credential it was, once somebody said so.
    pub credential: Option<Credential>,
    /// What the store was asked, or the process's own memory, and whose answer counted.
    pub store: StoreWhy,
    /// Every limit that counted, with its numbers.
    pub limits: Vec<LimitWhy>,
    /// What the cache said; none where it was not asked.
    pub cache: Option<CacheWhy>,
    /// How origins were ordered.
    pub strategy: &'static str,
    /// The origins in that order; empty where none was to be asked.
    pub origins: Vec<Considered>,
    /// What came out.
    pub verdict: VerdictWhy,
}

/// The rule that matched.
#[derive(Clone, Debug, Serialize)]
pub struct RouteWhy {
    /// Its pattern.
    pub pattern: String,
    /// Who may pass: `open`, `api-key`, …
    pub auth: &'static str,
    /// What is kept, and for whom.
    pub cache: String,
    /// How many times the default limit.
    pub limit_factor: u32,
    /// Ms until response headers.
    pub timeout_ms: u64,
    /// Further origins for idempotent requests.
    pub retries: u32,
}

/// Whose credential it was.
#[derive(Clone, Debug, Serialize)]
pub struct Credential {
    /// Record id.
    pub id: String,
    /// Owner of jobs.
    pub tenant: String,
    /// `api-key`, `admin`, `worker`.
    pub kind: &'static str,
}

/// What the store was asked.
#[derive(Clone, Debug, Serialize)]
pub struct StoreWhy {
    /// `none` where nothing was asked, `store`, `fallback`, `down`.
    pub source: &'static str,
    /// Kinds of operations and their keys, in order.
    pub asked: Vec<String>,
}

/// One limit.
#[derive(Clone, Debug, Serialize)]
pub struct LimitWhy {
    /// Its name.
    pub name: String,
    /// Whether it admitted the request.
    pub admitted: bool,
    /// Units per window.
    pub limit: u32,
    /// Units left after it.
    pub remaining: u32,
    /// Window length, ms.
    pub window_ms: u64,
    /// When all are there again, unix ms.
    pub reset_ms: u64,
    /// How long to wait, ms.
    pub retry_after_ms: u64,
}

/// What the cache said.
#[derive(Clone, Debug, Serialize)]
pub struct CacheWhy {
    /// `HIT`, `MISS`, `STALE`, `BYPASS`.
    pub status: &'static str,
    /// As in `Cache-Status` (RFC 9211 §2).
    pub detail: Option<String>,
}

/// One origin.
#[derive(Clone, Debug, Serialize)]
pub struct Considered {
    /// Its name.
    pub name: String,
    /// Place in the order, from 0.
    pub place: usize,
    /// What the strategy looked at.
    pub score: String,
    /// Requests under way.
    pub in_flight: u32,
    /// Peak EWMA of time to headers, microseconds; 0: unknown.
    pub ewma_us: u64,
    /// Whether it was ejected.
    pub ejected: bool,
    /// Whether it failed last.
    pub failing: bool,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictWhy {
    /// `reply`, `serve` (from the cache), `page`, `command` (a change through the admin API), `forward`.
    pub kind: &'static str,
    /// Status that went out.
    pub status: u16,
    /// The fixed word of a refusal.
    pub refused: Option<&'static str>,
    /// Names of the origins that failed before one answered.
    pub failed: Vec<String>,
    /// Name of the origin that answered.
    pub origin: Option<String>,
    /// What happened, in order.
    pub events: Vec<String>,
}

/// Decides a recording again and says why.
pub fn explain(gateway: &Arc<Gateway>, recording: Recording) -> Explanation {
    let told = crate::trace::replay(gateway, recording.clone());
    let Recording { head, facts, row, origin, outcome } = recording;
    let request = alloc::format!("{} {}", head.method, head.uri);
    let mut store = StoreWhy { source: "none", asked: Vec::new() };
    let verdict = match gateway.begin(head, facts) {
        Step::Settled(verdict) => verdict,
        Step::Asking(exchange) => {
            store.asked = exchange.batch().ops.iter().map(asked).collect();
            let (source, cells) = row.unwrap_or((Source::Down, Vec::new()));
            store.source = match source {
                Source::Store => "store",
                Source::Fallback => "fallback",
                Source::Down => "down",
            };
            exchange.decide(Answers { cells: Cells(&cells), source })
        }
    };
    let (kind, flow) = match verdict {
        Verdict::Reply(reply) => ("reply", reply.closing.flow),
        Verdict::Serve(serve) => ("serve", serve.reply.closing.flow),
        Verdict::Report(report) => ("page", report.flow),
        Verdict::Command(task) => ("command", task.flow),
        Verdict::Forward(forward) => {
            let flow = match origin {
                Origin::Answered { attempt, head, sent_ms, received_ms } => {
                    forward.seal(attempt, head, sent_ms, received_ms).closing.flow
                }
                Origin::Failed { failure, .. } => forward.fail(failure).closing.flow,
                Origin::Silent => forward.flow,
            };
            ("forward", flow)
        }
    };
    let document = gateway.document();
    let name = |id: &crate::origins::OriginId| {
        document.origins.get(id.0).map_or(String::new(), |origin| origin.name.clone())
    };
    let record = &told.epilogue.record;
    let verdict = VerdictWhy {
        kind,
        status: record.status.as_u16(),
        refused: record.refused,
        failed: outcome.failed.iter().map(name).collect(),
        origin: outcome.origin.as_ref().map(name),
        events: told.epilogue.events.iter().map(|event| event.name().to_string()).collect(),
    };
    Explanation {
        request,
        request_id: flow.request.id.clone(),
        now_ms: flow.request.facts.now_ms,
        route: route(&flow),
        client: flow.request.client.to_string(),
        region: flow.request.region.clone(),
        credential: credential(&flow),
        store,
        limits: limits(&flow),
        cache: flow.cache.map(|status| CacheWhy {
            status: CacheStatus::as_str(status),
            detail: flow.cache_detail.clone(),
        }),
        strategy: document.router.strategy.name(),
        origins: router::considered(document, &flow),
        verdict,
    }
}

fn route(flow: &Flow) -> RouteWhy {
    let route = &flow.request.route;
    RouteWhy {
        pattern: route.pattern.clone(),
        auth: route.auth.name(),
        cache: alloc::format!("{:?}", route.cache),
        limit_factor: route.limit_factor,
        timeout_ms: route.timeout_ms,
        retries: route.retries,
    }
}

fn credential(flow: &Flow) -> Option<Credential> {
    let identity = flow.identity.as_ref()?;
    let kind = match identity.kind {
        IdentityKind::ApiKey => "api-key",
        IdentityKind::Admin => "admin",
        IdentityKind::Worker => "worker",
    };
    Some(Credential { id: identity.id.clone(), tenant: identity.tenant.clone(), kind })
}

fn limits(flow: &Flow) -> Vec<LimitWhy> {
    let limit = |named: &crate::flow::NamedSpend| LimitWhy {
        name: named.name.clone(),
        admitted: named.spend.admitted,
        limit: named.spend.limit,
        remaining: named.spend.remaining,
        window_ms: named.spend.window_ms,
        reset_ms: named.spend.reset_ms,
        retry_after_ms: named.spend.retry_after_ms,
    };
    flow.spends.iter().map(limit).collect()
}

fn asked(op: &Op) -> String {
    let (what, key) = match op {
        Op::Record { key } => ("credential", key),
        Op::WorkerRecord { key, .. } => ("worker", key),
        Op::Spend { limit, .. } => ("limit", &limit.key),
        Op::SpendRecord { prefix, .. } => ("limits of the credential", prefix),
        Op::Get { key } => ("value", key),
        Op::Workers { index, .. } => ("worker list", index),
        Op::Hash { key, .. } | Op::Field { key, .. } => ("hash", key),
        Op::Watch { key, .. } => ("configuration", key),
        Op::Publish { channel, .. } => ("message", channel),
        Op::Refund { key, .. }
        | Op::Tally { key, .. }
        | Op::Set { key, .. }
        | Op::SetHash { key, .. }
        | Op::Amend { key, .. }
        | Op::Delete { key }
        | Op::Replace { key, .. }
        | Op::Index { key, .. } => ("change", key),
        Op::Local(op) => return alloc::format!("{} in this process", asked(op)),
    };
    alloc::format!("{what} {key}")
}
