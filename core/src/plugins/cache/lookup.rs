//! What the store had, judged for one request: served, served stale, or the origin is asked
//! ([`super::revisit`]).

use alloc::{borrow::Cow, boxed::Box, format, string::String, sync::Arc};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    Settings, conditional,
    directives::Directives,
    entry::{Entry, Variant},
    freshness::Use,
    purge::Purges,
    range::{self, Part},
    revisit::Revisit,
};
use crate::{
    config::RouteCache,
    event::Event,
    flow::Flow,
    outcome::CacheStatus,
    plugin::{Answers, Ruling, Source},
    refusal::{ErrorCode, Refusal},
    store::{Hash, Home, Slot},
    verdict::{Answer, Claim, OriginFailure},
};

/// A question to the store and what it takes to judge the answer.
pub(super) struct Lookup {
    pub(super) settings: Arc<Settings>,
    pub(super) key: String,
    pub(super) cache: RouteCache,
    pub(super) slot: Slot<Bytes>,
    pub(super) purges: Slot<Hash>,
    pub(super) wants: Directives,
    /// The only bytes of the answer that are asked for.
    pub(super) part: Option<Part>,
}

/// A request that neither reads nor writes the cache.
pub(super) fn bypass(flow: &mut Flow, wants: &Directives) -> Ruling {
    flow.cache = Some(CacheStatus::Bypass);
    if wants.only_if_cached { Ruling::Refuse(not_cached()) } else { Ruling::Pass }
}

impl Lookup {
    pub(super) fn judge(self, flow: &mut Flow, answers: &Answers<'_>) -> Ruling {
        if flow.skip_cache {
            return bypass(flow, &self.wants);
        }
        if self.settings.home() == Home::Store && answers.source != Source::Store {
            // What this process remembers by itself is nobody's cache, and what it would write is lost.
            flow.cache = Some(CacheStatus::Miss);
            flow.cache_detail = Some("fwd=miss; detail=store-unavailable".into());
            flow.events.push(Event::CacheMiss);
            return if self.wants.only_if_cached { Ruling::Refuse(not_cached()) } else { Ruling::Pass };
        }
        if let Some(part) = self.part {
            return self.judge_part(flow, answers, part);
        }
        let purges = Purges::read(answers.cells.hash(self.purges));
        let mut entry = self.entry(flow, answers, &purges);
        let why = if entry.variants.is_empty() { "uri-miss" } else { "vary-miss" };
        let Some(found) = entry.take(&self.key, &flow.request.head.headers) else {
            return self.forward(flow, entry, None, why, purges);
        };
        let now_ms = flow.request.facts.now_ms;
        match found.life.judge(now_ms, &self.wants) {
            Use::Fresh => {
                let ttl_s = found.life.left_ms(now_ms).unwrap_or(0) / 1000;
                flow.cache = Some(CacheStatus::Hit);
                flow.cache_detail = Some(format!("hit; ttl={ttl_s}"));
                flow.events.push(Event::CacheHit { stale: false });
                let via = &self.settings.via;
                let answer = answer(Cow::Owned(found), &flow.request.head.headers, now_ms, Some(via));
                Ruling::Serve { answer, refresh: None }
            }
            Use::Stale { refresh } => {
                let ttl_s = found.life.staleness_ms(now_ms) / 1000;
                let via = &self.settings.via;
                let answer = answer(Cow::Borrowed(&found), &flow.request.head.headers, now_ms, Some(via));
                let refresh =
                    refresh && flow.request.head.method == Method::GET && !self.wants.only_if_cached;
                let claim = refresh
                    .then(|| Claim { key: format!("{}:refresh", self.key), home: self.settings.home() });
                if refresh {
                    self.revisit(flow, entry, Some(found), "stale", true, purges);
                }
                flow.cache = Some(CacheStatus::Stale);
                flow.cache_detail = Some(format!("hit; ttl=-{ttl_s}"));
                flow.events.push(Event::CacheHit { stale: true });
                Ruling::Serve { answer, refresh: claim }
            }
            Use::Expired => self.forward(flow, entry, Some(found), "stale", purges),
            Use::Unwanted => self.forward(flow, entry, Some(found), "request", purges),
        }
    }

    /// What is stored and was not purged since.
    fn entry(&self, flow: &Flow, answers: &Answers<'_>, purges: &Purges) -> Entry {
        let mut entry = answers.cells.bytes(self.slot).and_then(Entry::decode).unwrap_or_default();
        entry.variants.retain(|variant| variant.stamp == purges.stamp(&flow.request, &variant.headers));
        entry
    }

