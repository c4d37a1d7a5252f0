//! Where one server is.

use std::path::PathBuf;

use acip_core::config::RedisServer;

use crate::trust::TrustError;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

impl Place {
    pub(super) fn new(server: RedisServer, tls: bool) -> Self {
        Self::Tcp { host: server.host, port: server.port, tls }
    }
}

/// A store that cannot be meant, or not be reached as its settings say. Never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The address is none that can be connected to.
    #[error("the store's address cannot be used: {0}")]
    Malformed(String),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Trust(#[from] TrustError),
}
