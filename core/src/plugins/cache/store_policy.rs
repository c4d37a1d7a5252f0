//! Which requests the cache looks at, and which answers may be stored (RFC 9111 §3). Storing is narrower than
//! the standard: nothing that sets cookies, no parts, nothing that is about one client or one moment.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    directives::Directives,
    entry::Variant,
    freshness::{Life, Unsaid},
    key,
    vary::Selector,
};
use crate::{
    config::{RouteAuth, RouteCache},
    http::{hop, list},
    request::Request,
    routes::{Route, RouteKind},
    verdict::ResponseHead,
};

/// A route's caching, once what is never cached is left out: calls that hand out secrets or work, and what
/// the gateway answers itself. No rule of the document changes that.
pub(super) fn of_route(route: &Route) -> Option<RouteCache> {
    use RouteKind as Kind;
    let open = matches!(route.kind, Kind::Proxy | Kind::WorkerOther | Kind::JobRead | Kind::JobOther);
    (open && route.cache != RouteCache::Off).then_some(route.cache)
}

/// Whether a request goes past the cache: neither read nor written. `can_cut`: it asks for one part of an answer.
pub(super) fn bypasses(head: &crate::RequestHead, wants: &Directives, can_cut: bool) -> bool {
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
        || (headers.contains_key(header::RANGE) && !can_cut)
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
    let (shared, unsaid) = match cache {
        RouteCache::Off => return None,
        RouteCache::PerCredential { ttl_seconds: ttl_s, heuristic } => (false, Unsaid { ttl_s, heuristic }),
        RouteCache::Shared { ttl_seconds: ttl_s, heuristic } => (true, Unsaid { ttl_s, heuristic }),
    };
    let forbidden = request.head.method != Method::GET
        || head.status.is_informational()
        || PASSING.contains(&head.status)
        // The names that the library knows are those of the registry.
        || (said.must_understand && head.status.canonical_reason().is_none())
        || said.no_store
        || said.private
        || headers.contains_key(header::SET_COOKIE)
        || is_event_stream(headers)
        || fields_bytes(headers) > MAX_FIELDS_BYTES;
    // §3.5. An entry of one credential's own is read by nobody else; where a route that the gateway guards is shared,
    // its rule said so of those who may pass. What is left are credentials that the gateway does not know: the
    // origin may tell apart whom it cannot.
    let own = key::is_own(cache, &request.presented);
    let guarded = shared && request.route.auth != RouteAuth::Open;
    let known = |value: &HeaderValue| (own || guarded) && is_bearer(value);
    let for_anybody = request.head.headers.get_all(header::AUTHORIZATION).iter().all(known)
        || said.public
        || said.must_revalidate
        || said.s_maxage_s.is_some();
    if forbidden || !for_anybody {
        return None;
    }
    let life = Life::read(head.status, headers, &said, sent_ms, received_ms, unsaid)?;
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
    let variant =
        Variant { stamp: 0, life, selector, status: head.status, headers, body: bytes::Bytes::new() };
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
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..EVENT_STREAM.len()));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM))
}

fn fields_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum()
}

/// Parts, answers to conditions, and what is about this client or this moment and not about what was asked for, whatever
/// else the answer says.
const PASSING: [StatusCode; 10] = [
    StatusCode::PARTIAL_CONTENT,
    StatusCode::NOT_MODIFIED,
    StatusCode::UNAUTHORIZED,
    StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    StatusCode::PRECONDITION_FAILED,
    StatusCode::RANGE_NOT_SATISFIABLE,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::TOO_EARLY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];
/// How the type of a stream of events begins.
const EVENT_STREAM: &[u8] = b"text/event-stream";
/// The states of a job that are its last.
const OVER: [&str; 3] = ["completed", "failed", "cancelled"];
/// Options of `Connection` that name no field which an origin reads.
const HARMLESS: [&str; 7] =
    ["keep-alive", "close", "te", "upgrade", "http2-settings", "proxy-connection", "trailer"];
const MAX_FIELDS_BYTES: usize = 32 << 10;
