//! The first end of the pipeline: a head becomes a [`Request`], or a refusal. What may not pass at all is in
//! [`checks`]; here is what the core works out from a head before any plugin runs.

use alloc::{borrow::ToOwned, string::String, sync::Arc, vec::Vec};
use core::net::IpAddr;
use http::{HeaderMap, HeaderValue, Method, header};
use ipnet::IpNet;
use uuid::{Builder, Uuid};

use crate::{
    config::{Document, Regions},
    facts::Facts,
    gateway::CompileError,
    http::{forwarded, list, names, target, trace},
    plugins::auth::{AuthSettings, Presented, present},
    refusal::{ErrorCode, Refusal},
    request::{Request, RequestHead},
    routes::{Route, RouteKind, Table},
};

mod checks;
#[cfg(test)]
mod tests;

/// Compiled for a document.
#[derive(Clone)]
pub struct Arrival {
    table: Table,
    limits: checks::Limits,
    auth: AuthSettings,
    trusted: Vec<IpNet>,
    regions: Regions,
    own_region: Option<String>,
    name: String,
    sampling: trace::Sampling,
}

impl Arrival {
    /// Compiles routes, proxies, names.
    ///
    /// # Errors
    /// A route pattern that does not compile.
    pub fn compile(document: &Document) -> Result<Self, CompileError> {
        Ok(Self {
            table: Table::compile(document)?,
            limits: checks::Limits {
                head_bytes: document.server.max_header_bytes,
                body_bytes: document.server.max_body_bytes,
            },
            auth: AuthSettings::compile(document),
            trusted: document.server.trusted_proxies.clone(),
            regions: document.regions.clone(),
            own_region: document.identity.region.clone(),
            name: document.identity.name.clone(),
            sampling: trace::Sampling::new(&document.otel),
        })
    }

    /// Reads a head. A request is always made, so that a refusal has an id, a route label and a trace.
    ///
    /// A shell whose platform keeps `Host` elsewhere puts it into the head first: a head of HTTP/1.1 without it is
    /// refused, as RFC 9112 §3.2 wants.
    pub fn read(&self, head: RequestHead, facts: Facts) -> (Request, Option<Refusal>) {
        let (place, refusal) = match self.place(&head) {
            Ok(place) => (place, None),
            Err(wrong) => {
                let refusal = Refusal::new(ErrorCode::BadRequest, "path", wrong);
                (Place::unknown(self.table.other()), Some(refusal))
            }
        };
        let refusal = checks::framing(&head, &self.limits)
            .or(refusal)
            .or_else(|| checks::method(&head, &facts))
            .or_else(|| checks::passages(&head.headers, &self.name));
        let (presented, refusal) = self.credential(&head.headers, place.route.kind, refusal);
        let via_trusted_proxy =
            facts.hints.client.is_none() && forwarded::is_trusted(facts.peer.ip, &self.trusted);
        let client = self.chain(&head.headers, &facts).last().copied().unwrap_or(facts.peer.ip);
        let request = Request {
            region: self.region(&head.headers, &facts, via_trusted_proxy),
            id: request_id(&head.headers, &facts),
            trace: trace::context(&head.headers, &facts.entropy, self.sampling),
            presented,
            wants_problem: wants_problem(&head.headers),
            route: place.route,
            worker_id: place.worker_id,
            job_id: place.job_id,
            client,
            via_trusted_proxy,
            head,
            facts,
        };
        (request, refusal)
    }

    /// The credential, or what is wrong with it where nothing else is. A worker takes any refusal of `verify` for
    /// "register anew", so what it sends there is left to the origin.
    fn credential(
        &self,
        headers: &HeaderMap,
        kind: RouteKind,
        refusal: Option<Refusal>,
    ) -> (Presented, Option<Refusal>) {
        match present(&self.auth, headers) {
            Ok(presented) => (presented, refusal),
            Err(_) if kind == RouteKind::Verify => (Presented::default(), refusal),
            Err(wrong) => (Presented::default(), refusal.or(Some(wrong))),
        }
    }

