//! The request to the origin: target, fields, and what the driver may do with it.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::mem;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, header,
    uri::{Authority, PathAndQuery},
};

use super::{VERSION, dress::set};
use crate::{
    address::address_text,
    flow::Flow,
    gateway::Gateway,
    http::{forwarded, hop, names, trace},
    origins::OriginId,
    refusal::{ErrorCode, Refusal},
    request::Request,
    verdict::{Attempt, Forward, RequestBody, Verdict},
};

/// Makes the request to the origin.
pub(crate) fn forward(gateway: &Arc<Gateway>, mut flow: Box<Flow>) -> Verdict {
    let document = gateway.document();
    let request = &flow.request;
    let upgrade = hop::is_upgrade(&request.head.method, request.head.version, &request.head.headers);
    let mut headers = fields(gateway, request, upgrade);
    let outgoing = mem::take(&mut flow.outgoing);
    for name in &outgoing.remove {
        headers.remove(name);
    }
    for (name, value) in &outgoing.set {
        headers.insert(name.clone(), value.clone());
    }

    let path = path_and_query(&flow.request, outgoing.path_and_query.as_deref());
    let tried = match (outgoing.origins.is_empty(), &outgoing.pool) {
        (true, Some(pool)) => pool,
        _ => outgoing.origins.as_slice(),
    };
    let mut attempts = attempts(gateway, tried, path.as_ref());
    let signing = document.upstream.signing_secret.clone().filter(|_| !upgrade);
    if signing.is_some()
        && let Some(signed) = attempts.first().map(|attempt: &Attempt| attempt.uri.path().to_string())
    {
        // One signature is over one path: an origin under another prefix could not verify it.
        attempts.retain(|attempt| attempt.uri.path() == signed);
    }
    if attempts.is_empty() {
        let refusal =
            Refusal::new(ErrorCode::BadGateway, "no_origin", "no origin can be asked for this path");
        return gateway.refuse(flow, refusal);
    }
    let body = match (outgoing.body, &signing) {
        (RequestBody::Stream, Some(_)) => {
            RequestBody::Buffer { max: usize::try_from(document.upstream.buffer_bytes).unwrap_or(usize::MAX) }
        }
        (body, _) => body,
    };
    let retries = usize::try_from(flow.request.route.retries).unwrap_or(usize::MAX);
    let capture_request = outgoing.capture_request;
    // Hooks of later steps go on reading and raising what is wanted.
    flow.outgoing = outgoing;
    Verdict::Forward(Box::new(Forward {
        gateway: Arc::clone(gateway),
        headers,
        attempts,
        max_reached: retries.saturating_add(1),
        timeout_ms: flow.request.route.timeout_ms,
        idle_timeout_ms: document.upstream.stream_idle_timeout_ms,
        body,
        max_body_bytes: document.server.max_body_bytes,
        may_retry: is_idempotent(&flow.request.head.method) && !upgrade && retries > 0,
        upgrade,
        capture_request,
        signing,
        flow,
    }))
}

