//! Which requests the cache looks at, and which answers may be stored (RFC 9111 §3). Storing is narrower than
//! the standard: no errors, no guesses, nothing that sets cookies, no parts.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{directives::Directives, entry::Variant, freshness::Life, key, vary::Selector};
use crate::{
    config::RouteCache,
    http::{hop, list},
    plugins::routes::{Route, RouteKind},
    request::Request,
    verdict::ResponseHead,
};

/// A route's caching, once what is never cached is left out: calls that hand out secrets or work, and what
/// the gateway answers itself. No rule of the document changes that.
pub(super) fn of_route(route: &Route) -> Option<RouteCache> {
    use RouteKind as Kind;
    let open = matches!(route.kind, Kind::Proxy | Kind::WorkerOther | Kind::JobRead | Kind::JobDirect);
    (open && route.cache != RouteCache::Off).then_some(route.cache)
}

/// Whether a request goes past the cache: neither read nor written.
pub(super) fn bypasses(head: &crate::RequestHead, wants: &Directives) -> bool {
    let headers = &head.headers;
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0");
    // Fields that the client takes away on the way to the origin: what then comes back is not the answer for
    // what stands in its head.
    let takes_away = || {
        list::members(headers, &header::CONNECTION)
            .any(|option| !HARMLESS.iter().any(|known| known.eq_ignore_ascii_case(option)))
    };
    wants.no_store
        || has_body
        || headers.contains_key(header::RANGE)
        || headers.contains_key(header::IF_MATCH)
        || headers.contains_key(header::IF_UNMODIFIED_SINCE)
        || hop::is_upgrade(&head.method, head.version, headers)
        || takes_away()
}

/// Makes what would be stored, but for its body; none where it must not be (RFC 9111 §3).
pub(super) fn storable(
    key: &str,
    cache: RouteCache,
    request: &Request,
    head: &ResponseHead,
    sent_ms: u64,
    received_ms: u64,
) -> Option<Variant> {
    let headers = &head.headers;
    let said = Directives::of_response(headers);
    let (shared, ttl_s) = match cache {
        RouteCache::Off => return None,
        RouteCache::PerCredential { ttl_seconds } => (false, ttl_seconds),
        RouteCache::Shared { ttl_seconds } => (true, ttl_seconds),
    };
    let forbidden = request.head.method != Method::GET
        || !STATUSES.contains(&head.status)
        || said.no_store
        || said.private
        || headers.contains_key(header::SET_COOKIE)
        || headers.contains_key(header::CONTENT_RANGE)
        || is_event_stream(headers)
        || fields_bytes(headers) > MAX_FIELDS_BYTES;
    // §3.5. An entry of one credential's own is read by nobody else; where a route is shared, its rule said
    // so. What is left are credentials that the gateway does not know: the origin may tell apart whom it
    // cannot.
    let own = key::is_own(cache, &request.presented);
    let known = |value: &HeaderValue| own && is_bearer(value);
    let for_anybody = shared
        || request.head.headers.get_all(header::AUTHORIZATION).iter().all(known)
        || said.public
        || said.must_revalidate
        || said.s_maxage_s.is_some();
    if forbidden || !for_anybody {
        return None;
    }
    let life = Life::read(head.status, headers, sent_ms, received_ms, ttl_s)?;
    let selector = Selector::of(key, &request.head.headers, headers)?;
    let mut headers = headers.clone();
    // The length is the stored body's; the age is in `life`.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::AGE);
    if super::dates::field(&headers, &header::DATE).is_none()
        && let Some(date) = super::dates::value(received_ms)
    {
        headers.insert(header::DATE, date);
    }
    let variant = Variant { life, selector, status: head.status, headers, body: bytes::Bytes::new() };
    (variant.over_ms() > received_ms).then_some(variant)
}

/// Whether the body of a job's answer says that it will not change any more.
pub(super) fn is_final_job(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Job<'a> {
        #[serde(borrow)]
        status: alloc::borrow::Cow<'a, str>,
    }
    // An array would do for a struct of one field.
    body.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice(body).is_ok_and(|job: Job<'_>| OVER.contains(&job.status.as_ref()))
}

/// The one scheme that is compared with the other fields of the credential.
fn is_bearer(value: &HeaderValue) -> bool {
    value.as_bytes().first_chunk::<7>().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase());
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}

fn fields_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum()
}

/// Those whose meaning does not pass, and that are no errors.
const STATUSES: [StatusCode; 4] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::PERMANENT_REDIRECT,
];
/// The states of a job that are its last.
const OVER: [&str; 3] = ["completed", "failed", "cancelled"];
/// Options of `Connection` that name no field which an origin reads.
const HARMLESS: [&str; 7] =
    ["keep-alive", "close", "te", "upgrade", "http2-settings", "proxy-connection", "trailer"];
const MAX_FIELDS_BYTES: usize = 32 << 10;
