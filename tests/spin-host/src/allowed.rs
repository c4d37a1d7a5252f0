//! `allowed_outbound_hosts`: where a component may connect to. Scheme, host and port, each of them `*` or one; a host may begin
//! with `*.` or be a network. Spin's `self` and ports in ranges are not among what is served here.

use std::net::IpAddr;

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// None: any.
    scheme: Option<String>,
    host: Host,
    /// None: any.
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Host {
    Any,
    Subdomains(String),
    Name(String),
    Address(IpAddr),
}

/// All entries.
pub(crate) struct AllowedHosts(Vec<Allowed>);

impl AllowedHosts {
    /// From the entries of a manifest, filled in.
    ///
    /// # Errors
    /// An entry that Spin would not take: then the application does not start.
    pub(crate) fn parse(entries: impl IntoIterator<Item = String>) -> Result<Self, String> {
        entries.into_iter().map(|entry| Allowed::parse(&entry)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a connection may be made.
    pub(crate) fn allow(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        let port = port.or_else(|| usual_port(scheme));
        self.0.iter().any(|allowed| {
            allowed.scheme.as_deref().is_none_or(|allowed| allowed == scheme)
                && allowed.host.allows(host)
                && (allowed.port.is_none() || allowed.port == port)
        })
    }

    /// Whether a connection to `scheme://[user@]host[:port][/path]` may be made.
    pub(crate) fn allow_url(&self, url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let (host, port) = split_port(place);
        let port = match port {
            "" => None,
            port => match port.parse() {
                Ok(port) => Some(port),
                Err(_) => return false,
            },
        };
        self.allow(scheme, host, port)
    }
}

impl Allowed {
    fn parse(entry: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("`allowed_outbound_hosts`: `{entry}` {why}");
        let (scheme, rest) = entry.trim().split_once("://").ok_or_else(|| bad("has no scheme"))?;
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(bad("has a path"));
        }
        let (host, port) = split_port(place);
        let port = match port {
            "*" => None,
            "" => Some(usual_port(scheme).ok_or_else(|| bad("needs a port"))?),
            port => Some(port.parse().map_err(|_| bad("has a port that is none"))?),
        };
        let scheme = match scheme {
            "*" => None,
            scheme if scheme.chars().all(char::is_alphabetic) => Some(scheme.to_owned()),
            _ => return Err(bad("has a scheme that is none")),
        };
        let host = Host::parse(host).ok_or_else(|| bad("has a host that is none"))?;
        Ok(Self { scheme, host, port })
    }
}

impl Host {
    fn parse(host: &str) -> Option<Self> {
        if host == "*" {
            return Some(Self::Any);
        }
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Some(Self::Address(address));
        }
        let name = host.strip_prefix("*.").unwrap_or(host);
        let fits = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        fits.then(|| match host.strip_prefix("*") {
            Some(suffix) => Self::Subdomains(suffix.to_ascii_lowercase()),
            None => Self::Name(host.to_ascii_lowercase()),
        })
    }

    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Subdomains(suffix) => host.to_ascii_lowercase().ends_with(suffix),
            Self::Name(name) => host.eq_ignore_ascii_case(name),
            Self::Address(address) => host.trim_matches(['[', ']']).parse() == Ok(*address),
        }
    }
}

fn split_port(place: &str) -> (&str, &str) {
    match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (place, ""),
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "redis" | "rediss" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