/// The client's fields without those of its connection and those that only the gateway may write, with the
/// gateway's own (contract section 6).
fn fields(gateway: &Gateway, request: &Request, upgrade: bool) -> HeaderMap {
    let head = &request.head;
    let signs = gateway.document().upstream.signing_secret.is_some();
    let mut headers = hop::end_to_end(&head.headers, OWN_FIELDS, |name| !is_ours(name, signs));
    if upgrade {
        hop::upgrade(&mut headers);
    }
    if hop::accepts_trailers(&head.headers) {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    join_cookies(&mut headers);
    provenance(gateway, request, &mut headers);
    headers.append(header::VIA, gateway.departure.via.clone());
    headers.insert(names::X_GATEWAY_VERSION, VERSION);
    set(&mut headers, names::X_REQUEST_ID, &request.id);
    if let Ok(context) = HeaderValue::try_from(trace::traceparent(&request.trace, 0)) {
        headers.insert(names::TRACEPARENT, context);
    }
    // A state without the trace that it belongs to means nothing (Trace Context §3.3).
    let continued = request.trace.parent_id != [0; 8];
    if let Some(state) = continued.then(|| trace::tracestate(&head.headers)).flatten() {
        set(&mut headers, names::TRACESTATE, &state);
    }
    headers
}

/// Who asked, over what, for which host: rebuilt from what was verified, never passed on.
fn provenance(gateway: &Gateway, request: &Request, headers: &mut HeaderMap) {
    let head = &request.head;
    let trusted = |name: HeaderName| if request.via_trusted_proxy { head.headers.get(name) } else { None };
    let proto = trusted(names::X_FORWARDED_PROTO).and_then(|value| match value.as_bytes() {
        b"https" => Some("https"),
        b"http" => Some("http"),
        _ => None,
    });
    let proto = proto.unwrap_or(if request.facts.peer.tls { "https" } else { "http" });
    let readable = |host: &&HeaderValue| host.to_str().is_ok_and(|text| text.parse::<Authority>().is_ok());
    let named = || HeaderValue::from_str(head.uri.authority()?.as_str()).ok();
    let host = trusted(names::X_FORWARDED_HOST)
        .filter(readable)
        .or_else(|| head.headers.get(header::HOST))
        .cloned()
        .or_else(named);

    let chain = gateway.arrival.chain(&head.headers, &request.facts);
    let (mut listed, mut tagged) = (String::with_capacity(TEXT), String::with_capacity(TEXT));
    for (place, ip) in chain.iter().rev().enumerate() {
        if place > 0 {
            listed.push_str(", ");
            tagged.push_str(", ");
        }
        let address = address_text(*ip);
        listed.push_str(&address);
        tagged.push_str("for=");
        forwarded::push_node(&mut tagged, *ip, &address);
        if place == 0 {
            if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()) {
                tagged.push_str(";host=");
                tagged.push_str(&super::quoted(host));
            }
            tagged.push_str(";proto=");
            tagged.push_str(proto);
        }
    }
    set(headers, names::X_FORWARDED_FOR, &listed);
    set(headers, header::FORWARDED, &tagged);
    headers.insert(names::X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    if let Some(host) = host {
        headers.insert(names::X_FORWARDED_HOST, host);
    }
}

/// Fields that an origin may believe because a gateway writes them, and two that end here. Where nothing is signed, a signature
/// is something between the client and the origin.
fn is_ours(name: &HeaderName, signs: bool) -> bool {
    let custom = |rest: &str| {
        rest.starts_with("forwarded-")
            || rest.starts_with("gateway-")
            // Many servers take it for the client's address.
            || rest == "real-ip"
            || (signs && (rest.starts_with("signature") || rest == "timestamp"))
    };
    match name.as_str().strip_prefix("x-") {
        Some(rest) => custom(rest),
        None => [header::HOST, header::EXPECT, header::FORWARDED, names::TRACESTATE].contains(name),
    }
}

/// HTTP/2 may split `Cookie`; HTTP/1.1 may not (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(value) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, value);
    }
}

/// The plugin's target, else the route's own path at the origin, else what came.
fn path_and_query(request: &Request, chosen: Option<&str>) -> Option<PathAndQuery> {
    if let Some(chosen) = chosen {
        return chosen.parse().ok();
    }
    let uri = &request.head.uri;
    let Some(path) = &request.route.origin_path else { return uri.path_and_query().cloned() };
    match uri.query() {
        Some(query) => format!("{path}?{query}").parse().ok(),
        None => path.parse().ok(),
    }
}

/// All origins in the router's order, or in the document's where no router chose.
fn attempts(gateway: &Gateway, chosen: &[OriginId], path: Option<&PathAndQuery>) -> Vec<Attempt> {
    let targets = &gateway.departure.targets;
    let attempt = |origin: OriginId| {
        let uri = targets.get(origin.0)?.uri(path?)?;
        Some(Attempt { origin, uri })
    };
    if chosen.is_empty() {
        return (0..targets.len()).map(OriginId).filter_map(attempt).collect();
    }
    chosen.iter().copied().filter_map(attempt).collect()
}

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

/// Room for the fields that [`fields`] adds.
const OWN_FIELDS: usize = 12;
/// Room for one address, a host and a scheme.
const TEXT: usize = 96;
