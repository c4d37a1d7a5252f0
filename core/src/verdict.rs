//! What is to be done with a request: [`Answer`] it, or [`Forward`] it and [`Seal`] the response. Data for the driver; the reasons
//! were the plugins'.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use crate::{
    arrival::is_preflight,
    command::Task,
    facts::Facts,
    flow::Flow,
    gateway::Gateway,
    http::{names, trace},
    json,
    origins::OriginId,
    outcome::Outcome,
    plugin::OnFinish,
    report::Report,
    request::{Request, RequestHead},
    routes::RouteKind,
    store::{Ask, Batch, Cells, Home, Op, Slot},
};

/// The decision.
pub enum Verdict {
    /// The gateway answers.
    Reply(Reply),
    /// The gateway answers from its cache.
    Serve(Serve),
    /// A page of the gateway's own that needs facts only the shell has.
    Report(Report),
    /// A page of the gateway's own that changes something: it wants the request's body, and the store again.
    Command(Task),
    /// An origin answers.
    Forward(Box<Forward>),
}

impl Verdict {
    /// Whether it is worth asking if another configuration would settle the request otherwise: not for a head that none
    /// would take, a preflight, or the gateway's own pages, of which those that depend on it ask themselves.
    pub fn follows(&self) -> bool {
        let flow = match self {
            Self::Reply(reply) | Self::Serve(Serve { reply, .. }) => &reply.closing.flow,
            Self::Forward(forward) => &forward.flow,
            Self::Report(_) | Self::Command(_) => return false,
        };
        let request = &flow.request;
        flow.planned && request.route.kind != RouteKind::Own && !is_preflight(&request.head)
    }

    /// Undoes the decision, so that the request can begin anew with another gateway.
    pub fn undo(self) -> (RequestHead, Facts) {
        let flow = match self {
            Self::Reply(reply) | Self::Serve(Serve { reply, .. }) => reply.closing.flow,
            Self::Report(report) => report.flow,
            Self::Command(task) => task.flow,
            Self::Forward(forward) => forward.flow,
        };
        let Request { head, facts, .. } = flow.request;
        (head, facts)
    }
}

/// A complete response.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub headers: HeaderMap,
    /// Body, whole.
    pub body: Bytes,
    /// Whether the connection must end afterwards.
    pub close: bool,
}

/// An answer that only waits to be sent.
pub struct Reply {
    /// What to send.
    pub answer: Answer,
    /// Ends the request's accounts.
    pub closing: Closing,
}

/// An answer from the cache.
pub struct Serve {
    /// What to send.
    pub reply: Reply,
    /// A request to make behind the client's back (stale-while-revalidate); its response goes to nobody.
    pub refresh: Option<Refresh>,
}

/// What stands while somebody does what all others then need not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its key.
    pub key: String,
    /// Among whom: all gateways on the store, or the requests of one process.
    pub home: Home,
}

/// A request that many want made and one makes: whoever claims it first.
pub struct Refresh {
    claim: Batch,
    held: Slot<Bytes>,
    forward: Box<Forward>,
}

impl Refresh {
    /// `hold_ms`: how long the claim stands if who made it is never heard of again.
    pub(crate) fn new(forward: Box<Forward>, claim: Claim, now_ms: u64, hold_ms: u64) -> Self {
        let Claim { key, home } = claim;
        let mut ask = Ask::new(now_ms);
        let held = ask.get_at(home, key.clone());
        let ttl_ms = Some(hold_ms.max(PAUSE_MS));
        ask.tell(home.of(Op::Set { key, value: Bytes::from_static(b"1"), ttl_ms, only_new: true }));
        Self { claim: ask.into_batch(), held, forward }
    }

    /// What ends the claim when the request is over. Not at once: another client may have read the old answer just
    /// before the new one was written, and claim only now.
    pub(crate) fn release(Claim { key, home }: Claim) -> OnFinish {
        Box::new(move |flow, _| {
            let value = Bytes::from_static(b"0");
            flow.writes.push(home.of(Op::Set { key, value, ttl_ms: Some(PAUSE_MS), only_new: false }));
        })
    }

    /// To be asked before anything else.
    pub fn claim(&self) -> &Batch {
        &self.claim
    }

    /// What it would send.
    pub(crate) fn forward(&self) -> &Forward {
        &self.forward
    }

    /// The request, if the store's answer says that nobody else makes it.
    pub fn granted(self, cells: Cells<'_>) -> Option<Box<Forward>> {
        cells.bytes(self.held).is_none().then_some(self.forward)
    }
}

/// Between two refreshes of one answer.
const PAUSE_MS: u64 = 1_000;

/// The end of a request's accounts; consume it exactly once, whatever happened.
pub struct Closing {
    pub(crate) flow: Box<Flow>,
    pub(crate) status: StatusCode,
    pub(crate) refused: Option<&'static str>,
}

