//! `admin-plugin`: the gateway's own pages that ask the store or change something (contract section 8), one module per
//! area. Who may use which page by which method is the auth plugin's, which has found the page before this one plans.

mod config;
mod events;
mod keys;
mod plugins;
#[cfg(test)]
mod tests;

use alloc::string::{String, ToString};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use keys::KeyAction;

use crate::{
    command::Command,
    config::{CacheBackend, Document},
    control,
    flow::Flow,
    keyspace::Keyspace,
    plugin::{Plan, Plugin},
    plugins::cache::purge,
    refusal::{ErrorCode, Refusal},
    report::Page,
    store::Ask,
    verdict::Answer,
};

/// `admin-plugin`.
pub struct Admin {
    /// Where the store has the changes of the configuration.
    config_key: String,
    keyspace: Keyspace,
    /// Where it is counted what was purged from the cache.
    purges_key: String,
    /// Where the cache is.
    backend: CacheBackend,
}

impl Admin {
    /// For a document.
    pub fn new(document: &Document) -> Self {
        Self {
            config_key: control::key(document),
            keyspace: Keyspace::new(document),
            purges_key: purge::place(&document.store.key_prefix),
            backend: document.cache.backend,
        }
    }
}

impl Plugin for Admin {
    fn name(&self) -> &'static str {
        "admin-plugin"
    }

    /// After whatever may refuse a request.
    fn priority(&self) -> i32 {
        5
    }

    /// Else a gateway whose admin pages were switched off could not be told to switch them on.
    fn stays(&self) -> bool {
        true
    }

    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        let reads = matches!(flow.request.head.method, Method::GET | Method::HEAD);
        match flow.page.clone() {
            Some(Page::Config) if reads => config::show(ask, &self.config_key),
            Some(Page::Config) => config::patch(ask, &self.config_key),
            Some(Page::ConfigHistory) => config::history(ask, &self.config_key),
            Some(Page::ConfigRollback) => config::rollback(ask, &self.config_key),
            Some(Page::Plugin(name)) if !reads => plugins::patch(ask, &self.config_key, name.clone()),
            Some(Page::Keys) if reads => keys::list(&self.keyspace, flow, ask),
            Some(Page::Keys) => keys::create(&self.keyspace, flow),
            Some(Page::Key(id)) => {
                let action = match flow.request.head.method {
                    Method::DELETE => KeyAction::Revoke,
                    Method::PATCH => KeyAction::Change,
                    _ => KeyAction::Show,
                };
                keys::one(&self.keyspace, &id, action, ask)
            }
            Some(Page::KeyRotate(id)) => keys::one(&self.keyspace, &id, KeyAction::Rotate, ask),
            Some(Page::Events(_)) => events::plan(flow),
            Some(Page::CachePurge) => purge::plan(flow, self.purges_key.clone(), self.backend),
            _ => Plan::Pass,
        }
    }
}

/// The JSON object that a body is.
fn object(body: &Bytes) -> Result<Map<String, Value>, Refusal> {
    let message = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => return Ok(object),
        Ok(_) => "the body is no JSON object".into(),
        Err(error) => alloc::format!("the body is no JSON: {error}"),
    };
    Err(Refusal::new(ErrorCode::BadRequest, "body", message))
}

/// A page.
fn answer(value: &Value) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Answer { status: StatusCode::OK, headers, body: value.to_string().into(), close: false }
}

/// The version of the stored changes as an entity tag (RFC 9110 §8.8.3).
fn tag(version: u64) -> HeaderValue {
    HeaderValue::try_from(alloc::format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

fn refused(code: ErrorCode, reason: &'static str, error: &dyn core::fmt::Display) -> Refusal {
    Refusal::new(code, reason, error.to_string())
}

/// Everything that is wrong with a change, at once.
fn details(errors: &[String]) -> Value {
    json!({ "errors": errors })
}

/// A change that is not accepted, with everything that is wrong with it.
fn invalid(errors: &[String]) -> Refusal {
    let mut refusal = Refusal::new(ErrorCode::BadRequest, "change", "the change is not accepted");
    refusal.details = Some(details(errors));
    refusal
}

/// What a command waits for before it reads the body.
fn store_is_down() -> Refusal {
    let message = "the store does not answer, so the configuration cannot be changed; try again";
    Refusal::new(ErrorCode::StoreUnavailable, "store_down", message)
}

/// Leaves a command for the driver.
fn leave(flow: &mut Flow, run: crate::command::Run) {
    flow.command = Some(Command { body_limit: BODY_LIMIT, run });
}

/// Largest body of a change in bytes; what is stored of it must be no longer.
const BODY_LIMIT: usize = 64 * 1024;
