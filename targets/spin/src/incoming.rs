//! The platform's request as the driver's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use acip_core::facts::{Hints, Peer};
use acip_shell::Visitor;
use http::{HeaderValue, Request, Uri, Version, header, uri::Scheme};

use crate::body::Streamed;

/// Reads a request. The client's address is what the platform says in `spin-client-addr`; it sets that field anew, so no client
/// can.
pub(crate) async fn read(request: spin_sdk::http::Request) -> (Visitor, Request<Streamed>) {
    let (mut parts, mut body) = request.into_parts();
    let client = parts
        .headers
        .get("spin-client-addr")
        .filter(|_| cfg!(feature = "spin"))
        .and_then(|value| Some(value.to_str().ok()?.parse::<SocketAddr>().ok()?.ip().to_canonical()));
    if cfg!(feature = "spin") {
        for name in OF_THE_PLATFORM {
            parts.headers.remove(name);
        }
    }
    let uri = std::mem::take(&mut parts.uri).into_parts();
    // The platform has taken the field away.
    match uri.authority.as_ref().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        Some(host) => {
            parts.headers.insert(header::HOST, host);
        }
        // Some hosts tell it nowhere; in this version it may be missing.
        None if !parts.headers.contains_key(header::HOST) => parts.version = Version::HTTP_10,
        None => {}
    }
    parts.uri = uri.path_and_query.map(Uri::from).unwrap_or_default();
    let visitor = Visitor {
        peer: Peer {
            ip: client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            tls: uri.scheme == Some(Scheme::HTTPS),
        },
        hints: Hints { region: None, client },
    };
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = Streamed::of(body.take_unstarted(), length).await;
    (visitor, Request::from_parts(parts, body))
}

/// Fields that the platform adds.
const OF_THE_PLATFORM: [&str; 7] = [
    "spin-base-path",
    "spin-client-addr",
    "spin-component-route",
    "spin-full-url",
    "spin-matched-route",
    "spin-path-info",
    "spin-raw-component-route",
];
