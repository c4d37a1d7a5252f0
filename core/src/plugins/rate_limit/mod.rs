//! `rate-limit-plugin`: which limits a request spends from (contract sections 3 and 4). Counting is the store's; here
//! are the names, the numbers and what a refusal says.
//!
//! All limits of a request are spent together or not at all. A limit per credential is spent only where the batch
//! itself finds the credential valid, so that made-up ones never make a key in the store.

mod judge;
mod plan;
#[cfg(test)]
mod tests;

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

use crate::{
    config::{self, Algorithm, Document, NamedLimit, OnStoreError},
    flow::Flow,
    gateway::CompileError,
    keyspace::Keyspace,
    plugin::{Plan, Plugin},
    routes::{Pattern, RouteKind},
    store::{Ask, Slot, Spend},
};

/// `rate-limit-plugin`.
#[derive(Clone, Debug)]
pub struct RateLimit {
    keys: Keyspace,
    default: config::RateLimit,
    on_store_error: OnStoreError,
    named: Vec<Named>,
}

/// One of `[[limits]]`.
#[derive(Clone, Debug)]
struct Named {
    limit: NamedLimit,
    path: Option<Pattern>,
}

/// A limit that was asked, and what to make of it.
#[derive(Clone, Debug)]
struct Asked {
    /// As in `RateLimit-Policy`; where a record has limits of its own, their names stand in.
    name: Cow<'static, str>,
    slot: Slot<Spend>,
    on_store_error: OnStoreError,
}

impl RateLimit {
    /// Compiles the document's limits.
    ///
    /// # Errors
    /// A path pattern that does not parse.
    pub fn new(document: &Document) -> Result<Self, CompileError> {
        let named = |limit: &NamedLimit| {
            let path = limit.path.as_deref().map(Pattern::new).transpose()?;
            Ok(Named { limit: limit.clone(), path })
        };
        Ok(Self {
            keys: Keyspace::new(document),
            default: document.rate_limit.clone(),
            on_store_error: document.store.on_error,
            named: document.limits.iter().map(named).collect::<Result<_, _>>()?,
        })
    }
}

impl Plugin for RateLimit {
    fn name(&self) -> &'static str {
        "rate-limit-plugin"
    }

    fn priority(&self) -> i32 {
        90
    }

    fn implementation(&self) -> &'static str {
        match self.default.algorithm {
            Algorithm::SlidingWindow => "sliding-window",
            Algorithm::SlidingLog => "sliding-log",
            Algorithm::TokenBucket => "token-bucket",
            Algorithm::FixedWindow => "fixed-window",
        }
    }

    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        if !self.default.enabled || flow.request.route.kind == RouteKind::Own {
            return Plan::Pass;
        }
        let asked = self.ask(flow, ask);
        if asked.is_empty() {
            return Plan::Pass;
        }
        Plan::Judge(Box::new(move |flow, answers| judge::judge(flow, answers, asked)))
    }
}
