//! How an instance of an edge build reaches its store, as its settings say: not at all, over HTTP, or by the store's own
//! protocol where the platform has a way. Start at [`Reach::open`]; [`Instance::ask`](crate::Instance::ask) asks through it.

use std::convert::Infallible;

use acip_core::{
    config::{Secret, StoreSettings},
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
    /// By its URL; the settings' own password and database count where the URL has none.
    ///
    /// # Errors
    /// What is wrong with the URL, for the operator; never the URL itself.
    fn open(url: &str, settings: &StoreSettings) -> Result<Self, String>;
}

impl<E: Endpoint, S: Server> Reach<E, S> {
    /// By the URL's scheme.
    pub fn open(settings: &StoreSettings) -> Self {
        let Some(url) = settings.url.as_ref().map(Secret::expose_secret) else { return Self::Embedded };
        if !settings.is_rest() {
            return S::open(url, settings).map_or_else(Self::Unusable, Self::Server);
        }
        let Some(token) = &settings.rest_token else {
            return Self::Unusable("a REST endpoint wants a token: set `UPSTASH_REDIS_REST_TOKEN`".into());
        };
        let endpoint = E::new(url.trim_end_matches('/').to_owned(), settings.timeout_ms.max(1));
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

/// On a platform that has no way but HTTP.
#[derive(Debug)]
pub struct NoServer(Infallible);

impl Server for NoServer {
    fn open(_: &str, _: &StoreSettings) -> Result<Self, String> {
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
