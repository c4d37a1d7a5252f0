//! What the origin says to a request that the store could not answer: kept, put in the place of what was
//! kept, or found to be what was kept all along.

use alloc::{borrow::Cow, boxed::Box, format, string::String, sync::Arc};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use super::{
    Settings, conditional,
    entry::{Entry, Variant},
    lookup,
    purge::Purges,
    store_policy,
};
use crate::{
    config::RouteCache,
    event::Event,
    flow::Flow,
    outcome::{CacheStatus, End, Outcome},
    routes::RouteKind,
    store::Op,
    verdict::{ResponseDraft, ResponseHead},
};

/// A request on its way to the origin, with what the store held for it.
pub(super) struct Revisit {
    pub(super) settings: Arc<Settings>,
    pub(super) key: String,
    pub(super) cache: RouteCache,
    /// The other answers under the key.
    pub(super) rest: Entry,
    /// What was purged when the store was asked.
    pub(super) purges: Purges,
    /// The one for this request, past its use.
    pub(super) found: Option<Variant>,
    /// Whether the origin is asked if it still holds.
    pub(super) validating: bool,
    /// Whether it may stand in for an error.
    pub(super) errors_covered: bool,
    /// RFC 9211 §2.2.
    pub(super) why: &'static str,
    /// Whether no client waits for this.
    pub(super) behind: bool,
}

impl Revisit {
    /// The origin's head is there.
    pub(super) fn seal(mut self, flow: &mut Flow, draft: &mut ResponseDraft) {
        let status = draft.head.status;
        match self.found.take() {
            Some(found) if self.validating && status == StatusCode::NOT_MODIFIED => {
                self.still_holds(flow, draft, found);
            }
            Some(found) if self.errors_covered && FAILURES.contains(&status) => {
                flow.cache = Some(CacheStatus::Stale);
                flow.cache_detail =
                    Some(format!("fwd={}; fwd-status={}; detail=stale-if-error", self.why, status.as_u16()));
                self.tell(flow, Event::CacheHit { stale: true });
                let now_ms = draft.received_ms;
                let answer = lookup::answer(Cow::Owned(found), &flow.request.head.headers, now_ms, None);
                draft.head = ResponseHead { status: answer.status, headers: answer.headers };
                draft.replace = Some(answer.body);
            }
            found => self.replaced(flow, draft, found.is_some()),
        }
    }

    /// The origin answered 304 to our question (RFC 9111 §4.3.4): the stored answer goes out, with a new
    /// life.
    fn still_holds(mut self, flow: &mut Flow, draft: &mut ResponseDraft, found: Variant) {
        let fresh = conditional::freshened(&found.headers, &draft.head.headers);
        let is_about_it = fresh.is_some();
        let head =
            ResponseHead { status: found.status, headers: fresh.unwrap_or_else(|| found.headers.clone()) };
        let shown = Variant { headers: head.headers.clone(), ..found };
        let stored = self.storable(flow, draft, &head);
        let stored = stored.filter(|_| is_about_it);
        let told = if stored.is_some() { "; stored" } else { "" };
        flow.cache = Some(CacheStatus::Hit);
        flow.cache_detail = Some(format!("fwd={}; fwd-status=304{told}", self.why));
        self.tell(flow, Event::CacheHit { stale: false });
        match stored {
            Some(variant) => {
                self.rest.put(Variant { body: shown.body.clone(), ..variant }, draft.received_ms);
                self.write(flow, draft.received_ms);
                flow.events.push(Event::CacheStored);
            }
            None => self.write(flow, draft.received_ms),
        }
        if conditional::client_has(&flow.request.head.headers, &shown) {
            let headers = conditional::not_modified_fields(&shown.headers);
            draft.head = ResponseHead { status: StatusCode::NOT_MODIFIED, headers };
            draft.replace = Some(Bytes::new());
        } else {
            draft.head = head;
            draft.replace = Some(shown.body);
        }
    }

    /// Another answer than the stored one, or the first.
    fn replaced(self, flow: &mut Flow, draft: &ResponseDraft, had: bool) {
        self.tell(flow, Event::CacheMiss);
        let status = draft.head.status;
        let variant = self.storable(flow, draft, &draft.head);
        let declared = declared_length(&draft.head.headers);
        let fits = declared.is_none_or(|length| length <= self.settings.max_body_bytes);
        let is_job = flow.request.route.kind == RouteKind::JobRead;
        let mut detail = ["fwd=", self.why].concat();
        if had {
            detail.push_str(&format!("; fwd-status={}", status.as_u16()));
        }
        match variant.filter(|_| fits) {
            Some(variant) => {
                // Whether a job's answer is kept depends on its body.
                if !is_job {
                    detail.push_str("; stored");
                }
                let wanted = self.settings.max_body_bytes;
                flow.outgoing.capture_response = flow.outgoing.capture_response.max(wanted);
                flow.on_finish(Box::new(move |flow, outcome| {
                    self.finish(flow, outcome, variant, declared, is_job && had);
                }));
            }
            None if had && supersedes(status) && flow.request.head.method == Method::GET => {
                self.write(flow, draft.received_ms);
            }
            None => {}
        }
        flow.cache_detail = Some(detail);
    }

    /// The body is there, or not: only a whole one is kept.
    fn finish(
        mut self,
        flow: &mut Flow,
        outcome: &Outcome,
        variant: Variant,
        declared: Option<usize>,
        had_job: bool,
    ) {
        let Some(body) = outcome.response_body.as_ref().filter(|_| outcome.end == End::Complete) else {
            return;
        };
        let whole = declared.is_none_or(|length| length == body.len());
        if !whole || body.len() > self.settings.max_body_bytes {
            return;
        }
        if flow.request.route.kind == RouteKind::JobRead && !store_policy::is_final_job(body) {
            if had_job {
                self.write(flow, outcome.now_ms);
            }
            return;
        }
        self.rest.put(Variant { body: body.clone(), ..variant }, outcome.now_ms);
        self.write(flow, outcome.now_ms);
        flow.events.push(Event::CacheStored);
    }

    /// What would be stored of an answer with this head, but for its body.
    fn storable(&self, flow: &Flow, draft: &ResponseDraft, head: &ResponseHead) -> Option<Variant> {
        let (sent_ms, received_ms) = (draft.sent_ms, draft.received_ms);
        let request = &flow.request;
        let mut variant = store_policy::storable(&self.key, self.cache, request, head, sent_ms, received_ms)?;
        variant.stamp = self.purges.stamp(request, &variant.headers);
        Some(variant)
    }

    /// Writes what is under the key now; nothing is kept for ever.
    fn write(self, flow: &mut Flow, now_ms: u64) {
        let ttl_ms = self.rest.over_ms().saturating_sub(now_ms);
        let value = self.rest.encode().filter(|_| ttl_ms > 0);
        flow.writes.push(self.settings.home().of(match value {
            Some(value) => Op::Set { key: self.key, value, ttl_ms: Some(ttl_ms), only_new: false },
            None => Op::Delete { key: self.key },
        }));
    }

    /// A refresh behind a client's back is neither hit nor miss.
    fn tell(&self, flow: &mut Flow, event: Event) {
        if !self.behind {
            flow.events.push(event);
        }
    }
}

/// Whether a status says that what was stored is no longer so; a failure, or a client that may not, does not.
fn supersedes(status: StatusCode) -> bool {
    status.is_success()
        || (status.is_redirection() && status != StatusCode::NOT_MODIFIED)
        || [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&status)
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// RFC 5861 §4.
const FAILURES: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
