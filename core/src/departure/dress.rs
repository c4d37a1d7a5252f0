//! The fields that the gateway adds to every answer, whoever made it.

use alloc::string::String;
use core::cmp::Ordering;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Departure, VERSION, quoted};
use crate::{
    flow::{Flow, NamedSpend},
    http::{list, names},
    outcome::CacheStatus,
};

/// Sets them. `own` marks answers that the gateway itself wrote: pages and errors.
pub(crate) fn dress(departure: &Departure, flow: &Flow, own: bool, headers: &mut HeaderMap) {
    for name in &flow.response_remove {
        headers.remove(name);
    }
    set(headers, names::X_REQUEST_ID, &flow.request.id);
    headers.insert(names::X_GATEWAY_VERSION, VERSION);
    if let Some(status) = flow.cache {
        headers.insert(names::X_GATEWAY_CACHE, HeaderValue::from_static(status.as_str()));
        let detail = flow.cache_detail.as_deref().unwrap_or(match status {
            CacheStatus::Hit | CacheStatus::Stale => "hit",
            CacheStatus::Miss => "fwd=miss",
            CacheStatus::Bypass => "fwd=bypass",
        });
        // Each cache on the way adds itself at the end (RFC 9211 §2).
        if let Ok(value) = HeaderValue::try_from([&departure.name, "; ", detail].concat()) {
            headers.append(names::CACHE_STATUS, value);
        }
    }
    limits(flow, headers);
    if own {
        for (name, value) in OWN {
            headers.entry(name).or_insert(value);
        }
    }
    for name in flow.response_headers.keys() {
        let values = flow.response_headers.get_all(name);
        if name == header::VARY {
            for member in list::members(&flow.response_headers, name) {
                list::vary_on(headers, member);
            }
            continue;
        }
        headers.remove(name);
        for value in values {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// `X-RateLimit-*` of the tightest limit, `RateLimit` and `RateLimit-Policy` of all
/// (draft-ietf-httpapi-ratelimit-headers §3, §4).
fn limits(flow: &Flow, headers: &mut HeaderMap) {
    let Some(tightest) = flow.spends.iter().min_by(|one, two| tightness(one, two)) else { return };
    let spend = &tightest.spend;
    headers.insert(names::X_RATELIMIT_LIMIT, HeaderValue::from(spend.limit));
    headers.insert(names::X_RATELIMIT_REMAINING, HeaderValue::from(spend.remaining));
    headers.insert(names::X_RATELIMIT_RESET, HeaderValue::from(spend.reset_ms.div_ceil(1000)));
    let (mut state, mut policy) = (String::with_capacity(TEXT), String::with_capacity(TEXT));
    for NamedSpend { name, spend } in &flow.spends {
        let name = quoted(name);
        let left_s = spend.reset_ms.saturating_sub(flow.request.facts.now_ms).div_ceil(1000);
        let window_s = spend.window_ms.div_ceil(1000).max(1);
        member(&mut state, &name, [(";r=", spend.remaining.into()), (";t=", left_s)]);
        member(&mut policy, &name, [(";q=", spend.limit.into()), (";w=", window_s)]);
    }
    set(headers, names::RATELIMIT, &state);
    set(headers, names::RATELIMIT_POLICY, &policy);
}

/// Adds a member of a structured list (RFC 9651 §3.1).
fn member(list: &mut String, name: &str, parameters: [(&str, u64); 2]) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(name);
    for (parameter, value) in parameters {
        list.push_str(parameter);
        list.push_str(itoa::Buffer::new().format(value));
    }
}

/// A refused limit before an admitted one, then the smaller share that is left.
fn tightness(one: &NamedSpend, two: &NamedSpend) -> Ordering {
    let share = |left: &NamedSpend, right: &NamedSpend| {
        u64::from(left.spend.remaining).saturating_mul(u64::from(right.spend.limit))
    };
    one.spend
        .admitted
        .cmp(&two.spend.admitted)
        .then_with(|| share(one, two).cmp(&share(two, one)))
        .then_with(|| one.spend.remaining.cmp(&two.spend.remaining))
}

/// Sets a field from text; text that cannot stand in a field is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// Room for two limits.
const TEXT: usize = 64;

/// Nothing that the gateway writes is to be framed, sniffed, cached or to load anything, unless a page says so itself.
const OWN: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];
