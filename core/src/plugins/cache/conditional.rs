//! Conditional requests (RFC 9110 §13, RFC 9111 §4.3): the client's against a stored answer, and the
//! gateway's own to the origin.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{dates, entry::Variant};
use crate::http::{list, names};

/// Whether the client has this very answer already: its conditions say so (RFC 9110 §13.2.2).
pub(super) fn client_has(request: &HeaderMap, variant: &Variant) -> bool {
    if variant.status != StatusCode::OK {
        return false;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        let have = variant.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        return list::members(request, &header::IF_NONE_MATCH)
            .any(|tag| tag == "*" || have.is_some_and(|have| weakly_equal(tag, have)));
    }
    let Some(since_s) = dates::field(request, &header::IF_MODIFIED_SINCE) else { return false };
    // Without a date of modification, that of the answer is the latest it can have been (RFC 9111 §4.3.2).
    let modified = dates::field(&variant.headers, &header::LAST_MODIFIED);
    modified.or_else(|| dates::field(&variant.headers, &header::DATE)).is_some_and(|at_s| at_s <= since_s)
}

/// RFC 9110 §8.8.3.2.
pub(super) fn weakly_equal(one: &str, two: &str) -> bool {
    let opaque = |tag| str::strip_prefix(tag, "W/").unwrap_or(tag);
    let quoted = |tag: &str| tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"');
    opaque(one) == opaque(two) && quoted(opaque(one))
}

/// What asks the origin whether a stored answer still holds (RFC 9111 §4.3.1).
pub(super) fn validators(variant: &Variant) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let pair = |from: HeaderName, to: HeaderName| variant.headers.get(from).cloned().map(|value| (to, value));
    let tag = pair(header::ETAG, header::IF_NONE_MATCH);
    tag.into_iter().chain(pair(header::LAST_MODIFIED, header::IF_MODIFIED_SINCE))
}

/// The stored fields with those of a 304 (RFC 9111 §3.2). None where the 304 is about another answer than the
/// stored one (§4.3.4).
pub(super) fn freshened(stored: &HeaderMap, not_modified: &HeaderMap) -> Option<HeaderMap> {
    let tag = |headers: &HeaderMap| headers.get(header::ETAG).cloned();
    if let (Some(old), Some(new)) = (tag(stored), tag(not_modified))
        && !weakly_equal(old.to_str().ok()?, new.to_str().ok()?)
    {
        return None;
    }
    let mut headers = stored.clone();
    // The age and the date of the first answer say nothing of the second.
    for name in [header::AGE, header::DATE, header::WARNING] {
        headers.remove(name);
    }
    for name in not_modified.keys().filter(|name| !OF_THE_BODY.contains(name)) {
        headers.remove(name);
        for value in not_modified.get_all(name) {
            headers.try_append(name.clone(), value.clone()).ok()?;
        }
    }
    Some(headers)
}

/// What goes with a 304 (RFC 9110 §15.4.5): what guides caches, nothing of the representation.
pub(super) fn not_modified_fields(headers: &HeaderMap) -> HeaderMap {
    let mut out = HeaderMap::new();
    let dated = !headers.contains_key(header::ETAG);
    for (name, value) in headers {
        if WITH_NOT_MODIFIED.contains(name) || (dated && name == header::LAST_MODIFIED) {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// They describe the stored bytes, which a 304 does not change (RFC 9111 §3.2).
static OF_THE_BODY: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    names::CONTENT_MD5,
    names::CONTENT_DIGEST,
    names::REPR_DIGEST,
    names::DIGEST,
];

const WITH_NOT_MODIFIED: [HeaderName; 10] = [
    header::AGE,
    header::CACHE_CONTROL,
    header::CONTENT_LOCATION,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::SET_COOKIE,
    header::VARY,
    header::VIA,
    names::CACHE_STATUS,
];
