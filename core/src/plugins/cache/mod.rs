//! `cache-plugin`: answers of the origin, kept in the store or in the process (RFC 9111, RFC 5861, RFC 9211).
//!
//! [`key`] says whose entry of what, [`entry`] what it holds, [`vary`] which answer in it fits. [`lookup`]
//! judges what the store had, [`revisit`] what the origin says to that. All rules stand in pure functions:
//! [`directives`], [`freshness`], [`store_policy`], [`conditional`], [`range`]. [`invalidate`] is about unsafe methods,
//! [`purge`] about operators.
//!
//! Narrower than the standard allows: no guesses unless a route asks for them, no parts stored (one is cut from a whole
//! answer), no `private` answers even for one credential, none with `Set-Cookie`, no error unless the origin says how long it
//! is one. Between two
//! gateways (or two requests) that write one entry at once, the later one wins. What is served stale is refreshed by
//! one request at a time of all gateways: it claims the entry in the store first.

use alloc::{boxed::Box, format, string::String, sync::Arc};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use crate::{
    config::{CacheBackend, Document},
    flow::Flow,
    gateway::CompileError,
    plugin::{Plan, Plugin},
    routes::Table,
    store::{Ask, Home},
};
use directives::Directives;
use invalidate::Invalidation;
use lookup::Lookup;
use purge::Purges;

mod conditional;
mod dates;
mod directives;
mod entry;
mod freshness;
mod invalidate;
mod key;
mod lookup;
pub(crate) mod purge;
mod range;
mod revisit;
mod store_policy;
#[cfg(test)]
mod tests;
mod vary;

/// A stored value in which the answer that fits one request fits another, for a trace that gives both other names, and in which
/// `hide` has seen every answer. None where it holds none.
pub(crate) fn renamed(
    value: &Bytes,
    was: (&str, &HeaderMap),
    is: (&str, &HeaderMap),
    hide: impl Fn(&mut HeaderMap, &mut Bytes),
) -> Option<Bytes> {
    let mut entry = entry::Entry::decode(value.clone())?;
    for variant in &mut entry.variants {
        if variant.selector.fits(was.0, was.1) {
            variant.selector = variant.selector.renamed(is.0, is.1);
        }
        hide(&mut variant.headers, &mut variant.body);
    }
    entry.encode()
}

/// The response cache.
pub struct Cache {
    settings: Arc<Settings>,
    invalidation: Invalidation,
}

/// What every request needs to know.
#[derive(Debug)]
struct Settings {
    /// `CACHE_ENABLED`.
    enabled: bool,
    /// `CACHE_BACKEND`.
    backend: CacheBackend,
    /// Start of keys.
    prefix: String,
    /// Larger bodies are not stored.
    max_body_bytes: usize,
    /// Our line of `Via` for stored answers; those from the origin get theirs elsewhere.
    via: HeaderValue,
}

impl Settings {
    /// Where stored answers are, and all that is known of them.
    fn home(&self) -> Home {
        self.backend.into()
    }
}

impl Cache {
    /// Compiles it.
    ///
    /// # Errors
    /// A route that does not compile.
    pub fn new(document: &Document) -> Result<Self, CompileError> {
        let via = HeaderValue::try_from(format!("1.1 {}", document.identity.name));
        let settings = Settings {
            enabled: document.cache.enabled,
            backend: document.cache.backend,
            prefix: document.store.key_prefix.clone(),
            max_body_bytes: usize::try_from(document.cache.max_body_bytes).unwrap_or(usize::MAX),
            via: via.unwrap_or(HeaderValue::from_static("1.1 acip")),
        };
        let settings = Arc::new(settings);
        let table = Arc::new(Table::compile(document)?);
        Ok(Self { invalidation: Invalidation { settings: Arc::clone(&settings), table }, settings })
    }

    fn look_up(&self, flow: &Flow, ask: &mut Ask) -> Plan {
        let request = &flow.request;
        let Some(cache) = store_policy::of_route(&request.route) else { return Plan::Pass };
        let wants = Directives::of_request(&request.head.headers);
        // Nothing is said before the judges of higher priority have let the request pass.
        let part = range::wanted(&request.head);
        if flow.skip_cache || store_policy::bypasses(&request.head, &wants, part.is_some()) {
            return Plan::Judge(Box::new(move |flow, _| lookup::bypass(flow, &wants)));
        }
        let target = key::target(&request.route, &request.head.uri, flow.outgoing.path_and_query.as_deref());
        let key = key::key(&self.settings.prefix, cache, request, &target);
        let slot = ask.get_at(self.settings.home(), key.clone());
        let purges = Purges::ask(ask, self.settings.home(), &self.settings.prefix);
        let lookup = Lookup { settings: Arc::clone(&self.settings), key, cache, slot, purges, wants, part };
        Plan::Judge(Box::new(move |flow, answers| lookup.judge(flow, answers)))
    }
}

impl Plugin for Cache {
    fn name(&self) -> &'static str {
        "cache-plugin"
    }

    fn priority(&self) -> i32 {
        80
    }

    fn implementation(&self) -> &'static str {
        self.settings.backend.name()
    }

    fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        match flow.request.head.method {
            Method::GET | Method::HEAD => self.look_up(flow, ask),
            Method::OPTIONS | Method::TRACE | Method::CONNECT => Plan::Pass,
            _ => {
                self.invalidation.plan(flow);
                Plan::Pass
            }
        }
    }
}
