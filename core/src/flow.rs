//! One request on its way through the plugins: what they know, found out and left to do. Owned by the typestate
//! of [`crate::gateway`], lent to one plugin at a time.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use http::{HeaderMap, HeaderName};

use crate::{
    command::Command,
    event::{Event, Publisher},
    facts::Entropy,
    origins::OriginId,
    outcome::{Audit, CacheStatus},
    plugin::{Listeners, OnBegun, OnFail, OnFinish, OnSeal},
    report::Page,
    request::Request,
    store::{Op, Record, Slot, Spend, WorkerRecord},
    telemetry::{fleet::Fleet, metrics::Metrics, span::Tracer},
    verdict::RequestBody,
};

/// Everything about one request.
pub struct Flow {
    /// What came in.
    pub request: Request,
    /// Who it is from, once auth has said so.
    pub identity: Option<Identity>,
    /// What this request's limits are counted by; auth says so when it plans.
    pub subject: Subject,
    /// The limits that were asked, for response fields.
    pub spends: Vec<NamedSpend>,
    /// What the cache said, if it was asked.
    pub cache: Option<CacheStatus>,
    /// Parameters of `Cache-Status` in place of the usual ones: `hit; ttl=30`, `fwd=miss; stored` (RFC 9211 §2).
    pub cache_detail: Option<String>,
    /// What goes to the origin: target and fields, before the common edits of contract section 6.
    pub outgoing: Outgoing,
    /// What happened so far.
    pub events: Vec<Event>,
    /// What the store is told after the response, as one command.
    pub writes: Vec<Op>,
    /// Fields of the origin's or of a stored answer that the client does not get.
    pub response_remove: Vec<HeaderName>,
    /// Limits that apply besides those that always do, by index of the document's.
    pub chosen_limits: Vec<ChosenLimit>,
    /// Whether the cache is neither read nor written.
    pub skip_cache: bool,
    /// Further response fields, set on whatever answer goes out (CORS). Those of the same name give way, but for `Vary`, whose
    /// members are merged: insert others, append to it.
    pub response_headers: HeaderMap,
    /// The gateway's own page that was asked for.
    pub page: Option<Page>,
    /// What the page that was asked for changes, once the body is there; plugins after the one that set it still judge.
    pub command: Option<Command>,
    /// Fresh chance for a command that runs, shown to nobody.
    pub chance: Option<Entropy>,
    /// What it changes as an administrator's: noted before the store is told, so that a client who leaves meanwhile leaves it
    /// behind.
    pub audit: Option<Audit>,
    /// Counts this request for the fleet, where it is one and metrics are on.
    pub(crate) fleet: Option<Arc<Fleet>>,
    /// Publishes its events with what else the store is told, where no process does that for many requests at once.
    pub(crate) publisher: Option<Arc<Publisher>>,
    /// Who hears of its events.
    pub(crate) listeners: Option<Arc<Listeners>>,
    /// The fleet's counters, on its metrics page.
    pub(crate) counted: Option<Box<Metrics>>,
    /// Whether plugins were asked: the head was found to be good.
    pub(crate) planned: bool,
    /// Whether the store was asked before the verdict.
    pub(crate) asked: bool,
    /// Makes this request's spans, where it is traced.
    pub(crate) tracer: Option<Arc<Tracer>>,
    /// Made behind the client's back.
    pub(crate) behind: bool,
    pub(crate) on_seal: Vec<OnSeal>,
    pub(crate) on_fail: Vec<OnFail>,
    pub(crate) on_finish: Vec<OnFinish>,
    pub(crate) on_begun: Option<OnBegun>,
}

/// What the limits of a request are counted by. A credential counts only where the batch itself proves it: the slots
/// are for the guards of spends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// The client's address.
    #[default]
    Address,
    /// The credential, if this record is live.
    Record(Slot<Record>),
    /// The credential, known from the document.
    Configured,
    /// The worker in the path, if this is its current token.
    Worker(Slot<WorkerRecord>),
}