/// A request to an origin.
pub struct Forward {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) flow: Box<Flow>,
    /// Fields to send, complete but for `Host` and the signature.
    pub headers: HeaderMap,
    /// Absolute target for each origin to try, best first; never empty.
    pub attempts: Vec<Attempt>,
    /// How many of them may be reached, the first included; see `may_retry`.
    pub max_reached: usize,
    /// Ms until response headers, for each attempt.
    pub timeout_ms: u64,
    /// Ms the response's body may be silent.
    pub idle_timeout_ms: u64,
    /// How the request's body is handled.
    pub body: RequestBody,
    /// Largest request body in bytes; past it: [`OriginFailure::BodyTooLarge`].
    pub max_body_bytes: u64,
    /// Whether another origin may be tried after one was reached and failed (idempotent, RFC 9110 §9.2.2). One
    /// that could not be reached at all may always be followed by another.
    pub may_retry: bool,
    /// Whether this is a WebSocket upgrade (RFC 6455 §4.1).
    pub upgrade: bool,
    /// Bytes of the request's body to keep for [`Outcome`].
    pub capture_request: usize,
    pub(crate) signing: Option<crate::config::Secret>,
}

/// One try.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which origin.
    pub origin: OriginId,
    /// Where to; absolute form.
    pub uri: Uri,
}

/// What the driver does with a request body before sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestBody {
    /// Passes it through as it comes.
    #[default]
    Stream,
    /// Holds up to so many bytes, to sign them with [`Forward::sign`]; a longer body streams, unsigned.
    Buffer {
        /// Most bytes held.
        max: usize,
    },
}

/// The origin's response head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub headers: HeaderMap,
}

/// The response while hooks work on it.
#[derive(Clone, Debug)]
pub struct ResponseDraft {
    /// Status and fields.
    pub head: ResponseHead,
    /// What stands in for the origin's body, which is then discarded (a 304 that revalidated a stored answer, a
    /// stale answer in place of an error).
    pub replace: Option<Bytes>,
    /// When the request went out, unix ms.
    pub sent_ms: u64,
    /// When the head came, unix ms.
    pub received_ms: u64,
    /// Who answered.
    pub origin: OriginId,
}

/// Why there is no response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginFailure {
    /// No connection (refused, DNS, TLS).
    Unreachable,
    /// The platform forbids this destination.
    Denied,
    /// Connection broken before the head was complete, or a head that is not HTTP.
    Broken,
    /// No head within the time.
    Timeout,
    /// The client's body was larger than allowed.
    BodyTooLarge,
    /// The client's body broke off or was malformed.
    ClientBody,
}

impl OriginFailure {
    /// A word for spans and metrics (`error.type`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::ClientBody => "client_body",
        }
    }
}

/// What to do with the origin's response.
pub struct Seal {
    /// Status and fields to send to the client.
    pub head: ResponseHead,
    /// Sent in place of the origin's body.
    pub replace: Option<Bytes>,
    /// Bytes of the response's body to keep for [`Outcome`]; 0: none.
    pub capture_response: usize,
    /// Whether the accounts are closed and the store is told before the client gets the body, if that is no longer
    /// than `capture_response`: what the client does next must find the store up to date.
    pub hold_until_written: bool,
    /// Ms the body may be silent.
    pub idle_timeout_ms: u64,
    /// Ends the request's accounts.
    pub closing: Closing,
}

impl Forward {
    /// Whether [`Outcome::tries`](crate::Outcome) are wanted.
    pub fn is_traced(&self) -> bool {
        self.flow.tracer.is_some()
    }

    /// To be told before each attempt: its span, and no other's, is the parent of what the origin does.
    pub fn depart(&mut self, attempt: usize) {
        if attempt > 0 {
            let context = trace::traceparent(&self.flow.request.trace, attempt);
            if let Ok(value) = http::HeaderValue::try_from(context) {
                self.headers.insert(names::TRACEPARENT, value);
            }
        }
    }

    /// The client left before an origin answered. No hook of seal or fail runs.
    pub fn abandon(self) -> Closing {
        Closing::left(self.flow)
    }
}

impl Closing {
    /// The accounts of a client that did not wait for its answer. The status is for the access log alone.
    pub(crate) fn left(flow: Box<Flow>) -> Self {
        let status = StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::BAD_REQUEST);
        Self { flow, status, refused: None }
    }

    /// How much of such a body [`Closing::begun`] looks at: an id and some figures come before what makes it long.
    pub const BEGUN_BYTES: usize = 4_096;

    /// To be told of a body that was to be held until the store is told and is longer than `capture_response`, by what it begins
    /// with: gives [`Outcome::response_begun`] and what the store is to be told before the client gets any of it.
    pub fn begun(&mut self, prefix: &[u8], now_ms: u64) -> Option<(Bytes, Batch)> {
        let hook = self.flow.on_begun.take()?;
        let prefix = prefix.get(..Self::BEGUN_BYTES).unwrap_or(prefix);
        let begun = Bytes::from(json::begun(prefix)?);
        let ops = hook(&self.flow, &begun).into_iter().collect();
        Some((begun, Batch { now_ms, ops }))
    }

    /// Ends the accounts of one request.
    pub fn finish(self, outcome: Outcome) -> crate::Epilogue {
        crate::outcome::finish(self, outcome)
    }
}

/// What access logs write for a client that left before the head; no status of HTTP's own.
const CLIENT_LEFT: u16 = 499;
