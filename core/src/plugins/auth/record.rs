//! What the record of a live API key allows.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;
use ipnet::IpNet;

use super::refusals::forbidden;
use crate::{
    flow::{Flow, Identity, IdentityKind},
    http::target,
    refusal::Refusal,
    routes::Pattern,
    store::Record,
};

/// The identity of a live record, if it may be used here and from there.
///
/// # Errors
/// It is a worker's, or its `ip_allow` or `routes` exclude the request. A list that cannot be read excludes everything: it was
/// meant to restrict.
pub(super) fn admit(flow: &mut Flow, record: Record) -> Result<Identity, Refusal> {
    if !record.worker_id.is_empty() {
        return Err(forbidden(
            flow,
            "worker_token",
            "a worker token opens nothing but the worker's own calls",
        ));
    }
    if !admits(&record.ip_allow, |entry| is_in(flow.request.client, entry)) {
        return Err(forbidden(flow, "address", "this key may not be used from this address"));
    }
    let path = target::read(&flow.request.head.uri).ok();
    let covers = |pattern: &str| {
        let pattern = Pattern::new(pattern).ok();
        pattern.zip(path.as_ref()).is_some_and(|(pattern, path)| pattern.matches(&path.decoded))
    };
    if !admits(&record.routes, covers) {
        return Err(forbidden(flow, "route", "this key may not be used on this route"));
    }
    let kind = if record.role == "admin" { IdentityKind::Admin } else { IdentityKind::ApiKey };
    let id = match record.id.as_str() {
        // A record without an id still needs a tenant of its own. This much of a hash tells nothing of the key.
        "" => alloc::format!("key_{}", flow.request.presented.stored.chars().take(12).collect::<String>()),
        id => id.into(),
    };
    let tenant = if record.tenant.is_empty() { id.clone() } else { record.tenant };
    Ok(Identity { id, tenant, kind })
}

/// Whether a JSON list of the record is absent, empty, or has an entry that fits.
fn admits(json: &str, fits: impl Fn(&str) -> bool) -> bool {
    if json.is_empty() {
        return true;
    }
    let list: Option<Vec<String>> = serde_json::from_str(json).ok();
    list.is_some_and(|list| list.is_empty() || list.iter().any(|entry| fits(entry)))
}

fn is_in(client: IpAddr, entry: &str) -> bool {
    match entry.parse::<IpNet>() {
        Ok(net) => net.contains(&client),
        Err(_) => entry.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == client),
    }
}
