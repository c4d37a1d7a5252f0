//! Fields that belong to one connection only (RFC 9110 §7.6.1), and the one request that keeps them: the WebSocket
//! upgrade (RFC 6455 §4.1).

use alloc::vec::Vec;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::{list, names};

/// Whether this asks for a WebSocket.
pub(crate) fn is_upgrade(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    method == Method::GET
        && version == Version::HTTP_11
        && list::members(headers, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"))
        && list::members(headers, &header::UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// The fields that are not of this connection, nor named in `Connection`, and that `keep` wants, in a map with room for
/// `extra` more. One pass over a new map costs less than a dozen removals from a copy.
pub(crate) fn end_to_end(headers: &HeaderMap, extra: usize, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let bound = Bound::of(headers);
    let mut kept = HeaderMap::with_capacity(headers.len().saturating_add(extra));
    for (name, value) in headers {
        if !bound.holds(name) && keep(name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// As [`end_to_end`], of fields that nobody needs afterwards.
pub(crate) fn into_end_to_end(
    headers: HeaderMap,
    extra: usize,
    keep: impl Fn(&HeaderName) -> bool,
) -> HeaderMap {
    let bound = Bound::of(&headers);
    let mut kept = HeaderMap::with_capacity(headers.len().saturating_add(extra));
    let mut wanted = None;
    for (name, value) in headers {
        // Further lines of a field come without its name.
        if let Some(name) = name {
            wanted = Some(name).filter(|name| !bound.holds(name) && keep(name));
        }
        if let Some(name) = &wanted {
            kept.append(name.clone(), value);
        }
    }
    kept
}

/// The fields of a connection.
struct Bound {
    /// Those that `Connection` names.
    named: Vec<HeaderName>,
}

impl Bound {
    fn of(headers: &HeaderMap) -> Self {
        let mut named = Vec::new();
        if headers.contains_key(header::CONNECTION) {
            let options = list::members(headers, &header::CONNECTION);
            // The usual option names a field that is of the connection in any case.
            let others = options.filter(|option| !option.eq_ignore_ascii_case(names::KEEP_ALIVE.as_str()));
            let names = others.filter_map(|option| HeaderName::try_from(option).ok());
            // INVARIANT: what frames or addresses a message is never an option of a connection; a peer that
            // says so wants the next hop to read another message than we did.
            named.extend(names.filter(|name| !MESSAGE.contains(name)));
        }
        Self { named }
    }

    fn holds(&self, name: &HeaderName) -> bool {
        CONNECTION_BOUND.contains(name) || self.named.contains(name)
    }
}

/// Sets the two fields that an upgrade is made of.
pub(crate) fn upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Whether the sender reads trailers (RFC 9110 §10.1.4).
pub(crate) fn accepts_trailers(headers: &HeaderMap) -> bool {
    list::members(headers, &header::TE).any(|coding| coding.eq_ignore_ascii_case("trailers"))
}

static CONNECTION_BOUND: [HeaderName; 9] = [
    header::CONNECTION,
    names::KEEP_ALIVE,
    names::PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

static MESSAGE: [HeaderName; 4] =
    [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::HOST];
