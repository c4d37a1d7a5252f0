//! A request as plugins see it: the head and what the core worked out from it before any plugin ran.

use alloc::{string::String, sync::Arc};
use core::net::IpAddr;
use http::{HeaderMap, Method, Uri, Version};

use crate::{facts::Facts, plugins::auth::Presented, routes::Route};

/// Method, target and fields as they came.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// Target in origin form; `Host` or `:authority` may stand in it.
    pub uri: Uri,
    /// Protocol version.
    pub version: Version,
    /// Fields, in order within a name.
    pub headers: HeaderMap,
}

/// The request under decision.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head as it came; what goes to the origin is a copy with edits.
    pub head: RequestHead,
    /// The moment.
    pub facts: Facts,
    /// The route that matched.
    pub route: Arc<Route>,
    /// `{id}` of a worker route.
    pub worker_id: Option<String>,
    /// `{id}` of a job route.
    pub job_id: Option<String>,
    /// The client's address: peer, or what a trusted proxy or the platform said.
    pub client: IpAddr,
    /// Whether the peer is a trusted proxy.
    pub via_trusted_proxy: bool,
    /// Canonical region of the client, if known.
    pub region: Option<String>,
    /// `X-Request-ID`.
    pub id: String,
    /// W3C trace context.
    pub trace: TraceContext,
    /// The credential it came with, hashed.
    pub presented: Presented,
    /// Whether errors go out as `application/problem+json`.
    pub wants_problem: bool,
}

/// Continued or new trace (W3C Trace Context §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace id.
    pub trace_id: [u8; 16],
    /// The caller's span; zero if the trace is new.
    pub parent_id: [u8; 8],
    /// This gateway's span.
    pub span_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}

impl TraceContext {
    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}
