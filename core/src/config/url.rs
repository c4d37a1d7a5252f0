//! URLs of origins and collectors. Nothing here shows the URL it refuses: it may hold a password.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};
use core::{fmt, net::Ipv6Addr};
use http::Uri;

use super::{form, model::OriginUrl};

/// An `http` or `https` URL without user, query and fragment. RFC 3986 §3.
pub(super) fn http(text: &str) -> Result<OriginUrl, String> {
    let form = || super::Form::HttpUrl.accepts().to_string();
    if !form::visible(text) || text.contains('\\') {
        return Err(form());
    }
    if text.contains(['?', '#']) {
        return Err("a URL without query and fragment".to_string());
    }
    let uri: Uri = text.parse().map_err(|_malformed| form())?;
    let tls = match uri.scheme_str() {
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => false,
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => true,
        _ => return Err("a URL that begins with `http://` or `https://`".to_string()),
    };
    let authority = uri.authority().ok_or_else(form)?.as_str();
    if authority.contains('@') {
        return Err("a URL without user and password".to_string());
    }
    let (host, port) = host_port(authority)?;
    let prefix = uri.path().trim_end_matches('/');
    if prefix.contains("//") || prefix.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("a URL whose path has no `//`, `.` or `..`".to_string());
    }
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    Ok(OriginUrl { tls, host, port, prefix: prefix.to_owned() })
}

/// A host name, IPv4 address or bracketed IPv6 address, and its port. Host names are lower-cased.
pub(super) fn host_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let host_wanted =
        || "a URL with a host: a name, an IPv4 address or an IPv6 address in brackets".to_string();
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or_else(host_wanted)?;
            let address: Ipv6Addr = address.parse().map_err(|_malformed| host_wanted())?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port),
                None if rest.is_empty() => None,
                None => return Err(host_wanted()),
            };
            (format!("[{address}]"), port)
        }
        None => {
            let (host, port) =
                authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            let letters = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if host.is_empty() || host.len() > 253 || !letters || host.starts_with(['.', '-']) {
                return Err(host_wanted());
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    let Some(port) = port else { return Ok((host, None)) };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok((host, Some(port))),
        _ => Err("a URL with a port from 1 to 65535".to_string()),
    }
}

impl OriginUrl {
    /// Reads an `http` or `https` base URL.
    ///
    /// # Errors
    /// What would have been accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        http(text)
    }

    /// `host`, or `host:port` where the port is not the scheme's: what goes into `Host`. RFC 9110 §7.2.
    pub fn authority(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// What an origin at this URL is called if nobody names it.
    pub(super) fn default_name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Scheme and authority as browsers serialise an origin. RFC 6454 §6.2.
    pub(super) fn serialised_origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }

    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.prefix)
    }
}
