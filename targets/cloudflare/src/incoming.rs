//! The platform's request as the driver's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use acip_core::facts::{Hints, Peer};
use acip_shell::Visitor;
use http::{HeaderMap, Method, Request, Uri, header};

use crate::{body::Streamed, fields, platform};

/// Reads a request. Its address and place are what the platform says in `CF-Connecting-IP` and `cf`; the platform sets that
/// field anew, so no client can. A workerd that nobody stands in front of says in `cf` who is at the other end: there the field
/// is a client's own and is not believed.
///
/// # Errors
/// A method or target that is none.
pub(crate) fn read(request: &web_sys::Request) -> worker::Result<(Visitor, Request<Streamed>)> {
    let head = platform::request_head(request);
    let mut lines = head.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, url, country, colo, peer) = (line(), line(), line(), line(), line());
    let headers = fields::read(lines);
    let url = worker::Url::parse(url)?;
    let client = client(&headers, peer);
    let told: Vec<_> = [country, colo].into_iter().filter(|place| !place.is_empty()).collect();
    let visitor = Visitor {
        peer: Peer { ip: client.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), tls: url.scheme() == "https" },
        // The client's country, and for where that has no region the data centre that serves it.
        hints: Hints { region: (!told.is_empty()).then(|| told.join(",")), client },
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let bad = |error: &dyn std::fmt::Display| worker::Error::RustError(error.to_string());
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut read = Request::new(Streamed::new(request.body().as_ref(), length, None));
    *read.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|error| bad(&error))?;
    *read.uri_mut() = target.parse::<Uri>().map_err(|error| bad(&error))?;
    *read.headers_mut() = headers;
    Ok((visitor, read))
}

fn client(headers: &HeaderMap, peer: &str) -> Option<IpAddr> {
    let named = || headers.get("cf-connecting-ip")?.to_str().ok()?.parse::<IpAddr>().ok();
    let told = peer.parse::<SocketAddr>().ok().map(|peer| peer.ip());
    told.or_else(named).map(|client| client.to_canonical())
}
