//! The store: over HTTP, or through the platform's own Redis client.

#[cfg(not(feature = "spin"))]
use acip_shell::store::NoServer as Server;
use acip_shell::store::Reach;

#[cfg(feature = "spin")]
use crate::redis::Server;
use crate::rest::Remote;

/// How the instance reaches its store.
pub(crate) type Store = Reach<Remote, Server>;