/// Who a request is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Record id; safe to log.
    pub id: String,
    /// Owner of jobs.
    pub tenant: String,
    /// What kind.
    pub kind: IdentityKind,
}

/// What kind of credential it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    /// An API key.
    ApiKey,
    /// `ADMIN_TOKEN`, or a key with role `admin`.
    Admin,
    /// A worker's current token, or one that the origin itself will check.
    Worker,
}

/// A limit that a plugin chose for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenLimit {
    /// Index into [`crate::config::Document::limits`].
    pub index: usize,
    /// In place of the limit's own cost.
    pub cost: Option<u32>,
}

/// One limit's answer with its policy name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedSpend {
    /// As in `RateLimit-Policy`.
    pub name: String,
    /// The answer.
    pub spend: Spend,
}

/// What will be sent to the origin.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Path and query in place of the client's.
    pub path_and_query: Option<String>,
    /// Fields to set in place of the client's (`If-None-Match` of a revalidation).
    pub set: HeaderMap,
    /// Fields to drop.
    pub remove: Vec<HeaderName>,
    /// The origins that may be tried; none: all. Plugins narrow it before the router orders them, or after.
    pub pool: Option<Arc<[OriginId]>>,
    /// Origins to try, best first; the router's.
    pub origins: Vec<OriginId>,
    /// How the request's body is handled.
    pub body: RequestBody,
    /// Bytes of the request's body wanted in [`crate::Outcome`]; 0: none.
    pub capture_request: usize,
    /// Bytes of the response's body wanted in [`crate::Outcome`]; 0: none. Plugins raise it, also when sealing.
    pub capture_response: usize,
    /// See [`crate::Seal::hold_until_written`]. Plugins set it, also when sealing.
    pub hold_until_written: bool,
}

impl Flow {
    /// A flow at its start.
    pub fn new(request: Request) -> Self {
        Self {
            request,
            identity: None,
            subject: Subject::default(),
            spends: Vec::new(),
            cache: None,
            cache_detail: None,
            outgoing: Outgoing::default(),
            events: Vec::with_capacity(USUAL_EVENTS),
            writes: Vec::new(),
            response_remove: Vec::new(),
            chosen_limits: Vec::new(),
            skip_cache: false,
            response_headers: HeaderMap::new(),
            page: None,
            command: None,
            chance: None,
            audit: None,
            fleet: None,
            publisher: None,
            listeners: None,
            counted: None,
            planned: false,
            asked: false,
            tracer: None,
            behind: false,
            on_seal: Vec::new(),
            on_fail: Vec::new(),
            on_finish: Vec::new(),
            on_begun: None,
        }
    }

    /// Notes a change by whoever bears `ADMIN_TOKEN`: nobody else may make one.
    pub(crate) fn audit(&mut self, action: &'static str, subjects: Vec<String>, changed: Vec<String>) {
        self.audit = Some(Audit { by: ADMIN, action, subjects, changed });
    }

    /// Adds a hook for the origin's response head.
    pub fn on_seal(&mut self, hook: OnSeal) {
        self.on_seal.push(hook);
    }

    /// Adds a hook for the case that no origin answers.
    pub fn on_fail(&mut self, hook: OnFail) {
        self.on_fail.push(hook);
    }

    /// Sets the hook for a body that is longer than what is held.
    pub fn on_begun(&mut self, hook: OnBegun) {
        self.on_begun = Some(hook);
    }

    /// Adds a hook for the end.
    pub fn on_finish(&mut self, hook: OnFinish) {
        self.on_finish.push(hook);
    }
}

/// Of a request that goes to an origin, from its arrival to its end.
const USUAL_EVENTS: usize = 6;

/// Who changes what the admin API changes.
pub(crate) const ADMIN: &str = "ADMIN_TOKEN";