    /// Cuts a part from a fresh answer; whatever else comes, the origin is asked for the part, past the cache.
    fn judge_part(self, flow: &mut Flow, answers: &Answers<'_>, part: Part) -> Ruling {
        let (now_ms, request) = (flow.request.facts.now_ms, &flow.request.head.headers);
        let purges = Purges::read(answers.cells.hash(self.purges));
        let found = self.entry(flow, answers, &purges).take(&self.key, request);
        let found = found.filter(|found| found.life.judge(now_ms, &self.wants) == Use::Fresh);
        let answer = found.and_then(|found| {
            let ttl_s = found.life.left_ms(now_ms).unwrap_or(0) / 1000;
            let whole = answer(Cow::Borrowed(&found), request, now_ms, Some(&self.settings.via));
            Some((ttl_s, range::cut(whole, part, request, &found)?))
        });
        let Some((ttl_s, answer)) = answer else { return bypass(flow, &self.wants) };
        flow.cache = Some(CacheStatus::Hit);
        flow.cache_detail = Some(format!("hit; ttl={ttl_s}"));
        flow.events.push(Event::CacheHit { stale: false });
        Ruling::Serve { answer, refresh: None }
    }

    fn forward(
        self,
        flow: &mut Flow,
        rest: Entry,
        found: Option<Variant>,
        why: &'static str,
        purges: Purges,
    ) -> Ruling {
        flow.cache = Some(CacheStatus::Miss);
        flow.cache_detail = Some(["fwd=", why].concat());
        if self.wants.only_if_cached {
            flow.events.push(Event::CacheMiss);
            return Ruling::Refuse(not_cached());
        }
        self.revisit(flow, rest, found, why, false, purges);
        Ruling::Pass
    }

    /// Prepares the request to the origin and what is done with its answer.
    fn revisit(
        self,
        flow: &mut Flow,
        rest: Entry,
        found: Option<Variant>,
        why: &'static str,
        behind: bool,
        purges: Purges,
    ) {
        let now_ms = flow.request.facts.now_ms;
        let is_get = flow.request.head.method == Method::GET;
        let validating = is_get && found.as_ref().is_some_and(Variant::has_validator);
        if validating || behind {
            // The client's conditions are about what it has, ours about what the store has; the client's are
            // judged on the outcome.
            flow.outgoing.remove.extend([header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE]);
        }
        if let Some(found) = found.as_ref().filter(|_| validating) {
            flow.outgoing.set.extend(conditional::validators(found));
        }
        let covers = |found: &&Variant| found.life.covers_error(now_ms, &self.wants);
        let standby = found.as_ref().filter(covers).cloned();
        if let Some(standby) = standby.clone() {
            let via = self.settings.via.clone();
            flow.on_fail(Box::new(move |flow, failure| {
                use OriginFailure as Failure;
                if matches!(failure, Failure::BodyTooLarge | Failure::ClientBody) {
                    return None;
                }
                flow.cache = Some(CacheStatus::Stale);
                flow.cache_detail = Some(format!("fwd={why}; detail=stale-if-error"));
                flow.events.push(Event::CacheHit { stale: true });
                Some(answer(Cow::Owned(standby), &flow.request.head.headers, now_ms, Some(&via)))
            }));
        }
        let Self { settings, key, cache, .. } = self;
        let errors_covered = standby.is_some();
        let revisit =
            Revisit { settings, key, cache, rest, purges, found, validating, errors_covered, why, behind };
        flow.on_seal(Box::new(move |flow, draft| revisit.seal(flow, draft)));
    }
}

/// A stored answer as it goes out: with its age (RFC 9111 §5.1), and as a 304 to a client that has it
/// already.
pub(super) fn answer(
    variant: Cow<'_, Variant>,
    request: &HeaderMap,
    now_ms: u64,
    via: Option<&HeaderValue>,
) -> Answer {
    let has = conditional::client_has(request, &variant);
    let age_s = variant.life.age_ms(now_ms) / 1000;
    let Variant { status, mut headers, body, .. } = variant.into_owned();
    headers.insert(header::AGE, HeaderValue::from(age_s));
    if let Some(via) = via {
        headers.append(header::VIA, via.clone());
    }
    if has {
        let headers = conditional::not_modified_fields(&headers);
        return Answer { status: StatusCode::NOT_MODIFIED, headers, body: Bytes::new(), close: false };
    }
    Answer { status, headers, body, close: false }
}

/// RFC 9111 §5.2.1.7.
fn not_cached() -> Refusal {
    let message = "no stored answer can be used and `only-if-cached` forbids to ask the origin";
    Refusal::new(ErrorCode::GatewayTimeout, "only_if_cached", message)
}
