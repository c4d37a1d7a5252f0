//! `REDIS_URL`, read once: which servers there are, and how to log in. Nothing here shows the URL that it refuses: it may
//! hold a password.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;
use percent_encoding::percent_decode_str;

use super::{form, model::OriginUrl, secret::Secret, url};
use crate::store::resp;

/// The URL of a store. Its `Debug` shows no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    text: Secret,
    place: StorePlace,
}

/// What a URL says of where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// `http(s)://`: an endpoint that speaks Redis over HTTP.
    Rest(OriginUrl),
    /// Servers that speak Redis's own protocol.
    Redis(RedisAddress),
}

/// Servers, and how to log in to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// Which servers.
    pub servers: RedisServers,
    /// Whether they are spoken to by TLS.
    pub tls: bool,
    /// What is said first on a connection.
    pub login: RedisLogin,
}

/// Which servers there are to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServers {
    /// `redis://`, `rediss://`.
    One(RedisServer),
    /// `redis+unix://`: the path of a socket.
    Socket(String),
    /// `redis-cluster://`: some of its nodes.
    Cluster(Vec<RedisServer>),
    /// `redis-sentinel://`: who knows the master.
    Sentinels {
        /// The sentinels.
        sentinels: Vec<RedisServer>,
        /// What they call it.
        service: String,
    },
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServer {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What is said first on a connection. Its `Debug` shows none of it: a URL may have its password where the user belongs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisLogin {
    /// An ACL user; none: the default one.
    pub user: Option<String>,
    /// Its password; none: nothing is said of it.
    pub password: Option<Secret>,
    /// The database; none: not said, so number 0.
    pub db: Option<u32>,
}

impl StoreUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What would have been accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let place = place(text)?;
        Ok(Self { text: Secret::new(text), place })
    }

    /// Where the store is.
    pub fn place(&self) -> &StorePlace {
        &self.place
    }

    /// The URL as it was written.
    pub(super) fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }
}

impl RedisServer {
    /// Its host as it stands in a URL: IPv6 in brackets. RFC 3986 §3.2.2.
    pub fn url_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Debug for RedisLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisLogin(…)")
    }
}

impl RedisLogin {
    /// Writes `AUTH` and `SELECT`, as far as they are needed; returns how many answers that brings.
    pub fn encode(&self, out: &mut Vec<u8>) -> usize {
        let mut answers = 0_usize;
        if let Some(password) = &self.password {
            let password = password.expose_secret();
            match &self.user {
                Some(user) => resp::encode(&["AUTH", user, password], out),
                None => resp::encode(&["AUTH", password], out),
            }
            answers = answers.saturating_add(1);
        }
        if let Some(db) = self.db.filter(|db| *db != 0) {
            resp::encode(&["SELECT", &db.to_string()], out);
            answers = answers.saturating_add(1);
        }
        answers
    }
}

fn place(text: &str) -> Result<StorePlace, String> {
    let form = || super::Form::StoreUrl.accepts().to_string();
    let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
    if !form::visible(text) {
        return Err("a URL of visible ASCII characters; percent-encode others".to_string());
    }
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        return url::http(text).map(StorePlace::Rest);
    }
    let (kind, tls) = match scheme {
        "redis+unix" => return socket(rest).map(StorePlace::Redis),
        "redis" => ("", false),
        "rediss" => ("", true),
        "redis-cluster" => ("cluster", false),
        "rediss-cluster" => ("cluster", true),
        "redis-sentinel" => ("sentinel", false),
        "rediss-sentinel" => ("sentinel", true),
        _ => return Err(form()),
    };
    if rest.contains('#') {
        return Err("a URL without fragment; percent-encode `#` in a password as `%23`".to_string());
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.contains("insecure") {
        return Err(
            "a URL without `insecure`: certificates are always verified; set `SSL_CERT_FILE` to your \
                    authority's"
                .to_string(),
        );
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (service, db) = match kind {
        "sentinel" => path.split_once('/').unwrap_or((path, "")),
        _ => ("", path),
    };
    let mut login = login(user)?;
    let port = if kind == "sentinel" { SENTINEL_PORT } else { PORT };
    let mut servers = hosts.split(',').map(|host| server(host, port)).collect::<Result<Vec<_>, _>>()?;
    login.db = database(db)?;
    let servers = match (kind, servers.len()) {
        ("cluster", _) if login.db.unwrap_or_default() != 0 => {
            return Err("a URL without a database: a cluster has only number 0".to_string());
        }
        ("cluster", _) => RedisServers::Cluster(servers),
        ("sentinel", _) if form::token(service) => {
            RedisServers::Sentinels { sentinels: servers, service: service.to_owned() }
        }
        ("sentinel", _) => {
            return Err(format!(
                "the name of the sentinel's service after the hosts: `{scheme}://host/SERVICE`"
            ));
        }
        (_, 1) => RedisServers::One(servers.remove(0)),
        _ => {
            return Err("one host, or `redis-cluster://` or `redis-sentinel://` for several".to_string());
        }
    };
    Ok(StorePlace::Redis(RedisAddress { servers, tls, login }))
}

/// `/path?db=1&user=u&pass=p`.
fn socket(rest: &str) -> Result<RedisAddress, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') || path.len() == 1 {
        return Err("`redis+unix:///path/of/socket`".to_string());
    }
    let mut login = RedisLogin::default();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("db", db)) => login.db = database(db)?,
            Some(("user", user)) => login.user = said(user)?,
            Some(("pass", password)) => login.password = said(password)?.map(Secret::new),
            _ => {}
        }
    }
    let path = decoded(path)?;
    Ok(RedisAddress { servers: RedisServers::Socket(path), tls: false, login })
}

/// `user:password`.
fn login(text: &str) -> Result<RedisLogin, String> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Ok(RedisLogin { user: said(user)?, password: said(password)?.map(Secret::new), db: None })
}

fn said(text: &str) -> Result<Option<String>, String> {
    decoded(text).map(|text| (!text.is_empty()).then_some(text))
}

fn server(text: &str, port: u16) -> Result<RedisServer, String> {
    let (host, said) = url::host_port(text)?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    Ok(RedisServer { host: bare.unwrap_or(&host).to_owned(), port: said.unwrap_or(port) })
}

fn database(text: &str) -> Result<Option<u32>, String> {
    let refused = || "a URL that ends with the number of the database, such as `/0`".to_string();
    if text.is_empty() {
        return Ok(None);
    }
    let is_number = text.len() <= 5 && text.bytes().all(|digit| digit.is_ascii_digit());
    let number = text.parse::<u16>().ok().filter(|_| is_number).ok_or_else(refused)?;
    Ok(Some(number.into()))
}

/// Each `%` begins an octet, and the octets are UTF-8. RFC 3986 §2.1.
fn decoded(text: &str) -> Result<String, String> {
    let is_octet =
        |rest: &str| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    let decoded =
        percent_decode_str(text).decode_utf8().ok().filter(|_| text.split('%').skip(1).all(is_octet));
    decoded
        .map(alloc::borrow::Cow::into_owned)
        .ok_or_else(|| "a URL whose user and password are percent-encoded: `%25` for `%`".to_string())
}

const PORT: u16 = 6379;
/// Sentinels listen on another port than servers.
const SENTINEL_PORT: u16 = 26379;

#[cfg(test)]
mod tests;
