//! `auth-plugin`: who a request is from, and whether it may pass (contract sections 4, 5 and 8). One door per file:
//! [`key`] for API keys and admins, [`worker`] for a worker's own calls, [`own`] for the gateway's pages; [`learn`] watches what the origin says of
//! workers' tokens.
//!
//! Failed credentials are limited per client address: past the limit the answer is 429 instead of 401. A valid credential passes
//! from such an address all the same, because neighbours behind one NAT share it, and guessing gains nothing by
//! that: a guess that hits is no guess any more.
//!
//! `AUTH_ENABLED=false` opens what wants an API key and nothing else: admin routes, workers' calls and the gateway's
//! own pages stay closed.

mod key;
mod learn;
mod own;
mod present;
mod record;
mod refusals;
#[cfg(test)]
mod tests;
mod token;
mod worker;

use alloc::{string::String, sync::Arc, vec::Vec};

use super::metrics::Metrics;
use crate::{
    config::{Document, RouteAuth, WorkerTokens},
    event::Event,
    flow::{Flow, Identity},
    keyspace::Keyspace,
    plugin::{Plan, Plugin},
    refusal::Refusal,
    store::Ask,
};

pub use present::{AuthSettings, Presented, present, stored_form};
pub use token::WorkerToken;

/// `auth-plugin`.
#[derive(Clone, Debug)]
pub struct Auth {
    rules: Arc<Rules>,
}

/// What the steps of one request share.
#[derive(Debug)]
struct Rules {
    keys: Keyspace,
    settings: AuthSettings,
    /// Whether API-key routes are closed.
    enabled: bool,
    /// Whether `ADMIN_TOKEN` is set.
    has_admin_token: bool,
    /// Names of the document's keys, by position.
    names: Vec<String>,
    tokens: WorkerTokens,
    failures_per_minute: u32,
    realm: String,
    /// Where the metrics are; none: nowhere.
    metrics_path: Option<String>,
}

impl Auth {
    /// Prepares the rules of a document.
    pub fn new(document: &Document) -> Self {
        let auth = &document.auth;
        let switch = document.plugins.get(NAME).and_then(|settings| settings.enabled);
        let metrics_path = document.metrics.path.trim_end_matches('/');
        let rules = Rules {
            keys: Keyspace::new(document),
            settings: AuthSettings::compile(document),
            enabled: auth.enabled && switch.unwrap_or(true),
            has_admin_token: auth.admin_token.is_some(),
            names: auth.api_keys.iter().map(|key| key.name.clone()).collect(),
            tokens: auth.worker_tokens,
            failures_per_minute: auth.failures_per_minute.get(),
            realm: document.identity.name.clone(),
            metrics_path: Metrics::is_on(document).then(|| metrics_path.into()),
        };
        Self { rules: Arc::new(rules) }
    }
}

impl Plugin for Auth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        100
    }

    fn stays(&self) -> bool {
        true
    }

    fn is_idle(&self) -> bool {
        !self.rules.enabled
    }

    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        let rules = &self.rules;
        if let Some(settled) = own::plan(rules, flow, ask) {
            return settled;
        }
        let plan = match flow.request.route.auth {
            RouteAuth::Open => Plan::Pass,
            RouteAuth::ApiKey if !rules.enabled => Plan::Pass,
            RouteAuth::ApiKey => key::plan(rules, flow, ask, key::Need::Key),
            RouteAuth::Admin => key::plan(rules, flow, ask, key::Need::Admin),
            RouteAuth::Worker => worker::plan(rules, flow, ask),
        };
        learn::plan(rules, flow, ask, plan)
    }
}

/// Notes who it is.
fn accept(flow: &mut Flow, identity: Identity) {
    flow.events.push(Event::AuthValidated { id: identity.id.clone() });
    flow.identity = Some(identity);
}

/// Notes why not.
fn reject(flow: &mut Flow, refusal: Refusal) -> Refusal {
    flow.events.push(Event::AuthRejected { reason: refusal.reason });
    refusal
}

const NAME: &str = "auth-plugin";
