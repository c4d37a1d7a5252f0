//! Finds the server to connect to: the one in the URL, or the master that sentinels name at the moment.

use acip_core::{
    config::{RedisAddress, RedisLogin, RedisServers},
    store::Decoder,
};
use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo, TlsMode,
    sentinel::{Sentinel, SentinelNodeConnectionInfo},
};
use tokio_rustls::TlsConnector;

use super::{
    address::{AddressError, Place},
    stream::{self, Stream},
};
use crate::trust::client_config;

/// The way to a server.
pub(super) struct Route {
    target: Target,
    login: RedisLogin,
    tls: Option<TlsConnector>,
}

enum Target {
    Fixed(Place),
    Master { sentinel: Box<Sentinel>, service: String, node: SentinelNodeConnectionInfo },
}

impl Route {
    pub(super) fn new(address: RedisAddress) -> Result<Self, AddressError> {
        let RedisAddress { servers, tls, login } = address;
        let target = match servers {
            RedisServers::One(server) => Target::Fixed(Place::new(server, tls)),
            RedisServers::Socket(path) => Target::Fixed(Place::Unix(path.into())),
            RedisServers::Cluster(nodes) => {
                return Err(AddressError::Malformed(format!("{} hosts of a cluster", nodes.len())));
            }
            RedisServers::Sentinels { sentinels, service } => {
                let places = sentinels.into_iter().map(|server| info(Place::new(server, tls), None));
                let places = places.collect::<Result<Vec<_>, _>>()?;
                let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(said(&login));
                if tls {
                    node = node.set_tls_mode(TlsMode::Secure);
                }
                let sentinel =
                    Sentinel::build(places).map_err(|error| AddressError::Malformed(error.to_string()))?;
                Target::Master { sentinel: Box::new(sentinel), service, node }
            }
        };
        let tls = if tls { Some(client_config(&[])?.into()) } else { None };
        Ok(Self { target, login, tls })
    }

    pub(super) fn mode(&self) -> &'static str {
        match self.target {
            Target::Fixed(_) => "tcp",
            Target::Master { .. } => "sentinel",
        }
    }

    /// Connects and logs in.
    pub(super) async fn open(&mut self) -> Result<(Box<dyn Stream>, Decoder), String> {
        let place = match &mut self.target {
            Target::Fixed(place) => place.clone(),
            Target::Master { sentinel, service, node } => {
                let finding = sentinel.async_master_for(service, Some(node));
                let found = tokio::time::timeout(std::time::Duration::from_secs(2), finding).await;
                let client = found.map_err(|_| "the sentinels do not answer".to_owned())?;
                match client.map_err(|error| error.to_string())?.get_connection_info().addr() {
                    ConnectionAddr::Tcp(host, port) => {
                        Place::Tcp { host: host.clone(), port: *port, tls: false }
                    }
                    ConnectionAddr::TcpTls { host, port, .. } => {
                        Place::Tcp { host: host.clone(), port: *port, tls: true }
                    }
                    _ => return Err("the sentinels name no address".into()),
                }
            }
        };
        stream::open(&place, &self.login, self.tls.as_ref()).await
    }
}

/// A place in the terms of the `redis` crate.
pub(super) fn info(place: Place, login: Option<&RedisLogin>) -> Result<ConnectionInfo, AddressError> {
    let addr = match place {
        Place::Tcp { host, port, tls: false } => ConnectionAddr::Tcp(host, port),
        Place::Tcp { host, port, tls: true } => {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        }
        Place::Unix(path) => ConnectionAddr::Unix(path),
    };
    let info = addr.into_connection_info().map_err(|error| AddressError::Malformed(error.to_string()))?;
    Ok(match login {
        Some(login) => info.set_redis_settings(said(login)),
        None => info,
    })
}

fn said(login: &RedisLogin) -> RedisConnectionInfo {
    let db = login.db.unwrap_or_default().into();
    let mut said = RedisConnectionInfo::default().set_db(db).set_skip_set_lib_name();
    if let Some(user) = &login.user {
        said = said.set_username(user);
    }
    if let Some(password) = &login.password {
        said = said.set_password(password.expose_secret());
    }
    said
}
