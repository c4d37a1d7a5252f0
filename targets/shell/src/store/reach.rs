//! How an instance of an edge build reaches its store, as its settings say: not at all, over HTTP, or by the store's own
//! protocol where the platform has a way. Start at [`Reach::open`]; [`Instance::ask`](crate::Instance::ask) asks through it.

use std::convert::Infallible;

use acip_core::{
    config::{RedisAddress, RedisServer, RedisServers, StoreSettings},
    store::{Batch, Cell, StoreError},
};

use super::{Fetch, RestStore};

/// An instance's way to its store.
pub enum Reach<E, S> {
    /// None: the instance's own memory is the store.
    Embedded,
    /// Over HTTP.
    Rest(RestStore<E>),
    /// By the store's own protocol.
    Server(S),
    /// It cannot be reached; the reason is for the operator.
    Unusable(String),
}

/// A REST endpoint, as the platform posts to it.
pub trait Endpoint: Fetch + Sized {
    /// At this URL, which ends with no slash; each post takes at most so many ms.
    fn new(url: String, timeout_ms: u64) -> Self;
}

/// What answers batches.
pub trait Store {
    /// As `/gateway/health/detailed` names it.
    fn mode(&self) -> &'static str;

    /// Asks a batch, within the settings' time limit.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn ask(&self, batch: &Batch) -> impl Future<Output = Result<Vec<Cell>, StoreError>>;

    /// Commands sent so far.
    fn round_trips(&self) -> u64;
}

/// A server by its own protocol, as the platform speaks it.
pub trait Server: Store + Sized {
    /// At this address; each answer takes at most so many ms.
    ///
    /// # Errors
    /// Why the platform cannot speak to it, for the operator.
    fn open(address: RedisAddress, timeout_ms: u64) -> Result<Self, String>;
}

impl<E: Endpoint, S: Server> Reach<E, S> {
    /// By the URL's scheme.
    pub fn open(settings: &StoreSettings) -> Self {
        let timeout_ms = settings.timeout_ms.max(1);
        if let Some(address) = settings.redis() {
            return S::open(address, timeout_ms).map_or_else(Self::Unusable, Self::Server);
        }
        let Some(endpoint) = settings.rest() else { return Self::Embedded };
        let Some(token) = &settings.rest_token else {
            return Self::Unusable("a REST endpoint wants a token: set `UPSTASH_REDIS_REST_TOKEN`".into());
        };
        let endpoint = E::new(endpoint.to_string(), timeout_ms);
        match RestStore::new(endpoint, token) {
            Ok(store) => Self::Rest(store),
            Err(error) => Self::Unusable(error.to_string()),
        }
    }
}

impl<E: Endpoint, S: Server> Store for Reach<E, S> {
    fn mode(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Rest(_) => "rest",
            Self::Server(server) => server.mode(),
            Self::Unusable(_) => "none",
        }
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreError> {
        match self {
            Self::Rest(store) => store.ask(batch).await,
            Self::Server(server) => server.ask(batch).await,
            Self::Embedded => Err(StoreError::Down("no store is configured".into())),
            Self::Unusable(reason) => Err(StoreError::Down(reason.clone())),
        }
    }

    fn round_trips(&self) -> u64 {
        match self {
            Self::Rest(store) => store.round_trips(),
            Self::Server(server) => server.round_trips(),
            Self::Embedded | Self::Unusable(_) => 0,
        }
    }
}

/// The one server at an address, for platforms that can speak to one alone.
///
/// # Errors
/// What to write in place of an address of several, for the operator.
pub fn one_server(servers: RedisServers) -> Result<RedisServer, String> {
    let scheme = match servers {
        RedisServers::One(server) => return Ok(server),
        RedisServers::Socket(_) => "redis+unix",
        RedisServers::Cluster(_) => "redis-cluster",
        RedisServers::Sentinels { .. } => "redis-sentinel",
    };
    Err(format!(
        "this build has no store client for `{scheme}://`; use `redis://`, `rediss://` or `https://`"
    ))
}

/// On a platform that has no way but HTTP.
#[derive(Debug)]
pub struct NoServer(Infallible);

impl Server for NoServer {
    fn open(_: RedisAddress, _: u64) -> Result<Self, String> {
        Err("this build reaches a store over HTTP alone; set `UPSTASH_REDIS_REST_URL`".into())
    }
}

impl Store for NoServer {
    fn mode(&self) -> &'static str {
        match self.0 {}
    }

    async fn ask(&self, _: &Batch) -> Result<Vec<Cell>, StoreError> {
        match self.0 {}
    }

    fn round_trips(&self) -> u64 {
        match self.0 {}
    }
}
