//! The end of a request: what the driver saw ([`Outcome`]), and what is left to do about it ([`Epilogue`]).

use alloc::{string::String, sync::Arc, vec::Vec};
use bytes::Bytes;
use core::mem;
use http::{Method, StatusCode};
use serde::Serialize;

use crate::{
    address::address_text,
    event::Event,
    origins::OriginId,
    plugin::tell_all,
    routes::Route,
    store::Batch,
    telemetry::span::Span,
    verdict::{Closing, OriginFailure},
};

/// What the driver saw. Durations are microseconds of the monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// When it ended, unix ms.
    pub now_ms: u64,
    /// How the response body ended.
    pub end: End,
    /// Start to end.
    pub total_us: u64,
    /// Waiting for the store before the verdict.
    pub store_us: u64,
    /// Waiting for the origin: sent until headers, and body until its end.
    pub origin_us: u64,
    /// Bytes of request body passed on.
    pub request_bytes: u64,
    /// Bytes of response body passed on.
    pub response_bytes: u64,
    /// The request body's first bytes, as many as were asked for; none if it was longer.
    pub request_body: Option<Bytes>,
    /// The response body, if asked for, whole and within the bound; none otherwise.
    pub response_body: Option<Bytes>,
    /// Where a body was to be held and is longer: the members with which it begins, as an object of JSON
    /// ([`crate::verdict::Closing::begun`]).
    pub response_begun: Option<Bytes>,
    /// The origin that answered.
    pub origin: Option<OriginId>,
    /// Origins that failed before it, in order.
    pub failed: Vec<OriginId>,
    /// When the store was asked, after the start.
    pub store_at_us: u64,
    /// Every attempt at an origin, in order, where the request is traced ([`crate::Forward::is_traced`]) or attempts are counted.
    pub tries: Vec<Try>,
}

/// One attempt at an origin. Times are microseconds after the request's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Which origin.
    pub origin: OriginId,
    /// When it went out.
    pub from_us: u64,
    /// When it failed, or the response ended.
    pub until_us: u64,
    /// What came of it.
    pub end: TryEnd,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryEnd {
    /// A response with this status.
    Answered(StatusCode),
    /// None, for this reason.
    Failed(OriginFailure),
    /// The client did not wait for it.
    Left,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// All of it was handed to the client's connection.
    #[default]
    Complete,
    /// The client left first.
    ClientLeft,
    /// The origin broke off, or was silent for too long.
    OriginBroke,
}

/// What is left to do when the client has its answer.
#[derive(Clone, Debug, Default)]
pub struct Epilogue {
    /// One more command for the store; none if there is nothing to say.
    pub batch: Option<Batch>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// One line for the access log; the source of the request metrics.
    pub record: AccessRecord,
    /// The request as spans, where it is traced.
    pub spans: Vec<Span>,
}

/// The facts of one request for logs, metrics and spans. No credential, no raw path in labels.
#[derive(Clone, Debug, Default)]
pub struct AccessRecord {
    /// When it began, unix ms.
    pub start_ms: u64,
    /// `X-Request-ID`.
    pub request_id: String,
    /// Trace id, lower-case hex.
    pub trace_id: String,
    /// Whether the trace is recorded, so that its id leads somewhere.
    pub sampled: bool,
    /// Method.
    pub method: Method,
    /// Whether it came by TLS.
    pub tls: bool,
    /// The matched pattern.
    pub route: Option<Arc<Route>>,
    /// The path as it came, without its query; for the log only.
    pub path: String,
    /// Status that went out.
    pub status: StatusCode,
    /// Record id of the credential.
    pub identity: Option<String>,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Client address, text.
    pub client: String,
    /// Fixed word where the gateway refused.
    pub refused: Option<&'static str>,
    /// The limit that refused it.
    pub limit: Option<String>,
    /// What the cache said.
    pub cache: Option<CacheStatus>,
    /// What was changed at an admin page, or was to be: whether it was, the status tells.
    pub audit: Option<Audit>,
    /// What the driver saw.
    pub outcome: Outcome,
}

/// A change by an administrator. Names and no values, so that no secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The name of a token, or `cli`.
    pub by: &'static str,
    /// `config.change`, `config.rollback`, `plugins.change`, `keys.create`, `keys.change`, `keys.rotate`, `keys.revoke`,
    /// `keys.import` or `cache.purge`.
    pub action: &'static str,
    /// What was changed: a version, a plugin, ids of keys, paths and tags.
    pub subjects: Vec<String>,
    /// Which of its settings or fields.
    pub changed: Vec<String>,
}

/// `X-Gateway-Cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// Served from the store, fresh (or successfully revalidated).
    Hit,
    /// Asked for, not there.
    Miss,
    /// Served from the store, past its freshness.
    Stale,
    /// The request or the response does not allow it.
    Bypass,
}

impl CacheStatus {
    /// As it stands in the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Stale => "STALE",
            Self::Bypass => "BYPASS",
        }
    }
}

/// Runs the finish hooks and closes the accounts.
pub(crate) fn finish(closing: Closing, outcome: Outcome) -> Epilogue {
    let Closing { mut flow, status, refused } = closing;
    for hook in mem::take(&mut flow.on_finish) {
        hook(&mut flow, &outcome);
    }
    for from in &outcome.failed {
        flow.events.push(Event::RouterFailover { from: *from });
    }
    flow.events.push(match (outcome.end, status.is_server_error()) {
        (End::Complete, false) => Event::RequestCompleted,
        (End::Complete, true) => Event::RequestError { reason: refused.unwrap_or("origin") },
        (End::ClientLeft, _) => Event::RequestError { reason: "client_left" },
        (End::OriginBroke, _) => Event::RequestError { reason: "origin_broke" },
    });
    if flow.audit.is_some() && status.is_success() {
        flow.events.push(Event::AdminChanged);
    }
    tell_all(&mut flow);
    let tracer = flow.tracer.take();
    let sampled = tracer.is_some();
    let limit = flow.events.iter().find_map(|event| match event {
        Event::LimitExceeded { limit } => Some(limit.clone()),
        _ => None,
    });
    let spans = tracer.map_or_else(Vec::new, |tracer| tracer.spans(&flow, status, refused, &outcome));
    let mut ops = mem::take(&mut flow.writes);
    let publisher = flow.publisher.take();
    let fleet = flow.request.facts.fleet.zip(flow.fleet);
    let request = flow.request;
    let (identity, tenant) = flow.identity.map(|identity| (identity.id, identity.tenant)).unzip();
    let mut epilogue = Epilogue {
        batch: None,
        events: flow.events,
        record: AccessRecord {
            start_ms: request.facts.now_ms,
            request_id: request.id,
            trace_id: crate::hex::hex(&request.trace.trace_id),
            sampled,
            limit,
            tls: request.facts.peer.tls,
            path: request.head.uri.path().into(),
            method: request.head.method,
            route: Some(request.route),
            status,
            identity,
            tenant,
            client: address_text(request.client),
            refused,
            cache: flow.cache,
            audit: flow.audit,
            outcome,
        },
        spans,
    };
    // With the rest of what is to be written: the fleet's counters cost no command of their own where there is one.
    ops.extend(fleet.map(|(target, fleet)| fleet.tally(target, &epilogue, flow.asked)));
    ops.extend(publisher.iter().flat_map(|publisher| publisher.ops(&epilogue)));
    let now_ms = epilogue.record.outcome.now_ms;
    epilogue.batch = (!ops.is_empty()).then(|| Batch { now_ms, ops });
    epilogue
}
