//! What never passes: heads that two parties could frame, address or route differently (RFC 9112 §11.2), and what
//! this gateway cannot do.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, uri::Authority};

use crate::{
    facts::Facts,
    http::{hop, names, trace},
    refusal::{ErrorCode, Refusal},
    request::RequestHead,
};

/// Bounds from the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Names and values together.
    pub(super) head_bytes: u32,
    /// Announced by `Content-Length`.
    pub(super) body_bytes: u64,
}

/// Checks size, framing, addressing and single-valued fields. Each of these refusals closes the connection: what
/// follows on it may not be what it seems.
pub(super) fn framing(head: &RequestHead, limits: &Limits) -> Option<Refusal> {
    let found = size(head, limits)
        .or_else(|| single(&head.headers))
        .or_else(|| length(head, limits))
        .or_else(|| host(head));
    found.map(|refusal| Refusal { close: true, ..refusal })
}

fn bad(reason: &'static str, message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, reason, message)
}

fn size(head: &RequestHead, limits: &Limits) -> Option<Refusal> {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let bytes = fields.fold(target, usize::saturating_add);
    let bound = usize::try_from(limits.head_bytes).unwrap_or(usize::MAX);
    (bytes > bound || head.headers.len() > MAX_FIELDS).then(|| {
        Refusal::new(
            ErrorCode::HeadersTooLarge,
            "head_size",
            "the request head is too large; send fewer or shorter fields",
        )
    })
}

fn single(headers: &HeaderMap) -> Option<Refusal> {
    // As many lines as names: none stands twice.
    if headers.len() == headers.keys_len() {
        return None;
    }
    let repeated = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_some();
    if SINGLE.iter().any(repeated) {
        let message = "a field that may stand once stands twice; send one of `Host`, `Content-Length`, `Content-Type`, `Authorization`";
        return Some(bad("repeated_field", message));
    }
    let disagrees = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|first| values.any(|other| other != first))
    };
    CREDENTIALS
        .iter()
        .any(disagrees)
        .then(|| bad("repeated_field", "more than one credential was sent; send one"))
}

fn length(head: &RequestHead, limits: &Limits) -> Option<Refusal> {
    let length = head.headers.get(header::CONTENT_LENGTH);
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if length.is_some() {
            return Some(bad(
                "framing",
                "`Content-Length` and `Transfer-Encoding` must not be sent together",
            ));
        }
        if head.version != Version::HTTP_11 {
            return Some(bad("framing", "`Transfer-Encoding` exists in HTTP/1.1 only"));
        }
        let chunked = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| text.trim().eq_ignore_ascii_case("chunked"))
        };
        if codings.next().is_some() || !chunked(coding) {
            let message = "the only transfer coding understood here is `chunked`, applied once";
            return Some(Refusal::new(ErrorCode::NotImplemented, "framing", message));
        }
    }
    let text = length?.to_str().unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(bad("framing", "`Content-Length` must be one decimal number"));
    }
    // A number that does not fit is larger than any limit.
    let bytes: u64 = text.parse().unwrap_or(u64::MAX);
    (bytes > limits.body_bytes).then(|| {
        Refusal::new(
            ErrorCode::PayloadTooLarge,
            "body_size",
            "the request body is larger than `MAX_BODY_BYTES` allows",
        )
    })
}

/// RFC 9112 §3.2: exactly one valid `Host`, in agreement with an absolute target or `:authority`.
fn host(head: &RequestHead) -> Option<Refusal> {
    let target = head.uri.authority();
    let Some(field) = head.headers.get(header::HOST) else {
        let implied =
            head.version < Version::HTTP_11 || (head.version > Version::HTTP_11 && target.is_some());
        return (!implied).then(|| bad("host", "`Host` is missing"));
    };
    let valid = |authority: &Authority| {
        let (text, name) = (authority.as_str(), authority.host());
        let port = |rest: &str| {
            rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
        };
        !name.is_empty() && !text.contains('@') && text.strip_prefix(name).is_some_and(port)
    };
    let Some(host) = field.to_str().ok().and_then(|text| text.parse::<Authority>().ok()).filter(valid) else {
        return Some(bad("host", "`Host` is not a host with an optional port"));
    };
    let target = target?;
    let tls = head.uri.scheme_str() == Some("https");
    let port = |authority: &Authority| authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let agree =
        valid(target) && host.host().eq_ignore_ascii_case(target.host()) && port(&host) == port(target);
    (!agree).then(|| bad("host", "`Host` and the request target name different hosts"))
}

/// Methods and upgrades that this build does not do.
pub(super) fn method(head: &RequestHead, facts: &Facts) -> Option<Refusal> {
    if head.method == Method::TRACE || head.method == Method::CONNECT {
        let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        let refusal =
            Refusal::new(ErrorCode::MethodNotAllowed, "method", "`TRACE` and `CONNECT` are not served here");
        return Some(refusal.header(header::ALLOW, allow));
    }
    let upgrade = hop::is_upgrade(&head.method, head.version, &head.headers);
    (upgrade && !facts.can_upgrade).then(|| {
        let message = "WebSocket upgrades do not pass this build of the gateway; connect to one that does";
        Refusal::new(ErrorCode::NotImplemented, "upgrade", message)
    })
}

/// Gateways may be chained, so our own name in `Via` is no error by itself; the third time it is.
pub(super) fn passages(headers: &HeaderMap, name: &str) -> Option<Refusal> {
    (trace::passages(headers, name) >= MAX_PASSAGES).then(|| {
        let message = "the request came through this gateway three times; its origins lead back to it";
        Refusal::new(ErrorCode::LoopDetected, "loop", message)
    })
}

static SINGLE: [HeaderName; 4] =
    [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::AUTHORIZATION];
static CREDENTIALS: [HeaderName; 2] = [names::X_API_KEY, names::X_WORKER_TOKEN];
/// Far more than any browser sends, few enough to look at one by one.
const MAX_FIELDS: usize = 128;
const MAX_PASSAGES: usize = 3;
