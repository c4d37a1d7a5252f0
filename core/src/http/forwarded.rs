//! Who the client is, when proxies that we trust say so: `X-Forwarded-For` and `Forwarded` (RFC 7239), read
//! from the right, because only the right end was written by somebody we know.

use alloc::{string::String, vec::Vec};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::{list, names};

/// The verified addresses from the peer (first) to the client (last); never empty. The walk ends at the first
/// address that is not a trusted proxy's, and before the first entry that cannot be read.
pub(crate) fn chain(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Vec<IpAddr> {
    let unverified = alloc::vec![peer];
    if !is_trusted(peer, trusted) {
        return unverified;
    }
    // A line that is not text hides where the trustworthy end of the list is.
    let readable = |name: HeaderName| headers.get_all(name).iter().all(|line| line.to_str().is_ok());
    if !readable(names::X_FORWARDED_FOR) || !readable(header::FORWARDED) {
        return unverified;
    }
    // Collected, because quoting can only be read from the left.
    let listed = headers.contains_key(names::X_FORWARDED_FOR).then(|| {
        let entries: Vec<_> = list::members(headers, &names::X_FORWARDED_FOR).collect();
        walk(peer, entries.into_iter().rev().map(address), trusted)
    });
    let tagged = headers.contains_key(header::FORWARDED).then(|| {
        let entries: Vec<_> = list::members(headers, &header::FORWARDED).collect();
        walk(peer, entries.into_iter().rev().map(forwarded_for), trusted)
    });
    match (listed, tagged) {
        // A proxy that writes one of the two passes the client's own version of the other: believe neither.
        (Some(listed), Some(tagged)) if listed != tagged => unverified,
        (Some(chain), _) | (None, Some(chain)) => chain,
        (None, None) => unverified,
    }
}

fn walk(peer: IpAddr, entries: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> Vec<IpAddr> {
    let mut chain = alloc::vec![peer];
    for entry in entries {
        let Some(ip) = entry else { break };
        chain.push(ip);
        if !is_trusted(ip, trusted) {
            break;
        }
    }
    chain
}

/// Whether an address belongs to a trusted proxy.
pub(crate) fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&ip))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let ip = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(bracketed)?;
    Some(ip.to_canonical())
}

/// `for` of one element; `unknown` and obfuscated names are no address (RFC 7239 §6).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in list::split(element, ';') {
        let (name, value) = pair.split_once('=')?;
        if name.eq_ignore_ascii_case("for") {
            // Twice in one element is malformed (§4).
            if found.is_some() {
                return None;
            }
            // A node with colons must be quoted, but many forget: `address` reads both.
            let node = list::unquote(value).unwrap_or_else(|| value.into());
            found = Some(address(&node)?);
        }
    }
    found
}

/// Writes an address, whose text is `text`, as a `for` value: IPv6 in brackets and quotes (RFC 7239 §6).
pub(crate) fn push_node(out: &mut String, ip: IpAddr, text: &str) {
    let (before, after) = if ip.is_ipv6() { ("\"[", "]\"") } else { ("", "") };
    for part in [before, text, after] {
        out.push_str(part);
    }
}