    /// The verified addresses from the peer to the client; never empty.
    pub(crate) fn chain(&self, headers: &HeaderMap, facts: &Facts) -> Vec<IpAddr> {
        match facts.hints.client {
            Some(client) => alloc::vec![client.to_canonical()],
            None => forwarded::chain(headers, facts.peer.ip.to_canonical(), &self.trusted),
        }
    }

    /// Where a request goes.
    ///
    /// # Errors
    /// What is wrong with its path.
    fn place(&self, head: &RequestHead) -> Result<Place, &'static str> {
        let path = target::read(&head.uri)?;
        let found = self.table.find(&head.method, &path)?;
        let id = found.id.map(target::canonical_id).transpose()?;
        let is_job =
            matches!(found.route.kind, RouteKind::JobRead | RouteKind::JobCancel | RouteKind::JobOther);
        let (job_id, worker_id) = if is_job { (id, None) } else { (None, id) };
        let mut route = found.route;
        let default_ms = self.table.other().timeout_ms;
        if route.kind == RouteKind::JobSubmitSync && route.timeout_ms == default_ms {
            // The client says how long the origin will take, unless the document does.
            Arc::make_mut(&mut route).timeout_ms = sync_timeout_ms(head.uri.query());
        }
        Ok(Place { route, worker_id, job_id })
    }

    fn region(&self, headers: &HeaderMap, facts: &Facts, trusted: bool) -> Option<String> {
        let canonical = |name: &str| self.regions.canonical(name).map(ToOwned::to_owned);
        let hinted = facts.hints.region.as_deref().and_then(|told| told.split(',').find_map(canonical));
        let told = || {
            let fields = REGION_FIELDS.iter().filter(|_| trusted);
            fields.filter_map(|name| headers.get(*name)?.to_str().ok()).find_map(canonical)
        };
        hinted.or_else(told).or_else(|| self.own_region.clone())
    }
}

struct Place {
    route: Arc<Route>,
    worker_id: Option<String>,
    job_id: Option<String>,
}

impl Place {
    fn unknown(route: Arc<Route>) -> Self {
        Self { route, worker_id: None, job_id: None }
    }
}

/// The client's id where it is one field of 1–128 visible ASCII characters, else a new UUIDv7 (RFC 9562 §5.7).
fn request_id(headers: &HeaderMap, facts: &Facts) -> String {
    let mut values = headers.get_all(names::X_REQUEST_ID).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && let Ok(text) = value.to_str()
        && (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return text.to_owned();
    }
    let random = facts.entropy.request.first_chunk().copied().unwrap_or_default();
    let id = Builder::from_unix_timestamp_millis(facts.now_ms, &random).into_uuid();
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

/// Whether `Accept` names RFC 9457's type, with a weight that is not zero.
pub fn wants_problem(headers: &HeaderMap) -> bool {
    // A look that costs little before the list is read; types are compared in any case (RFC 9110 §8.3.1).
    let named = |line: &HeaderValue| {
        line.as_bytes().windows(PROBLEM.len()).any(|part| part.eq_ignore_ascii_case(PROBLEM))
    };
    if !headers.get_all(header::ACCEPT).iter().any(named) {
        return false;
    }
    list::accepts(headers, "application/problem+json")
}

/// `timeout` of the query in seconds (default 60, at most 600) and 10 s more.
fn sync_timeout_ms(query: Option<&str>) -> u64 {
    let pairs = query.unwrap_or_default().split('&');
    let value = pairs.filter_map(|pair| pair.strip_prefix("timeout=")).next_back();
    let seconds = value.and_then(|text| text.parse::<u64>().ok()).unwrap_or(60).min(600);
    seconds.saturating_add(10).saturating_mul(1000)
}

/// Whether this is a browser's question before a cross-origin request (Fetch standard, CORS-preflight fetch).
pub(crate) fn is_preflight(head: &RequestHead) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(header::ORIGIN)
        && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

const PROBLEM: &[u8] = b"problem";

/// Where a trusted proxy may say the client's region, most explicit first.
const REGION_FIELDS: [&str; 3] = ["x-region", "x-client-region", "cf-ipcountry"];
