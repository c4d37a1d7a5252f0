//! Whose entry, of what: the store key of a request. It says nothing of either to somebody who reads the
//! store.

use alloc::{format, string::String, vec::Vec};
use http::{Uri, header};
use sha2::{Digest, Sha256};

use crate::{
    config::RouteCache, hex::hex, http::names, plugins::auth::Presented, request::Request, routes::Route,
};

/// `{prefix}cache:{K}`; the braces make `K` a hash tag of Redis Cluster. The method is not part of it: GET
/// and HEAD share an entry, and an unsafe method must find what it makes invalid.
pub(super) fn key(prefix: &str, cache: RouteCache, request: &Request, target: &[u8]) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // Lengths keep two lists of parts from reading alike.
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    let own = is_own(cache, &request.presented);
    part(if own { b"own" } else { b"common" });
    if own {
        let Presented { stored, is_admin_token, static_key } = &request.presented;
        let place = static_key.and_then(|index| u64::try_from(index).ok()).unwrap_or(u64::MAX);
        part(stored.as_bytes());
        part(&[u8::from(*is_admin_token)]);
        part(&place.to_be_bytes());
    } else {
        // An origin that builds links from the host it was asked for could be made to give one client's host
        // to another. In an entry of one's own that is nobody else's harm, so there it may be shared between
        // hosts.
        part(if matches!(cache, RouteCache::Shared { .. }) { b"shared" } else { b"anonymous" });
        authority(request, &mut part);
    }
    part(target);
    [prefix, "cache:{", &hex(&hash.finalize()), "}"].concat()
}

/// Whether the entry belongs to one credential alone.
pub(super) fn is_own(cache: RouteCache, presented: &Presented) -> bool {
    matches!(cache, RouteCache::PerCredential { .. }) && *presented != Presented::default()
}

/// Everything that the host and scheme told to the origin are made of.
fn authority(request: &Request, part: &mut impl FnMut(&[u8])) {
    let head = &request.head;
    part(if request.facts.peer.tls { b"https" } else { b"http" });
    let host = head.headers.get(header::HOST).map(|host| host.as_bytes().to_ascii_lowercase());
    part(&host.unwrap_or_default());
    part(head.uri.authority().map_or("", http::uri::Authority::as_str).to_ascii_lowercase().as_bytes());
    for name in [names::X_FORWARDED_HOST, names::X_FORWARDED_PROTO] {
        let told = head.headers.get(name).filter(|_| request.via_trusted_proxy);
        part(told.map_or(&b""[..], |value| value.as_bytes()));
    }
}

/// Path and query as the origin will see them, in one spelling.
pub(super) fn target(route: &Route, uri: &Uri, chosen: Option<&str>) -> Vec<u8> {
    if let Some(chosen) = chosen {
        return normal(chosen);
    }
    match (&route.origin_path, uri.query()) {
        (None, _) => normal(uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)),
        (Some(path), None) => normal(path),
        (Some(path), Some(query)) => normal(&format!("{path}?{query}")),
    }
}

/// Escapes in upper case, and none where none is needed (RFC 3986 §6.2.2). What is no escape stays as it is.
pub(super) fn normal(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escaped = match after {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        let Some((high, low)) = escaped else {
            out.push(*first);
            continue;
        };
        rest = after.get(2..).unwrap_or_default();
        let byte = high << 4 | low;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend(hex(&[byte]).to_ascii_uppercase().into_bytes());
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
