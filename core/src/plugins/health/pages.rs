//! The bodies of the pages, as JSON values.

use alloc::{format, string::String, vec::Vec};
use serde_json::{Value, json};

use super::Condition;
use crate::{
    Gateway,
    config::{Document, OnStoreError},
    control,
    flow::Flow,
    keys::iso8601,
    plugin::Plugin,
    report::Status,
};

/// `/gateway/health`.
pub(super) fn health(flow: &Flow, document: &Document, status: &Status, condition: Condition) -> Value {
    let mut body = json!({
        "status": condition.as_str(),
        "uptime": status.uptime_ms / 1000,
        "version": env!("CARGO_PKG_VERSION"),
        "timestamp": iso8601(flow.request.facts.now_ms),
    });
    let errors = errors(document, status);
    if let (false, Some(object)) = (errors.is_empty(), body.as_object_mut()) {
        object.insert("errors".into(), errors.into());
    }
    body
}

/// What is wrong, for people. This page is open, so it names no origins: by default their names are addresses.
fn errors(document: &Document, status: &Status) -> Vec<String> {
    let mut errors = Vec::new();
    if !status.store.up {
        errors.push(String::from(match document.store.on_error {
            OnStoreError::Allow => "the store does not answer; limits are not enforced",
            OnStoreError::Deny => "the store does not answer; requests are refused",
            OnStoreError::Local => "the store does not answer; limits are counted in this process",
        }));
    }
    let failing = status.origins.iter().filter(|view| view.failing).count();
    if failing > 0 {
        errors.push(format!("{failing} of {} origins do not answer", status.origins.len()));
    }
    errors
}

/// `/gateway/health/detailed`.
pub(super) fn detailed(flow: &Flow, gateway: &Gateway, status: &Status, condition: Condition) -> Value {
    let document = gateway.document();
    let word = |well: bool| if well { "healthy" } else { "unhealthy" };
    let views = status.origins.iter().copied().map(Some).chain(core::iter::repeat(None));
    let origins: Vec<Value> = document
        .origins
        .iter()
        .zip(views)
        .map(|(origin, view)| {
            let view = view.unwrap_or_default();
            json!({
                "name": origin.name,
                "url": format!("{}", origin.url),
                "region": origin.region,
                "status": word(!view.failing),
                "in_flight": view.in_flight,
                "latency_ms": (view.ewma_us > 0).then(|| milliseconds(view.ewma_us)),
            })
        })
        .collect();
    let reachable = status.origins.is_empty() || status.origins.iter().any(|view| !view.failing);
    let mut body = health(flow, document, status, condition);
    let checks = json!({
        "redis": {
            "status": word(status.store.up),
            "latency_ms": status.store.latency_us.map(milliseconds),
            "mode": status.store.mode,
            "error": status.store.error,
        },
        "fastapi": { "status": word(reachable), "origins": origins },
        "plugins": {
            "status": word(count(gateway, &status.failing, State::Error) == 0),
            "active": count(gateway, &status.failing, State::Active),
            "error": count(gateway, &status.failing, State::Error),
        },
    });
    if let Some(object) = body.as_object_mut() {
        object.insert("checks".into(), checks);
        object.insert(
            "resources".into(),
            json!({
                "memory_bytes": status.memory_bytes,
                "connections": status.connections,
                "uptime": status.uptime_ms / 1000,
            }),
        );
    }
    body
}

/// Microseconds as milliseconds with three decimals.
fn milliseconds(us: u64) -> Value {
    // Far below 2^53 for any time that a process lives.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let ms = us as f64 / 1000.0;
    Value::from(ms)
}

/// `/gateway/plugins`.
pub(super) fn plugins(gateway: &Gateway, failing: &[&str]) -> Value {
    let list: Vec<Value> =
        all(gateway, failing).map(|(plugin, state)| describe(gateway, plugin, state)).collect();
    let count = |state| count(gateway, failing, state);
    json!({
        "total": list.len(),
        "active": count(State::Active),
        "loaded": count(State::Loaded),
        "error": count(State::Error),
        "plugins": list,
    })
}

/// `/gateway/plugins/{name}`.
pub(super) fn plugin(gateway: &Gateway, name: &str, failing: &[&str]) -> Option<Value> {
    let (plugin, state) = all(gateway, failing).find(|(plugin, _)| plugin.name() == name)?;
    let mut page = describe(gateway, plugin, state);
    if let Some(page) = page.as_object_mut() {
        let others = control::implementations(name);
        page.insert("implementations".into(), others.into());
    }
    Some(page)
}

/// Where a plugin is in its life. Before it is loaded it is registered: this build has it. Nobody sees that here, for a document
/// whose plugins cannot all be loaded does not come into force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Made for this document, and switched off: ready to be switched on.
    Loaded,
    Active,
    /// Active, and failed lately, or is not what its settings ask for.
    Error,
}

fn all<'a>(gateway: &'a Gateway, failing: &'a [&str]) -> impl Iterator<Item = (&'a dyn Plugin, State)> {
    let off = gateway.registry.inactive().map(|plugin| (plugin, State::Loaded));
    let on = |plugin: &'a dyn Plugin| {
        let state = if plugin.is_idle() {
            State::Loaded
        } else if failing.contains(&plugin.name()) || plugin.fault().is_some() {
            State::Error
        } else {
            State::Active
        };
        (plugin, state)
    };
    gateway.plugins().map(on).chain(off)
}

fn count(gateway: &Gateway, failing: &[&str], wanted: State) -> usize {
    all(gateway, failing).filter(|(_, state)| *state == wanted).count()
}

fn describe(gateway: &Gateway, plugin: &dyn Plugin, state: State) -> Value {
    let settings = gateway.document().plugins.get(plugin.name());
    let moved = settings.and_then(|settings| settings.priority);
    let mut page = json!({
        "name": plugin.name(),
        "version": plugin.version(),
        "status": match state {
            State::Loaded => "loaded",
            State::Active => "active",
            State::Error => "error",
        },
        "priority": moved.unwrap_or(plugin.priority()),
        "implementation": plugin.implementation(),
        "dependencies": plugin.dependencies(),
    });
    if let (Some(page), Some(fault)) = (page.as_object_mut(), plugin.fault()) {
        page.insert("fault".into(), fault.into());
    }
    page
}
