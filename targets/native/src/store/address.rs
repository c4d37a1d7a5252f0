//! Where the store is, read from its URL.

use redis::{ConnectionAddr, IntoConnectionInfo as _};

use crate::trust::TrustError;

/// A store's URL, taken apart.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) servers: Servers,
    pub(super) login: Login,
}

/// Which servers there are to talk to.
#[derive(Clone)]
pub(super) enum Servers {
    One(Place),
    Cluster(Vec<Place>),
    Sentinel { sentinels: Vec<Place>, service: String, tls: bool },
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Unix(std::path::PathBuf),
}

/// What is said first on a connection. No `Debug`: it holds a password.
#[derive(Clone, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) db: i64,
}

/// A store's URL that cannot be meant. Never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The URL did not parse.
    #[error("the store's url does not parse: {0}")]
    Malformed(String),
    /// The scheme is none that this build speaks.
    #[error(
        "no store client for `{0}://`; use `redis://`, `rediss://`, `redis+unix://`, `redis-cluster://` or `redis-sentinel://`"
    )]
    Scheme(String),
    /// Encryption without verification was asked for.
    #[error("certificates are always verified; remove `insecure` and set `SSL_CERT_FILE` to your authority")]
    Insecure,
    /// TLS cannot be spoken.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl Address {
    /// Reads a URL; the settings' own password and database count where it has none.
    pub(super) fn parse(url: &str, password: Option<&str>, db: u32) -> Result<Self, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| malformed("no scheme"))?;
        if url.split(['?', '#']).skip(1).any(|options| options.contains("insecure")) {
            return Err(AddressError::Insecure);
        }
        let single = match scheme {
            "redis" | "rediss" | "redis+unix" => {
                let (place, login) = one(url)?;
                return Ok(Self { servers: Servers::One(place), login: login.or(password, db) });
            }
            "redis-cluster" | "redis-sentinel" => "redis",
            "rediss-cluster" | "rediss-sentinel" => "rediss",
            _ => return Err(AddressError::Scheme(scheme.into())),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let (service, number) = match scheme.ends_with("-sentinel") {
            true => path.split_once('/').unwrap_or((path, "")),
            false => ("", path),
        };
        let mut login = Login::default();
        let mut places = Vec::new();
        for host in hosts.split(',') {
            let host = with_port(host, service);
            let at = if user.is_empty() { "" } else { "@" };
            let (place, said) = one(&format!("{single}://{user}{at}{host}/{number}"))?;
            login = said;
            places.push(place);
        }
        let login = login.or(password, db);
        let tls = single == "rediss";
        let servers = match service {
            "" if scheme.ends_with("-sentinel") => return Err(malformed("no sentinel service")),
            "" => Servers::Cluster(places),
            service => Servers::Sentinel { sentinels: places, service: service.into(), tls },
        };
        Ok(Self { servers, login })
    }
}

impl Login {
    fn or(mut self, password: Option<&str>, db: u32) -> Self {
        self.password = self.password.or_else(|| password.map(Into::into));
        if self.db == 0 {
            self.db = db.into();
        }
        self
    }
}

/// Sentinels listen on another port than servers.
fn with_port(host: &str, service: &str) -> String {
    let has_port = host.contains(':') && !host.ends_with(']');
    if service.is_empty() || has_port { host.to_owned() } else { format!("{host}:26379") }
}

fn one(url: &str) -> Result<(Place, Login), AddressError> {
    let info = url.into_connection_info().map_err(|error| malformed(error.category()))?;
    let place = match info.addr() {
        ConnectionAddr::Tcp(host, port) => Place::Tcp { host: host.clone(), port: *port, tls: false },
        ConnectionAddr::TcpTls { insecure: true, .. } => return Err(AddressError::Insecure),
        ConnectionAddr::TcpTls { host, port, .. } => {
            Place::Tcp { host: host.clone(), port: *port, tls: true }
        }
        ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
        _ => return Err(malformed("unknown kind of address")),
    };
    let said = info.redis_settings();
    let login = Login {
        user: said.username().map(Into::into),
        password: said.password().map(Into::into),
        db: said.db(),
    };
    Ok((place, login))
}

fn malformed(what: &str) -> AddressError {
    AddressError::Malformed(what.into())
}
